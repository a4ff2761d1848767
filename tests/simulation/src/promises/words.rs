//! The promises in words.

/// Told where instances end.
pub const LIFETIME: &str = "1: no instance lives past its maximum lifetime and five minutes";
/// See [`LIFETIME`].
pub const JOB_OVER: &str = "1: no instance lives ten minutes past its job's end";
/// See [`LIFETIME`].
pub const BUSY: &str = "2: no instance is ended while its runner executes a job";
/// See [`LIFETIME`].
pub const SERVED: &str = "3: every job ends: run, re-run, refused or failed";
/// See [`LIFETIME`].
pub const TWICE: &str = "3: no job starts twice in one attempt";
/// See [`LIFETIME`].
pub const RERUN: &str = "3: an interrupted job is run again if that is wanted, as often as is allowed, and no other";
/// See [`LIFETIME`].
pub const PERMITTED: &str = "capacity is bought on demand only where that is allowed";
/// See [`LIFETIME`].
pub const LADDER: &str = "a job that may run on demand is tried there before it is given up";
/// See [`LIFETIME`].
pub const MESSAGE: &str = "a messenger's machine runs no step of any job";
/// See [`LIFETIME`].
pub const VISIBLE: &str = "3: a job that is given up is failed visibly";
/// See [`LIFETIME`].
pub const STORY: &str = "what a job went through and cost is told on its commit";
/// See [`LIFETIME`].
pub const ONE: &str = "4: never two live instances for one job";
/// See [`LIFETIME`].
pub const NEEDED: &str = "4: nothing is launched for a job that is known to be over";
/// See [`LIFETIME`].
pub const OFFLINE: &str = "5: no registration stays offline for longer than patrol needs to come round";
/// See [`LIFETIME`].
pub const NOTHING: &str = "6: nothing is left at the end";
/// See [`LIFETIME`].
pub const AT_REST: &str = "6: nothing is called at rest but patrol";
/// See [`LIFETIME`].
pub const DUE: &str = "7: what lives is due, and looked at when it is";
/// See [`LIFETIME`].
pub const AWAKE: &str = "7: the minute schedule is on while anything lives";
/// See [`LIFETIME`].
pub const TABLE: &str = "7: states change by the steps of the lifecycle only";
/// See [`LIFETIME`].
pub const TOGETHER: &str = "8: what is launched alike is launched together";
/// See [`LIFETIME`].
pub const WITHIN: &str = "what runs at once is within the limits of the stack policy";
/// See [`LIFETIME`].
pub const FEW_CALLS: &str = "8: what fails is tried again at growing distances, and GitHub's limits are kept";
