//! Runs each target on its corpus.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

#[test]
fn targets_hold_for_their_corpus() {
    for (name, target) in dayfly_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(&folder).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(inputs.len() > 5, "the corpus of `{name}` is empty");
        for input in inputs {
            target(&fs::read(input.path()).unwrap());
        }
    }
}
