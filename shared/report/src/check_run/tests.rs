use std::time::Duration;

use dayfly_engine::launch;
use dayfly_records::{AfterInterruption, CombinedPart, MessengerNews};
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceType, Zone};
use dayfly_types::time::Timestamp;

use super::*;
use crate::fixtures::{event, now};

const WEB: &str = "https://github.com";

fn at(minutes: u64) -> Timestamp {
    now().after(Duration::from_mins(minutes))
}

fn pool(instance_type: &str, zone: &str) -> Pool {
    Pool {
        instance_type: InstanceType::new(instance_type),
        zone: Zone::new(zone),
    }
}

fn tried(kind: FleetErrorKind, code: &str, message: &str) -> Tried {
    Tried {
        lifecycle: InstanceLifecycle::Spot,
        pool: Some(pool("g5.xlarge", "eu-west-1a")),
        kind,
        code: code.to_owned(),
        message: message.to_owned(),
        times: 3,
        first: at(0),
        last: at(8),
    }
}

fn no_capacity() -> Vec<Tried> {
    let message = "There is no Spot capacity available that matches your request.";
    vec![
        tried(FleetErrorKind::Capacity, "InsufficientInstanceCapacity", message),
        Tried {
            pool: Some(pool("g4dn.xlarge", "eu-west-1b")),
            times: 1,
            last: at(0),
            ..tried(FleetErrorKind::Capacity, "UnfulfillableCapacity", message)
        },
        Tried {
            lifecycle: InstanceLifecycle::OnDemand,
            pool: None,
            last: at(24 * 60),
            ..tried(
                FleetErrorKind::Quota,
                "VcpuLimitExceeded",
                "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket.",
            )
        },
    ]
}

fn check_run(content: CheckContent) -> CheckRun {
    CheckRun::of(None, &launch::new_job(&event(11)), content, now())
}

fn shown(check: &CheckRunBody) -> String {
    format!(
        "{} · {}\n{} {:?} {}\n{}\n\n{}\n{}",
        check.name,
        check.title,
        check.external_id,
        check.conclusion,
        check.head_sha,
        check.details_url,
        check.summary,
        check.text.as_deref().unwrap_or("-\n"),
    )
}

fn all(says: Vec<CheckContent>) -> String {
    let shown: Vec<String> = says
        .into_iter()
        .map(|content| shown(&render(&check_run(content), WEB)))
        .collect();
    shown.join("\n==========\n")
}

#[test]
fn a_job_that_waits_is_told_for_what_and_until_when() {
    let kinds = [
        FleetErrorKind::Price,
        FleetErrorKind::BadRequest,
        FleetErrorKind::Throttled,
        FleetErrorKind::Unknown,
    ];
    let mut says = vec![
        CheckContent::Waiting {
            next_at: at(10),
            tried: Vec::new(),
        },
        CheckContent::Waiting {
            next_at: at(10),
            tried: no_capacity(),
        },
    ];
    says.extend(kinds.map(|kind| CheckContent::Waiting {
        next_at: at(10),
        tried: vec![tried(kind, "Code", "words")],
    }));
    insta::assert_snapshot!(all(says));
}

#[test]
fn a_job_that_waits_for_its_turn_is_told_its_place_and_the_rule_and_how_that_ended() {
    insta::assert_snapshot!(all(vec![
        CheckContent::Queued {
            place: 3,
            of: 20,
            words: "It waits for its turn, at place 3 of 20: the policy rule `limits.stack.runners` of the stack lets \
                    100 runners run at once in the stack"
                .to_owned(),
        },
        CheckContent::Launched {
            pool: pool("g6.xlarge", "eu-west-1c"),
            lifecycle: InstanceLifecycle::Spot,
            tried: Vec::new(),
        },
        CheckContent::Over { tried: Vec::new() },
    ]));
}

#[test]
fn a_job_that_has_waited_is_told_what_it_got() {
    insta::assert_snapshot!(all(vec![CheckContent::Launched {
        pool: pool("g6.xlarge", "eu-west-1c"),
        lifecycle: InstanceLifecycle::OnDemand,
        tried: no_capacity(),
    }]));
}

#[test]
fn a_job_that_is_given_up_is_told_why_and_what_to_do() {
    let given_up = |reason: &str, tried: Vec<Tried>, messenger| CheckContent::GivenUp {
        reason: reason.to_owned(),
        tried,
        messenger,
    };
    let failed = |cancelled| MessengerNews::Failed {
        reason: "VcpuLimitExceeded: no vCPU left.".to_owned(),
        cancelled,
    };
    insta::assert_snapshot!(all(vec![
        given_up(
            "No instance could be had for 15 minutes.",
            no_capacity(),
            MessengerNews::OnItsWay
        ),
        given_up(
            "No runner in `.dayfly.yml` has all of the labels `dayfly-gpu`, `big_one`: add one.",
            Vec::new(),
            MessengerNews::Off
        ),
        given_up(
            "`.dayfly.yml`: error: line 1\n  |\n1 | runners: 7\n  | ^ here",
            Vec::new(),
            failed(true)
        ),
        given_up("No instance could be had for 15 minutes.", no_capacity(), failed(false)),
    ]));
}

#[test]
fn an_interrupted_job_is_told_what_becomes_of_it() {
    let interrupted = |next, ran_on| CheckContent::Interrupted {
        at: at(3),
        what: "EC2 took the instance back".to_owned(),
        ran_on,
        next,
    };
    let spot = Some((pool("g5.xlarge", "eu-west-1a"), InstanceLifecycle::Spot));
    let again = |with_failed| AfterInterruption::RunAgain {
        attempt: RunAttempt(2),
        with_failed,
    };
    let not = AfterInterruption::Not {
        reason: "it was run again 2 times, and `max_reruns` allows no more.".to_owned(),
    };
    insta::assert_snapshot!(all(vec![
        interrupted(AfterInterruption::WhenRunIsOver, spot.clone()),
        interrupted(again(false), spot.clone()),
        interrupted(again(true), spot.clone()),
        interrupted(not, spot),
        interrupted(AfterInterruption::AnotherInstance, None),
    ]));
}

#[test]
fn a_re_run_leads_back_to_what_was_interrupted() {
    insta::assert_snapshot!(all(vec![CheckContent::Again {
        of: RunAttempt(1),
        lifecycle: InstanceLifecycle::OnDemand,
    }]));
}

#[test]
fn a_job_that_ended_while_it_waited_is_not_said_to_wait() {
    let waiting = check_run(CheckContent::Waiting {
        next_at: at(10),
        tried: no_capacity(),
    });
    let over = waiting.over(at(4)).unwrap();
    assert_eq!(over.due_at, Some(at(4)));
    assert_eq!(over.over(at(5)), None);
    insta::assert_snapshot!(shown(&render(&over, WEB)));
}

#[test]
fn words_of_others_stay_within_their_place() {
    let nasty = "a | b\n| c | `d` | <img src=x> [click](http://evil) \\| **bold** @octo/all";
    let mut check_run = check_run(CheckContent::GivenUp {
        reason: format!("{nasty} end"),
        tried: vec![tried(FleetErrorKind::Unknown, "Odd|Code", nasty)],
        messenger: MessengerNews::Failed {
            reason: nasty.replace('\n', " "),
            cancelled: false,
        },
    });
    check_run.job_name = "build (a|b,\n c)".to_owned();
    insta::assert_snapshot!(shown(&render(&check_run, WEB)));
}

#[test]
fn what_is_too_much_for_github_is_left_out_with_a_remark() {
    let many = vec![tried(FleetErrorKind::Capacity, "Code", &"|".repeat(5000)); 200];
    let check = render(
        &check_run(CheckContent::GivenUp {
            reason: "é".repeat(70_000),
            tried: many,
            messenger: MessengerNews::OnItsWay,
        }),
        WEB,
    );
    let text = check.text.unwrap();
    assert!(check.summary.len() <= MAX_TEXT && check.summary.ends_with("longer than GitHub takes."));
    assert!(
        text.len() <= MAX_TEXT && text.ends_with("more are left out here.\n"),
        "{text}"
    );
    let rows = text.matches("g5.xlarge").count();
    assert!(text.contains(&format!("\n{} more are left out", 200 - rows)));
}

#[test]
fn a_check_run_names_its_job() {
    let key = check_run(CheckContent::Over { tried: Vec::new() }).key;
    for serial in [1, 2, 10] {
        assert_eq!(job_of(&external_id(RunId(500), key, serial)), Some(key));
    }
    assert_eq!(external_id(RunId(500), key, 1), "11/1");
    assert_eq!(external_id(RunId(500), key, 2), "11/1/2");
    for other in ["", "11", "a/1", "11/b"] {
        assert_eq!(job_of(other), None, "{other}");
    }
}

fn of_many(told: Vec<(CheckContent, std::ops::Range<u64>)>) -> CheckRun {
    let told = told.into_iter().map(|(content, jobs)| CombinedPart {
        content,
        jobs: jobs.map(|job| (JobId(job), format!("train (seed=[{job}])"))).collect(),
    });
    CheckRun {
        key: JobKey::of_all(RunAttempt(1)),
        content: CheckContent::Combined { parts: told.collect() },
        ..check_run(CheckContent::Over { tried: Vec::new() })
    }
}

fn given_up_for_capacity() -> CheckContent {
    CheckContent::GivenUp {
        reason: "No instance could be had in 15 minutes.".to_owned(),
        tried: no_capacity(),
        messenger: MessengerNews::OnItsWay,
    }
}

#[test]
fn many_jobs_are_told_each_by_name_and_what_they_share_once() {
    let waiting = CheckContent::Waiting {
        next_at: at(10),
        tried: no_capacity(),
    };
    let check = render(
        &of_many(vec![(waiting, 21..24), (given_up_for_capacity(), 11..13)]),
        WEB,
    );
    insta::assert_snapshot!(shown(&check));
}

#[test]
fn as_many_jobs_as_a_matrix_has_fit_into_one_check_run() {
    let mut check_run = of_many(vec![(given_up_for_capacity(), 1_000_000_000_000..1_000_000_000_256)]);
    let CheckContent::Combined { parts } = &mut check_run.content else {
        panic!("they are parts together")
    };
    for (_, name) in &mut parts[0].jobs {
        *name = "[long]".repeat(50);
    }
    let text = render(&check_run, WEB).text.unwrap();
    assert!(text.len() <= MAX_TEXT);
    for job in 1_000_000_000_000u64..1_000_000_000_256 {
        assert!(text.contains(&format!("/job/{job})")), "{job} is not named");
    }
    let too_many = of_many(vec![(given_up_for_capacity(), 0..2000)]);
    let text = render(&too_many, WEB).text.unwrap();
    assert!(text.len() <= MAX_TEXT && text.contains("more are left out here"));
}

#[test]
fn a_jobs_own_log_ends_with_the_table_of_what_was_tried() {
    let log = job_log("No instance could be had. Name more types", &no_capacity());
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines[..4],
        ["No instance could be had. Name more types", "", "What was tried:", ""]
    );
    assert_eq!(
        lines[4..7],
        [
            "instance type  zone        bought as  times  when (UTC)                                 what EC2 said",
            "g5.xlarge      eu-west-1a  spot       3      2027-01-15 08:00:00 – 08:08:00             \
             InsufficientInstanceCapacity: There is no Spot capacity available that matches your request.",
            "g4dn.xlarge    eu-west-1b  spot       1      2027-01-15 08:00:00                        \
             UnfulfillableCapacity: There is no Spot capacity available that matches your request.",
        ]
    );
    assert!(
        lines[7].starts_with("any            any         on-demand  3      2027-01-15"),
        "{log}"
    );
    assert_eq!(lines.len(), 8);
    assert_eq!(job_log("no runner has the label", &[]), "No runner has the label");
}
