//! The tables of steps as Mermaid diagrams and lists, for `docs/lifecycle.md`.

use std::fmt::Write as _;

use super::{JobStep, LifecycleStep, RunStep, RunnerStep};

/// Returns the text of `docs/lifecycle.md`.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Lifecycles\n\n<!-- Made by `make docs` from shared/records/src/steps; a test compares the two. -->\n\n\
         Every change of a state is one of these steps. The simulation counts them. It fails if one is never taken, or if a \
         state changes in another way.\n",
    );
    section::<RunnerStep>(&mut text, "A runner");
    section::<JobStep>(&mut text, "A job");
    section::<RunStep>(&mut text, "A run in which a job was interrupted");
    text
}

fn section<S: LifecycleStep>(text: &mut String, title: &str) {
    // Writing to a string does not fail.
    let _ = write!(text, "\n## {title}\n\n```mermaid\nstateDiagram-v2\n");
    for step in S::ALL {
        let to = step.to();
        for from in froms(*step) {
            let _ = writeln!(text, "    {from} --> {to:?}: {step:?}");
        }
    }
    text.push_str("```\n\n| step | from | to | because |\n|---|---|---|---|\n");
    for step in S::ALL {
        let from = froms(*step).join(", ").replace("[*]", "nothing");
        let _ = writeln!(text, "| `{step:?}` | {from} | {:?} | {} |", step.to(), step.because());
    }
}

fn froms<S: LifecycleStep>(step: S) -> Vec<String> {
    if step.from().is_empty() {
        return vec!["[*]".to_owned()];
    }
    step.from().iter().map(|state| format!("{state:?}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lifecycle.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, document(), "docs/lifecycle.md is out of date: run `make docs`");
    }

    #[test]
    fn no_step_leads_to_a_state_it_comes_from() {
        fn check<S: LifecycleStep>() {
            for step in S::ALL {
                assert!(!step.leads_from(step.to()), "{step:?}");
            }
        }
        check::<RunnerStep>();
        check::<JobStep>();
        check::<RunStep>();
    }
}
