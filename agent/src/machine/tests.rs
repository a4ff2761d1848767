//! Cases of the agent's decisions.

use super::interruption::hook_limit;
use super::*;

const HEARTBEAT: Duration = Duration::from_secs(30);
const LIFETIME: Duration = Duration::from_secs(3600);
const DRAIN: Duration = Duration::from_secs(120);
const UNREACHABLE: Duration = Duration::from_secs(300);

fn at(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn jit() -> JitConfig {
    JitConfig("c2VjcmV0".to_owned())
}

fn claimed() -> Event {
    Event::Claimed {
        jit_config: jit(),
        heartbeat: HEARTBEAT,
        lifetime: LIFETIME,
        drain: DRAIN,
        hook: false,
        startup: None,
    }
}

/// A claim's answer with an interruption hook.
fn claimed_with_hook() -> Event {
    let mut claimed = claimed();
    if let Event::Claimed { hook, .. } = &mut claimed {
        *hook = true;
    }
    claimed
}

fn notice() -> InterruptionNotice {
    InterruptionNotice {
        action: "terminate".to_owned(),
        at: "2026-11-22T10:00:00Z".to_owned(),
    }
}

/// EC2's notice, `left` seconds before it acts.
fn noticed(left: u64) -> Event {
    Event::SpotNotice {
        notice: notice(),
        left: at(left),
    }
}

fn exited(code: i32) -> Event {
    Event::RunnerExited {
        code: Some(code),
        last_line: Some("last".to_owned()),
    }
}

fn report(stage: Stage, detail: Option<&str>) -> Action {
    Action::Report {
        stage,
        detail: detail.map(str::to_owned),
    }
}

fn beat(phase: Phase) -> Action {
    Action::Heartbeat {
        phase,
        interruption: None,
    }
}

fn goodbye(reason: GoodbyeReason, detail: Option<&str>) -> Action {
    Action::Goodbye {
        reason,
        detail: detail.map(str::to_owned),
    }
}

/// Runs a story: each step is a second, the event at it, and the actions it must lead to.
fn story(steps: Vec<(u64, Event, Vec<Action>)>) -> State {
    let mut state = State::new(at(21_600), UNREACHABLE);
    for (second, event, expected) in steps {
        let step = format!("{second} s: {event:?}");
        assert_eq!(decide(&mut state, event, at(second)), expected, "{step}");
    }
    state
}

/// A story that begins with a claim and a started runner.
fn working(rest: Vec<(u64, Event, Vec<Action>)>) -> State {
    let mut steps = vec![
        (1, claimed(), vec![Action::StartRunner(jit())]),
        (1, Event::RunnerStarted, vec![report(Stage::RunnerStarted, None)]),
    ];
    steps.extend(rest);
    story(steps)
}

/// The same, with a job that started at second 5.
fn running(rest: Vec<(u64, Event, Vec<Action>)>) -> State {
    let mut steps = vec![(5, Event::JobStarted, vec![report(Stage::JobStarted, None)])];
    steps.extend(rest);
    working(steps)
}

#[test]
fn finished_job_ends_in_goodbye_and_power_off() {
    let state = running(vec![
        (31, Event::Tick, vec![beat(Phase::Running)]),
        (32, Event::HeartbeatAnswered(Order::Continue), vec![]),
        (40, Event::JobFinished, vec![report(Stage::JobFinished, None)]),
        (41, exited(0), vec![goodbye(GoodbyeReason::Finished, None)]),
        (42, Event::GoodbyeDone(Some(Order::Stop)), vec![Action::PowerOff]),
    ]);
    assert!(state.is_over());
    assert_eq!(state.deadline(), None);
}

#[test]
fn messenger_reports_if_it_took_the_right_job() {
    for (by_mistake, words) in [(false, MESSAGE_DELIVERED), (true, MESSAGE_MISTAKEN)] {
        working(vec![
            (
                5,
                Event::MessengerTookJob { by_mistake },
                vec![report(Stage::JobStarted, Some(words))],
            ),
            (6, Event::JobFinished, vec![report(Stage::JobFinished, None)]),
            (7, exited(0), vec![goodbye(GoodbyeReason::Finished, None)]),
        ]);
    }
}

#[test]
fn refused_claim_powers_off_without_a_goodbye() {
    story(vec![(1, Event::ClaimRefused, vec![Action::PowerOff])]);
}

#[test]
fn runner_exit_gives_the_reason_of_the_goodbye() {
    for (event, end) in [
        (exited(0), goodbye(GoodbyeReason::Idle, Some("last"))),
        (exited(7), goodbye(GoodbyeReason::RunnerOutdated, Some("last"))),
        (
            exited(3),
            goodbye(GoodbyeReason::RunnerFailed, Some("exit status 3: last")),
        ),
        (
            Event::RunnerExited {
                code: None,
                last_line: None,
            },
            goodbye(GoodbyeReason::RunnerFailed, Some("ended by a signal")),
        ),
        (
            Event::RunnerNotStarted("no run.sh".to_owned()),
            goodbye(GoodbyeReason::RunnerFailed, Some("no run.sh")),
        ),
    ] {
        working(vec![(9, event, vec![end])]);
    }
}

#[test]
fn drain_signals_the_runner_and_waits_for_it() {
    running(vec![
        (31, Event::Tick, vec![beat(Phase::Running)]),
        (
            31,
            Event::HeartbeatAnswered(Order::Drain),
            vec![Action::SignalRunner, report(Stage::DrainStarted, None)],
        ),
        (61, Event::Tick, vec![beat(Phase::Draining)]),
        (61, Event::HeartbeatAnswered(Order::Drain), vec![]),
        (70, exited(0), vec![goodbye(GoodbyeReason::Drained, None)]),
    ]);
}

#[test]
fn runner_that_outlasts_its_drain_is_killed() {
    running(vec![
        (
            10,
            Event::ProgressAnswered(Order::Drain),
            vec![Action::SignalRunner, report(Stage::DrainStarted, None)],
        ),
        (129, Event::Tick, vec![beat(Phase::Draining)]),
        (130, Event::Tick, vec![Action::KillRunner]),
        (135, Event::Tick, vec![goodbye(GoodbyeReason::Drained, None)]),
        (155, Event::Tick, vec![Action::PowerOff]),
    ]);
}

#[test]
fn stop_kills_at_once_even_during_a_drain() {
    running(vec![
        (10, Event::ProgressAnswered(Order::Stop), vec![Action::KillRunner]),
        (
            10,
            Event::RunnerExited {
                code: None,
                last_line: None,
            },
            vec![goodbye(GoodbyeReason::Stopped, None)],
        ),
    ]);
    running(vec![
        (
            10,
            Event::ProgressAnswered(Order::Drain),
            vec![Action::SignalRunner, report(Stage::DrainStarted, None)],
        ),
        (12, Event::ProgressAnswered(Order::Stop), vec![Action::KillRunner]),
        (12, exited(137), vec![goodbye(GoodbyeReason::Drained, None)]),
    ]);
}

#[test]
fn spot_notice_drains_and_is_sent_at_once_and_only_once() {
    running(vec![
        (
            10,
            noticed(120),
            vec![
                Action::SignalRunner,
                report(Stage::DrainStarted, Some(NOTICED)),
                beat_with_notice(),
            ],
        ),
        (15, noticed(120), vec![]),
        (20, exited(0), vec![goodbye(GoodbyeReason::Interrupted, Some(NOTICED))]),
        (21, Event::GoodbyeDone(Some(Order::Stop)), vec![Action::PowerOff]),
    ]);
}

const NOTICED: &str = "spot notice: terminate at 2026-11-22T10:00:00Z";

/// A job with an interruption hook since second 5, a notice at second 10 that leaves two minutes, then `rest`.
fn running_hook(rest: Vec<(u64, Event, Vec<Action>)>) -> State {
    let run_hook = Action::RunHook {
        at: notice().at,
        limit: at(90),
    };
    let mut steps = vec![
        (1, claimed_with_hook(), vec![Action::StartRunner(jit())]),
        (5, Event::JobStarted, vec![report(Stage::JobStarted, None)]),
        (10, noticed(120), vec![run_hook, beat_with_notice()]),
        (11, Event::HeartbeatAnswered(Order::Drain), vec![]),
    ];
    steps.extend(rest);
    story(steps)
}

fn hook_report(words: &str) -> Action {
    report(Stage::HookFinished, Some(words))
}

#[test]
fn heartbeat_under_way_does_not_delay_a_notice() {
    story(vec![
        (1, claimed(), vec![Action::StartRunner(jit())]),
        (31, Event::Tick, vec![beat(Phase::Listening)]),
        (
            31,
            noticed(120),
            vec![
                Action::SignalRunner,
                report(Stage::DrainStarted, Some(NOTICED)),
                beat_with_notice(),
            ],
        ),
    ]);
}

#[test]
fn job_is_ended_once_its_interruption_hook_has_ended() {
    running_hook(vec![
        (
            14,
            Event::HookEnded("exit status 0".to_owned()),
            vec![
                Action::SignalRunner,
                report(Stage::DrainStarted, Some(NOTICED)),
                hook_report("exit status 0, after 4 s"),
            ],
        ),
        (20, exited(0), vec![goodbye(GoodbyeReason::Interrupted, Some(NOTICED))]),
    ]);
}

#[test]
fn slow_hook_is_killed_in_time_for_the_listener() {
    let state = running_hook(vec![
        (41, Event::Tick, vec![beat_with_notice()]),
        (42, Event::HeartbeatAnswered(Order::Drain), vec![]),
        (99, Event::Tick, vec![beat_with_notice()]),
        (
            100,
            Event::Tick,
            vec![
                Action::KillHook,
                Action::SignalRunner,
                report(Stage::DrainStarted, Some(NOTICED)),
                hook_report("killed when its time was over, after 90 s"),
            ],
        ),
        (101, Event::HookEnded("ended by a signal".to_owned()), vec![]),
        (129, Event::Tick, vec![]),
        (130, Event::Tick, vec![Action::KillRunner]),
    ]);
    assert!(!state.is_over());
}

fn beat_with_notice() -> Action {
    Action::Heartbeat {
        phase: Phase::Draining,
        interruption: Some(notice()),
    }
}

#[test]
fn hook_gets_less_time_if_ec2_leaves_less() {
    for (left, limit) in [
        (120, Some(90)),
        (60, Some(30)),
        (40, Some(10)),
        (20, Some(5)),
        (7, Some(1)),
        (4, Some(1)),
        (3, None),
        (0, None),
    ] {
        let limit = limit.map(Duration::from_secs);
        assert_eq!(hook_limit(at(left)), limit, "{left} s");
    }
}

#[test]
fn later_notice_with_less_time_shortens_the_hook() {
    let state = running_hook(vec![(15, noticed(115), vec![]), (16, noticed(20), vec![])]);
    assert_eq!(state.deadline(), Some(at(21)));
    running_hook(vec![(
        16,
        noticed(0),
        vec![
            Action::KillHook,
            Action::SignalRunner,
            report(Stage::DrainStarted, Some(NOTICED)),
            hook_report("killed when its time was over, after 6 s"),
        ],
    )]);
}

#[test]
fn hook_ends_before_the_lifetime() {
    let mut state = State::new(at(70), UNREACHABLE);
    for (event, second) in [(claimed_with_hook(), 1), (Event::JobStarted, 5)] {
        let _ = decide(&mut state, event, at(second));
    }
    let run_hook = Action::RunHook {
        at: notice().at,
        limit: at(30),
    };
    assert_eq!(decide(&mut state, noticed(120), at(10)), [run_hook, beat_with_notice()]);
}

#[test]
fn hook_needs_a_running_job_and_enough_time() {
    let signalled = |words| {
        vec![
            Action::SignalRunner,
            report(Stage::DrainStarted, Some(words)),
            beat_with_notice(),
        ]
    };
    let job = || (5, Event::JobStarted, vec![report(Stage::JobStarted, None)]);
    let over = (6, Event::JobFinished, vec![report(Stage::JobFinished, None)]);
    let start = |claim| (1, claim, vec![Action::StartRunner(jit())]);
    for steps in [
        vec![start(claimed()), job(), (10, noticed(120), signalled(NOTICED))],
        vec![start(claimed_with_hook()), (10, noticed(120), signalled(NOTICED))],
        vec![
            start(claimed_with_hook()),
            job(),
            over,
            (10, noticed(120), signalled(NOTICED)),
        ],
        vec![start(claimed_with_hook()), job(), (10, noticed(0), signalled(NOTICED))],
    ] {
        story(steps);
    }
}

#[test]
fn job_that_finishes_during_its_hook_was_not_interrupted() {
    running_hook(vec![
        (12, Event::JobFinished, vec![report(Stage::JobFinished, None)]),
        (
            13,
            exited(0),
            vec![
                Action::KillHook,
                hook_report("cut short by the runner's end, after 3 s"),
                goodbye(GoodbyeReason::Finished, None),
            ],
        ),
    ]);
}

#[test]
fn runner_that_dies_during_its_hook_was_interrupted() {
    running_hook(vec![(
        13,
        exited(1),
        vec![
            Action::KillHook,
            hook_report("cut short by the runner's end, after 3 s"),
            goodbye(GoodbyeReason::Interrupted, Some(NOTICED)),
        ],
    )]);
}

#[test]
fn shutdown_and_stop_cut_the_hook_short() {
    running_hook(vec![
        (
            15,
            Event::Shutdown,
            vec![
                Action::KillHook,
                Action::SignalRunner,
                report(Stage::DrainStarted, Some(NOTICED)),
                hook_report("cut short, after 5 s"),
            ],
        ),
        (35, Event::Tick, vec![Action::KillRunner]),
    ]);
    running_hook(vec![(
        15,
        Event::HeartbeatAnswered(Order::Stop),
        vec![
            Action::KillHook,
            Action::KillRunner,
            hook_report("cut short, after 5 s"),
        ],
    )]);
}

#[test]
fn spot_notice_before_the_claim_ends_without_a_runner() {
    story(vec![
        (
            2,
            noticed(120),
            vec![goodbye(GoodbyeReason::Interrupted, Some(NOTICED))],
        ),
        (3, claimed(), vec![]),
        (4, Event::GoodbyeDone(None), vec![Action::PowerOff]),
    ]);
}

#[test]
fn interrupted_instance_is_left_to_ec2_for_a_limited_time() {
    let state = story(vec![
        (
            2,
            noticed(120),
            vec![goodbye(GoodbyeReason::Interrupted, Some(NOTICED))],
        ),
        (4, Event::GoodbyeDone(Some(Order::Continue)), vec![]),
        (181, Event::Tick, vec![]),
        (182, Event::Tick, vec![Action::PowerOff]),
    ]);
    assert!(state.is_over());
    let mut state = State::new(at(100), UNREACHABLE);
    for (event, second) in [(noticed(120), 2), (Event::GoodbyeDone(Some(Order::Continue)), 4)] {
        let _ = decide(&mut state, event, at(second));
    }
    assert_eq!(state.deadline(), Some(at(100)), "the lifetime still counts");
}

#[test]
fn notice_in_the_answer_to_the_goodbye_counts() {
    working(vec![
        (9, exited(0), vec![goodbye(GoodbyeReason::Idle, Some("last"))]),
        (10, noticed(100), vec![]),
        (10, Event::GoodbyeDone(Some(Order::Continue)), vec![]),
        (169, Event::Tick, vec![]),
        (170, Event::Tick, vec![Action::PowerOff]),
    ]);
}

#[test]
fn instance_without_a_notice_powers_off_after_any_goodbye() {
    for order in [None, Some(Order::Continue), Some(Order::Drain), Some(Order::Stop)] {
        working(vec![
            (9, exited(0), vec![goodbye(GoodbyeReason::Idle, Some("last"))]),
            (10, Event::GoodbyeDone(order), vec![Action::PowerOff]),
        ]);
    }
}

#[test]
fn claims_lifetime_counts_up_to_the_agents_own() {
    let end = vec![Action::SignalRunner, report(Stage::DrainStarted, None)];
    working(vec![
        (3590, Event::HeartbeatAnswered(Order::Continue), vec![]),
        (3601, Event::Tick, end.clone()),
        (3631, Event::Tick, vec![Action::KillRunner]),
        (3632, exited(137), vec![goodbye(GoodbyeReason::Lifetime, None)]),
    ]);
    let mut state = State::new(at(100), UNREACHABLE);
    assert_eq!(decide(&mut state, claimed(), at(1)), [Action::StartRunner(jit())]);
    assert_eq!(decide(&mut state, Event::Tick, at(100)), end);
}

#[test]
fn postponed_claim_does_not_count_as_unreachable() {
    story(vec![
        (200, Event::ClaimPostponed(at(600)), vec![]),
        (300, Event::Tick, vec![]),
        (1099, Event::Tick, vec![]),
        (1100, Event::Tick, vec![goodbye(GoodbyeReason::Unreachable, None)]),
    ]);
}

#[test]
fn unreachable_control_plane_ends_the_instance() {
    story(vec![
        (299, Event::Tick, vec![]),
        (300, Event::Tick, vec![goodbye(GoodbyeReason::Unreachable, None)]),
        (305, Event::Tick, vec![Action::PowerOff]),
    ]);
    // The permission to start the job was the last answer.
    running(vec![
        (31, Event::Tick, vec![beat(Phase::Running)]),
        (51, Event::HeartbeatFailed, vec![]),
        (56, Event::Tick, vec![beat(Phase::Running)]),
        (300, Event::HeartbeatFailed, vec![]),
        (
            305,
            Event::Tick,
            vec![Action::SignalRunner, report(Stage::DrainStarted, None)],
        ),
        (315, Event::Tick, vec![Action::KillRunner]),
        (316, exited(137), vec![goodbye(GoodbyeReason::Unreachable, None)]),
        (321, Event::Tick, vec![Action::PowerOff]),
    ]);
}

#[test]
fn shutdown_lets_the_runner_report_to_github() {
    let words = "the operating system is shutting down";
    running(vec![
        (
            9,
            Event::Shutdown,
            vec![Action::SignalRunner, report(Stage::DrainStarted, Some(words))],
        ),
        (29, Event::Tick, vec![Action::KillRunner]),
        (29, exited(137), vec![goodbye(GoodbyeReason::Stopped, Some(words))]),
    ]);
}

#[test]
fn only_one_heartbeat_is_under_way() {
    let state = working(vec![
        (31, Event::Tick, vec![beat(Phase::Listening)]),
        (40, Event::Tick, vec![]),
    ]);
    assert_eq!(
        state.deadline(),
        Some(at(301)),
        "the next deadline gives the control plane up"
    );
}

/// After any events in any order, time alone leads to the power-off, within the rest of the lifetime and the
/// graces, and there is always a deadline ahead.
#[test]
fn every_state_reaches_the_power_off_by_its_own_deadlines() {
    let events = || {
        [
            claimed_with_hook(),
            Event::RunnerStarted,
            Event::JobStarted,
            Event::JobFinished,
            exited(0),
            Event::HeartbeatAnswered(Order::Drain),
            Event::ProgressAnswered(Order::Stop),
            Event::HeartbeatFailed,
            noticed(120),
            Event::Shutdown,
            Event::HookEnded("x".to_owned()),
            Event::GoodbyeDone(Some(Order::Continue)),
            Event::RunnerNotStarted("x".to_owned()),
            Event::Tick,
        ]
    };
    let mut reached = vec![State::new(at(400), UNREACHABLE)];
    for second in 1..5 {
        let mut next = Vec::new();
        for state in &reached {
            for event in events() {
                let mut state = state.clone();
                let _ = decide(&mut state, event, at(second));
                if !next.contains(&state) {
                    next.push(state);
                }
            }
        }
        reached.extend(next);
    }
    assert!(reached.len() > 50);
    for mut state in reached {
        let start = format!("{state:?}");
        let mut last = Moment::ZERO;
        for _ in 0..100 {
            let Some(deadline) = state.deadline() else { break };
            last = last.max(deadline);
            let actions = decide(&mut state, Event::Tick, last);
            if actions.iter().any(|action| matches!(action, Action::Heartbeat { .. })) {
                let _ = decide(&mut state, Event::HeartbeatFailed, last);
            }
        }
        assert!(state.is_over(), "never over: {start}");
        assert!(last <= at(400 + 60), "over only at {last:?}: {start}");
    }
}

#[test]
fn jit_config_is_hidden_in_debug_output() {
    assert!(!format!("{:?}", claimed()).contains("c2VjcmV0"));
    assert!(!format!("{:?}", Action::StartRunner(jit())).contains("c2VjcmV0"));
}

#[test]
fn runner_that_stays_after_its_job_is_ended() {
    let end = "the runner did not leave after its job";
    running(vec![
        (10, Event::JobFinished, vec![report(Stage::JobFinished, None)]),
        (11, Event::HeartbeatAnswered(Order::Continue), vec![]),
        (41, Event::Tick, vec![beat(Phase::Listening)]),
        (42, Event::HeartbeatAnswered(Order::Continue), vec![]),
        (72, Event::Tick, vec![beat(Phase::Listening)]),
        (73, Event::HeartbeatAnswered(Order::Continue), vec![]),
        (103, Event::Tick, vec![beat(Phase::Listening)]),
        (104, Event::HeartbeatAnswered(Order::Continue), vec![]),
        (
            130,
            Event::Tick,
            vec![Action::SignalRunner, report(Stage::DrainStarted, Some(end))],
        ),
        (131, exited(0), vec![goodbye(GoodbyeReason::Finished, Some(end))]),
    ]);
}

const SCRIPT: Duration = Duration::from_secs(100);

/// A claim's answer with a startup script.
fn claimed_with_startup() -> Event {
    let mut claimed = claimed();
    if let Event::Claimed { startup, .. } = &mut claimed {
        *startup = Some(SCRIPT);
    }
    claimed
}

fn script_ended(ok: bool, outcome: &str, last_lines: &str) -> Event {
    Event::StartupEnded {
        ok,
        outcome: outcome.to_owned(),
        last_lines: last_lines.to_owned(),
    }
}

/// A story that begins with a startup script at second 1.
fn preparing(rest: Vec<(u64, Event, Vec<Action>)>) -> State {
    let begun = vec![Action::RunStartup, report(Stage::StartupStarted, None)];
    let mut steps = vec![(1, claimed_with_startup(), begun)];
    steps.extend(rest);
    story(steps)
}

#[test]
fn runner_starts_after_its_startup_script_with_heartbeats_meanwhile() {
    let state = preparing(vec![
        (31, Event::Tick, vec![beat(Phase::Listening)]),
        (32, Event::HeartbeatAnswered(Order::Continue), vec![]),
        (
            40,
            script_ended(true, "exit status 0", "ready"),
            vec![
                report(Stage::StartupFinished, Some("exit status 0, after 39 s")),
                Action::StartRunner(jit()),
            ],
        ),
        (41, Event::RunnerStarted, vec![report(Stage::RunnerStarted, None)]),
        (42, Event::JobStarted, vec![report(Stage::JobStarted, None)]),
        (50, exited(0), vec![goodbye(GoodbyeReason::Finished, None)]),
    ]);
    assert!(!state.is_claiming());
}

#[test]
fn failed_startup_script_ends_the_instance_with_its_last_lines() {
    for (words, last_lines, detail) in [
        (
            "exit status 2",
            "no such package\ngiving up",
            "exit status 2, after 9 s; its last lines:\nno such package\ngiving up",
        ),
        ("not started: no bash", "", "not started: no bash, after 9 s"),
    ] {
        preparing(vec![
            (
                10,
                script_ended(false, words, last_lines),
                vec![
                    report(Stage::StartupFinished, Some(detail)),
                    goodbye(GoodbyeReason::StartupFailed, Some(detail)),
                ],
            ),
            (11, Event::GoodbyeDone(Some(Order::Stop)), vec![Action::PowerOff]),
        ]);
    }
}

#[test]
fn slow_startup_script_is_killed_and_counts_as_failed() {
    let late = "took too long and was killed, after 101 s; its last lines:\nstill at it";
    for ok in [false, true] {
        preparing(vec![
            (90, Event::Tick, vec![beat(Phase::Listening)]),
            (101, Event::Tick, vec![Action::KillStartup]),
            (
                102,
                script_ended(ok, "ended by a signal", "still at it"),
                vec![
                    report(Stage::StartupFinished, Some(late)),
                    goodbye(GoodbyeReason::StartupFailed, Some(late)),
                ],
            ),
        ]);
    }
    let never = "took too long and was killed, after 105 s";
    preparing(vec![
        (90, Event::Tick, vec![beat(Phase::Listening)]),
        (101, Event::Tick, vec![Action::KillStartup]),
        (
            106,
            Event::Tick,
            vec![
                report(Stage::StartupFinished, Some(never)),
                goodbye(GoodbyeReason::StartupFailed, Some(never)),
            ],
        ),
        (107, script_ended(true, "exit status 0", ""), vec![]),
    ]);
}

#[test]
fn end_of_the_instance_kills_its_startup_script() {
    for (event, end) in [
        (
            Event::ProgressAnswered(Order::Stop),
            goodbye(GoodbyeReason::Stopped, None),
        ),
        (
            Event::ProgressAnswered(Order::Drain),
            goodbye(GoodbyeReason::Drained, None),
        ),
        (noticed(120), goodbye(GoodbyeReason::Interrupted, Some(NOTICED))),
        (
            Event::Shutdown,
            goodbye(GoodbyeReason::Stopped, Some("the operating system is shutting down")),
        ),
    ] {
        preparing(vec![
            (5, event, vec![Action::KillStartup, end]),
            (6, script_ended(true, "exit status 0", ""), vec![]),
        ]);
    }
    let mut cut_off = State::new(at(21_600), at(50));
    assert_eq!(decide(&mut cut_off, claimed_with_startup(), at(1)).len(), 2);
    assert_eq!(decide(&mut cut_off, Event::Tick, at(31)), [beat(Phase::Listening)]);
    assert_eq!(
        decide(&mut cut_off, Event::Tick, at(51)),
        [Action::KillStartup, goodbye(GoodbyeReason::Unreachable, None)]
    );
}
