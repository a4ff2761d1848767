//! The origins of runs.

use dayfly_ports::Scope;
use dayfly_records::origin::{Head, Origin, PullHead};
use dayfly_types::ids::{RunId, RunKey};

use crate::sim::Sim;

impl Sim {
    /// Returns the origin of a run: a push by a user with write access. `None` if there is no such run.
    pub fn origin(&self, scope: &Scope, run: RunKey) -> Option<Origin> {
        self.hub.borrow().runs.get(&run.run)?;
        let pusher = Some(self.actor_of(run.run).to_owned());
        let pull = self.pull_of(run.run);
        Some(Origin {
            event: if pull.is_some() { "pull_request" } else { "push" }.to_owned(),
            repository: 1,
            head: Some(Head {
                id: 1,
                owner: scope.repository.owner().to_owned(),
                name: scope.repository.to_string(),
            }),
            head_sha: "abc".to_owned(),
            head_branch: Some("main".to_owned()),
            actor: pusher.clone(),
            triggering_actor: pusher,
            pulls: pull.into_iter().map(to_own_branch).collect(),
        })
    }

    /// Returns the pull request of a run, if it has one: a few of a repository have all of them.
    pub(crate) fn pull_of(&self, run: RunId) -> Option<u64> {
        let mut dice = self.dice("pull request", &run.to_string());
        dice.happens(0.4).then(|| dice.number(1, 3))
    }

    /// Returns the user who started a run.
    pub(crate) fn actor_of(&self, run: RunId) -> &'static str {
        self.dice("actor", &run.to_string()).one_of::<&str>(&["alice", "bob"])
    }
}

/// A pull request from a branch of the repository itself.
fn to_own_branch(number: u64) -> PullHead {
    PullHead {
        number,
        repository: 1,
        sha: "abc".to_owned(),
    }
}
