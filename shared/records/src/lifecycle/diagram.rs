//! The tables as Mermaid diagrams and lists, for `docs/lifecycle.md`.

use std::fmt::Write as _;

use super::{JobStep, RunStep, RunnerStep, Step};

/// The whole of `docs/lifecycle.md`.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Lifecycles\n\n<!-- Made by `make docs` from shared/records/src/lifecycle; a test compares the two. -->\n\n\
         Every change of a state is one of these steps. The simulation counts them, and fails when one was never taken or \
         another was.\n",
    );
    section::<RunnerStep>(&mut text, "A runner");
    section::<JobStep>(&mut text, "A job");
    section::<RunStep>(&mut text, "A run in which a job was interrupted");
    text
}

fn section<S: Step>(text: &mut String, title: &str) {
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

fn froms<S: Step>(step: S) -> Vec<String> {
    if step.from().is_empty() {
        return vec!["[*]".to_owned()];
    }
    step.from().iter().map(|state| format!("{state:?}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lifecycle.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, document(), "docs/lifecycle.md is out of date: run `make docs`");
    }

    #[test]
    fn no_step_leads_nowhere_or_back_to_where_it_came_from() {
        fn check<S: Step>() {
            for step in S::ALL {
                assert!(!step.leads_from(step.to()), "{step:?}");
            }
        }
        check::<RunnerStep>();
        check::<JobStep>();
        check::<RunStep>();
    }
}
