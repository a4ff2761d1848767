//! The real command `dayfly`, run as the account's owner.

use std::process::Stdio;

use tokio::process::Command;

use crate::functions::{binaries, built};
use crate::lab::{Lab, REGION, STACK};
use crate::sigv4::Credentials;

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutput {
    /// Its exit status, if it was not killed.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    /// Runs `dayfly` with these arguments to its end, with only the usual environment: the owner's
    /// credentials, and AWS's endpoints. `columns` is the width of its tables.
    ///
    /// # Errors
    /// If it is not built or cannot be run.
    pub async fn dayfly(&self, arguments: &[&str], columns: Option<u16>) -> anyhow::Result<CommandOutput> {
        let owner = Credentials::owner();
        let output = Command::new(built(&binaries()?, "dayfly")?)
            .args(arguments)
            .args(["--stack", STACK, "--region", REGION])
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.aws().endpoint())
            .env("AWS_ENDPOINT_URL_FIS", self.fis().url())
            .env("AWS_ACCESS_KEY_ID", owner.access_key)
            .env("AWS_SECRET_ACCESS_KEY", owner.secret)
            .envs(columns.map(|columns| ("COLUMNS", columns.to_string())))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(CommandOutput {
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }
}
