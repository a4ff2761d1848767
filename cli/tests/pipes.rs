//! The command with a closed pipe as its output.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

#[test]
fn command_with_a_closed_pipe_ends_quietly() {
    let (reader, results) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly"));
    // It does not contact AWS.
    let ended = command.arg("types").stdout(results).stderr(Stdio::piped()).output();
    let ended = ended.unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(141), "like a command that `SIGPIPE` ends");
}
