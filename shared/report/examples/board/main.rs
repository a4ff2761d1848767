//! Prints a board with everything that can be on it, as a page: `board [light|dark] [empty] [WIDTH [JOBS]]`.
#![expect(clippy::print_stdout, reason = "it prints")]
#![expect(clippy::expect_used, reason = "its input is fixed")]

mod fixture;

use dayfly_report::board::{Appearance, Theme, page};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let theme = match (has("light"), has("dark")) {
        (true, _) => Some(Theme::Light),
        (_, true) => Some(Theme::Dark),
        _ => None,
    };
    let mut numbers = words.iter().filter_map(|word| word.parse::<u32>().ok());
    let appearance = Appearance {
        theme,
        width: numbers.next(),
    };
    let mut view = if has("empty") {
        fixture::empty(appearance)
    } else {
        fixture::rich(appearance)
    };
    if let Some(jobs) = numbers.next() {
        view.past.truncate(usize::try_from(jobs).unwrap_or(usize::MAX));
    }
    print!("{}", fixture::document(&page(&view, fixture::NOW), theme));
}
