//! Tables that fit the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

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
    let mut table = unfolded(header, rows, numbers);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    told(&table)
}

fn unfolded(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for index in numbers {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn told(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// What becomes of a table's columns where the terminal has no room for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    /// Those that are aligned to the right.
    pub(crate) numbers: &'a [usize],
    /// Those that stay whole: an id that was folded cannot be copied. All others are folded between words.
    pub(crate) whole: &'a [usize],
    /// Those that are left out until the others fit, the first of them first.
    pub(crate) spare: &'a [usize],
}

/// A table in which nothing is folded within a word, with as many of its columns as `width` has room for.
pub(crate) fn fitted(header: &[&str], rows: &[Vec<String>], columns: Columns<'_>, width: Option<u16>) -> String {
    let Some(width) = width else {
        return table(header, rows.iter().cloned(), columns.numbers, None);
    };
    let needed = needed(header, rows, columns.whole);
    let mut left_out: &[usize] = &[];
    for count in 0..=columns.spare.len() {
        left_out = &columns.spare[..count];
        let kept = needed.iter().enumerate().filter(|(index, _)| !left_out.contains(index));
        if kept.map(|(_, needed)| usize::from(*needed)).sum::<usize>() <= usize::from(width) {
            break;
        }
    }
    let mut table = unfolded(header, rows.iter().cloned(), columns.numbers);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    for (index, needed) in needed.into_iter().enumerate() {
        let constraint = if left_out.contains(&index) {
            ColumnConstraint::Hidden
        } else if columns.whole.contains(&index) {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(needed))
        };
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(constraint);
        }
    }
    told(&table)
}

/// How wide each column is at least, with the space around it.
fn needed(header: &[&str], rows: &[Vec<String>], whole: &[usize]) -> Vec<u16> {
    const AROUND: u16 = 2;
    let apart = |index: usize, text: &str| {
        if whole.contains(&index) {
            text.to_owned()
        } else {
            text.split_whitespace().collect::<Vec<_>>().join("\n")
        }
    };
    let words = |row: &[String]| -> Vec<String> {
        let cells = row.iter().enumerate();
        cells.map(|(index, text)| apart(index, text)).collect()
    };
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(
        header
            .iter()
            .enumerate()
            .map(|(index, text)| apart(index, text))
            .collect::<Vec<_>>(),
    );
    for row in rows {
        table.add_row(words(row));
    }
    let widths = table.column_max_content_widths().into_iter();
    widths.map(|width| width.saturating_add(AROUND)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns<'_> = Columns {
        numbers: &[1],
        whole: &[0],
        spare: &[1, 2],
    };

    fn shown(width: Option<u16>) -> String {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let rows = [
            row([
                "i-0123456789abcdef0",
                "$0.36",
                "eu-west-1a",
                "its job is over and 訓練 too",
            ]),
            row(["-", "-", "-", "-"]),
        ];
        fitted(&["instance", "$/h", "zone", "ending"], &rows, COLUMNS, width)
    }

    #[test]
    fn words_are_folded_ids_are_not_and_spare_columns_are_left_out_for_that() {
        let all = shown(None);
        assert_eq!(all.lines().count(), 3, "{all}");
        for (width, columns, lines) in [(80, 4, 3), (56, 4, 4), (44, 3, 4), (30, 2, 6)] {
            let told = shown(Some(width));
            assert_eq!(
                told.lines().next().unwrap().split_whitespace().count(),
                columns,
                "{width}:\n{told}"
            );
            assert!(told.lines().count() >= lines, "{width}:\n{told}");
            assert!(told.contains(" i-0123456789abcdef0"), "{width}:\n{told}");
            let widest = told.lines().map(display_width).max().unwrap();
            assert!(widest <= usize::from(width), "{width}:\n{told}");
        }
    }

    /// Those of Chinese and Japanese take two columns.
    fn display_width(line: &str) -> usize {
        line.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
    }

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
