//! The events on a host.

use serde_json::Value;

/// Why an instance's processes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceEnd {
    /// It powered itself off.
    PoweredOff,
    /// EC2 reports it as ended.
    Terminated,
    /// EC2 took it back at the time in its interruption notice.
    Interrupted,
    /// A test ended it without notice.
    Crashed,
    /// It could not be booted.
    NotBooted,
    HostShutDown,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent {
    /// EC2 reports the instance for the first time.
    Discovered,
    /// Its user data has started.
    Booted,
    /// A line of its console that is not the agent's.
    ConsoleLine(String),
    /// A line of the agent's log.
    AgentLine(Value),
    /// Its metadata service has an interruption notice now.
    NoticeGiven,
    /// Its network is cut.
    NetworkCut,
    /// Its processes have ended.
    Ended(InstanceEnd),
    /// The end was reported to EC2.
    ReportedToEc2,
    /// A call to the cloud failed, or the host itself did.
    Failure(String),
}

/// An event with its instance.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceEvent {
    /// The instance's id; empty for an event of the host itself.
    pub instance: String,
    pub event: HostEvent,
}
