//! Prints a board with all that can be on it, as a page: `board [light|dark] [WIDTH] [empty]`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(clippy::expect_used, reason = "what it reads is written here")]

mod fixture;

use dayfly_core::board::{Look, Theme, page};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let theme = match (has("light"), has("dark")) {
        (true, _) => Some(Theme::Light),
        (_, true) => Some(Theme::Dark),
        _ => None,
    };
    let width = words.iter().find_map(|word| word.parse().ok());
    let look = Look { theme, width };
    let view = if has("empty") {
        fixture::empty(look)
    } else {
        fixture::rich(look)
    };
    print!("{}", fixture::document(&page(&view, fixture::NOW), theme));
}
