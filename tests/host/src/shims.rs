//! Commands that come first on the `PATH` of an instance's user data, instead of those that would change this
//! machine.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;

/// Commands that do nothing. `systemd-run` is used only for the last-resort timer.
const NOTHING: [&str; 9] = [
    "systemd-run",
    "iptables",
    "ip6tables",
    "nft",
    "useradd",
    "usermod",
    "apt-get",
    "dnf",
    "mount",
];
/// Commands that power off, with any arguments.
const POWER: [&str; 3] = ["poweroff", "shutdown", "halt"];

/// The shims of one instance and its power button.
#[derive(Debug)]
pub struct Shims {
    /// The first folder on `PATH`.
    pub folder: PathBuf,
    button: pipe::Receiver,
}

impl Shims {
    /// Writes the shims to `folder`, with `downloads` for `curl`: URLs and their files.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn make(folder: PathBuf, downloads: &[(String, PathBuf)]) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let button = folder.join("power-button");
        mkfifo(&button, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // Opened for reading too, so that it never waits for a reader.
        let press = format!("echo off 1<>{}\n", quoted(&button.to_string_lossy()));
        for name in NOTHING {
            script(&folder.join(name), "exit 0\n")?;
        }
        for name in POWER {
            script(&folder.join(name), &press)?;
        }
        let systemctl = format!("for word; do\n  if [ \"$word\" = poweroff ]; then\n    {press}  fi\ndone\n");
        script(&folder.join("systemctl"), &systemctl)?;
        // The user data asks for the library that GitHub's runner needs; the stand-in needs none.
        script(&folder.join("ldconfig"), "echo libicuuc.so\n")?;
        script(&folder.join("curl"), &curl(downloads))?;
        let button = pipe::OpenOptions::new().read_write(true).open_receiver(&button)?;
        Ok(Self { folder, button })
    }

    /// Waits until the power button is pressed.
    pub async fn pressed(&self) {
        let mut bytes = [0; 64];
        loop {
            // An unreadable button means a broken host, which ends the instance too.
            if self.button.readable().await.is_err() {
                return;
            }
            match self.button.try_read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }
}

/// A `curl` without a network: `curl … --output FILE URL`.
fn curl(downloads: &[(String, PathBuf)]) -> String {
    let mut text = String::from(
        "output=\nurl=\nwhile [ $# -gt 0 ]; do\n  case $1 in\n    --output) output=$2; shift ;;\n    *://*) url=$1 ;;\n  esac\n  shift\ndone\ncase $url in\n",
    );
    for (url, file) in downloads {
        let (url, file) = (quoted(url), quoted(&file.to_string_lossy()));
        // Writing into a string does not fail.
        let _ = writeln!(text, "  {url}) cp -- {file} \"$output\" ;;");
    }
    text.push_str("  *) echo \"curl: nothing at $url\" >&2; exit 22 ;;\nesac\n");
    text
}

fn script(path: &Path, body: &str) -> io::Result<()> {
    fs::write(path, format!("#!/bin/sh\n{body}"))?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Quotes `text` as one word of a shell script.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
