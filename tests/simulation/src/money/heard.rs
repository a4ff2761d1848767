//! What the functions were told of an instance's life, and when they settled it: the more of EC2's words
//! they heard, the closer to its bill they have to be.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_engine::interruption::Word;
use dayfly_records::RecordId;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

use crate::lambda::Caller;
use crate::sim::Sim;

/// What was heard of instances.
#[derive(Debug, Default)]
pub struct Heard {
    /// Those of which it was heard that they run.
    runs: BTreeSet<InstanceId>,
    /// Those of which it was heard that they have ended.
    ended: BTreeSet<InstanceId>,
    /// When each was settled.
    settled: BTreeMap<InstanceId, Timestamp>,
}

impl Heard {
    /// Whether it was heard that it runs, before it was settled.
    pub(super) fn runs(&self, instance: &InstanceId) -> bool {
        self.runs.contains(instance)
    }

    /// Whether it was heard that it has ended, before it was settled.
    pub(super) fn ended(&self, instance: &InstanceId) -> bool {
        self.ended.contains(instance)
    }

    /// When it was settled.
    pub(super) fn settled_at(&self, instance: &InstanceId) -> Option<Timestamp> {
        self.settled.get(instance).copied()
    }

    /// It is settled.
    pub(crate) fn is_settled(&mut self, instance: &InstanceId, now: Timestamp) {
        self.settled.entry(instance.clone()).or_insert(now);
    }

    /// Everything in the table is gone.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Sim {
    /// Whether a call tells of an instance that the table has as ours: EC2 tells nothing twice, and of one
    /// that nobody knows yet it tells in vain.
    pub(crate) fn is_of_ours(&self, caller: &Caller) -> bool {
        let Caller::Ec2(instance, ..) = caller else {
            return false;
        };
        self.table
            .borrow()
            .peek(&RecordId::Instance(instance.clone()))
            .is_some()
    }

    /// EC2's word on an instance of ours came through.
    pub(crate) fn word_heard(&self, instance: &InstanceId, word: Word) {
        let mut heard = self.heard.borrow_mut();
        if heard.settled.contains_key(instance) {
            return;
        }
        match word {
            Word::Running => heard.runs.insert(instance.clone()),
            Word::Ended => heard.ended.insert(instance.clone()),
            Word::Warning | Word::Rebalance => false,
        };
    }
}
