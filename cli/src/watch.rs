//! Repeats a report until it is complete.

use std::time::Duration;

use crate::CommandStatus;
use crate::error::Error;
use crate::output::Output;
use crate::stop::StopRequest;

const PAUSE: Duration = Duration::from_secs(5);

/// What follows after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Repeat,
    Stop,
}

/// Prints the result of `report` every five seconds until it is complete or a stop is requested. A failure after a
/// first success is noted and retried, since AWS may fail to answer once in hours.
///
/// # Errors
/// The first report fails, or the output cannot be written.
pub(crate) async fn repeat(
    report: impl AsyncFn() -> Result<(String, Next), Error>,
    stop: &mut StopRequest,
    output: &mut Output<'_>,
) -> Result<CommandStatus, Error> {
    every(PAUSE, report, stop, output).await
}

async fn every(
    pause: Duration,
    report: impl AsyncFn() -> Result<(String, Next), Error>,
    stop: &mut StopRequest,
    output: &mut Output<'_>,
) -> Result<CommandStatus, Error> {
    let mut has_succeeded = false;
    loop {
        match report().await {
            Ok((text, next)) => {
                output.result(text)?;
                has_succeeded = true;
                if next == Next::Stop {
                    return Ok(CommandStatus::Done);
                }
            }
            Err(error) if has_succeeded => {
                output.note(format_args!("{}; retrying …", error.cause()))?;
            }
            Err(error) => return Err(error),
        }
        if stop.requested_within(pause).await {
            return Ok(CommandStatus::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const SHORT_PAUSE: Duration = Duration::from_millis(1);

    fn failed() -> Result<(String, Next), Error> {
        Err(Error::invalid("reading the table `t`", "it did not answer"))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it has the type of a report that may fail")]
    fn succeeded(text: &str, next: Next) -> Result<(String, Next), Error> {
        Ok((text.to_owned(), next))
    }

    /// Watches reports with these results, and returns the status, the results and the notes.
    fn watched(reports: Vec<Result<(String, Next), Error>>) -> (Result<CommandStatus, Error>, String, String) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let reports = RefCell::new(reports.into_iter());
        let report = async || reports.borrow_mut().next().expect("there are no more reports");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let ending = runtime.block_on(async {
            let mut stop = StopRequest::on(std::future::pending());
            every(SHORT_PAUSE, report, &mut stop, &mut Output::new(&mut out, &mut notes)).await
        });
        (
            ending,
            String::from_utf8(out).unwrap(),
            String::from_utf8(notes).unwrap(),
        )
    }

    #[test]
    fn failed_report_is_noted_and_retried() {
        let reports = vec![
            succeeded("one", Next::Repeat),
            failed(),
            failed(),
            succeeded("two", Next::Stop),
        ];
        let (ending, out, notes) = watched(reports);
        assert!(matches!(ending, Ok(CommandStatus::Done)), "{ending:?}");
        assert_eq!(out, "one\ntwo\n");
        let note = "reading the table `t`: it did not answer; retrying …\n";
        assert_eq!(notes, note.repeat(2));
    }

    #[test]
    fn failure_of_the_first_report_is_an_error() {
        let (ending, out, _) = watched(vec![failed()]);
        assert!(ending.is_err() && out.is_empty());
    }

    #[test]
    fn stop_request_ends_the_watch() {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let report = async || succeeded("one", Next::Repeat);
        let ending = runtime.block_on(async {
            let mut stop = StopRequest::on(std::future::ready(()));
            every(SHORT_PAUSE, report, &mut stop, &mut Output::new(&mut out, &mut notes)).await
        });
        assert!(matches!(ending, Ok(CommandStatus::Done)));
        assert_eq!(out, b"one\n");
    }
}
