//! The files that a lab leaves on request: the functions' logs, and the board.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::functions::Function;
use crate::lab::Lab;

/// The file for logs, a line each: time, function, and text.
pub const LOG: &str = "functions.log";

/// The file for the board, as the dashboard function answers it.
pub const BOARD: &str = "board.html";

/// Writes both to `folder`, which is created if needed.
///
/// # Errors
/// If something cannot be read or written.
pub async fn keep(lab: &Lab, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let log = folder.join(LOG);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
    for function in Function::ALL {
        for event in lab.aws().log_events(lab.cloud().log_group(function)?).await? {
            let at = Timestamp::from_millisecond(event.at)?;
            writeln!(file, "{at:.3} {} {}", function.name(), event.line)?;
        }
    }
    let look = json!({"widgetContext": {"theme": "light"}});
    let answer = lab.invoke(Function::Dashboard, &look).await?;
    let (None, Value::String(board)) = (&answer.error, &answer.payload) else {
        anyhow::bail!("the board's function failed: {}", answer.payload);
    };
    std::fs::write(folder.join(BOARD), board)?;
    Ok(())
}
