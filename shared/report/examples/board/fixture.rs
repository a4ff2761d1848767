//! A board with everything that can be on it, and an empty one.

use std::time::Duration;

use dayfly_records::RunnerState;
use dayfly_records::costs::Tariff;
use dayfly_records::event::Conclusion;
use dayfly_records::prices::PriceSource;
use dayfly_report::board::{
    Appearance, Gauge, JobLink, JobOutcome, LiveInstance, LiveRunner, PastJob, Phase, Theme, Today, View, WaitingJob,
};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle::{self, OnDemand, Spot};
use dayfly_types::ids::{InstanceId, InstanceType, JobId, JobKey, Repository, RunAttempt, RunId, RunnerName, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

/// 2026-09-14, 10:31:02 UTC.
pub const NOW: Timestamp = Timestamp::from_millis(1_789_381_862_000);

/// Wraps a board in a page that adds only a background.
pub fn document(board: &str, theme: Option<Theme>) -> String {
    let background = match theme {
        Some(Theme::Light) => "background:#fff",
        Some(Theme::Dark) => "background:#161d26",
        None => "background:Canvas;color-scheme:light dark",
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>dayfly</title></head>\n\
         <body style=\"margin:0;{background}\">\n{board}\n</body></html>\n"
    )
}

/// The board of an idle stack in a month without jobs.
pub fn empty(appearance: Appearance) -> View {
    View {
        appearance,
        web_url: "https://github.com".to_owned(),
        month: Month::of(NOW),
        is_cut: false,
        live: Vec::new(),
        waiting: Vec::new(),
        today: Today::default(),
        budgets: Vec::new(),
        past: Vec::new(),
    }
}

/// The board of a busy stack.
pub fn rich(appearance: Appearance) -> View {
    View {
        live: live(),
        waiting: vec![
            WaitingJob {
                job: link("octo-org/vision", 7113, 70_031, "train (3.13, cuda-12.8)"),
                since: before(204),
                for_its_turn: false,
            },
            WaitingJob {
                job: link("octo-org/vision", 7113, 70_032, "train (3.14, cuda-13.0)"),
                since: before(41),
                for_its_turn: true,
            },
        ],
        today: Today {
            spent: cents(1_012),
            is_cut: false,
        },
        budgets: budgets(),
        past: past(),
        ..empty(appearance)
    }
}

fn before(seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_millis(NOW.millis() - 1000 * seconds)
}

fn repository(name: &str) -> Repository {
    name.parse().expect("it is owner and name")
}

fn link(of: &str, run: u64, job: u64, name: &str) -> JobLink {
    JobLink {
        repository: repository(of),
        run: RunId(run),
        job: JobId(job),
        name: Some(name.to_owned()),
    }
}

fn cents(cents: u64) -> MicroDollars {
    MicroDollars(cents * 10_000)
}

fn runner(job: u64) -> RunnerName {
    let key = JobKey {
        job: JobId(job),
        attempt: RunAttempt(1),
    };
    RunnerName::of(key, 1)
}

fn instance(what: (&str, &str, InstanceLifecycle), per_hour: u64, from: u64) -> LiveInstance {
    let (instance_type, zone, lifecycle) = what;
    LiveInstance {
        instance: InstanceId::new(format!("i-0b2f{from:013x}")),
        instance_type: InstanceType::new(instance_type),
        zone: Zone::new(zone),
        lifecycle,
        per_hour: Some(MicroDollars(per_hour)),
        from: before(from),
        to: None,
        tariff: Some(Tariff {
            compute: MicroDollars(per_hour),
            disk_month: cents(800),
            address: MicroDollars(5_000),
            source: PriceSource::Aws,
        }),
    }
}

fn phases(began: &[(Phase, u64)]) -> Vec<(Phase, Timestamp)> {
    began.iter().map(|(phase, ago)| (*phase, before(*ago))).collect()
}

fn live() -> Vec<LiveRunner> {
    let one = |job: JobLink, state, instance, began: &[(Phase, u64)]| LiveRunner {
        runner: runner(job.job.0),
        state,
        ending: None,
        is_messenger: false,
        job,
        instance,
        phases: phases(began),
    };
    let trains = one(
        link("octo-org/vision", 7098, 70_002, "train (3.12, cuda-12.8)"),
        RunnerState::Busy,
        Some(instance(("g5.2xlarge", "eu-west-1b", Spot), 412_300, 2_531)),
        &[
            (Phase::Queued, 2_574),
            (Phase::Launching, 2_571),
            (Phase::Booting, 2_542),
            (Phase::Idle, 2_461),
            (Phase::Running, 2_454),
        ],
    );
    let mut drains = one(
        link(
            "octo-org/kernels",
            7101,
            70_011,
            "bench / flash-attention (fp16, head 128)",
        ),
        RunnerState::Draining,
        Some(instance(("g4dn.xlarge", "eu-west-1a", Spot), 157_800, 988)),
        &[
            (Phase::Queued, 1_038),
            (Phase::Launching, 1_036),
            (Phase::Booting, 1_001),
            (Phase::Idle, 905),
            (Phase::Running, 896),
            (Phase::Ending, 38),
        ],
    );
    drains.ending = Some("EC2 takes the instance back".to_owned());
    let boots = one(
        link("octo-org/vision", 7110, 70_021, "evaluate"),
        RunnerState::Launched,
        Some(instance(("g4dn.xlarge", "eu-west-1c", OnDemand), 526_000, 39)),
        &[(Phase::Queued, 251), (Phase::Launching, 249), (Phase::Booting, 52)],
    );
    let requested = one(
        link("hubber/notebooks", 7112, 70_029, "execute"),
        RunnerState::Requested,
        None,
        &[(Phase::Queued, 9), (Phase::Launching, 7)],
    );
    vec![trains, drains, boots, requested]
}

fn budgets() -> Vec<Gauge> {
    let one = |budget, spent, reserved, cap: Option<u64>| Gauge {
        budget,
        spent: cents(spent),
        reserved: cents(reserved),
        cap: cap.map(cents),
    };
    let organization = |name: &str| Budget::Organization { name: name.to_owned() };
    let of = |name: &str| Budget::Repository {
        repository: repository(name),
    };
    vec![
        one(Budget::Stack, 14_218, 3_020, Some(40_000)),
        one(organization("octo-org"), 12_877, 2_712, Some(20_000)),
        one(of("octo-org/vision"), 7_806, 1_494, Some(10_000)),
        one(of("octo-org/kernels"), 2_500, 0, Some(2_500)),
        one(organization("hubber"), 1_341, 308, None),
        one(of("hubber/notebooks"), 1_341, 308, None),
        one(of("octo-org/documentation-and-examples"), 1_571, 0, None),
    ]
}

/// Repository, name and workflow of a job, and what it ran on.
type Kind = (
    &'static str,
    &'static str,
    &'static str,
    (&'static str, &'static str, InstanceLifecycle),
);

const KINDS: [Kind; 5] = [
    (
        "octo-org/vision",
        "train (3.12, cuda-12.8)",
        "ci",
        ("g5.2xlarge", "eu-west-1b", Spot),
    ),
    ("octo-org/vision", "evaluate", "ci", ("g4dn.xlarge", "eu-west-1a", Spot)),
    (
        "octo-org/kernels",
        "bench / flash-attention (fp16, head 128)",
        "nightly benchmarks",
        ("g6.xlarge", "eu-west-1c", OnDemand),
    ),
    (
        "hubber/notebooks",
        "execute",
        "notebooks",
        ("g4dn.xlarge", "eu-west-1a", Spot),
    ),
    (
        "octo-org/documentation-and-examples",
        "examples",
        "docs",
        ("g4dn.2xlarge", "eu-west-1b", Spot),
    ),
];

fn past() -> Vec<PastJob> {
    let mut all: Vec<PastJob> = (0..49).map(past_job).collect();
    let mut orphan = past_job(49);
    orphan.job = None;
    orphan.outcome = JobOutcome::Orphan;
    all.push(orphan);
    all
}

fn past_job(n: u64) -> PastJob {
    let kind = (n * 7 + n / 3) % 5;
    let (of, name, workflow, (instance_type, zone, lifecycle)) = KINDS[usize::try_from(kind).unwrap_or_default()];
    let outcome = match n {
        2 | 17 => JobOutcome::Ended(Conclusion::Failure),
        4 | 31 => JobOutcome::Interrupted,
        7 => JobOutcome::Ended(Conclusion::Cancelled),
        9 => JobOutcome::GivenUp,
        12 => JobOutcome::Unused,
        _ => JobOutcome::Ended(Conclusion::Success),
    };
    let minutes = if outcome == JobOutcome::GivenUp {
        1
    } else {
        3 + n * 11 % 47
    };
    let on_demand = [1_212_000, 526_000, 804_800, 526_000, 752_000][usize::try_from(kind).unwrap_or_default()];
    let whole = MicroDollars(on_demand * minutes / 60);
    let spot = lifecycle == Spot;
    let cost = if spot { MicroDollars(whole.0 * 3 / 10) } else { whole };
    PastJob {
        job: Some(link(of, 7_090 - n, 69_900 - n, name)),
        workflow: Some(workflow.to_owned()),
        actor: Some(["octocat", "hubot", "mona"][usize::try_from(n % 3).unwrap_or_default()].to_owned()),
        pull: n.is_multiple_of(3).then_some(412 - n),
        outcome,
        instance: InstanceId::new(format!("i-0c4d{n:013x}")),
        instance_type: InstanceType::new(instance_type),
        zone: Zone::new(zone),
        lifecycle,
        instances: if n == 4 { 2 } else { 1 },
        billed: Duration::from_secs(minutes * 60 + n * 17 % 60),
        ended_at: before(240 + n * 1_740 + n * n * 60),
        cost: cost + MicroDollars(900),
        saved: whole.saturating_sub(cost),
        is_estimated: n == 21,
    }
}
