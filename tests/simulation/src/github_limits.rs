//! GitHub's limits on an installation, besides its calls per hour.

use std::collections::VecDeque;
use std::time::Duration;

use dayfly_types::time::Timestamp;

use crate::promises::{FEW_CALLS, MINUTE};
use crate::sim::Sim;

const HOUR: Duration = Duration::from_secs(3600);

/// The calls of a kind in the last hour.
#[derive(Debug, Default)]
pub struct Calls(VecDeque<Timestamp>);

impl Calls {
    fn made(&mut self, now: Timestamp) {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.0.pop_front();
        }
    }

    fn within(&self, span: Duration, now: Timestamp) -> usize {
        self.0.iter().rev().take_while(|at| now.since(**at) < span).count()
    }
}

impl Sim {
    /// Records a write of content: GitHub allows 80 such calls a minute and 500 an hour.
    pub(crate) fn writes_content(&self) {
        self.hub.borrow_mut().content_writes.made(self.now());
        self.keeps(
            |hub| &hub.content_writes,
            "writes of content",
            &[(MINUTE, 80), (HOUR, 500)],
        );
    }

    /// Records a registration, which costs 5 of the 900 points that GitHub allows a minute.
    pub(crate) fn registers(&self) {
        self.hub.borrow_mut().registrations.made(self.now());
        self.keeps(|hub| &hub.registrations, "registrations", &[(MINUTE, 180)]);
    }

    fn keeps(&self, calls: impl Fn(&crate::hub::Hub) -> &Calls, what: &str, limits: &[(Duration, usize)]) {
        // An emptied table does not know earlier calls.
        if self.promises.borrow().emptied_at.is_some() {
            return;
        }
        let over = {
            let hub = self.hub.borrow();
            let mut made = limits
                .iter()
                .map(|(span, most)| (calls(&hub).within(*span, self.now()), span, most));
            made.find(|(made, _, most)| made > most)
        };
        if let Some((made, span, _)) = over {
            self.broken(FEW_CALLS, format!("{made} {what} in {span:?}"));
        }
    }
}
