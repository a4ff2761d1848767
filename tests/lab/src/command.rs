//! The real command `dayfly`, given as the account's owner gives it.

use std::process::Stdio;

use tokio::process::Command;

use crate::functions::{binaries, built};
use crate::lab::{Lab, REGION, STACK};
use crate::sigv4::Credentials;

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its exit status, if it was not killed.
    pub status: Option<i32>,
    /// Its results.
    pub said: String,
    /// Its notes.
    pub notes: String,
}

impl Lab {
    /// Runs `dayfly` with these arguments to its end. It has nothing but the usual environment: the owner's
    /// credentials, and where AWS is. `columns` is how wide its tables may be.
    ///
    /// # Errors
    /// When it is not built or cannot be run.
    pub async fn dayfly(&self, arguments: &[&str], columns: Option<u16>) -> anyhow::Result<Done> {
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
        Ok(Done {
            status: output.status.code(),
            said: text(&output.stdout),
            notes: text(&output.stderr),
        })
    }
}
