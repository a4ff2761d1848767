//! Findings rendered as a compiler does: the line, with a caret under the place.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::findings::{Finding, Severity};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderStyle {
    /// Without colours: for logs, files and pipes.
    Plain,
    /// With colours: for terminals.
    Coloured,
}

/// The width of lines, excerpts included.
const WIDTH: usize = 120;

/// Renders findings, each with an excerpt of the text that it is about.
#[must_use]
pub fn render_findings<'a>(findings: impl IntoIterator<Item = &'a Finding>, text: &str, style: RenderStyle) -> String {
    let each: Vec<String> = findings
        .into_iter()
        .map(|finding| render_finding(finding, text, style))
        .collect();
    each.join("\n\n")
}

fn render_finding(finding: &Finding, text: &str, style: RenderStyle) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let (line_start, line) = line_excerpt(finding, text);
    let reach = underlined(finding, line_start, line);
    let snippet = Snippet::source(line)
        .line_start(finding.line)
        .annotation(AnnotationKind::Primary.span(reach));
    let title = level.primary_title(finding.message.as_str());
    let mut group = if line_start == 0 || text.as_bytes().get(line_start - 1) == Some(&b'\n') {
        title.element(snippet.path(finding.file.as_str()))
    } else {
        // The renderer would count the column from the excerpt's beginning.
        let place = Origin::path(finding.file.as_str())
            .line(finding.line)
            .char_column(finding.column);
        title.element(place).element(snippet)
    };
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let renderer = match style {
        RenderStyle::Plain => Renderer::plain(),
        RenderStyle::Coloured => Renderer::styled(),
    };
    let shown = renderer.term_width(WIDTH).render(&[group]);
    // The renderer pads lines to where a caret may stand.
    shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// How much of a line is looked at on either side of a finding: more is never shown, and the renderer's time
/// grows with it.
const SURROUNDINGS: usize = 300;

/// Returns the line of a finding, as far as it is near, and where that excerpt begins.
fn line_excerpt<'a>(finding: &Finding, text: &'a str) -> (usize, &'a str) {
    let at = floor(text, finding.bytes.0.min(text.len()));
    let first = floor(text, at.saturating_sub(SURROUNDINGS));
    let last = floor(text, (at + SURROUNDINGS).min(text.len()));
    let start = text[first..at].rfind('\n').map_or(first, |newline| first + newline + 1);
    let end = text[at..last].find('\n').map_or(last, |newline| at + newline);
    (start, text[start..end].trim_end_matches('\r'))
}

/// Returns the range to underline, within the finding's first line.
fn underlined(finding: &Finding, line_start: usize, line: &str) -> std::ops::Range<usize> {
    let within = |byte: usize| floor(line, byte.saturating_sub(line_start).min(line.len()));
    let (start, end) = (within(finding.bytes.0), within(finding.bytes.1));
    let end = start + line[start..end.max(start)].trim_end().len();
    start..end.max(start)
}

/// Returns the last character boundary at or before a byte.
fn floor(text: &str, byte: usize) -> usize {
    (0..=byte)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default()
}
