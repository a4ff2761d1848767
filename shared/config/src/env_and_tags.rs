//! A runner's environment variables and tags, and what they may not be.

use std::collections::BTreeMap;

use crate::yaml::{At, Findings, Pairs, excerpt};

/// EC2 takes 50 tags on an instance; the rest is for dayfly's own.
const MAX_TAGS: usize = 40;

/// The most bytes of all variables: they are part of the runner's record, and of the answer to its claim.
const MAX_ENV_BYTES: usize = 4 * 1024;

pub(crate) fn env(given: Option<At<Pairs>>, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let Some(At { value, span }) = given else {
        return BTreeMap::new();
    };
    let each = value.0.iter();
    let bytes: usize = each.map(|(name, text)| name.value.len() + text.value.len() + 2).sum();
    findings.within("env", |findings| {
        if bytes > MAX_ENV_BYTES {
            let message = format!("the variables have {bytes} bytes, and at most {MAX_ENV_BYTES} are allowed");
            findings.error(span, message, Some("set long values in the workflow".to_owned()));
        }
        for (name, text) in &value.0 {
            if let Some(message) = variable_error(&name.value, &text.value) {
                findings.within(excerpt(&name.value), |findings| {
                    findings.error(name.span, message, None);
                });
            }
        }
    });
    to_map(value)
}

pub(crate) fn tags(given: Option<At<Pairs>>, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let Some(At { value, span }) = given else {
        return BTreeMap::new();
    };
    findings.within("tags", |findings| {
        if value.0.len() > MAX_TAGS {
            let message = format!("there are {} tags, and at most {MAX_TAGS} are allowed", value.0.len());
            findings.error(span, message, None);
        }
        for (key, text) in &value.0 {
            if let Some(message) = tag_error(&key.value, &text.value) {
                findings.within(excerpt(&key.value), |findings| findings.error(key.span, message, None));
            }
        }
    });
    to_map(value)
}

fn to_map(pairs: Pairs) -> BTreeMap<String, String> {
    let each = pairs.0.into_iter();
    each.map(|(key, text)| (key.value, text.value)).collect()
}

/// Returns what is wrong with a tag, or `None` if EC2 takes it.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
fn tag_error(key: &str, value: &str) -> Option<String> {
    const RESERVED: [&str; 2] = ["aws:", "dayfly:"];
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
    let lower = key.to_ascii_lowercase();
    if let Some(prefix) = RESERVED.iter().find(|prefix| lower.starts_with(**prefix)) {
        return Some(format!("`{}` begins with `{prefix}`, which is reserved", excerpt(key)));
    }
    if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
        return Some(format!(
            "`{}` is too long or empty: a tag's name has 1 to 128 characters and its value at most 256",
            excerpt(key)
        ));
    }
    (!plain(key) || !plain(value)).then(|| {
        format!(
            "`{}` has a character that EC2 takes in no tag: letters, digits, spaces and `_.:/=+-@` are allowed",
            excerpt(key)
        )
    })
}

/// Returns what is wrong with an environment variable, or `None` if a runner may have it.
fn variable_error(name: &str, text: &str) -> Option<String> {
    const SET_BY_THE_RUNNER: [&str; 4] = ["GITHUB_", "RUNNER_", "ACTIONS_", "DAYFLY_"];
    // These change what the runner itself, or the shell around it, executes.
    const POWERFUL: [&str; 16] = [
        "BASH_ENV",
        "CDPATH",
        "COMPlus_",
        "CORECLR_",
        "DOTNET_",
        "ENV",
        "GLIBC_TUNABLES",
        "HOME",
        "IFS",
        "LD_",
        "LOGNAME",
        "NODE_OPTIONS",
        "PATH",
        "SHELL",
        "SHELLOPTS",
        "USER",
    ];
    let shown = excerpt(name);
    let valid = name
        .bytes()
        .enumerate()
        .all(|(at, b)| b.is_ascii_alphabetic() || b == b'_' || (at > 0 && b.is_ascii_digit()));
    if name.is_empty() || !valid {
        return Some(format!(
            "`{shown}` is not a variable's name: letters, digits and `_` are allowed, and no digit at the beginning"
        ));
    }
    let upper = name.to_ascii_uppercase();
    if let Some(prefix) = SET_BY_THE_RUNNER.iter().find(|prefix| upper.starts_with(**prefix)) {
        return Some(format!(
            "`{shown}` begins with `{prefix}`, which the runner sets itself"
        ));
    }
    let powerful = POWERFUL.iter().any(|one| match one.strip_suffix('_') {
        Some(_) => upper.starts_with(&one.to_ascii_uppercase()),
        None => name == *one,
    });
    if powerful {
        return Some(format!(
            "`{shown}` decides how the runner itself runs: set it in the workflow"
        ));
    }
    text.contains(['\n', '\0'])
        .then(|| format!("`{name}` has more than one line, which no variable of a runner may have"))
}
