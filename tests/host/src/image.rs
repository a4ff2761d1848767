//! The files on an instance's disk.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::config::Image;

/// A short version of GitHub's `run.sh`: it restarts the listener if its exit status asks for that, passes on no
/// signal, and reports only one kind of failure.
const RUN_SH: &str = r#"#!/bin/bash
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
while :; do
  bin/Runner.Listener run "$@"
  case $? in
    2) echo 'Restarting runner...' ;;
    7) exit 7 ;;
    *) echo 'Exiting runner...'; exit 0 ;;
  esac
done
"#;

/// Lays out a runner in `folder` like GitHub's archive, with the program `listener` as `bin/Runner.Listener`.
///
/// # Errors
/// A file cannot be made.
pub fn lay_out_runner(listener: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("bin"))?;
    link_or_copy(listener, &folder.join("bin/Runner.Listener"))?;
    for (name, text) in [("run.sh", RUN_SH), ("bin/installdependencies.sh", "#!/bin/sh\n")] {
        fs::write(folder.join(name), text)?;
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Packs the runner in `folder` into `archive`, a `.tar.gz` like GitHub's.
///
/// # Errors
/// `tar` is missing or fails.
pub fn pack_runner(folder: &Path, archive: &Path) -> io::Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(archive).arg("-C").arg(folder).arg(".");
    succeed(&mut tar)
}

/// Installs the image in `root`.
pub fn install(image: &Image, root: &Path) -> io::Result<()> {
    if let Some(agent) = &image.agent {
        fs::create_dir_all(root.join("opt/dayfly"))?;
        link_or_copy(agent, &root.join("opt/dayfly/dayfly-agent"))?;
    }
    if let Some(runner) = &image.runner {
        fs::create_dir_all(root.join("opt"))?;
        copy_folder(runner, &root.join("opt/actions-runner"))?;
    }
    Ok(())
}

/// Gives each instance its own path, since a running program's path identifies its instance. A hard link where
/// possible, since hundreds of copies would be gigabytes.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    fs::set_permissions(to, Permissions::from_mode(0o755))
}

/// Does the same for all files of a folder.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let copy = |how: &str| succeed(Command::new("cp").args(["-a", how]).arg(from).arg(to));
    copy("--link").or_else(|_| {
        let _ = fs::remove_dir_all(to);
        copy("--reflink=auto")
    })
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}", stderr.trim())))
}
