//! Tables that fit into the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

/// Clears a terminal.
pub(crate) const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Returns the width of the terminal, or `COLUMNS` if the output goes elsewhere. Without either there is no limit.
pub(crate) fn width() -> Option<u16> {
    let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    let columns = terminal.map(|size| size.ws_col).or_else(variable);
    columns.filter(|columns| *columns > 0)
}

/// Returns a table that wraps text to fit into `width`. The columns `numbers` are aligned to the right.
pub(crate) fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    numbers: &[usize],
    width: Option<u16>,
) -> String {
    let mut table = unwrapped_table(header, rows, numbers);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    trimmed(&table)
}

fn unwrapped_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, numbers: &[usize]) -> Table {
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

fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// How a table's columns are fitted into a narrow terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    /// The columns that are aligned to the right.
    pub(crate) numbers: &'a [usize],
    /// The columns that are never wrapped, since a wrapped id cannot be copied. Others are wrapped between words.
    pub(crate) whole: &'a [usize],
    /// The columns that are dropped until the others fit, in this order.
    pub(crate) optional: &'a [usize],
}

/// Returns a table that wraps only between words, with as many columns as fit into `width`.
pub(crate) fn fitted(header: &[&str], rows: &[Vec<String>], columns: Columns<'_>, width: Option<u16>) -> String {
    let Some(width) = width else {
        return table(header, rows.iter().cloned(), columns.numbers, None);
    };
    let min_widths = min_widths(header, rows, columns.whole);
    let mut dropped: &[usize] = &[];
    for count in 0..=columns.optional.len() {
        dropped = &columns.optional[..count];
        let kept = min_widths
            .iter()
            .enumerate()
            .filter(|(index, _)| !dropped.contains(index));
        if kept.map(|(_, width)| usize::from(*width)).sum::<usize>() <= usize::from(width) {
            break;
        }
    }
    let mut table = unwrapped_table(header, rows.iter().cloned(), columns.numbers);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    for (index, min_width) in min_widths.into_iter().enumerate() {
        let constraint = if dropped.contains(&index) {
            ColumnConstraint::Hidden
        } else if columns.whole.contains(&index) {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(min_width))
        };
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(constraint);
        }
    }
    trimmed(&table)
}

/// Returns the least width of each column, with its padding.
fn min_widths(header: &[&str], rows: &[Vec<String>], whole: &[usize]) -> Vec<u16> {
    const PADDING: u16 = 2;
    let one_word_per_line = |index: usize, text: &str| {
        if whole.contains(&index) {
            text.to_owned()
        } else {
            text.split_whitespace().collect::<Vec<_>>().join("\n")
        }
    };
    let words = |row: &[String]| -> Vec<String> {
        let cells = row.iter().enumerate();
        cells.map(|(index, text)| one_word_per_line(index, text)).collect()
    };
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(
        header
            .iter()
            .enumerate()
            .map(|(index, text)| one_word_per_line(index, text))
            .collect::<Vec<_>>(),
    );
    for row in rows {
        table.add_row(words(row));
    }
    let widths = table.column_max_content_widths().into_iter();
    widths.map(|width| width.saturating_add(PADDING)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns<'_> = Columns {
        numbers: &[1],
        whole: &[0],
        optional: &[1, 2],
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
    fn words_are_wrapped_ids_are_not_and_optional_columns_are_dropped() {
        let all = shown(None);
        assert_eq!(all.lines().count(), 3, "{all}");
        for (width, columns, lines) in [(80, 4, 3), (56, 4, 4), (44, 3, 4), (30, 2, 6)] {
            let table = shown(Some(width));
            assert_eq!(
                table.lines().next().unwrap().split_whitespace().count(),
                columns,
                "{width}:\n{table}"
            );
            assert!(table.lines().count() >= lines, "{width}:\n{table}");
            assert!(table.contains(" i-0123456789abcdef0"), "{width}:\n{table}");
            let widest = table.lines().map(display_width).max().unwrap();
            assert!(widest <= usize::from(width), "{width}:\n{table}");
        }
    }

    /// Chinese and Japanese characters take two columns.
    fn display_width(line: &str) -> usize {
        line.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
    }

    #[test]
    fn long_text_is_wrapped_to_the_width_of_the_terminal() {
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
