//! Whose turn it is where the stack policy lets only so much run at once: fair turns between
//! repositories, and no refusals.
//!
//! The next is always the repository with the fewest runners, of those with as many the one whose last
//! turn is longest ago, and then the one that has waited longest; within a repository it is the job that
//! has waited longest. Without the last turn a matrix would win again each time that all of its runners
//! have ended. Nobody overtakes because he is
//! smaller: what is left of a limit is kept for whoever's turn it is, or a large machine would never be
//! launched beside many small ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dayfly_policy::{Limit, Limits, Refused};
use dayfly_types::ids::Repository;
use dayfly_types::time::Timestamp;

/// A runner that there is, or that is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its repository.
    pub repository: Repository,
    /// Its vCPUs; of those that it may get, before it is launched, the most.
    pub vcpus: u32,
}

/// A job that waits for a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<I> {
    /// Which.
    pub id: I,
    /// Its repository.
    pub repository: Repository,
    /// The vCPUs of the largest instance that it may get.
    pub vcpus: u32,
    /// Since when it waits.
    pub since: Timestamp,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns<I> {
    /// Those who are to be launched now, in this order.
    pub next: Vec<I>,
    /// Those who wait, in the order of their turns.
    pub queued: Vec<Queued<I>>,
    /// Those whose turn can never come: a limit is smaller than what they want.
    pub never: Vec<(I, Refused)>,
}

/// One who waits for his turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued<I> {
    /// Which.
    pub id: I,
    /// His place, from 1.
    pub place: usize,
    /// How many wait.
    pub of: usize,
    /// The limit that he, or who comes before him, waits for.
    pub limit: Exhausted,
}

/// A limit under which no more fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Its key in the policy.
    pub rule: String,
    /// How much it is.
    pub most: u32,
    /// Of what: `runners` or `vCPUs`.
    pub of: &'static str,
    /// In what: the stack, an organisation or a repository.
    pub whose: String,
}

impl<I> Queued<I> {
    /// What its check run says.
    #[must_use]
    pub fn words(&self) -> String {
        let Exhausted { rule, most, of, whose } = &self.limit;
        format!(
            "It waits for its turn, at place {} of {}: the policy rule `{rule}` of the stack lets {most} {of} run at once in {whose}",
            self.place, self.of
        )
    }
}

/// How much runs, in the stack, in an organisation or in a repository.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    runners: u32,
    vcpus: u32,
}

impl Load {
    fn add(&mut self, vcpus: u32) {
        self.runners = self.runners.saturating_add(1);
        self.vcpus = self.vcpus.saturating_add(vcpus);
    }

    /// The part of a limit under which another runner does not fit.
    fn exceeds(self, limit: Limit, vcpus: u32) -> Option<(&'static str, &'static str, u32)> {
        let mut with = self;
        with.add(vcpus);
        let runners = limit.runners.filter(|most| with.runners > *most);
        let cores = limit.vcpus.filter(|most| with.vcpus > *most);
        runners
            .map(|most| ("runners", "runners", most))
            .or_else(|| cores.map(|most| ("vcpus", "vCPUs", most)))
    }
}

/// All that runs, and who has had turns.
#[derive(Clone, Debug, Default)]
struct Loads {
    last: LastTurns,
    /// Of those who have had one just now, which it was.
    given: BTreeMap<Repository, usize>,
    stack: Load,
    organizations: BTreeMap<String, Load>,
    repositories: BTreeMap<Repository, Load>,
}

/// What has no place for another runner.
enum Full {
    Repository,
    Organization,
    Stack,
}

impl Loads {
    fn add(&mut self, repository: &Repository, vcpus: u32) {
        self.stack.add(vcpus);
        self.organizations
            .entry(organization(repository))
            .or_default()
            .add(vcpus);
        self.repositories.entry(repository.clone()).or_default().add(vcpus);
    }

    /// A repository has its turn.
    fn turn(&mut self, repository: &Repository, vcpus: u32) {
        self.add(repository, vcpus);
        let number = self.given.values().max().map_or(1, |number| number + 1);
        self.given.insert(repository.clone(), number);
    }

    fn of(&self, repository: &Repository) -> Load {
        self.repositories.get(repository).copied().unwrap_or_default()
    }

    /// What is full for a runner, the narrowest first.
    fn full(&self, limits: &Limits, repository: &Repository, vcpus: u32) -> Option<(Full, Exhausted)> {
        let owner = organization(repository);
        let of_owner = self.organizations.get(&owner).copied().unwrap_or_default();
        let levels = [
            (
                Full::Repository,
                "repository",
                self.of(repository),
                limits.repository,
                format!("`{repository}`"),
            ),
            (
                Full::Organization,
                "organization",
                of_owner,
                limits.organization,
                format!("`{owner}`"),
            ),
            (Full::Stack, "stack", self.stack, limits.stack, "the stack".to_owned()),
        ];
        levels.into_iter().find_map(|(full, key, load, limit, whose)| {
            let (part, of, most) = load.exceeds(limit, vcpus)?;
            let rule = format!("limits.{key}.{part}");
            Some((full, Exhausted { rule, most, of, whose }))
        })
    }
}

/// GitHub's names are the same in any case.
fn organization(repository: &Repository) -> String {
    repository.owner().to_ascii_lowercase()
}

/// Those who wait in a repository, the first first.
type Lines<I> = BTreeMap<Repository, VecDeque<Wanted<I>>>;

/// When repositories had their last turns. One that is not there has had none.
pub type LastTurns = BTreeMap<Repository, Timestamp>;

/// Says whose turn it is, so that no limit is passed. The order of what is given makes no difference.
/// Whoever launches those who are next notes that their repositories had a turn.
#[must_use]
pub fn turns<I: Clone + Ord>(
    limits: &Limits,
    running: &[Running],
    last: &LastTurns,
    waiting: Vec<Wanted<I>>,
) -> Turns<I> {
    let mut loads = Loads {
        last: last.clone(),
        ..Loads::default()
    };
    for one in running {
        loads.add(&one.repository, one.vcpus);
    }
    let (mut lines, never) = lines(limits, waiting);
    let (mut next, mut full) = (Vec::new(), BTreeMap::new());
    let (mut full_organizations, mut full_stack) = (BTreeMap::new(), None);
    let mut turn: BTreeSet<_> = lines.iter().filter_map(|(of, line)| rank(&loads, of, line)).collect();
    while let Some(Rank { repository, .. }) = turn.pop_first() {
        let Some(line) = lines.get_mut(&repository) else {
            continue;
        };
        let Some(first) = line.front() else { continue };
        if full_organizations.contains_key(&organization(&repository)) {
            continue;
        }
        match loads.full(limits, &repository, first.vcpus) {
            None => {
                loads.turn(&repository, first.vcpus);
                next.extend(line.pop_front().map(|first| first.id));
                turn.extend(rank(&loads, &repository, line));
            }
            Some((Full::Repository, limit)) => {
                full.insert(repository, limit);
            }
            Some((Full::Organization, limit)) => {
                full_organizations.insert(organization(&repository), limit);
            }
            Some((Full::Stack, limit)) => {
                full_stack = Some(limit);
                break;
            }
        }
    }
    let why = |repository: &Repository| {
        let own = full
            .get(repository)
            .or_else(|| full_organizations.get(&organization(repository)));
        own.or(full_stack.as_ref()).cloned()
    };
    let queued = queue(loads, lines, why);
    Turns { next, queued, never }
}

/// Who waits in each repository, and those for whom a limit is too small even with nothing else running.
fn lines<I: Clone + Ord>(limits: &Limits, mut waiting: Vec<Wanted<I>>) -> (Lines<I>, Vec<(I, Refused)>) {
    waiting.sort_by(|one, other| (one.since, &one.id).cmp(&(other.since, &other.id)));
    let (mut lines, mut never) = (Lines::new(), Vec::new());
    for one in waiting {
        match Loads::default().full(limits, &one.repository, one.vcpus) {
            None => lines.entry(one.repository.clone()).or_default().push_back(one),
            Some((_, Exhausted { rule, most, of, whose })) => {
                let words = format!(
                    "the job may get an instance of {} vCPUs, and {most} {of} at once in {whose} are the most: name a smaller instance type",
                    one.vcpus
                );
                never.push((one.id, Refused::new(rule, words)));
            }
        }
    }
    (lines, never)
}

/// What says whose turn it is: the least of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<I> {
    runners: u32,
    given: usize,
    last: Option<Timestamp>,
    since: Timestamp,
    id: I,
    repository: Repository,
}

/// When it is the turn of a repository; nothing if nobody waits there.
fn rank<I: Clone>(loads: &Loads, repository: &Repository, line: &VecDeque<Wanted<I>>) -> Option<Rank<I>> {
    let first = line.front()?;
    Some(Rank {
        runners: loads.of(repository).runners,
        given: loads.given.get(repository).copied().unwrap_or_default(),
        last: loads.last.get(repository).copied(),
        since: first.since,
        id: first.id.clone(),
        repository: repository.clone(),
    })
}

/// The order in which those will be launched who wait, as places become free.
fn queue<I: Clone + Ord>(
    mut loads: Loads,
    mut lines: Lines<I>,
    why: impl Fn(&Repository) -> Option<Exhausted>,
) -> Vec<Queued<I>> {
    let of = lines.values().map(VecDeque::len).sum();
    let mut queued = Vec::with_capacity(of);
    let mut turn: BTreeSet<_> = lines.iter().filter_map(|(of, line)| rank(&loads, of, line)).collect();
    while let Some(Rank { repository, .. }) = turn.pop_first() {
        let Some(line) = lines.get_mut(&repository) else {
            continue;
        };
        let Some(first) = line.pop_front() else { continue };
        loads.turn(&repository, first.vcpus);
        if let Some(limit) = why(&repository) {
            queued.push(Queued {
                id: first.id,
                place: queued.len() + 1,
                of,
                limit,
            });
        }
        turn.extend(rank(&loads, &repository, line));
    }
    queued
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
