//! The processes on the instance, as `/proc` shows them.

use std::collections::HashMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// The first 15 bytes of its program's file name.
    pub name: String,
}

/// Returns all processes, without those that end meanwhile.
#[must_use]
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// Reads `/proc/<pid>/stat`: `pid (name) state parent …`. Zombies are left out.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    // The name may itself hold spaces and parentheses.
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut rest = rest.split_whitespace();
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(Process { pid, parent, name })
}

/// Returns the processes in `all` that descend from `root`, parents before children.
#[must_use]
pub fn descendants(all: &[Process], root: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            next.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

/// Sends `signal` to `pid`, which may be gone.
pub fn signal(pid: i32, signal: Signal) {
    // The only other failure is another user's process, which a child of the agent is not.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Kills the descendants of `root`, five times at most: the next pass finds those that were forked meanwhile.
pub fn kill_descendants(root: i32) {
    for _ in 0..5 {
        let found = descendants(&all(), root);
        if found.is_empty() {
            return;
        }
        for process in found {
            signal(process.pid, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_name_may_contain_parentheses_and_spaces() {
        let process = parse_stat(7, "7 (a) (b c) S 3 7 7 0 -1").unwrap();
        assert_eq!(
            process,
            Process {
                pid: 7,
                parent: 3,
                name: "a) (b c".to_owned()
            }
        );
        assert_eq!(parse_stat(7, "7 (gone) Z 3 7"), None);
        assert_eq!(parse_stat(7, ""), None);
    }

    #[test]
    fn descendants_are_children_and_their_children() {
        let process = |pid, parent| Process {
            pid,
            parent,
            name: String::new(),
        };
        let all = [
            process(2, 1),
            process(3, 2),
            process(4, 3),
            process(5, 1),
            process(6, 2),
        ];
        let mut found: Vec<i32> = descendants(&all, 2).iter().map(|it| it.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4, 6]);
    }
}
