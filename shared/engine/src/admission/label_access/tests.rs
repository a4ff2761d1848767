use dayfly_config::cirun::access;
use dayfly_config::{Config, Context};

use super::*;
use dayfly_records::origin::Head;

fn origin(event: &str, actor: &str, triggering: Option<&str>) -> Origin {
    Origin {
        event: event.to_owned(),
        repository: 1,
        head: Some(Head {
            id: 1,
            owner: "octo".to_owned(),
            name: "octo/gpu".to_owned(),
        }),
        head_sha: "abc".to_owned(),
        head_branch: None,
        actor: Some(actor.to_owned()),
        triggering_actor: triggering.map(str::to_owned),
        pulls: Vec::new(),
    }
}

/// What GitHub answers if it is asked: who is in the team `core`, and who may write.
const IN_CORE: &str = "Carol";
const WRITER: &str = "wanda";

/// Asks until there is an answer. Answers with the questions too.
fn asked(origin: &Origin, judge: impl Fn(&AdmissionFacts) -> LabelAccess) -> (Result<(), String>, Vec<Question>) {
    let mut known = AdmissionFacts::default();
    let mut questions = Vec::new();
    loop {
        let question = match judge(&known) {
            LabelAccess::Allowed => return (Ok(()), questions),
            LabelAccess::Refused(words) => return (Err(words), questions),
            LabelAccess::Ask(question) => question,
        };
        match question.clone() {
            Question::Origin => known.origin = Some(origin.clone()),
            Question::MayWrite(user) => {
                known.may_write.insert(user.clone(), user == WRITER);
            }
            Question::Member(team, user) => {
                let is_in = team.to_string() == "octo/core" && user == IN_CORE;
                known.members.insert((team, user), is_in);
            }
            other => panic!("{other:?}"),
        }
        assert!(!questions.contains(&question), "asked twice: {question:?}");
        questions.push(question);
    }
}

fn repository() -> Repository {
    "octo/gpu".parse().unwrap()
}

fn asker(ours: bool, repository: &Repository) -> Requester<'_> {
    Requester { repository, ours }
}

#[test]
fn file_takes_the_jobs_of_the_users_and_teams_it_names() {
    let repository = repository();
    let place = FileLocation::new(&repository, ".dayfly.yml");
    for (file, actor, triggering, ours, allowed, questions) in [
        ("actors: [octocat]", "octocat", Some("OctoCat"), false, true, 1),
        ("actors: [octocat]", "octocat", Some("mallory"), false, false, 1),
        ("actors: [octocat]", "mallory", Some("octocat"), false, true, 1),
        // A re-run of ours stands for the requester started the run.
        ("actors: [octocat]", "octocat", Some("dayfly[bot]"), true, true, 1),
        ("actors: [octocat]", "mallory", Some("octocat"), true, false, 1),
        ("actors: [octocat]", "octocat", None, false, false, 1),
        ("teams: [other, core]", "x", Some(IN_CORE), false, true, 3),
        ("teams: [other, core]", "x", Some("octocat"), false, false, 3),
        (
            "{actors: [octocat], teams: [core]}",
            "x",
            Some("octocat"),
            false,
            true,
            1,
        ),
        ("{actors: [octocat], teams: [core]}", "x", Some(IN_CORE), false, true, 2),
        ("{actors: [octocat], teams: [core]}", "x", Some("core"), false, false, 2),
    ] {
        let text = format!("{}\n", file.trim_matches(['{', '}']).replace("], ", "]\n"));
        let actors = Config::parse(&format!("{text}runners: []\n")).unwrap().actors.unwrap();
        let origin = origin("push", actor, triggering);
        let (answer, asked) = asked(&origin, |known| {
            of_file(&actors, &place, asker(ours, &repository), known)
        });
        assert_eq!(answer.is_ok(), allowed, "{file} {actor} {triggering:?}: {answer:?}");
        assert_eq!(asked.len(), questions, "{file} {triggering:?}: {asked:?}");
    }
}

#[test]
fn denied_user_learns_which_file_says_so() {
    let repository = repository();
    for (path, text, words) in [
        (
            ".dayfly.yml",
            "actors: [octocat]\nteams: [core]\nrunners: []\n",
            "`mallory` may not use the runners of octo/gpu: `actors` with `teams` in `.dayfly.yml` of octo/gpu accepts only the jobs of `octocat`, the team `core`. One of them can run the job again",
        ),
        (
            ".github/dayfly.yml",
            "teams: core\nrunners: []\n",
            "`mallory` may not use the runners of octo/gpu: `teams` in `.github/dayfly.yml` of octo/gpu accepts only the jobs of the team `core`. One of them can run the job again",
        ),
        (
            ".cirun.yml",
            "run_only_when_triggered_by: core\nrunners: []\n",
            "`mallory` may not use the runners of octo/gpu: `run_only_when_triggered_by` in `.cirun.yml` of octo/gpu accepts only the jobs of the team `core`. One of them can run the job again",
        ),
    ] {
        let actors = Config::of_file(path, text, Context::default()).unwrap().actors.unwrap();
        let place = FileLocation::new(&repository, path);
        let origin = origin("push", "mallory", Some("mallory"));
        let (answer, _) = asked(&origin, |known| {
            of_file(&actors, &place, asker(false, &repository), known)
        });
        assert_eq!(answer, Err(words.to_owned()));
    }
}

const RULES: &str = "version: 1
policies:
  - {id: team, repo: GPU, teams: [core]}
  - {id: named, repo: gpu, users: [octocat], roles: [admin, maintain, write], pull_request: false}
  - {id: named-writer, repo: gpu, users: [wanda], roles: [admin, maintain, write], pull_request: false}
  - {id: far, repo: gpu, users_from_json: https://example.com/users.json}
  - {id: elsewhere, repo: cpu, users: [mallory]}
access_control:
  - {resource: of-team, policies: [team, elsewhere]}
  - {resource: of-some, policies: [named, named-writer]}
  - {resource: of-far, policies: [far]}
  - {resource: of-elsewhere, policies: [elsewhere]}
";

fn use_of(runner: &str, event: &str, user: Option<&str>) -> (Result<(), String>, Vec<Question>) {
    let access = access::read(access::PATH, RULES).0.unwrap();
    let repository = repository();
    let place = FileLocation::new(&"octo/.cirun".parse().unwrap(), access::PATH);
    asked(&origin(event, "x", user), |known| {
        of_runner(&access, &place, runner, asker(false, &repository), known)
    })
}

#[test]
fn organization_runner_is_used_as_one_of_its_policies_allows() {
    for (runner, event, user, allowed) in [
        ("of-team", "push", Some(IN_CORE), true),
        ("of-team", "pull_request", Some(IN_CORE), true),
        ("of-team", "push", Some("mallory"), false),
        ("of-team", "push", None, false),
        ("of-some", "push", Some(WRITER), true),
        ("of-some", "push", Some("octocat"), false),
        ("of-some", "pull_request", Some(WRITER), false),
        ("of-some", "pull_request_target", Some(WRITER), false),
        ("of-far", "push", Some(WRITER), false),
        ("of-elsewhere", "push", Some("mallory"), false),
        ("unheard-of", "push", Some(IN_CORE), false),
    ] {
        let (answer, _) = use_of(runner, event, user);
        assert_eq!(answer.is_ok(), allowed, "{runner} {event} {user:?}: {answer:?}");
    }
}

#[test]
fn no_question_is_asked_that_cannot_change_the_decision() {
    for (runner, words) in [
        (
            "of-elsewhere",
            "`.access.yml` of octo/.cirun does not let octo/gpu use the runner `of-elsewhere`: give it a policy of that repository",
        ),
        (
            "unheard-of",
            "`.access.yml` of octo/.cirun has no rule for the runner `unheard-of`, so no one may use it: name it under `access_control`",
        ),
    ] {
        let (answer, questions) = use_of(runner, "push", Some("mallory"));
        assert_eq!((answer, questions), (Err(words.to_owned()), Vec::new()));
    }
    let (answer, _) = use_of("of-some", "push", Some("mallory"));
    assert_eq!(
        answer.unwrap_err(),
        "no policy of `.access.yml` of octo/.cirun lets `mallory` use the runner `of-some` from octo/gpu for the event `push`: `named` is for everyone who is one of `octocat` and has write access to the repository, and not for pull requests; `named-writer` is for everyone who is one of `wanda` and has write access to the repository, and not for pull requests"
    );
}
