//! The agent's decisions, as cases.

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

/// The same, with an interruption hook.
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

/// EC2's word, `left` seconds before it acts.
fn noticed(left: u64) -> Event {
    Event::SpotNotice {
        notice: notice(),
        left: at(left),
    }
}

fn exited(code: i32) -> Event {
    Event::RunnerExited {
        code: Some(code),
        last_words: Some("last".to_owned()),
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

/// A story: at each second the event that happens and the actions it must lead to.
fn story(steps: Vec<(u64, Event, Vec<Action>)>) -> State {
    let mut state = State::new(at(21_600), UNREACHABLE);
    for (second, event, expected) in steps {
        let told = format!("{second} s: {event:?}");
        assert_eq!(decide(&mut state, event, at(second)), expected, "{told}");
    }
    state
}

/// The beginning of most stories, and then `rest`.
fn working(rest: Vec<(u64, Event, Vec<Action>)>) -> State {
    let mut steps = vec![
        (1, claimed(), vec![Action::StartRunner(jit())]),
        (1, Event::RunnerStarted, vec![report(Stage::RunnerStarted, None)]),
    ];
    steps.extend(rest);
    story(steps)
}

/// The same, with a job running since second 5.
fn running(rest: Vec<(u64, Event, Vec<Action>)>) -> State {
    let mut steps = vec![(5, Event::JobStarted, vec![report(Stage::JobStarted, None)])];
    steps.extend(rest);
    working(steps)
}

#[test]
fn a_job_that_runs_through_ends_in_goodbye_and_power_off() {
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
fn a_messenger_says_whether_it_took_the_right_job() {
    for (by_mistake, words) in [(false, MESSAGE_TOLD), (true, MESSAGE_MISTAKEN)] {
        working(vec![
            (
                5,
                Event::JobRefused { by_mistake },
                vec![report(Stage::JobStarted, Some(words))],
            ),
            (6, Event::JobFinished, vec![report(Stage::JobFinished, None)]),
            (7, exited(0), vec![goodbye(GoodbyeReason::Finished, None)]),
        ]);
    }
}

#[test]
fn a_refused_claim_powers_off_without_a_goodbye() {
    story(vec![(1, Event::ClaimRefused, vec![Action::PowerOff])]);
}

#[test]
fn how_the_runner_ended_tells_why_the_instance_ends() {
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
                last_words: None,
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
fn a_drain_signals_waits_and_says_drained() {
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
fn a_runner_that_outlasts_its_drain_is_killed_and_then_not_waited_for() {
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
fn a_stop_kills_at_once_also_in_the_middle_of_a_drain() {
    running(vec![
        (10, Event::ProgressAnswered(Order::Stop), vec![Action::KillRunner]),
        (
            10,
            Event::RunnerExited {
                code: None,
                last_words: None,
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
fn a_spot_notice_drains_and_tells_at_once_and_only_once() {
    let words = "spot notice: terminate at 2026-11-22T10:00:00Z";
    running(vec![
        (
            10,
            noticed(120),
            vec![
                Action::SignalRunner,
                report(Stage::DrainStarted, Some(words)),
                Action::Heartbeat {
                    phase: Phase::Draining,
                    interruption: Some(notice()),
                },
            ],
        ),
        (15, noticed(120), vec![]),
        (20, exited(0), vec![goodbye(GoodbyeReason::Interrupted, Some(words))]),
        (21, Event::GoodbyeDone(Some(Order::Stop)), vec![Action::PowerOff]),
    ]);
}

const NOTICED: &str = "spot notice: terminate at 2026-11-22T10:00:00Z";

/// A job with an interruption hook, running since second 5, and a notice at second 10 that leaves
/// two minutes; then `rest`.
fn saving(rest: Vec<(u64, Event, Vec<Action>)>) -> State {
    let told = Action::Heartbeat {
        phase: Phase::Draining,
        interruption: Some(notice()),
    };
    let run_hook = Action::RunHook {
        at: notice().at,
        limit: at(90),
    };
    let mut steps = vec![
        (1, claimed_with_hook(), vec![Action::StartRunner(jit())]),
        (5, Event::JobStarted, vec![report(Stage::JobStarted, None)]),
        (10, noticed(120), vec![run_hook, told]),
        (11, Event::HeartbeatAnswered(Order::Drain), vec![]),
    ];
    steps.extend(rest);
    story(steps)
}

fn hook_report(words: &str) -> Action {
    report(Stage::HookFinished, Some(words))
}

#[test]
fn a_heartbeat_under_way_does_not_keep_a_notice_back() {
    story(vec![
        (1, claimed(), vec![Action::StartRunner(jit())]),
        (31, Event::Tick, vec![beat(Phase::Listening)]),
        (
            31,
            noticed(120),
            vec![
                Action::SignalRunner,
                report(Stage::DrainStarted, Some(NOTICED)),
                Action::Heartbeat {
                    phase: Phase::Draining,
                    interruption: Some(notice()),
                },
            ],
        ),
    ]);
}

#[test]
fn the_job_is_ended_as_soon_as_its_interruption_hook_has_ended() {
    saving(vec![
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
fn a_hook_that_takes_too_long_is_killed_in_time_for_the_listener() {
    let state = saving(vec![
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
fn the_less_time_ec2_leaves_the_less_the_hook_gets() {
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
fn a_hook_gets_less_time_once_it_is_known_that_ec2_leaves_less() {
    let state = saving(vec![(15, noticed(115), vec![]), (16, noticed(20), vec![])]);
    assert_eq!(state.deadline(), Some(at(21)));
    saving(vec![(
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
fn a_hook_is_through_before_the_lifetime_is() {
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
fn no_hook_runs_where_there_is_no_job_to_save_no_time_or_no_hook() {
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
fn a_job_that_comes_through_while_its_hook_runs_is_no_interrupted_one() {
    saving(vec![
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
fn a_runner_that_dies_while_its_hook_runs_was_interrupted() {
    saving(vec![(
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
fn a_shutdown_or_a_stop_waits_for_no_hook() {
    saving(vec![
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
    saving(vec![(
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
fn a_spot_notice_before_the_claim_is_answered_leaves_without_a_runner() {
    let words = "spot notice: terminate at 2026-11-22T10:00:00Z";
    story(vec![
        (2, noticed(120), vec![goodbye(GoodbyeReason::Interrupted, Some(words))]),
        (3, claimed(), vec![]),
        (4, Event::GoodbyeDone(None), vec![Action::PowerOff]),
    ]);
}

#[test]
fn an_interrupted_instance_may_be_left_to_ec2_but_not_for_ever() {
    let words = "spot notice: terminate at 2026-11-22T10:00:00Z";
    let state = story(vec![
        (2, noticed(120), vec![goodbye(GoodbyeReason::Interrupted, Some(words))]),
        (4, Event::GoodbyeDone(Some(Order::Continue)), vec![]),
        (181, Event::Tick, vec![]),
        (182, Event::Tick, vec![Action::PowerOff]),
    ]);
    assert!(state.is_over());
    let mut state = State::new(at(100), UNREACHABLE);
    for (event, second) in [(noticed(120), 2), (Event::GoodbyeDone(Some(Order::Continue)), 4)] {
        let _ = decide(&mut state, event, at(second));
    }
    assert_eq!(state.deadline(), Some(at(100)), "its lifetime stands");
}

#[test]
fn a_notice_that_comes_with_the_answer_to_the_goodbye_counts() {
    working(vec![
        (9, exited(0), vec![goodbye(GoodbyeReason::Idle, Some("last"))]),
        (10, noticed(100), vec![]),
        (10, Event::GoodbyeDone(Some(Order::Continue)), vec![]),
        (169, Event::Tick, vec![]),
        (170, Event::Tick, vec![Action::PowerOff]),
    ]);
}

#[test]
fn without_a_notice_no_answer_to_a_goodbye_keeps_the_instance() {
    for order in [None, Some(Order::Continue), Some(Order::Drain), Some(Order::Stop)] {
        working(vec![
            (9, exited(0), vec![goodbye(GoodbyeReason::Idle, Some("last"))]),
            (10, Event::GoodbyeDone(order), vec![Action::PowerOff]),
        ]);
    }
}

#[test]
fn the_lifetime_of_the_claim_counts_and_the_agents_own_is_its_ceiling() {
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
fn an_instance_that_is_to_wait_for_its_runner_does_not_take_the_control_plane_for_lost() {
    story(vec![
        (200, Event::ClaimPostponed(at(600)), vec![]),
        (300, Event::Tick, vec![]),
        (1099, Event::Tick, vec![]),
        (1100, Event::Tick, vec![goodbye(GoodbyeReason::Unreachable, None)]),
    ]);
}

#[test]
fn silence_ends_the_instance_before_and_after_the_claim() {
    story(vec![
        (299, Event::Tick, vec![]),
        (300, Event::Tick, vec![goodbye(GoodbyeReason::Unreachable, None)]),
        (305, Event::Tick, vec![Action::PowerOff]),
    ]);
    // The answer to the question whether the job may start was the last that was heard.
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
fn a_shutdown_lets_the_runner_tell_github() {
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
        "nothing before the control plane is given up"
    );
}

/// Whatever happens in whatever order: time alone leads to the power-off, within what is left of
/// the longest life and the graces, and a deadline always lies ahead of it.
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
fn the_jit_config_does_not_print() {
    assert!(!format!("{:?}", claimed()).contains("c2VjcmV0"));
    assert!(!format!("{:?}", Action::StartRunner(jit())).contains("c2VjcmV0"));
}

#[test]
fn a_runner_that_does_not_leave_after_its_job_is_made_to() {
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

fn script_ended(ok: bool, words: &str, last_lines: &str) -> Event {
    Event::StartupEnded {
        ok,
        words: words.to_owned(),
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
fn the_runner_starts_once_its_startup_script_is_through_and_the_instance_is_heard_of_meanwhile() {
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
fn a_startup_script_that_fails_ends_the_instance_with_its_last_lines() {
    for (words, last_lines, told) in [
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
                    report(Stage::StartupFinished, Some(told)),
                    goodbye(GoodbyeReason::StartupFailed, Some(told)),
                ],
            ),
            (11, Event::GoodbyeDone(Some(Order::Stop)), vec![Action::PowerOff]),
        ]);
    }
}

#[test]
fn a_startup_script_that_takes_too_long_is_killed_and_is_none_that_went_well() {
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
fn whatever_ends_the_instance_ends_its_startup_script() {
    let noticed_words = "spot notice: terminate at 2026-11-22T10:00:00Z";
    for (event, end) in [
        (
            Event::ProgressAnswered(Order::Stop),
            goodbye(GoodbyeReason::Stopped, None),
        ),
        (
            Event::ProgressAnswered(Order::Drain),
            goodbye(GoodbyeReason::Drained, None),
        ),
        (noticed(120), goodbye(GoodbyeReason::Interrupted, Some(noticed_words))),
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
