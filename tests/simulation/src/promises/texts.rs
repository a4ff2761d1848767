//! The texts of the promises.

pub const LIFETIME: &str = "1: no instance lives past its maximum lifetime and five minutes";
pub const GONE: &str = "1: a runner is gone only once its instance has ended";
pub const JOB_OVER: &str = "1: no instance lives ten minutes past its job's end";
pub const BUSY: &str = "2: no instance is ended while its runner executes a job";
pub const SERVED: &str = "3: every job ends: run, re-run, refused or failed";
pub const TWICE: &str = "3: no job starts twice in one attempt";
pub const RERUN: &str = "3: exactly the interrupted jobs are re-run, as often as configured";
pub const PERMITTED: &str = "on-demand capacity is bought only where it is allowed";
pub const LADDER: &str = "a job that may run on demand is tried there before it is given up";
pub const MESSAGE: &str = "a messenger's instance runs no step of any job";
pub const VISIBLE: &str = "3: a job that is given up is failed visibly";
pub const STORY: &str = "a job's course and cost are reported on its commit";
pub const ONE: &str = "4: never two live instances for one job";
pub const NEEDED: &str = "4: nothing is launched for a job that is known to be over";
pub const OFFLINE: &str = "5: no registration stays offline longer than a patrol round";
pub const NOTHING: &str = "6: nothing is left at the end";
pub const AT_REST: &str = "6: only the patrol runs at rest";
pub const DUE: &str = "7: every live record has a due time, and is handled then";
pub const AWAKE: &str = "7: the minute schedule is on while anything lives";
pub const TABLE: &str = "7: states change only by the steps of the lifecycle";
pub const TOGETHER: &str = "8: launches of the same kind share a call";
pub const WITHIN: &str = "running instances stay within the limits of the stack policy";
pub const FEW_CALLS: &str = "8: retries wait longer each time, and GitHub's limits are respected";
