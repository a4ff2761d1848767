//! Checks that the readers of the files share.

use crate::labels::{self, Label};
use crate::values::Name;
use crate::yaml::{At, Fields, Findings, OneOrMore, excerpt};

pub(crate) fn names(given: At<OneOrMore<Name>>) -> Vec<String> {
    given.value.values().into_iter().map(|name| name.0).collect()
}

/// Reports labels with which no job gets a runner, or another one than its author thinks.
pub(crate) fn check_labels(given: &[At<Label>], findings: &mut Findings<'_>) {
    findings.within("labels", |findings| {
        for label in given {
            check_label(label, findings);
        }
        let plain: Vec<Label> = given.iter().map(|at| at.value.clone()).collect();
        if let Some(first) = given.first()
            && !labels::must_be_ours(&plain)
        {
            let message = "none of these labels begins with `dayfly` or `cirun-`";
            let hint = "jobs get this runner only with `self-hosted` among their labels";
            findings.warning(first.span, message, Some(hint.to_owned()));
        }
    });
}

fn check_label(At { value: label, span }: &At<Label>, findings: &mut Findings<'_>) {
    let text = label.as_str();
    let hosted = ["ubuntu-", "windows-", "macos-"];
    if text.to_ascii_lowercase().starts_with("dayfly/") {
        let message = format!("`{}` is an inline label, which describes its own runner", excerpt(text));
        let hint = "an inline label needs no file: remove it, or call it `dayfly-…`";
        findings.error(*span, message, Some(hint.to_owned()));
    } else if label.kind() != text {
        let message = format!("what follows `--` in `{}` is ignored", excerpt(text));
        let hint = format!(
            "write `{}`: a job may still add `--` and anything after it",
            label.kind()
        );
        findings.warning(*span, message, Some(hint));
    } else if hosted.iter().any(|prefix| text.starts_with(prefix)) {
        let message = format!("`{text}` is a label of GitHub's own runners, which take its jobs too");
        findings.warning(*span, message, Some("choose a label of your own".to_owned()));
    }
}

/// Warns of keys that dayfly ignores.
pub(crate) fn warn_ignored(fields: &Fields<'_>, keys: &[(&str, &str)], findings: &mut Findings<'_>) {
    for (key, instead) in keys {
        if let Some(span) = fields.key_span(key) {
            findings.within(*key, |findings| {
                findings.warning(span, format!("`{key}` is ignored"), Some((*instead).to_owned()));
            });
        }
    }
}
