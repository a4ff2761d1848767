//! From nodes of a file to values: what does not fit is found, and the rest is read on.

use std::collections::HashMap;
use std::rc::Rc;

use super::finding::Findings;
use super::yaml::{Entry, Node, Span, Value, shown};
use crate::spelling;

/// What can be read from a node. What cannot is found.
pub(super) trait Read: Sized {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self>;
}

/// What is written as a single word.
pub(super) trait Word: Sized {
    /// What is allowed, behind the word "expected".
    fn expected() -> String;

    fn word(text: &str) -> Option<Self>;

    /// What a person most likely meant who wrote something else.
    fn meant(_: &str) -> Option<String> {
        None
    }
}

/// What is one of several words.
pub(super) trait Choice: Copy + PartialEq + 'static {
    const ALL: &'static [(&'static str, Self)];

    /// The word for it.
    fn as_word(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, one)| *one == self).map_or("", |(word, _)| word)
    }
}

impl<T: Choice> Word for T {
    fn expected() -> String {
        let words: Vec<String> = T::ALL.iter().map(|(word, _)| format!("`{word}`")).collect();
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    fn word(text: &str) -> Option<Self> {
        T::ALL.iter().find(|(word, _)| *word == text).map(|(_, one)| *one)
    }

    fn meant(text: &str) -> Option<String> {
        let plain = text.replace('_', "-");
        spelling::nearest(&plain, T::ALL.iter().map(|(word, _)| *word)).map(str::to_owned)
    }
}

impl<T: Word> Read for T {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let Some(scalar) = node.scalar().filter(|scalar| !scalar.is_null()) else {
            wrong_kind(node, &T::expected(), findings);
            return None;
        };
        let read = T::word(&scalar.text);
        if read.is_none() {
            let message = format!(
                "{} `{}`, expected {}",
                is_or_has(findings),
                shown(&scalar.text),
                T::expected()
            );
            let meant = T::meant(&scalar.text).map(|meant| format!("did you mean `{meant}`?"));
            findings.error(node.span, message, meant);
        }
        read
    }
}

impl Read for bool {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        const EXPECTED: &str = "`true` or `false`";
        let Some(scalar) = node.scalar().filter(|scalar| !scalar.is_null()) else {
            wrong_kind(node, EXPECTED, findings);
            return None;
        };
        if scalar.truth().is_none() {
            let meant = match scalar.text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" | "1" => Some("true"),
                "false" | "no" | "off" | "n" | "0" => Some("false"),
                other => spelling::nearest(other, ["true", "false"]),
            };
            let message = format!("{} `{}`, expected {EXPECTED}", is_or_has(findings), shown(&scalar.text));
            findings.error(
                node.span,
                message,
                meant.map(|meant| format!("did you mean `{meant}`?")),
            );
        }
        scalar.truth()
    }
}

/// Finds that a node is a list, say, where a word is expected.
pub(super) fn wrong_kind(node: &Node, expected: &str, findings: &mut Findings<'_>) {
    let message = format!("{} {}, expected {expected}", is_or_has(findings), node.kind());
    findings.error(node.span, message, None);
}

/// "`key` is", or "`key` has" for what is in a list.
fn is_or_has(findings: &Findings<'_>) -> String {
    match findings.name() {
        None => "the file is".to_owned(),
        Some(name) if findings.is_in_list() => format!("`{name}` has"),
        Some(name) => format!("`{name}` is"),
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T: Read> Read for At<T> {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let value = T::read(node, findings)?;
        Some(Self { value, span: node.span })
    }
}

/// One of a kind, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct OneOrMore<T>(pub(super) Vec<At<T>>);

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
    /// The values without their places.
    pub(super) fn values(self) -> Vec<T> {
        self.0.into_iter().map(|at| at.value).collect()
    }
}

/// A list.
#[derive(Clone, Debug)]
pub(super) struct List<T>(pub(super) Vec<At<T>>);

impl<T: Read> Read for List<T> {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            wrong_kind(node, "a list", findings);
            return None;
        };
        let mut read = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if findings.are_enough() {
                findings.leave_out();
                break;
            }
            read.push(findings.within(format!("[{index}]"), |findings| At::read(item, findings)));
        }
        (read.len() == items.len()).then_some(())?;
        read.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }
}

/// Texts by names that the author chooses.
#[derive(Clone, Debug)]
pub(super) struct Pairs(pub(super) Vec<(At<String>, At<String>)>);

impl Read for Pairs {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            wrong_kind(node, "a mapping of names to texts", findings);
            return None;
        };
        let mut pairs = Vec::new();
        let mut sound = true;
        for Entry { key, span, value } in entries {
            let text = match value.scalar() {
                Some(scalar) if scalar.is_null() => String::new(),
                Some(scalar) => scalar.text.clone(),
                None => {
                    findings.within(key.to_string(), |findings| wrong_kind(value, "a text", findings));
                    sound = false;
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
        sound.then_some(Self(pairs))
    }
}

/// The entries of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    pub(super) span: Span,
    entries: HashMap<&'n str, &'n Entry>,
}

impl<'n> Fields<'n> {
    /// Takes a mapping apart. A key that is not known is a warning.
    pub(super) fn of(node: &'n Node, known: &[&str], findings: &mut Findings<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let expected = format!("a mapping with the keys {}", known.join(", "));
            wrong_kind(node, &expected, findings);
            return None;
        };
        for entry in entries {
            if !known.contains(&&*entry.key) {
                unknown_key(entry, known, findings);
            }
        }
        let entries: HashMap<&str, &Entry> = entries.iter().map(|entry| (&*entry.key, entry)).collect();
        Some(Self {
            span: node.span,
            entries,
        })
    }

    /// Reads what a key has, if it is there and has anything.
    pub(super) fn take<T: Read>(&self, key: &str, required: bool, findings: &mut Findings<'_>) -> Option<At<T>> {
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

    /// What a key has, if it is there and has anything.
    pub(super) fn node(&self, key: &str) -> Option<&'n Rc<Node>> {
        let entry = self.entries.get(key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// Where a key stands, if it does.
    pub(super) fn place(&self, key: &str) -> Option<Span> {
        self.entries.get(key).map(|entry| entry.span)
    }

    /// Whether a key is there and has anything.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| !entry.value.is_null())
    }
}

/// What begins so is the author's own: a place for what aliases stand for.
const OWN_KEY: &str = "x-";

fn unknown_key(entry: &Entry, known: &[&str], findings: &mut Findings<'_>) {
    if entry.key.starts_with(OWN_KEY) {
        return;
    }
    if findings.is_full() {
        findings.leave_out();
        return;
    }
    let nearest = spelling::nearest(&entry.key, known.iter().copied());
    let hint = nearest.map_or_else(
        || "take it out, or let its name begin with `x-` if it is for yourself".to_owned(),
        |nearest| format!("did you mean `{nearest}`?"),
    );
    findings.within(shown(&entry.key), |findings| {
        findings.warning(
            entry.span,
            format!("there is no key `{}`, so it is ignored", shown(&entry.key)),
            Some(hint),
        );
    });
}
