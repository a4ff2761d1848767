//! What happens on a host.

use serde_json::Value;

/// Why an instance's processes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It pressed its own power button.
    PoweredOff,
    /// EC2 said that it was ended.
    Terminated,
    /// EC2 took it back, at the time that its spot notice told.
    Interrupted,
    /// A test ended it, without a word to anyone before.
    Crashed,
    /// It could not be booted.
    NotBooted,
    /// The host was shut down.
    HostShutDown,
}

/// Something that happened to an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent {
    /// EC2 reports it for the first time.
    Seen,
    /// Its user data has started.
    Booted,
    /// A line of its console that is not the agent's.
    ConsoleLine(String),
    /// A line of the agent's log.
    AgentLine(Value),
    /// Its metadata service has a spot notice now.
    NoticeGiven,
    /// It reaches nobody any more.
    NetworkCut,
    /// Nothing of it runs any more.
    Ended(Ending),
    /// EC2 has been told of the end.
    ReportedToEc2,
    /// A call to the cloud failed, or the host could not do its part.
    Trouble(String),
}

/// An event and the instance that it happened to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// The instance; empty where the host itself has something to say.
    pub instance: String,
    /// What happened.
    pub event: HostEvent,
}
