//! YAML as a tree whose nodes know their place, with limits on what a file may cost to read.
//!
//! It is built from the parser's events and not by deserialisation: that ends at the first error, and an
//! author needs all of them at once.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span as EventSpan, Tag};

/// The largest file that is read.
pub const MAX_BYTES: usize = 64 * 1024;

/// How deep lists and mappings may nest.
const MAX_DEPTH: usize = 16;

/// The weight limit of a file with its aliases expanded: about four times what a file of the largest size
/// can hold without any.
const MAX_WEIGHT: usize = 512 * 1024;

/// The weight of a node besides its text.
const NODE_WEIGHT: usize = 8;

/// A range in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl Span {
    /// The beginning of a file.
    pub const BEGINNING: Self = Self {
        start: 0,
        end: 0,
        line: 1,
        column: 1,
    };

    fn at(mark: Marker) -> Self {
        let start = mark.byte_offset().unwrap_or_default();
        Self {
            start,
            end: start,
            line: mark.line(),
            column: mark.col() + 1,
        }
    }

    fn of(event: &EventSpan) -> Self {
        let span = Self::at(event.start);
        let range = event.byte_range();
        Self {
            end: range.map_or(span.start, |range| range.end),
            ..span
        }
    }
}

#[derive(Debug)]
pub struct Node {
    pub span: Span,
    pub value: Value,
    depth: usize,
    weight: usize,
}

#[derive(Debug)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A scalar as it is written.
#[derive(Debug)]
pub struct Scalar {
    pub text: String,
    /// Whether it has no quotes: only then is `true` a boolean.
    pub plain: bool,
}

/// A key of a mapping with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Rc<str>,
    pub span: Span,
    pub value: Rc<Node>,
}

/// Why there is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
}

impl SyntaxError {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            hint: None,
        }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl Scalar {
    /// Returns whether it is YAML's null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Returns the boolean that YAML 1.2 reads.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }
}

impl Node {
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(Scalar::is_null)
    }

    /// Returns what a message calls it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Parses a text. A file without content is a null node.
///
/// # Errors
/// The first syntax error, and every duplicate key and unknown tag before it.
pub fn parse(text: &str) -> Result<Rc<Node>, Vec<SyntaxError>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, and at most {MAX_BYTES} are read", text.len());
        let error = SyntaxError::new(Span::BEGINNING, message);
        return Err(vec![error.with_hint(
            "remove what no runner needs, or put what is shared into the organisation's file and `extends` it",
        )]);
    }
    let mut builder = Builder::default();
    let mut options = granit_parser::options! {
        disallow_directives: true,
        // The builder counts too, with a message of our own.
        flow_nesting_limit: MAX_DEPTH * 2,
        block_nesting_limit: MAX_DEPTH * 2,
    };
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(text, options) {
        let added = match event {
            Ok((event, span)) => builder.add(event, Span::of(&span)),
            Err(error) => Err(syntax_error(&error, text)),
        };
        if let Err(error) = added {
            builder.errors.push(error);
            break;
        }
    }
    if !builder.errors.is_empty() {
        return Err(builder.errors);
    }
    Ok(builder.root.unwrap_or_else(|| Rc::new(null(Span::BEGINNING))))
}

fn null(span: Span) -> Node {
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

fn syntax_error(error: &granit_parser::ScanError, text: &str) -> SyntaxError {
    use granit_parser::ErrorKind;
    let span = Span::at(*error.marker());
    let unhinted = SyntaxError::new(span, format!("invalid YAML: {}", error.info()));
    let rest = text.get(span.start..).unwrap_or_default();
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(span),
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation => unhinted.with_hint("indent with spaces"),
        ErrorKind::UnknownAnchor => unhinted.with_hint("quote a text that begins with `*`"),
        ErrorKind::UnexpectedCharacter { character } if matches!(character, '@' | '`' | '%') => {
            unhinted.with_hint(format!("quote a text that begins with `{character}`"))
        }
        // `vram: >=24GiB` would begin a folded text.
        _ if rest.starts_with('>') => {
            let bound = rest.split_whitespace().next().unwrap_or_default();
            unhinted.with_hint(format!("quote it: `\"{}\"`", excerpt(bound)))
        }
        _ => unhinted,
    }
}

/// A list or mapping that has not ended yet.
struct Open {
    span: Span,
    anchor: usize,
    items: OpenItems,
}

enum OpenItems {
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
    errors: Vec<SyntaxError>,
}

impl Builder {
    fn add(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(SyntaxError::new(span, "a second document begins here")
                    .with_hint("a file is one document: remove the line `---`"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = self.tag(tag.as_deref(), span);
                let plain = style == ScalarStyle::Plain && !is_text;
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
                self.attach(Rc::new(node), anchor, weight)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span);
                self.begin(span, anchor, OpenItems::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span);
                let items = OpenItems::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(span, anchor, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    // Only an anchor that has not ended yet is missing.
                    return Err(SyntaxError::new(span, "this alias is part of what it stands for"));
                };
                let weight = node.weight;
                self.attach(node, 0, weight)
            }
            _ => Ok(()),
        }
    }

    /// Returns whether a tag makes a scalar a text. An unknown one is an error.
    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        let core = tag.core_suffix();
        if core.is_none() {
            let message = format!("the tag `{}` is unknown", tag.original());
            self.errors.push(SyntaxError::new(span, message).with_hint("remove it"));
        }
        core == Some("str")
    }

    fn begin(&mut self, span: Span, anchor: usize, items: OpenItems) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.open.push(Open { span, anchor, items });
        Ok(())
    }

    fn end(&mut self, at: Span) -> Result<(), SyntaxError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let (value, below, weight) = match open.items {
            OpenItems::List(items) => {
                let below = items.iter().map(|item| item.depth).max();
                let weight = items.iter().map(|item| item.weight).sum::<usize>();
                (Value::List(items), below, weight)
            }
            OpenItems::Map {
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
        // Its items have been weighed.
        self.attach(Rc::new(node), open.anchor, NODE_WEIGHT)
    }

    /// Adds what `<<` names, except for keys that the mapping sets itself.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry>,
        seen: &HashMap<Rc<str>, Span>,
        merged: &[Rc<Node>],
    ) -> Result<(), SyntaxError> {
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
                    return Err(SyntaxError::new(
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

    fn add_weight(&mut self, weight: usize, span: Span) -> Result<(), SyntaxError> {
        self.weight += weight;
        if self.weight > MAX_WEIGHT {
            let message = format!("the aliases of this file come to more than {} KiB", MAX_WEIGHT / 1024);
            return Err(SyntaxError::new(span, message).with_hint("write out what they stand for"));
        }
        Ok(())
    }

    /// Attaches a node to its parent.
    fn attach(&mut self, node: Rc<Node>, anchor: usize, weight: usize) -> Result<(), SyntaxError> {
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
        match &mut open.items {
            OpenItems::List(items) => items.push(node),
            OpenItems::Map {
                entries,
                seen,
                key,
                merged,
            } => match key.take() {
                None => *key = Some(key_of(&node)?),
                Some((key, _)) if &*key == "<<" => merged.push(node),
                Some((key, span)) => {
                    if let Some(first) = seen.get(&key) {
                        let message = format!("`{}` is set a second time, after line {}", excerpt(&key), first.line);
                        self.errors
                            .push(SyntaxError::new(span, message).with_hint("remove one of the two"));
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

fn too_deep(span: Span) -> SyntaxError {
    SyntaxError::new(span, format!("lists and mappings nest more than {MAX_DEPTH} deep")).with_hint("no key needs that")
}

fn key_of(node: &Node) -> Result<(Rc<str>, Span), SyntaxError> {
    match node.as_scalar() {
        Some(scalar) => Ok((Rc::from(scalar.text.as_str()), node.span)),
        None => Err(
            SyntaxError::new(node.span, format!("a key is {}, expected a word", node.kind()))
                .with_hint("quote a text that begins with `{` or `[`"),
        ),
    }
}

/// Returns a text as a message shows it: on one line of at most 60 characters.
#[must_use]
pub fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    let mut short: String = line.chars().take(MAX_CHARS - 1).collect();
    short.push('…');
    short
}
