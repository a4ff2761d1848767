//! What becomes of the command when nobody reads what it prints.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

#[test]
fn a_command_whose_results_nobody_reads_any_more_ends_quietly() {
    let (reader, results) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly"));
    // It asks nothing of AWS.
    let ended = command.arg("types").stdout(results).stderr(Stdio::piped()).output();
    let ended = ended.unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(141), "as those that `SIGPIPE` ends");
}
