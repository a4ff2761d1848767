//! `Runner.Listener run [--jitconfig <config>]`, as the lab implements it.

use std::process::ExitCode;

use dayfly_runner_standin::{
    JIT_VARIABLE, ListenerConfig, ListenerExit, PROXY_VARIABLE, VERSION, VERSION_VARIABLE, listen,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let given = arguments
        .iter()
        .position(|it| it == "--jitconfig")
        .and_then(|at| arguments.get(at + 1));
    let jit_config = given.cloned().or_else(|| variable(JIT_VARIABLE));
    // `<folder>/bin/Runner.Listener`.
    let folder = std::env::current_exe()
        .ok()
        .and_then(|it| Some(it.parent()?.parent()?.to_owned()));
    let (Some(jit_config), Some(folder)) = (jit_config, folder) else {
        return ExitCode::from(ListenerExit::Failed as u8);
    };
    let config = ListenerConfig {
        jit_config,
        version: variable(VERSION_VARIABLE).unwrap_or_else(|| VERSION.to_owned()),
        proxy: variable(PROXY_VARIABLE),
        report_outdated: variable("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE").as_deref() == Some("1"),
        folder,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_or(ListenerExit::Failed, |runtime| runtime.block_on(listen(config)));
    ExitCode::from(outcome as u8)
}
