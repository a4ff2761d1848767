//! YAML as a tree in which each node knows its place, with limits on what a file may cost to read.
//!
//! The parser's events are taken rather than deserialised types: those end at the first error, and a
//! person wants to know of all of them at once.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span as Reach, Tag};

/// The largest file that is read.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// How deep lists and mappings may lie within each other.
const MAX_DEPTH: usize = 16;

/// How much a file may come to once its aliases stand for what they mean: about four times what one
/// of the largest size can hold without any.
const MAX_WEIGHT: usize = 512 * 1024;

/// What a node weighs besides its text.
const NODE_WEIGHT: usize = 8;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    /// The first byte.
    pub(super) start: usize,
    /// The byte behind the last.
    pub(super) end: usize,
    /// The line, from 1.
    pub(super) line: usize,
    /// The character on it, from 1.
    pub(super) column: usize,
}

impl Span {
    fn at(mark: Marker) -> Self {
        let start = mark.byte_offset().unwrap_or_default();
        Self {
            start,
            end: start,
            line: mark.line(),
            column: mark.col() + 1,
        }
    }

    fn of(reach: &Reach) -> Self {
        let span = Self::at(reach.start);
        let range = reach.byte_range();
        Self {
            end: range.map_or(span.start, |range| range.end),
            ..span
        }
    }

    /// Where a file begins.
    pub(super) const BEGINNING: Self = Self {
        start: 0,
        end: 0,
        line: 1,
        column: 1,
    };
}

/// A node of the tree.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
    depth: usize,
    weight: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Value {
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A scalar as it is written.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Whether it has no quotes, so that `true` is no text.
    pub(super) plain: bool,
}

/// A key and what it has.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Rc<str>,
    pub(super) span: Span,
    pub(super) value: Rc<Node>,
}

/// Why there is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) span: Span,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl Unreadable {
    fn new(span: Span, what: impl Into<String>) -> Self {
        Self {
            span,
            what: what.into(),
            hint: None,
        }
    }

    fn or(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl Scalar {
    /// Whether it is YAML's word for nothing.
    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The truth value that YAML 1.2 reads.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }
}

impl Node {
    /// The scalar that it is.
    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether nothing is there.
    pub(super) fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Reads a text. A file without content is a node of nothing.
pub(super) fn tree(text: &str) -> Result<Rc<Node>, Vec<Unreadable>> {
    if text.len() > MAX_BYTES {
        let what = format!("the file has {} bytes, and at most {MAX_BYTES} are read", text.len());
        let error = Unreadable::new(Span::BEGINNING, what);
        return Err(vec![error.or(
            "take out what no runner needs, or have what is shared in the organisation's file and `extends` it",
        )]);
    }
    let mut builder = Builder::default();
    let mut options = granit_parser::options! {
        disallow_directives: true,
        // The builder counts too, and says it in words of ours.
        flow_nesting_limit: MAX_DEPTH * 2,
        block_nesting_limit: MAX_DEPTH * 2,
    };
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(text, options) {
        let taken = match event {
            Ok((event, reach)) => builder.take(event, &reach),
            Err(error) => Err(syntax(&error, text)),
        };
        if let Err(error) = taken {
            builder.errors.push(error);
            break;
        }
    }
    if !builder.errors.is_empty() {
        return Err(builder.errors);
    }
    Ok(builder.root.unwrap_or_else(|| Rc::new(nothing(Span::BEGINNING))))
}

fn nothing(span: Span) -> Node {
    let scalar = Scalar {
        text: String::new(),
        plain: true,
    };
    Node {
        span,
        value: Value::Scalar(scalar),
        depth: 1,
        weight: NODE_WEIGHT,
    }
}

fn syntax(error: &granit_parser::ScanError, text: &str) -> Unreadable {
    use granit_parser::ErrorKind;
    let span = Span::at(*error.marker());
    let place = Unreadable::new(span, format!("this is no YAML: {}", error.info()));
    let behind = text.get(span.start..).unwrap_or_default();
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(span),
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation => place.or("indent with spaces"),
        ErrorKind::UnknownAnchor => place.or("put a text that begins with `*` between quotes"),
        ErrorKind::UnexpectedCharacter { character } if matches!(character, '@' | '`' | '%') => {
            place.or(format!("put a text that begins with `{character}` between quotes"))
        }
        // `vram: >=24GiB` begins a folded text.
        _ if behind.starts_with('>') => {
            let bound = behind.split_whitespace().next().unwrap_or_default();
            place.or(format!("put it between quotes: `\"{}\"`", shown(bound)))
        }
        _ => place,
    }
}

/// A list or mapping whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    what: Opened,
}

enum Opened {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<Rc<str>, Span>,
        key: Option<(Rc<str>, Span)>,
        merged: Vec<Rc<Node>>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    weight: usize,
    errors: Vec<Unreadable>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, reach: &Reach) -> Result<(), Unreadable> {
        let span = Span::of(reach);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Unreadable::new(span, "a second document begins here")
                    .or("a file is one document: take out the line `---`"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag = self.tag(tag.as_deref(), span);
                let plain = style == ScalarStyle::Plain && !text_tag;
                let node = Node {
                    span,
                    weight: NODE_WEIGHT + text.len(),
                    value: Value::Scalar(Scalar {
                        text: text.into_owned(),
                        plain,
                    }),
                    depth: 1,
                };
                let weight = node.weight;
                self.put(Rc::new(node), anchor, weight)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span);
                self.begin(span, anchor, Opened::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span);
                let what = Opened::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(span, anchor, what)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    // Only an anchor that is not at its end yet is not there.
                    return Err(Unreadable::new(
                        span,
                        "this stands for something that it is itself a part of",
                    ));
                };
                let weight = node.weight;
                self.put(node, 0, weight)
            }
            _ => Ok(()),
        }
    }

    /// Whether a tag makes a scalar a text. One that means nothing here is an error.
    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        let core = tag.core_suffix();
        if core.is_none() {
            let what = format!("the tag `{}` has no meaning here", tag.original());
            self.errors.push(Unreadable::new(span, what).or("take it out"));
        }
        core == Some("str")
    }

    fn begin(&mut self, span: Span, anchor: usize, what: Opened) -> Result<(), Unreadable> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.open.push(Open { span, anchor, what });
        Ok(())
    }

    fn end(&mut self, at: Span) -> Result<(), Unreadable> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let (value, below, weight) = match open.what {
            Opened::List(items) => {
                let below = items.iter().map(|item| item.depth).max();
                let weight = items.iter().map(|item| item.weight).sum::<usize>();
                (Value::List(items), below, weight)
            }
            Opened::Map {
                mut entries,
                seen,
                merged,
                ..
            } => {
                self.merge(&mut entries, &seen, &merged)?;
                let below = entries.iter().map(|entry| entry.value.depth).max();
                let weight = entries
                    .iter()
                    .map(|entry| entry.key.len() + NODE_WEIGHT + entry.value.weight)
                    .sum::<usize>();
                (Value::Map(entries), below, weight)
            }
        };
        let node = Node {
            span: Span {
                end: at.end.max(open.span.end),
                ..open.span
            },
            value,
            depth: below.unwrap_or_default() + 1,
            weight: weight + NODE_WEIGHT,
        };
        // What it holds has been weighed.
        self.put(Rc::new(node), open.anchor, NODE_WEIGHT)
    }

    /// Takes over what `<<` names, as far as the mapping does not say it itself.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry>,
        seen: &HashMap<Rc<str>, Span>,
        merged: &[Rc<Node>],
    ) -> Result<(), Unreadable> {
        if merged.is_empty() {
            return Ok(());
        }
        let mut taken: HashSet<Rc<str>> = seen.keys().cloned().collect();
        for node in merged {
            let sources = match &node.value {
                Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            for source in sources {
                let Value::Map(from) = &source.value else {
                    return Err(Unreadable::new(
                        node.span,
                        "`<<` takes a mapping, or a list of mappings",
                    ));
                };
                for entry in from {
                    if taken.insert(Rc::clone(&entry.key)) {
                        self.add_weight(entry.key.len() + entry.value.weight, source.span)?;
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn add_weight(&mut self, weight: usize, span: Span) -> Result<(), Unreadable> {
        self.weight += weight;
        if self.weight > MAX_WEIGHT {
            let what = format!("the aliases of this file come to more than {} KiB", MAX_WEIGHT / 1024);
            return Err(Unreadable::new(span, what).or("write out what they stand for, once"));
        }
        Ok(())
    }

    /// Puts a node where it belongs.
    fn put(&mut self, node: Rc<Node>, anchor: usize, weight: usize) -> Result<(), Unreadable> {
        self.add_weight(weight, node.span)?;
        if self.open.len() + node.depth > MAX_DEPTH {
            return Err(too_deep(node.span));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.what {
            Opened::List(items) => items.push(node),
            Opened::Map {
                entries,
                seen,
                key,
                merged,
            } => match key.take() {
                None => *key = Some(key_of(&node)?),
                Some((key, _)) if &*key == "<<" => merged.push(node),
                Some((key, span)) => {
                    if let Some(first) = seen.get(&key) {
                        let what = format!("`{}` stands here a second time, after line {}", shown(&key), first.line);
                        self.errors.push(Unreadable::new(span, what).or("leave one of the two"));
                    } else {
                        seen.insert(Rc::clone(&key), span);
                        entries.push(Entry { key, span, value: node });
                    }
                }
            },
        }
        Ok(())
    }
}

fn too_deep(span: Span) -> Unreadable {
    Unreadable::new(
        span,
        format!("lists and mappings lie more than {MAX_DEPTH} deep within each other"),
    )
    .or("no key needs so many")
}

fn key_of(node: &Node) -> Result<(Rc<str>, Span), Unreadable> {
    match node.scalar() {
        Some(scalar) => Ok((Rc::from(scalar.text.as_str()), node.span)),
        None => Err(
            Unreadable::new(node.span, format!("a key is {}, expected a word", node.kind()))
                .or("put a text that begins with `{` or `[` between quotes"),
        ),
    }
}

/// A text as it is shown in a message: not longer than one can read.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}
