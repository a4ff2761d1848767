//! Process groups: everything the lab starts runs in a group of its own and is ended by that group.

use std::fs;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A process group that the lab started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(i32);

impl Group {
    /// Returns the group whose leader has this process id.
    #[must_use]
    pub fn of_leader(pid: u32) -> Option<Self> {
        i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Self)
    }

    /// Sends `signal` to every member. A group that is gone is no error.
    ///
    /// # Errors
    /// If the system refuses (not our group).
    pub fn signal(self, signal: Signal) -> nix::Result<()> {
        match killpg(Pid::from_raw(self.0), signal) {
            Err(nix::errno::Errno::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Returns the running members: process id and command. Zombies, which only wait for their parent,
    /// do not count.
    #[must_use]
    pub fn members(self) -> Vec<(i32, String)> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter_map(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                let (command, state, group) = stat_fields(&stat)?;
                (group == self.0 && state != "Z").then_some((pid, command))
            })
            .collect()
    }
}

/// Parses command, state and process group from a line of `/proc/<pid>/stat`. The command is in
/// brackets and may contain brackets and spaces itself.
fn stat_fields(stat: &str) -> Option<(String, String, i32)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let command = head.split_once('(')?.1.to_owned();
    let mut fields = tail.split_whitespace();
    let state = fields.next()?.to_owned();
    let group = fields.nth(1)?.parse().ok()?;
    Some((command, state, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_even_when_the_command_holds_brackets() {
        let cases = [
            ("12 (bash) S 1 12 12 0", ("bash", "S", 12)),
            ("7 (a (b) c) Z 1 9 9 0", ("a (b) c", "Z", 9)),
        ];
        for (line, (command, state, group)) in cases {
            assert_eq!(
                stat_fields(line),
                Some((command.to_owned(), state.to_owned(), group)),
                "{line}"
            );
        }
        assert_eq!(stat_fields("garbage"), None);
    }
}
