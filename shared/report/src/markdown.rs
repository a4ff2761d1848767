//! Foreign text in Markdown: shown as it is, without any markup of its own.

use crate::format::counted;

/// Characters of one cell. An encoded authorization failure of EC2's has thousands.
const MAX_CELL: usize = 600;

/// Puts a text on one line of at most `limit` characters.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let mut short: String = line.chars().take(limit - 1).collect();
    short.push('…');
    short
}

/// Escapes a text for the cell of a table.
pub(crate) fn cell(text: &str) -> String {
    escaped(&line(text, MAX_CELL))
}

/// Escapes the name of a job or a workflow so that it links nowhere. GitHub turns bare addresses (`www.`, a scheme)
/// into links; a backslash does not prevent that, a numeric character reference does.
///
/// <https://github.github.com/gfm/#autolinks-extension->
pub(crate) fn name(text: &str, limit: usize) -> String {
    let escaped = escaped(&line(text, limit));
    let mut safe = String::with_capacity(escaped.len());
    for (at, c) in escaped.char_indices() {
        let before = escaped[..at].to_ascii_lowercase();
        match c {
            ':' if escaped[at..].starts_with("://")
                || ["mailto", "xmpp"].iter().any(|scheme| before.ends_with(scheme)) =>
            {
                safe.push_str("&#58;");
            }
            '.' if before.ends_with("www") => safe.push_str("&#46;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Escapes all Markdown in a text.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            // A backslash does not prevent a mention.
            '@' => safe.push_str("&#64;"),
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// Escapes a reason, except for code between backticks. A reason of several lines, such as a parser's, becomes a
/// code block.
pub(crate) fn reason(text: &str) -> String {
    let text = text.trim();
    if text.contains('\n') {
        return fenced(text);
    }
    let parts: Vec<&str> = text.split('`').collect();
    // An unpaired backtick delimits no code.
    if parts.len().is_multiple_of(2) {
        return escaped(text);
    }
    let part = |(index, part): (usize, &&str)| match index % 2 {
        0 => escaped(part),
        _ if part.is_empty() => String::new(),
        _ => format!("`{part}`"),
    };
    parts.iter().enumerate().map(part).collect()
}

fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("\n\n{fence}text\n{text}\n{fence}\n\n")
}

/// Says how much of a list does not fit.
pub(crate) fn left_out(count: usize, noun: &str) -> String {
    format!("\nNot shown here: {}.\n", counted(count, &format!("more {noun}")))
}

/// Joins a head, as many rows as fit into `limit` bytes, the number of rows left out, and a tail.
pub(crate) fn fitting(head: &str, rows: &[String], noun: &str, tail: &str, limit: usize) -> String {
    let all: usize = head.len() + rows.iter().map(String::len).sum::<usize>() + tail.len();
    let room = if all <= limit {
        limit
    } else {
        limit.saturating_sub(left_out(rows.len(), noun).len())
    };
    let mut text = head.to_owned();
    for (index, row) in rows.iter().enumerate() {
        if text.len() + row.len() + tail.len() > room {
            text.push_str(&left_out(rows.len() - index, noun));
            break;
        }
        text.push_str(row);
    }
    text.push_str(tail);
    cut(&text, limit)
}

const CUT: &str = "…\n\nThe rest is longer than GitHub accepts.";

/// Cuts a text to at most `limit` bytes, and says so.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub(CUT.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn code_stays_code_and_the_rest_is_escaped() {
        for (text, expected) in [
            (
                "add `max_price: $1/h`, or *wait*",
                "add `max_price: $1/h`, or \\*wait\\*",
            ),
            ("a `b", "a \\`b"),
            ("`` x", " x"),
            (
                "see [this](http://x) <img> @octo/team",
                "see \\[this\\](http://x) &lt;img> &#64;octo/team",
            ),
            ("line 1\n```\nline 3", "\n\n````text\nline 1\n```\nline 3\n````\n\n"),
        ] {
            assert_eq!(reason(text), expected);
        }
    }

    #[test]
    fn name_links_nowhere() {
        for (text, expected) in [
            ("HTTPS://evil.example", "HTTPS&#58;//evil.example"),
            ("see Www.evil.example", "see Www&#46;evil.example"),
            ("mailto:a@b.c", "mailto&#58;a&#64;b.c"),
            ("ci: www, é.x", "ci: www, é.x"),
            ("a|b\nc", "a\\|b c"),
        ] {
            assert_eq!(name(text, 100), expected);
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_left_out_whole_and_the_tail_stays() {
        let rows: Vec<String> = (0..100).map(|number| format!("| {number:02} |\n")).collect();
        let all = fitting("head\n", &rows, "row", "\ntail\n", 711);
        assert_eq!((all.lines().count(), all.len()), (103, 711));
        let some = fitting("head\n", &rows, "row", "\ntail\n", 300);
        assert!(
            some.len() <= 300 && some.ends_with("|\n\nNot shown here: 64 more rows.\n\ntail\n"),
            "{some}"
        );
        assert_eq!(some.lines().filter(|line| line.starts_with('|')).count(), 36);
    }

    #[test]
    fn long_text_is_cut_with_a_remark() {
        assert_eq!(cut("short", 5), "short");
        let long = "ü".repeat(1000);
        let short = cut(&long, 101);
        assert!(short.len() <= 101 && short.ends_with(CUT), "{short}");
    }

    proptest! {
        #[test]
        fn text_stays_in_its_cell_and_within_its_length(text in "\\PC{0,800}|[|\\\\`\n]{0,40}") {
            let cell = cell(&text);
            prop_assert!(!cell.contains('\n'));
            let unescaped = cell.replace("\\\\", "").replace("\\|", "");
            prop_assert!(!unescaped.contains('|'), "{}", cell);
            prop_assert!(!unescaped.ends_with('\\'), "{}", cell);
            prop_assert!(cell.chars().count() <= 5 * MAX_CELL);
        }

        #[test]
        fn text_stays_within_the_limit(text in "\\PC{0,300}", limit in 60usize..400) {
            prop_assert!(cut(&text, limit).len() <= limit);
            prop_assert!(line(&text, limit).chars().count() <= limit);
        }
    }
}
