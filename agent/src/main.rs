//! `dayfly-agent`: the supervisor without arguments. It starts itself with `work` and `goodbye`.

use std::process::ExitCode;

use dayfly_agent::settings::Settings;
use dayfly_agent::{log, supervisor, worker};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // The worker reports bad settings: even then the supervisor has to end the instance.
        [] => supervisor::run(),
        ["work", parent] => worker(|settings| worker::work(settings, parent)),
        ["goodbye", why] => worker(|settings| worker::goodbye_for_lost_worker(&settings, why)),
        ["--version"] => {
            use std::io::Write as _;
            let version = env!("CARGO_PKG_VERSION");
            match writeln!(std::io::stdout(), "dayfly-agent {version}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        _ => {
            log::error("usage", "expected no arguments, or `--version`", &[]);
            ExitCode::from(2)
        }
    }
}

fn worker(run: impl FnOnce(Settings) -> ExitCode) -> ExitCode {
    match Settings::from_env() {
        Ok(settings) => run(settings),
        Err(error) => {
            log::error("bad_settings", &error.to_string(), &[]);
            ExitCode::FAILURE
        }
    }
}
