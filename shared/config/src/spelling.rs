//! The nearest right spelling of an unknown word.

/// Returns the one of `known` that was most likely meant by `word`, if any is near enough.
///
/// Case is ignored. A word of up to three letters may be off by one, a longer one by a third of its letters; two
/// swapped letters count once.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).take(LONGEST + 1).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let near = known.into_iter().filter_map(|other| {
        let letters: Vec<char> = other.chars().flat_map(char::to_lowercase).take(LONGEST + 1).collect();
        let allowed = (word.len().max(letters.len()) / 3).max(1);
        let distance = distance(&word, &letters);
        (distance <= allowed).then_some((distance, other))
    });
    // The first of those that are equally near: the caller chooses the order of `known`.
    near.min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// Longer words are not compared: the time grows with the square.
const LONGEST: usize = 64;

/// Counts the letters to insert, delete, change, or swap with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut previous: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = Vec::with_capacity(other.len() + 1);
        row.push(i + 1);
        for (j, b) in other.iter().enumerate() {
            let mut least = (above[j] + usize::from(a != b)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(previous[j - 1] + 1);
            }
            row.push(least);
        }
        previous = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_is_found_if_one_is_near() {
        let known = ["gpu", "gpus", "vram", "cc", "cpu", "mem", "nvme", "arch"];
        for (word, expected) in [
            ("vrma", Some("vram")),
            ("VRAM", Some("vram")),
            ("arhc", Some("arch")),
            ("gpuss", Some("gpus")),
            ("cp", Some("cc")),
            ("nvm", Some("nvme")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
