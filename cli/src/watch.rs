//! Looking at something again and again.

use std::time::Duration;

use crate::Ending;
use crate::error::Error;
use crate::output::Output;
use crate::stop::Stop;

/// The pause between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// What comes after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another.
    Look,
    /// Nothing: all is told.
    End,
}

/// Tells what each look finds, until all is told or somebody stops it. A look that fails after one that did not is
/// said, and made again: whoever watches for hours sees AWS not answer once.
///
/// # Errors
/// If the first look fails, or the output cannot be written.
pub(crate) async fn until_told(
    look: impl AsyncFn() -> Result<(String, Next), Error>,
    stop: &mut Stop,
    output: &mut Output<'_>,
) -> Result<Ending, Error> {
    every(LOOK, look, stop, output).await
}

async fn every(
    pause: Duration,
    look: impl AsyncFn() -> Result<(String, Next), Error>,
    stop: &mut Stop,
    output: &mut Output<'_>,
) -> Result<Ending, Error> {
    let mut has_seen = false;
    loop {
        match look().await {
            Ok((told, next)) => {
                output.result(told)?;
                has_seen = true;
                if next == Next::End {
                    return Ok(Ending::Done);
                }
            }
            Err(error) if has_seen => {
                output.note(format_args!("{}; looking again …", error.cause()))?;
            }
            Err(error) => return Err(error),
        }
        if stop.comes_within(pause).await {
            return Ok(Ending::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(1);

    fn failed() -> Result<(String, Next), Error> {
        Err(Error::unsound("reading the table `t`", "it did not answer"))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands in place of a look that fails")]
    fn seen(what: &str, next: Next) -> Result<(String, Next), Error> {
        Ok((what.to_owned(), next))
    }

    /// What comes of looks that find this, with what was printed and noted.
    fn watched(looks: Vec<Result<(String, Next), Error>>) -> (Result<Ending, Error>, String, String) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let looks = RefCell::new(looks.into_iter());
        let look = async || looks.borrow_mut().next().expect("it is not looked again");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let ending = runtime.block_on(async {
            let mut stop = Stop::on(std::future::pending());
            every(PAUSE, look, &mut stop, &mut Output::new(&mut out, &mut notes)).await
        });
        (
            ending,
            String::from_utf8(out).unwrap(),
            String::from_utf8(notes).unwrap(),
        )
    }

    #[test]
    fn a_look_that_fails_is_said_and_made_again() {
        let looks = vec![seen("one", Next::Look), failed(), failed(), seen("two", Next::End)];
        let (ending, out, notes) = watched(looks);
        assert!(matches!(ending, Ok(Ending::Done)), "{ending:?}");
        assert_eq!(out, "one\ntwo\n");
        let said = "reading the table `t`: it did not answer; looking again …\n";
        assert_eq!(notes, said.repeat(2));
    }

    #[test]
    fn a_first_look_that_fails_is_the_end() {
        let (ending, out, _) = watched(vec![failed()]);
        assert!(ending.is_err() && out.is_empty());
    }

    #[test]
    fn whoever_stops_it_ends_it() {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let look = async || seen("one", Next::Look);
        let ending = runtime.block_on(async {
            let mut stop = Stop::on(std::future::ready(()));
            every(PAUSE, look, &mut stop, &mut Output::new(&mut out, &mut notes)).await
        });
        assert!(matches!(ending, Ok(Ending::Done)));
        assert_eq!(out, b"one\n");
    }
}
