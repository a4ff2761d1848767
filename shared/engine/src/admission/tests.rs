use dayfly_records::origin::{Head, LabelEvent, PullHead, ReviewState, RunsFor};

use super::*;

const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
const OLDER: &str = "7638417db6d59f3c431d3e1f261cc637155684cd";
const OURS: u64 = 1;
const FORK: u64 = 2;

fn octo() -> Repository {
    "octo/gpu".parse().unwrap()
}

fn head(id: u64) -> Head {
    let owner = if id == OURS { "octo" } else { "mallory" };
    Head {
        id,
        owner: owner.to_owned(),
        name: format!("{owner}/gpu"),
    }
}

/// A run in `octo/gpu`, started by alice, who may write.
fn run(event: &str, head_id: u64) -> Origin {
    Origin {
        event: event.to_owned(),
        repository: OURS,
        head: Some(head(head_id)),
        head_sha: SHA.to_owned(),
        head_branch: Some("change".to_owned()),
        actor: Some("alice".to_owned()),
        triggering_actor: Some("alice".to_owned()),
        pulls: Vec::new(),
    }
}

fn by(actor: &str, triggering_actor: &str, origin: Origin) -> Origin {
    Origin {
        actor: Some(actor.to_owned()),
        triggering_actor: Some(triggering_actor.to_owned()),
        ..origin
    }
}

fn without_head(origin: Origin) -> Origin {
    Origin { head: None, ..origin }
}

fn for_pull_of(repository: u64, sha: &str, origin: Origin) -> Origin {
    let sha = sha.to_owned();
    Origin {
        pulls: vec![PullHead {
            number: 12,
            repository,
            sha,
        }],
        ..origin
    }
}

/// What GitHub knows beyond the run: one pull request from the fork, and one from our own branch.
#[derive(Clone, Default)]
struct Hub {
    reviews: Vec<Review>,
    labels: Vec<String>,
    label_events: Vec<LabelEvent>,
}

/// Alice and carol may write.
const WRITERS: [&str; 2] = ["alice", "carol"];

impl Hub {
    fn answer(&self, question: Question, known: &mut AdmissionFacts) {
        match question {
            Question::Origin => panic!("it is known"),
            Question::MayWrite(user) => {
                let may = WRITERS.contains(&user.as_str());
                known.may_write.insert(user, may);
            }
            Question::Member(team, user) => {
                let is_member = user == "carol";
                known.members.insert((team, user), is_member);
            }
            Question::Pulls { owner, branch } => {
                assert_eq!(branch, "change");
                let head = if owner == "octo" { OURS } else { FORK };
                let pull = |number, head| Pull {
                    number,
                    head,
                    labels: self.labels.clone(),
                };
                // The owner has another repository with such a branch, and one that is gone.
                known.pulls = Some(vec![pull(8, Some(99)), pull(9, None), pull(7, Some(head))]);
            }
            Question::Reviews(number) => {
                assert_eq!(number, 7, "the reviews of another pull request are none of this one's");
                known.reviews.insert(number, self.reviews.clone());
            }
            Question::LabelEvents(number) => {
                known.label_events.insert(number, self.label_events.clone());
            }
        }
    }
}

/// What becomes of a job with this origin once every question is answered.
fn judged(policy: &Policy, origin: &Origin, hub: &Hub, label: &str, ours: bool) -> Judgement {
    let repository = octo();
    let labels = [Label::new("self-hosted"), Label::new(label)];
    let attempt = JobRequest {
        repository: &repository,
        labels: &labels,
        ours,
    };
    let mut known = AdmissionFacts {
        origin: Some(origin.clone()),
        ..AdmissionFacts::default()
    };
    for _ in 0..20 {
        match judge(policy, &attempt, &known) {
            Judgement::Ask(question) => hub.answer(question, &mut known),
            done => return done,
        }
    }
    panic!("it asks for ever");
}

fn policy(forks: &str) -> Policy {
    Policy::parse(&format!("version: 1\nforks: {forks}\n")).unwrap()
}

fn runs(forks: &str, origin: &Origin, hub: &Hub) -> bool {
    judged(&policy(forks), origin, hub, "dayfly-gpu", false) == Judgement::Admitted
}

fn approved_by(user: &str, commit: &str) -> Review {
    Review {
        by: Some(user.to_owned()),
        commit: Some(commit.to_owned()),
        state: ReviewState::Approved,
    }
}

fn approved() -> Hub {
    Hub {
        reviews: vec![approved_by("carol", SHA)],
        ..Hub::default()
    }
}

/// Whether jobs run under `never`, under `approved` before and after an approval, and under `always`.
type Runs = [bool; 4];

const OWN: Runs = [true, true, true, true];
const APPROVABLE: Runs = [false, false, true, true];
const NEVER: Runs = [false, false, false, true];

/// The table of forks: the run, and whether its jobs run.
fn table() -> Vec<(&'static str, Origin, Runs)> {
    [pushes_and_pulls(), others()].concat()
}

fn pushes_and_pulls() -> Vec<(&'static str, Origin, Runs)> {
    vec![
        ("a push", run("push", OURS), OWN),
        (
            "a push whose head repository is not told",
            without_head(run("push", OURS)),
            NEVER,
        ),
        (
            "a pull request from the same repository",
            run("pull_request", OURS),
            OWN,
        ),
        (
            "a pull request from a fork",
            by("mallory", "mallory", run("pull_request", FORK)),
            APPROVABLE,
        ),
        (
            "a fork's pull request by somebody who may write",
            run("pull_request", FORK),
            APPROVABLE,
        ),
        (
            "a fork's run that a maintainer runs again",
            by("mallory", "alice", run("pull_request", FORK)),
            APPROVABLE,
        ),
        (
            "a pull request from a deleted fork",
            without_head(by("mallory", "mallory", run("pull_request", FORK))),
            NEVER,
        ),
        (
            "a pull_request_target from the same repository",
            for_pull_of(OURS, SHA, run("pull_request_target", OURS)),
            OWN,
        ),
        (
            "a pull_request_target whose head is a fork",
            run("pull_request_target", FORK),
            APPROVABLE,
        ),
        (
            "a pull_request_target that lists a fork's pull request",
            for_pull_of(FORK, SHA, run("pull_request_target", OURS)),
            NEVER,
        ),
        (
            "a pull_request_target that lists a pull request with the same branch",
            for_pull_of(OURS, OLDER, run("pull_request_target", OURS)),
            NEVER,
        ),
        (
            "a pull_request_target that lists no pull request",
            run("pull_request_target", OURS),
            NEVER,
        ),
    ]
}

fn others() -> Vec<(&'static str, Origin, Runs)> {
    vec![
        (
            "a workflow_run, no matter what it follows",
            run("workflow_run", OURS),
            NEVER,
        ),
        (
            "a workflow_run whose head is a fork",
            run("workflow_run", FORK),
            APPROVABLE,
        ),
        (
            "Dependabot's pull request",
            by("dependabot[bot]", "dependabot[bot]", run("pull_request", OURS)),
            APPROVABLE,
        ),
        (
            "Dependabot's push",
            by("Dependabot[bot]", "Dependabot[bot]", run("push", OURS)),
            APPROVABLE,
        ),
        (
            "Dependabot's run that a maintainer runs again",
            by("dependabot[bot]", "alice", run("pull_request", OURS)),
            APPROVABLE,
        ),
        ("a schedule", run("schedule", OURS), OWN),
        ("a workflow_dispatch", run("workflow_dispatch", OURS), OWN),
        ("a repository_dispatch", run("repository_dispatch", OURS), OWN),
        ("a merge queue's entry", run("merge_group", OURS), OWN),
        (
            "our own run that somebody without rights runs again",
            by("alice", "mallory", run("push", OURS)),
            OWN,
        ),
        (
            "a push of somebody whom GitHub does not name",
            Origin {
                actor: None,
                triggering_actor: None,
                ..run("push", OURS)
            },
            OWN,
        ),
        (
            "a comment of a stranger",
            by("mallory", "mallory", run("issue_comment", OURS)),
            NEVER,
        ),
        ("a comment of somebody who may write", run("issue_comment", OURS), OWN),
        (
            "an event that GitHub adds later",
            by("mallory", "mallory", run("moon_phase", OURS)),
            NEVER,
        ),
    ]
}

#[test]
fn origin_of_the_code_decides_if_it_runs() {
    for (what, origin, [never, unapproved, after_approval, always]) in table() {
        let nothing = Hub::default();
        assert_eq!(runs("never", &origin, &nothing), never, "never: {what}");
        assert_eq!(
            runs("never", &origin, &approved()),
            never,
            "never, though approved: {what}"
        );
        assert_eq!(runs("approved", &origin, &nothing), unapproved, "not approved: {what}");
        assert_eq!(
            runs("approved", &origin, &approved()),
            after_approval,
            "approved: {what}"
        );
        assert_eq!(runs("always", &origin, &nothing), always, "always: {what}");
    }
}

#[test]
fn default_policy_runs_no_outside_code() {
    for (what, origin, [never, ..]) in table() {
        let judgement = judged(&Policy::default(), &origin, &approved(), "dayfly-gpu", false);
        assert_eq!(judgement == Judgement::Admitted, never, "{what}");
    }
}

#[test]
fn review_approves_one_commit_if_its_author_may_write() {
    let fork = by("mallory", "mallory", run("pull_request", FORK));
    let reviewed = |reviews: &[Review]| Hub {
        reviews: reviews.to_vec(),
        ..Hub::default()
    };
    let state = |state, review: Review| Review { state, ..review };
    let (good, stranger) = (approved_by("carol", SHA), approved_by("mallory", SHA));
    let changes = state(ReviewState::ChangesRequested, good.clone());
    for (what, hub, expected) in [
        ("a review", reviewed(std::slice::from_ref(&good)), true),
        (
            "a review of the commit before a push",
            reviewed(&[approved_by("carol", OLDER)]),
            false,
        ),
        ("a review of a stranger", reviewed(&[stranger]), false),
        (
            "a review of an App",
            reviewed(&[approved_by("octo-ci[bot]", SHA)]),
            false,
        ),
        (
            "a review of nobody",
            reviewed(&[Review {
                by: None,
                ..good.clone()
            }]),
            false,
        ),
        (
            "a comment",
            reviewed(&[state(ReviewState::Commented, good.clone())]),
            false,
        ),
        (
            "a review that was dismissed",
            reviewed(&[state(ReviewState::Dismissed, good.clone())]),
            false,
        ),
        (
            "a review that was taken back",
            reviewed(&[good.clone(), changes.clone()]),
            false,
        ),
        (
            "a review after one that wanted changes",
            reviewed(&[changes, good.clone()]),
            true,
        ),
        (
            "two reviews, and somebody else wants changes",
            reviewed(&[
                good.clone(),
                state(ReviewState::ChangesRequested, approved_by("bob", SHA)),
            ]),
            true,
        ),
    ] {
        assert_eq!(runs("approved", &fork, &hub), expected, "{what}");
    }
}

#[test]
fn label_approves_the_full_commit_it_names_if_a_writer_added_it() {
    let fork = by("mallory", "mallory", run("pull_request", FORK));
    let label = approval_label(SHA);
    let event = |user: &str, label: &str, added: bool| LabelEvent {
        label: label.to_owned(),
        by: Some(user.to_owned()),
        added,
    };
    let labelled = |labels: &[&str], label_events: &[LabelEvent]| Hub {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        label_events: label_events.to_vec(),
        ..Hub::default()
    };
    let short = &label[..LABEL_WITH_SEVEN];
    for (what, hub, expected) in [
        ("a label", labelled(&[&label], &[event("alice", &label, true)]), true),
        (
            "a label of a stranger",
            labelled(&[&label], &[event("mallory", &label, true)]),
            false,
        ),
        (
            "a label of an App",
            labelled(&[&label], &[event("octo-ci[bot]", &label, true)]),
            false,
        ),
        ("a label that nobody put there", labelled(&[&label], &[]), false),
        (
            "a label that is gone",
            labelled(&[], &[event("alice", &label, true)]),
            false,
        ),
        (
            "a label that a stranger put there again",
            labelled(
                &[&label],
                &[
                    event("alice", &label, true),
                    event("alice", &label, false),
                    event("mallory", &label, true),
                ],
            ),
            false,
        ),
        (
            "a label for the commit before a push",
            {
                let older = approval_label(OLDER);
                labelled(&[&older], &[event("alice", &older, true)])
            },
            false,
        ),
        (
            "a label with a short name of the commit",
            labelled(&[short], &[event("alice", short, true)]),
            false,
        ),
        (
            "a label without a commit",
            labelled(&["dayfly-ok"], &[event("alice", "dayfly-ok", true)]),
            false,
        ),
    ] {
        assert_eq!(runs("approved", &fork, &hub), expected, "{what}");
    }
}

const LABEL_WITH_SEVEN: usize = "dayfly-ok/".len() + 7;

#[test]
fn approval_label_is_within_githubs_limit() {
    assert_eq!(approval_label(SHA).len(), 50);
}

#[test]
fn follow_up_runs_can_be_allowed_on_their_own() {
    let policy = Policy::parse("version: 1\nworkflow_run: always\n").unwrap();
    for (what, origin, expected) in [
        ("of our own", run("workflow_run", OURS), Judgement::Admitted),
        ("of a pull request", run("pull_request", OURS), Judgement::Admitted),
    ] {
        assert_eq!(
            judged(&policy, &origin, &Hub::default(), "dayfly-gpu", false),
            expected,
            "{what}"
        );
    }
    let fork = judged(
        &policy,
        &run("workflow_run", FORK),
        &Hub::default(),
        "dayfly-gpu",
        false,
    );
    assert!(matches!(fork, Judgement::Refused(_)));
}

#[test]
fn labels_are_for_the_users_that_the_policy_names() {
    let policy = Policy::parse(
        "version: 1\nlabels:\n- {labels: [dayfly-h100], teams: [octo/ml], actors: ['bo*']}\n- {labels: ['*-h100'], actors: [dave]}\n",
    )
    .unwrap();
    for (what, actor, triggering_actor, label, ours, expected) in [
        (
            "a label without a rule",
            "mallory",
            "mallory",
            "dayfly-gpu",
            false,
            true,
        ),
        ("one who is named", "bob", "bob", "dayfly-h100", false, true),
        (
            "one whom another rule names",
            "dave",
            "dave",
            "dayfly-h100",
            false,
            true,
        ),
        ("a member of the team", "carol", "carol", "dayfly-h100--7", false, true),
        ("anybody else", "alice", "alice", "DayFly-H100", false, false),
        (
            "one who is named runs another's job again",
            "alice",
            "bob",
            "dayfly-h100",
            false,
            true,
        ),
        (
            "another runs the job of one who is named again",
            "bob",
            "alice",
            "dayfly-h100",
            false,
            false,
        ),
        (
            "we run the job of one who is named again",
            "bob",
            "dayfly[bot]",
            "dayfly-h100",
            true,
            true,
        ),
        (
            "we run another's job again",
            "alice",
            "dayfly[bot]",
            "dayfly-h100",
            true,
            false,
        ),
    ] {
        let origin = by(actor, triggering_actor, run("push", OURS));
        let judgement = judged(&policy, &origin, &Hub::default(), label, ours);
        assert_eq!(judgement == Judgement::Admitted, expected, "{what}: {judgement:?}");
    }
    let nameless = Origin {
        triggering_actor: None,
        ..run("push", OURS)
    };
    let judgement = judged(&policy, &nameless, &Hub::default(), "dayfly-h100", false);
    assert!(matches!(judgement, Judgement::Refused(_)), "{judgement:?}");
}

#[test]
fn github_is_asked_only_where_the_answer_matters() {
    let (repository, labels) = (octo(), [Label::new("dayfly-gpu")]);
    let attempt = JobRequest {
        repository: &repository,
        labels: &labels,
        ours: false,
    };
    assert_eq!(
        judge(&policy("always"), &attempt, &AdmissionFacts::default()),
        Judgement::Admitted
    );
    assert_eq!(
        judge(&policy("never"), &attempt, &AdmissionFacts::default()),
        Judgement::Ask(Question::Origin)
    );
    let other = Policy::parse("version: 1\norganizations: [hexo]\n").unwrap();
    assert!(matches!(
        judge(&other, &attempt, &AdmissionFacts::default()),
        Judgement::Refused(_)
    ));
}

#[test]
fn every_refusal_names_the_rule_and_what_to_do() {
    let refusal =
        |forks: &str, origin: &Origin| match judged(&policy(forks), origin, &Hub::default(), "dayfly-gpu", false) {
            Judgement::Refused(refused) => refused.to_string(),
            other => panic!("{other:?}"),
        };
    let fork = by("mallory", "mallory", run("pull_request", FORK));
    let said = [
        refusal("never", &fork),
        refusal("approved", &fork),
        refusal("approved", &without_head(fork)),
        refusal("never", &run("pull_request_target", OURS)),
        refusal("never", &run("workflow_run", OURS)),
        refusal("never", &by("dependabot[bot]", "alice", run("push", OURS))),
        refusal("never", &by("mallory", "mallory", run("issue_comment", OURS))),
    ];
    let policy =
        Policy::parse("version: 1\nlabels:\n- {labels: [dayfly-h100], teams: [octo/ml], actors: [bob]}\n").unwrap();
    let label = match judged(&policy, &run("push", OURS), &Hub::default(), "dayfly-h100", false) {
        Judgement::Refused(refused) => refused.to_string(),
        other => panic!("{other:?}"),
    };
    insta::assert_snapshot!(format!("{}\n\n{label}", said.join("\n\n")));
}

#[test]
fn pull_request_of_a_run_has_its_commit_or_its_branch() {
    let own = for_pull_of(OURS, SHA, run("pull_request", OURS));
    assert_eq!(own.pull(None), RunsFor::Pull(12));
    let push = Origin {
        event: "push".to_owned(),
        ..own.clone()
    };
    assert_eq!(push.pull(None), RunsFor::NoPull);
    let unlisted = Origin {
        pulls: Vec::new(),
        ..own
    };
    let head = unlisted.head.clone().unwrap();
    assert!(matches!(unlisted.pull(None), RunsFor::Ask { owner, .. } if owner == head.owner));
    let from = |repository| Pull {
        number: 7,
        head: Some(repository),
        labels: Vec::new(),
    };
    assert_eq!(unlisted.pull(Some(&[from(99), from(head.id)])), RunsFor::Pull(7));
    assert_eq!(unlisted.pull(Some(&[from(99)])), RunsFor::NoPull);
}
