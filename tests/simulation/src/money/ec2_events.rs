//! Which EC2 events about an instance the functions received, and when they settled it: the more they
//! received, the closer its cost must be to EC2's bill.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_records::RecordId;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

use crate::lambda::Caller;
use crate::sim::Sim;

/// The received events.
#[derive(Debug, Default)]
pub struct ReceivedEvents {
    /// Instances reported as running.
    runs: BTreeSet<InstanceId>,
    /// Instances reported as ended.
    ended: BTreeSet<InstanceId>,
    /// When each was settled.
    settled: BTreeMap<InstanceId, Timestamp>,
}

impl ReceivedEvents {
    /// Whether its running was reported before it was settled.
    pub(super) fn runs(&self, instance: &InstanceId) -> bool {
        self.runs.contains(instance)
    }

    /// Whether its end was reported before it was settled.
    pub(super) fn ended(&self, instance: &InstanceId) -> bool {
        self.ended.contains(instance)
    }

    pub(super) fn settled_at(&self, instance: &InstanceId) -> Option<Timestamp> {
        self.settled.get(instance).copied()
    }

    pub(crate) fn is_settled(&mut self, instance: &InstanceId, now: Timestamp) {
        self.settled.entry(instance.clone()).or_insert(now);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Sim {
    /// Whether a call is about an instance that the table knows: EC2 reports nothing twice, and a
    /// report about an unknown one has no effect.
    pub(crate) fn is_of_ours(&self, caller: &Caller) -> bool {
        let Caller::Ec2(instance, ..) = caller else {
            return false;
        };
        self.table
            .borrow()
            .peek(&RecordId::Instance(instance.clone()))
            .is_some()
    }

    /// An event about an instance of ours arrived.
    pub(crate) fn word_heard(&self, instance: &InstanceId, word: Ec2Signal) {
        let mut heard = self.heard.borrow_mut();
        if heard.settled.contains_key(instance) {
            return;
        }
        match word {
            Ec2Signal::Running => heard.runs.insert(instance.clone()),
            Ec2Signal::Ended => heard.ended.insert(instance.clone()),
            Ec2Signal::Warning | Ec2Signal::Rebalance => false,
        };
    }
}
