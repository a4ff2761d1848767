//! The steps of a runner.

use super::steps;
use crate::RunnerState;

steps! {
    /// The steps of a runner.
    RunnerStep over RunnerState;
    Claim: [] => Requested, "a job was claimed for it";
    Launch: [Requested] => Launched, "EC2 launched its instance";
    GiveUpLaunch: [Requested] => Gone, "no instance could be had";
    Enrol: [Launched] => Enrolled, "its JIT config was handed out";
    StartJob: [Enrolled] => Busy, "a job began on it";
    KeepForJob: [Enrolled, Done] => Busy, "GitHub had given it a job when it was to be removed";
    Notice: [Launched, Enrolled, Busy] => Draining, "EC2 will take its instance back";
    Vanish: [Launched, Enrolled, Busy, Draining] => Lost, "its instance ended, and not by our request";
    MissBoot: [Launched] => Lost, "its instance did not check in in time";
    MissHeartbeat: [Enrolled, Busy] => Lost, "its instance sent no heartbeat in time";
    OutstayDrain: [Draining] => Lost, "it did not drain in time";
    Outlive: [Launched, Enrolled, Busy, Done] => Lost, "it reached its maximum lifetime";
    Linger: [Done] => Lost, "it did not leave in time after its job";
    FinishJob: [Enrolled, Busy, Draining] => Done, "its job is over";
    LeaveAfterJob: [Enrolled, Busy, Draining] => Done, "it said goodbye after its job";
    DropNeed: [Requested, Launched, Enrolled] => Done, "its job no longer needs it";
    Rebalance: [Launched, Enrolled] => Done, "EC2 might take its instance back, and it has no job yet";
    Leave: [Launched, Enrolled, Busy, Draining, Done] => Lost, "its instance said goodbye";
    EndIdle: [Enrolled] => Gone, "no job came in time, and nothing of it is left";
    Reap: [Done, Lost] => Gone, "nothing of it is left";
}
