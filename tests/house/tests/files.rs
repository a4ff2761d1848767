//! How large things may be.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use dayfly_house::{checkout, lines_of, product_crates};

/// Above this a module holds more than one thing.
const LONGEST_FILE: usize = 500;

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn lines_of_crate(folder: &Path) -> (usize, Vec<String>) {
    let mut files = Vec::new();
    rust_files(&folder.join("src"), &mut files);
    let mut sum = 0;
    let mut too_long = Vec::new();
    for file in files {
        let lines = lines_of(&file).unwrap();
        sum += lines;
        if lines > LONGEST_FILE {
            too_long.push(format!("{}: {lines}", file.display()));
        }
    }
    (sum, too_long)
}

#[test]
fn no_module_is_longer_than_500_lines() {
    let mut too_long = Vec::new();
    for name in product_crates() {
        too_long.extend(lines_of_crate(&dayfly_house::folder_of(&name)).1);
    }
    assert!(too_long.is_empty(), "without their tests: {too_long:#?}");
}

#[test]
fn no_crate_is_more_than_a_fifth_of_the_product() {
    let sizes: Vec<(String, usize)> = product_crates()
        .into_iter()
        .map(|name| (name.clone(), lines_of_crate(&dayfly_house::folder_of(&name)).0))
        .collect();
    let all: usize = sizes.iter().map(|(_, lines)| lines).sum();
    let largest = sizes.iter().max_by_key(|(_, lines)| lines).unwrap();
    assert!(largest.1 * 5 <= all, "{} has {} of {all} lines", largest.0, largest.1);
}

#[test]
fn the_private_words_of_old_are_gone() {
    let old = [
        "purse",
        "turnstile",
        "rung",
        "stray",
        "robbed",
        "hindrance",
        "befell",
        "untold",
        "whoever",
    ];
    let mut found = Vec::new();
    let mut files = Vec::new();
    for folder in ["agent", "cli", "functions", "shared", "tests"] {
        rust_files(&checkout().join(folder), &mut files);
    }
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "infra/template.yaml",
        "infra/user-data.sh",
    ] {
        files.push(checkout().join(name));
    }
    for entry in fs::read_dir(checkout().join("docs")).unwrap() {
        files.push(entry.unwrap().path());
    }
    for file in files {
        if file.ends_with("docs/glossary.md") || file.ends_with("tests/house/tests/files.rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (index, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            if let Some(word) = words.find(|word| old.contains(word)) {
                found.push(format!("{}:{}: {word}", file.display(), index + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "docs/glossary.md has the field's words for these: {found:#?}"
    );
}
