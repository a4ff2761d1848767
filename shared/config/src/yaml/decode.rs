//! Values read from nodes: what does not fit is reported, and the rest is read on.

use std::collections::HashMap;
use std::rc::Rc;

use super::findings::Findings;
use super::tree::{Entry, Node, Span, Value, excerpt};
use crate::spelling;

/// A value that can be read from a node.
pub trait Read: Sized {
    /// Reads the node, or reports why it cannot and returns `None`.
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self>;
}

/// A value that is written as a scalar.
pub trait ScalarValue: Sized {
    /// Returns what is allowed: a message has it after "expected".
    fn expected() -> String;

    fn parse(text: &str) -> Option<Self>;

    /// Returns what the author of a wrong value most likely meant.
    #[must_use]
    fn suggestion(_: &str) -> Option<String> {
        None
    }
}

/// A value that is one of a few keywords.
pub trait Keyword: Copy + PartialEq + 'static {
    const ALL: &'static [(&'static str, Self)];

    fn keyword(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, one)| *one == self).map_or("", |(keyword, _)| keyword)
    }
}

impl<T: Keyword> ScalarValue for T {
    fn expected() -> String {
        let keywords: Vec<String> = T::ALL.iter().map(|(keyword, _)| format!("`{keyword}`")).collect();
        match keywords.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        T::ALL.iter().find(|(keyword, _)| *keyword == text).map(|(_, one)| *one)
    }

    fn suggestion(text: &str) -> Option<String> {
        let plain = text.replace('_', "-");
        spelling::nearest(&plain, T::ALL.iter().map(|(keyword, _)| *keyword)).map(str::to_owned)
    }
}

impl<T: ScalarValue> Read for T {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let Some(scalar) = node.as_scalar().filter(|scalar| !scalar.is_null()) else {
            report_wrong_kind(node, &T::expected(), findings);
            return None;
        };
        let value = T::parse(&scalar.text);
        if value.is_none() {
            report_wrong_value(
                node,
                &scalar.text,
                &T::expected(),
                T::suggestion(&scalar.text),
                findings,
            );
        }
        value
    }
}

impl Read for bool {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        const EXPECTED: &str = "`true` or `false`";
        let Some(scalar) = node.as_scalar().filter(|scalar| !scalar.is_null()) else {
            report_wrong_kind(node, EXPECTED, findings);
            return None;
        };
        if scalar.as_bool().is_none() {
            let meant = match scalar.text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" | "1" => Some("true"),
                "false" | "no" | "off" | "n" | "0" => Some("false"),
                other => spelling::nearest(other, ["true", "false"]),
            };
            report_wrong_value(node, &scalar.text, EXPECTED, meant.map(str::to_owned), findings);
        }
        scalar.as_bool()
    }
}

impl ScalarValue for u32 {
    fn expected() -> String {
        "a whole number".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        // `str::parse` would take a sign too.
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
    }
}

fn report_wrong_value(
    node: &Node,
    text: &str,
    expected: &str,
    suggestion: Option<String>,
    findings: &mut Findings<'_>,
) {
    let message = format!("{} `{}`, expected {expected}", is_or_has(findings), excerpt(text));
    let hint = suggestion.map(|meant| format!("did you mean `{meant}`?"));
    findings.error(node.span, message, hint);
}

/// Reports a node of the wrong kind: a list, say, where a scalar is expected.
pub fn report_wrong_kind(node: &Node, expected: &str, findings: &mut Findings<'_>) {
    let kind = match findings.name() {
        None if node.is_null() => "empty",
        _ => node.kind(),
    };
    let message = format!("{} {kind}, expected {expected}", is_or_has(findings));
    findings.error(node.span, message, None);
}

/// Returns "`key` is", or "`key` has" for an item of a list.
fn is_or_has(findings: &Findings<'_>) -> String {
    match findings.name() {
        None => "the file is".to_owned(),
        Some(name) if findings.is_in_list() => format!("`{name}` has"),
        Some(name) => format!("`{name}` is"),
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T: Read> Read for At<T> {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let value = T::read(node, findings)?;
        Some(Self { value, span: node.span })
    }
}

/// A single value, or a list of them.
#[derive(Clone, Debug)]
pub struct OneOrMore<T>(pub Vec<At<T>>);

impl<T: Read> Read for OneOrMore<T> {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            return At::read(node, findings).map(|one| Self(vec![one]));
        };
        if items.is_empty() {
            let message = format!("{} empty, expected at least one", is_or_has(findings));
            findings.error(node.span, message, None);
            return None;
        }
        List::read(node, findings).map(|list| Self(list.0))
    }
}

impl<T> OneOrMore<T> {
    #[must_use]
    pub fn values(self) -> Vec<T> {
        self.0.into_iter().map(|at| at.value).collect()
    }
}

#[derive(Clone, Debug)]
pub struct List<T>(pub Vec<At<T>>);

impl<T: Read> Read for List<T> {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            report_wrong_kind(node, "a list", findings);
            return None;
        };
        let mut read = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if findings.has_enough_errors() {
                findings.omit();
                break;
            }
            read.push(findings.within(format!("[{index}]"), |findings| At::read(item, findings)));
        }
        (read.len() == items.len()).then_some(())?;
        read.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }
}

/// Names that the author chooses, each with a text.
#[derive(Clone, Debug)]
pub struct Pairs(pub Vec<(At<String>, At<String>)>);

impl Read for Pairs {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            report_wrong_kind(node, "a mapping of names to texts", findings);
            return None;
        };
        let mut pairs = Vec::new();
        let mut valid = true;
        for Entry { key, span, value } in entries {
            let text = match value.as_scalar() {
                Some(scalar) if scalar.is_null() => String::new(),
                Some(scalar) => scalar.text.clone(),
                None => {
                    findings.within(key.to_string(), |findings| report_wrong_kind(value, "a text", findings));
                    valid = false;
                    continue;
                }
            };
            let key = At {
                value: key.to_string(),
                span: *span,
            };
            let text = At {
                value: text,
                span: value.span,
            };
            pairs.push((key, text));
        }
        valid.then_some(Self(pairs))
    }
}

/// The entries of a mapping with known keys.
pub struct Fields<'n> {
    pub span: Span,
    entries: HashMap<&'n str, &'n Entry>,
}

impl<'n> Fields<'n> {
    /// Reads a mapping. An unknown key is a warning, unless it begins with `x-`.
    pub fn read(node: &'n Node, known: &[&str], findings: &mut Findings<'_>) -> Option<Self> {
        Self::read_with(node, known, findings, warn_of_unknown_key)
    }

    /// Reads a mapping. An unknown key is an error.
    pub fn read_strict(node: &'n Node, known: &[&str], findings: &mut Findings<'_>) -> Option<Self> {
        Self::read_with(node, known, findings, refuse_unknown_key)
    }

    fn read_with(
        node: &'n Node,
        known: &[&str],
        findings: &mut Findings<'_>,
        report_unknown: fn(&Entry, &[&str], &mut Findings<'_>),
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let expected = format!("a mapping with the keys {}", known.join(", "));
            report_wrong_kind(node, &expected, findings);
            return None;
        };
        for entry in entries {
            if !known.contains(&&*entry.key) {
                report_unknown(entry, known, findings);
            }
        }
        Some(Self {
            span: node.span,
            entries: entries.iter().map(|entry| (&*entry.key, entry)).collect(),
        })
    }

    /// Reads the value of a key, if it has one.
    pub fn take<T: Read>(&self, key: &str, required: bool, findings: &mut Findings<'_>) -> Option<At<T>> {
        match self.entries.get(key) {
            Some(entry) if !entry.value.is_null() => findings.within(key, |findings| At::read(&entry.value, findings)),
            Some(entry) if required => {
                findings.within(key, |findings| {
                    findings.error(entry.span, format!("`{key}` has no value"), None);
                });
                None
            }
            None if required => {
                let message = format!("the key `{key}` is missing");
                findings.within(key, |findings| findings.error(self.span, message, None));
                None
            }
            _ => None,
        }
    }

    /// Returns the node of a key, unless it is null.
    #[must_use]
    pub fn node(&self, key: &str) -> Option<&'n Rc<Node>> {
        let entry = self.entries.get(key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// Returns the place of a key, whatever its value.
    #[must_use]
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.get(key).map(|entry| entry.span)
    }

    /// Returns whether a key has a value, be it unreadable.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }
}

/// The prefix of the author's own keys: a place for what aliases stand for.
const OWN_KEY: &str = "x-";

fn warn_of_unknown_key(entry: &Entry, known: &[&str], findings: &mut Findings<'_>) {
    if entry.key.starts_with(OWN_KEY) {
        return;
    }
    if findings.is_full() {
        findings.omit();
        return;
    }
    let key = excerpt(&entry.key);
    let hint = did_you_mean(entry, known)
        .unwrap_or_else(|| "remove it, or begin its name with `x-` if it is your own".to_owned());
    let message = format!("there is no key `{key}`, so it is ignored");
    findings.within(key, |findings| findings.warning(entry.span, message, Some(hint)));
}

fn refuse_unknown_key(entry: &Entry, known: &[&str], findings: &mut Findings<'_>) {
    let key = excerpt(&entry.key);
    let hint = did_you_mean(entry, known).unwrap_or_else(|| "remove it".to_owned());
    let message = format!("there is no key `{key}`, expected one of {}", known.join(", "));
    findings.within(key, |findings| findings.error(entry.span, message, Some(hint)));
}

fn did_you_mean(entry: &Entry, known: &[&str]) -> Option<String> {
    let nearest = spelling::nearest(&entry.key, known.iter().copied())?;
    Some(format!("did you mean `{nearest}`?"))
}
