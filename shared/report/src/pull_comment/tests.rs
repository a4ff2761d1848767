use dayfly_records::{CommentSettings, MAX_LISTED_RUNS};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{InstallationId, RunAttempt, RunId};

use super::*;
use crate::fixtures::now;

const WEB: &str = "https://github.com";

fn sum(run: u64, attempt: u32) -> RunSum {
    RunSum {
        run: RunId(run),
        attempt: RunAttempt(attempt),
        workflow: Some("ci".to_owned()),
        jobs: 3,
        minutes: 21,
        cost: MicroDollars(55_300),
        saved: Some(MicroDollars(129_000)),
        wasted: MicroDollars(0),
        on_github: Some(MicroDollars(1_092_000)),
        github_charge: None,
        is_final: true,
    }
}

fn report(sums: impl IntoIterator<Item = RunSum>) -> PullReport {
    let new = PullReport::new("octo/gpu".parse().unwrap(), 12, InstallationId(7), now());
    sums.into_iter().fold(new, |report, sum| {
        let wish = CommentSettings::new(InstallationId(7), MicroDollars(0));
        report.with(sum, wish, now()).unwrap()
    })
}

fn cap(budget: Budget, cap: u64, spent: u64) -> CapLeft {
    let (cap, spent, reserved) = (MicroDollars(cap), MicroDollars(spent), MicroDollars(316_000));
    CapLeft {
        budget,
        month: "2026-11".parse().unwrap(),
        cap,
        spent,
        reserved,
        left: cap.saturating_sub(spent + reserved),
    }
}

#[test]
fn first_run_is_shown_while_it_runs() {
    let first = RunSum {
        jobs: 1,
        minutes: 1,
        saved: None,
        on_github: None,
        workflow: None,
        is_final: false,
        ..sum(22, 1)
    };
    insta::assert_snapshot!(render(&report([first]), &[], WEB));
}

#[test]
fn comment_lists_runs_costs_and_what_is_left_of_caps() {
    let interrupted = RunSum {
        wasted: MicroDollars(41_000),
        workflow: Some("nightly | <b>@octo/team</b> #7".to_owned()),
        github_charge: Some(MicroDollars(42_000)),
        ..sum(30, 2)
    };
    let repository = "octo/gpu".parse().unwrap();
    let caps = [
        cap(Budget::PullRequest { repository, number: 12 }, 5_000_000, 110_600),
        cap(Budget::Stack, 100_000_000, 42_000_000),
    ];
    insta::assert_snapshot!(render(&report([sum(22, 1), interrupted]), &caps, WEB));
}

#[test]
fn older_runs_share_one_row() {
    let text = render(&report((1..=23).map(|run| sum(run, 1))), &[], WEB);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), MAX_LISTED_RUNS + 1);
    assert_eq!(
        rows[0],
        "| [23](https://github.com/octo/gpu/actions/runs/23) | ci | 3 | 21 | $0.06 | $0.13 |"
    );
    assert_eq!(
        rows[MAX_LISTED_RUNS],
        "| 3 earlier run attempts |  | 9 | 63 | $0.17 | $0.39 |"
    );
    assert!(
        text.contains("cost $1.27\n") && text.contains("23 run attempts, 69 jobs in 483 minutes"),
        "{text}"
    );
}

#[test]
fn only_the_comments_beginning_is_its_marker() {
    let named = RunSum {
        workflow: Some(format!("x\n{MARKER}")),
        ..sum(22, 1)
    };
    let text = render(&report([named]), &[], WEB);
    assert!(text.starts_with(MARKER));
    assert_eq!(text.matches(MARKER).count(), 1, "{text}");
}
