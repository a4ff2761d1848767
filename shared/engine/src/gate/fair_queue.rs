//! Whose turn it is where the stack policy limits what runs at once: fair turns between repositories,
//! and no refusals.
//!
//! The next is always the repository with the fewest runners; of equals, the one whose last turn is
//! longest ago, then the one that has waited longest. Within a repository it is the job that has waited
//! longest. Without the last turn, a matrix would win again each time all of its runners have ended. No
//! job overtakes because it is smaller: what is left of a limit is kept for the next in turn, or a large
//! machine would never launch beside many small ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dayfly_policy::{Limit, Limits, Refused};
use dayfly_types::ids::Repository;
use dayfly_types::time::Timestamp;

/// A runner that exists or is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningLoad {
    pub repository: Repository,
    /// Its vCPUs; before its launch, the most that it may get.
    pub vcpus: u32,
}

/// A runner that waits for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRunner<I> {
    pub id: I,
    pub repository: Repository,
    /// The vCPUs of the largest instance that it may get.
    pub vcpus: u32,
    pub since: Timestamp,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns<I> {
    /// Those to launch now, in this order.
    pub next: Vec<I>,
    /// Those that wait, in the order of their turns.
    pub queued: Vec<QueuePosition<I>>,
    /// Those whose turn can never come: a limit is smaller than what they need.
    pub never: Vec<(I, Refused)>,
}

/// A runner's position in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePosition<I> {
    pub id: I,
    /// Its place, from 1.
    pub place: usize,
    /// How many wait.
    pub of: usize,
    /// The limit that it, or one before it, waits for.
    pub limit: ExhaustedLimit,
}

/// A limit with no room left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExhaustedLimit {
    /// Its key in the policy.
    pub rule: String,
    pub most: u32,
    /// The unit: `runners` or `vCPUs`.
    pub of: &'static str,
    /// Where it applies: the stack, an organization or a repository.
    pub scope: String,
}

impl<I> QueuePosition<I> {
    /// The text of its check run.
    #[must_use]
    pub fn words(&self) -> String {
        let ExhaustedLimit { rule, most, of, scope } = &self.limit;
        format!(
            "It waits for its turn, at place {} of {}: the policy rule `{rule}` of the stack lets {most} {of} run at once in {scope}",
            self.place, self.of
        )
    }
}

/// What runs in the stack, an organization or a repository.
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

    /// Returns the part of a limit that another runner would exceed: key, unit and maximum.
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

/// What runs, and who has had a turn.
#[derive(Clone, Debug, Default)]
struct Loads {
    last: LastTurns,
    /// The number of the latest turn that a repository got in this round.
    given: BTreeMap<Repository, usize>,
    stack: Load,
    organizations: BTreeMap<String, Load>,
    repositories: BTreeMap<Repository, Load>,
}

/// The level whose limit is exhausted.
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

    fn give_turn(&mut self, repository: &Repository, vcpus: u32) {
        self.add(repository, vcpus);
        let number = self.given.values().max().map_or(1, |number| number + 1);
        self.given.insert(repository.clone(), number);
    }

    fn of(&self, repository: &Repository) -> Load {
        self.repositories.get(repository).copied().unwrap_or_default()
    }

    /// Returns the narrowest level that has no room for a runner of this size.
    fn full(&self, limits: &Limits, repository: &Repository, vcpus: u32) -> Option<(Full, ExhaustedLimit)> {
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
        levels.into_iter().find_map(|(full, key, load, limit, scope)| {
            let (part, of, most) = load.exceeds(limit, vcpus)?;
            let rule = format!("limits.{key}.{part}");
            Some((full, ExhaustedLimit { rule, most, of, scope }))
        })
    }
}

/// GitHub's names ignore case.
fn organization(repository: &Repository) -> String {
    repository.owner().to_ascii_lowercase()
}

/// The waiting runners of each repository, in order.
type Lines<I> = BTreeMap<Repository, VecDeque<WaitingRunner<I>>>;

/// When each repository had its last turn.
pub type LastTurns = BTreeMap<Repository, Timestamp>;

/// Decides whose turn it is without exceeding a limit. The order of the inputs makes no difference. The
/// caller records a turn for the repositories of the runners in `next`.
#[must_use]
pub fn turns<I: Clone + Ord>(
    limits: &Limits,
    running: &[RunningLoad],
    last: &LastTurns,
    waiting: Vec<WaitingRunner<I>>,
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
                loads.give_turn(&repository, first.vcpus);
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
    let limit_of = |repository: &Repository| {
        let own = full
            .get(repository)
            .or_else(|| full_organizations.get(&organization(repository)));
        own.or(full_stack.as_ref()).cloned()
    };
    let queued = queue(loads, lines, limit_of);
    Turns { next, queued, never }
}

/// Returns the waiting runners of each repository, and those that exceed a limit even alone.
fn lines<I: Clone + Ord>(limits: &Limits, mut waiting: Vec<WaitingRunner<I>>) -> (Lines<I>, Vec<(I, Refused)>) {
    waiting.sort_by(|one, other| (one.since, &one.id).cmp(&(other.since, &other.id)));
    let (mut lines, mut never) = (Lines::new(), Vec::new());
    for one in waiting {
        match Loads::default().full(limits, &one.repository, one.vcpus) {
            None => lines.entry(one.repository.clone()).or_default().push_back(one),
            Some((_, ExhaustedLimit { rule, most, of, scope })) => {
                let words = format!(
                    "the job may get an instance of {} vCPUs, and {most} {of} at once in {scope} are the most: name a smaller instance type",
                    one.vcpus
                );
                never.push((one.id, Refused::new(rule, words)));
            }
        }
    }
    (lines, never)
}

/// The rank of a repository: the least has its turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<I> {
    runners: u32,
    given: usize,
    last: Option<Timestamp>,
    since: Timestamp,
    id: I,
    repository: Repository,
}

/// Returns the rank of a repository, or `None` if no runner waits there.
fn rank<I: Clone>(loads: &Loads, repository: &Repository, line: &VecDeque<WaitingRunner<I>>) -> Option<Rank<I>> {
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

/// Returns the waiting runners in the order in which they will launch as slots become free.
fn queue<I: Clone + Ord>(
    mut loads: Loads,
    mut lines: Lines<I>,
    limit_of: impl Fn(&Repository) -> Option<ExhaustedLimit>,
) -> Vec<QueuePosition<I>> {
    let of = lines.values().map(VecDeque::len).sum();
    let mut queued = Vec::with_capacity(of);
    let mut turn: BTreeSet<_> = lines.iter().filter_map(|(of, line)| rank(&loads, of, line)).collect();
    while let Some(Rank { repository, .. }) = turn.pop_first() {
        let Some(line) = lines.get_mut(&repository) else {
            continue;
        };
        let Some(first) = line.pop_front() else { continue };
        loads.give_turn(&repository, first.vcpus);
        if let Some(limit) = limit_of(&repository) {
            queued.push(QueuePosition {
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
mod tests;
