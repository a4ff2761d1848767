//! Prints `schema/dayfly.schema.json`, or with the argument `docs` the page made from it.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use dayfly_config::schema;

fn main() {
    let docs = std::env::args().any(|argument| argument == "docs");
    print!("{}", if docs { schema::page() } else { schema::text() });
}
