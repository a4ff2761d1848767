//! Findings as a compiler shows them: the line, with a caret under what is meant.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::finding::{Finding, Severity};

/// How findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Without colours: for logs, files and pipes.
    Plain,
    /// With colours: for terminals.
    Coloured,
}

/// How wide the lines may be, an excerpt's too.
const WIDTH: usize = 120;

/// Shows findings with an excerpt of the text that they were found in.
#[must_use]
pub fn all<'a>(findings: impl IntoIterator<Item = &'a Finding>, text: &str, look: Look) -> String {
    let each: Vec<String> = findings.into_iter().map(|finding| one(finding, text, look)).collect();
    each.join("\n\n")
}

fn one(finding: &Finding, text: &str, look: Look) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let (line_start, line) = excerpt(finding, text);
    let reach = reach(finding, line_start, line);
    let snippet = Snippet::source(line)
        .line_start(finding.line)
        .annotation(AnnotationKind::Primary.span(reach));
    let title = level.primary_title(finding.message.as_str());
    let mut group = if line_start == 0 || text.as_bytes().get(line_start - 1) == Some(&b'\n') {
        title.element(snippet.path(finding.file.as_str()))
    } else {
        // The renderer would count the column from where the excerpt begins.
        let place = Origin::path(finding.file.as_str())
            .line(finding.line)
            .char_column(finding.column);
        title.element(place).element(snippet)
    };
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    };
    let shown = renderer.term_width(WIDTH).render(&[group]);
    // Lines are padded to where a caret may stand.
    shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// More of a line on either side of a finding is not looked at: it would not be shown, and the time that
/// it takes to find that out grows with it.
const SURROUNDINGS: usize = 300;

/// The line that a finding is on, as far as it is near, and where that begins.
fn excerpt<'a>(finding: &Finding, text: &'a str) -> (usize, &'a str) {
    let at = floor(text, finding.bytes.0.min(text.len()));
    let first = floor(text, at.saturating_sub(SURROUNDINGS));
    let last = floor(text, (at + SURROUNDINGS).min(text.len()));
    let start = text[first..at].rfind('\n').map_or(first, |newline| first + newline + 1);
    let end = text[at..last].find('\n').map_or(last, |newline| at + newline);
    (start, text[start..end].trim_end_matches('\r'))
}

/// What is meant, within its first line.
fn reach(finding: &Finding, line_start: usize, line: &str) -> std::ops::Range<usize> {
    let within = |byte: usize| floor(line, byte.saturating_sub(line_start).min(line.len()));
    let (start, end) = (within(finding.bytes.0), within(finding.bytes.1));
    let end = start + line[start..end.max(start)].trim_end().len();
    start..end.max(start)
}

/// The nearest place at or before a byte that no character straddles.
fn floor(text: &str, byte: usize) -> usize {
    (0..=byte)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default()
}
