//! Every input of the corpus holds what its target says.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

#[test]
fn whatever_was_found_once_is_stood() {
    for (name, target) in dayfly_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(&folder).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(inputs.len() > 5, "the corpus of `{name}` is empty");
        for input in inputs {
            target(&fs::read(input.path()).unwrap());
        }
    }
}
