//! Words of others in Markdown: as they are, without a meaning of their own.

/// More of what EC2 says in one cell says nothing to anybody: the encoded reason of a refusal has
/// thousands of characters.
const MAX_CELL: usize = 600;

/// A text on one line, of at most so many characters.
pub(super) fn line(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let mut short: String = line.chars().take(limit - 1).collect();
    short.push('…');
    short
}

/// A text as the cell of a table.
pub(super) fn cell(text: &str) -> String {
    escaped(&line(text, MAX_CELL))
}

/// The name that somebody gave a job or a workflow, of at most so many characters. It leads nowhere: GitHub makes
/// links of bare addresses too, of what begins with `www.` or a scheme. A backslash does not keep it from that, but
/// a character's number in its place does.
///
/// <https://github.github.com/gfm/#autolinks-extension->
pub(super) fn name(text: &str, limit: usize) -> String {
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

/// A text without any Markdown of its own.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            // A backslash does not keep a name from being mentioned.
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

/// A reason in words, in which code is between backticks: that stays code, the rest has no Markdown
/// of its own. One of several lines, as a parser's, is shown as it is.
pub(super) fn reason(text: &str) -> String {
    let text = text.trim();
    if text.contains('\n') {
        return fenced(text);
    }
    let parts: Vec<&str> = text.split('`').collect();
    // Backticks come in pairs, or are none.
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

/// What is said if rows do not fit.
fn left_out(rows: usize) -> String {
    format!("\n{rows} more are left out here.\n")
}

/// As many of the rows of a table as fit into so many bytes with what stands before and behind them, and how many do
/// not.
pub(super) fn fitting(before: &str, rows: &[String], behind: &str, limit: usize) -> String {
    let all: usize = before.len() + rows.iter().map(String::len).sum::<usize>() + behind.len();
    let room = if all <= limit {
        limit
    } else {
        limit.saturating_sub(left_out(rows.len()).len())
    };
    let mut text = before.to_owned();
    for (told, row) in rows.iter().enumerate() {
        if text.len() + row.len() + behind.len() > room {
            text.push_str(&left_out(rows.len() - told));
            break;
        }
        text.push_str(row);
    }
    text.push_str(behind);
    cut(&text, limit)
}

/// What is said if a text does not fit.
const CUT: &str = "…\n\nThis is cut here: it is longer than GitHub takes.";

/// A text of at most so many bytes, with a remark if that is not all of it.
pub(super) fn cut(text: &str, limit: usize) -> String {
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
    fn code_stays_code_and_the_rest_has_no_meaning() {
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
    fn a_name_leads_nowhere() {
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
    fn of_a_table_that_does_not_fit_whole_rows_are_left_out_and_what_stands_behind_it_stays() {
        let rows: Vec<String> = (0..100).map(|number| format!("| {number:02} |\n")).collect();
        let all = fitting("head\n", &rows, "\ntail\n", 711);
        assert_eq!((all.lines().count(), all.len()), (103, 711));
        let some = fitting("head\n", &rows, "\ntail\n", 300);
        assert!(
            some.len() <= 300 && some.ends_with("|\n\n63 more are left out here.\n\ntail\n"),
            "{some}"
        );
        assert_eq!(some.lines().filter(|line| line.starts_with('|')).count(), 37);
    }

    #[test]
    fn what_does_not_fit_is_cut_with_a_remark() {
        assert_eq!(cut("short", 5), "short");
        let long = "ü".repeat(1000);
        let short = cut(&long, 101);
        assert!(short.len() <= 101 && short.ends_with(CUT), "{short}");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_cell_or_is_too_long(text in "\\PC{0,800}|[|\\\\`\n]{0,40}") {
            let cell = cell(&text);
            prop_assert!(!cell.contains('\n'));
            let unescaped = cell.replace("\\\\", "").replace("\\|", "");
            prop_assert!(!unescaped.contains('|'), "{}", cell);
            prop_assert!(!unescaped.ends_with('\\'), "{}", cell);
            prop_assert!(cell.chars().count() <= 5 * MAX_CELL);
        }

        #[test]
        fn no_text_passes_the_limit(text in "\\PC{0,300}", limit in 60usize..400) {
            prop_assert!(cut(&text, limit).len() <= limit);
            prop_assert!(line(&text, limit).chars().count() <= limit);
        }
    }
}
