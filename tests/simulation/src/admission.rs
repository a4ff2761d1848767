//! Where runs come from.

use dayfly_core::decide::admission::{Head, Origin};
use dayfly_core::ids::RunKey;
use dayfly_ports::Scope;

use crate::sim::Sim;

impl Sim {
    /// Where a run comes from: somebody who may write has pushed. Nothing if there is no such run.
    pub fn origin(&self, scope: &Scope, run: RunKey) -> Option<Origin> {
        self.hub.borrow().runs.get(&run.run)?;
        let pusher = Some("alice".to_owned());
        Some(Origin {
            event: "push".to_owned(),
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
            pulls: Vec::new(),
        })
    }
}
