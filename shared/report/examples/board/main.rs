//! Prints a board with all that can be on it, as a page: `board [light|dark] [empty] [WIDTH [JOBS]]`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(clippy::expect_used, reason = "what it reads is written here")]

mod fixture;

use dayfly_report::board::{Look, Theme, page};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let theme = match (has("light"), has("dark")) {
        (true, _) => Some(Theme::Light),
        (_, true) => Some(Theme::Dark),
        _ => None,
    };
    let mut numbers = words.iter().filter_map(|word| word.parse::<u32>().ok());
    let look = Look {
        theme,
        width: numbers.next(),
    };
    let mut view = if has("empty") {
        fixture::empty(look)
    } else {
        fixture::rich(look)
    };
    if let Some(jobs) = numbers.next() {
        view.ran.truncate(usize::try_from(jobs).unwrap_or(usize::MAX));
    }
    print!("{}", fixture::document(&page(&view, fixture::NOW), theme));
}
