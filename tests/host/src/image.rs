//! What is on an instance's disk, and how the runner comes to be there.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::config::Image;

/// What GitHub's `run.sh` does, in short: it starts the listener again when that asks for it by
/// its exit status, passes on no signal, and tells only one failure from success.
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

/// Lays out a runner in `folder` as GitHub's archive is, with the program `listener` in the place
/// of `bin/Runner.Listener`.
///
/// # Errors
/// A file cannot be made.
pub fn lay_out_runner(listener: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("bin"))?;
    place(listener, &folder.join("bin/Runner.Listener"))?;
    for (name, text) in [("run.sh", RUN_SH), ("bin/installdependencies.sh", "#!/bin/sh\n")] {
        fs::write(folder.join(name), text)?;
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Packs the runner that was laid out in `folder` into `archive`, a `.tar.gz` as GitHub's.
///
/// # Errors
/// `tar` is missing or fails.
pub fn pack_runner(folder: &Path, archive: &Path) -> io::Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(archive).arg("-C").arg(folder).arg(".");
    succeed(&mut tar)
}

/// Puts the image into `root`.
pub fn install(image: &Image, root: &Path) -> io::Result<()> {
    if let Some(agent) = &image.agent {
        fs::create_dir_all(root.join("opt/dayfly"))?;
        place(agent, &root.join("opt/dayfly/dayfly-agent"))?;
    }
    if let Some(runner) = &image.runner {
        fs::create_dir_all(root.join("opt"))?;
        copy_folder(runner, &root.join("opt/actions-runner"))?;
    }
    Ok(())
}

/// A name of its own, as the path of a running program tells whose it is: a hard link where the disk
/// has it, for hundreds of copies would be gigabytes.
fn place(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    fs::set_permissions(to, Permissions::from_mode(0o755))
}

/// As [`place`], for all files of a folder.
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
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}", words.trim())))
}
