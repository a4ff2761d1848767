//! Tables that fit the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// What makes a terminal forget what it shows.
pub(crate) const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// How wide the terminal is; nothing where the output goes elsewhere, which has room for everything, unless
/// `COLUMNS` says how much.
pub(crate) fn width() -> Option<u16> {
    let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    let columns = terminal.map(|size| size.ws_col).or_else(told);
    columns.filter(|columns| *columns > 0)
}

/// A table in which what is too long for `width` is folded, not cut. Those columns are
/// aligned to the right whose `numbers` are given.
pub(crate) fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    numbers: &[usize],
    width: Option<u16>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    for row in rows {
        table.add_row(row);
    }
    for index in numbers {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_folded_and_no_line_is_wider_than_the_terminal() {
        let rows = || {
            vec![
                vec!["octo/a-repository-with-a-long-name".to_owned(), "12".to_owned()],
                vec!["octo/b".to_owned(), "1".to_owned()],
            ]
        };
        let wide = table(&["repository", "runs"], rows(), &[1], None);
        assert_eq!(wide.lines().count(), 3, "{wide}");
        let narrow = table(&["repository", "runs"], rows(), &[1], Some(24));
        assert!(narrow.lines().all(|line| line.chars().count() <= 24), "{narrow}");
        assert!(narrow.lines().count() > 3, "{narrow}");
    }
}
