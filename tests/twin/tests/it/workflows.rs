//! The workflow language, as far as the twin knows it.

use dayfly_twin::{Conclusion, RepoOptions, Status};

use crate::support::{Lab, find_job};

impl Lab {
    fn names(&self, run: dayfly_twin::RunId) -> Vec<(String, Vec<String>)> {
        self.twin.inspect(|world| {
            let mut names: Vec<_> = world
                .jobs_of(run, 1)
                .into_iter()
                .map(|job| (job.spec.name.clone(), job.spec.labels.clone()))
                .collect();
            names.sort();
            names
        })
    }
}

#[tokio::test]
async fn a_matrix_becomes_a_job_for_each_combination() {
    let lab = Lab::start().await;
    let run = lab.push(
        "\
on: [push]
jobs:
  test:
    strategy:
      fail-fast: false
      matrix:
        gpu: [t4, a10g]
        python: ['3.12', '3.13']
        exclude:
          - {gpu: t4, python: '3.12'}
        include:
          - {gpu: h100, python: '3.13'}
    runs-on: [self-hosted, 'dayfly-${{ matrix.gpu }}']
    steps:
      - run: python${{ matrix.python }} -m pytest
",
    );
    let names = lab.names(run);
    let shown: Vec<_> = names
        .iter()
        .map(|(name, labels)| (name.as_str(), labels[1].as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("test (a10g, 3.12)", "dayfly-a10g"),
            ("test (a10g, 3.13)", "dayfly-a10g"),
            ("test (h100, 3.13)", "dayfly-h100"),
            ("test (t4, 3.13)", "dayfly-t4"),
        ]
    );
}

#[tokio::test]
async fn a_failing_matrix_job_cancels_the_others_unless_told_not_to() {
    for (fail_fast, other) in [(true, Status::Completed), (false, Status::Queued)] {
        let lab = Lab::start().await;
        let run = lab.push(&format!(
            "\
on: push
jobs:
  test:
    strategy:
      fail-fast: {fail_fast}
      matrix: {{n: [1, 2]}}
    runs-on: self-hosted
    steps: [{{run: echo}}]
"
        ));
        let first = lab.job_named(run, "test (1)").id;
        lab.twin.run_elsewhere(first, Conclusion::Failure).unwrap();
        assert_eq!(lab.job_named(run, "test (2)").status, other);
    }
}

#[tokio::test]
async fn expressions_name_the_run() {
    let lab = Lab::start().await;
    let run = lab.push(
        "\
on: push
env: {WHERE: '${{ github.repository }}'}
jobs:
  test:
    runs-on: 'dayfly-gpu--${{ github.run_id }}'
    env: {HERE: '${{ github.ref_name }}', N: 1}
    steps: [{run: echo}]
",
    );
    let job = lab.job_named(run, "test");
    assert_eq!(job.spec.labels, [format!("dayfly-gpu--{run}")]);
    assert_eq!(job.spec.env["WHERE"], "octo-org/demo");
    assert_eq!(job.spec.env["HERE"], "main");
    assert_eq!(job.spec.env["N"], "1");
}

#[tokio::test]
async fn a_push_starts_only_the_workflows_that_want_it() {
    let lab = Lab::start().await;
    let job = "jobs: {a: {runs-on: self-hosted, steps: [{run: echo}]}}\n";
    let pushed = format!("on: {{push: {{branches: [main]}}}}\n{job}");
    let manual = format!("on: workflow_dispatch\n{job}");
    let files = [
        (".github/workflows/pushed.yml", pushed.as_str()),
        (".github/workflows/manual.yaml", manual.as_str()),
        (".github/workflows/readme.md", "not a workflow"),
    ];
    assert_eq!(lab.twin.push(lab.repo, "Add", &files).unwrap().len(), 1);
    assert_eq!(lab.twin.push_to(lab.repo, "feature", "More", &[]).unwrap().len(), 0);
    let run = lab.twin.dispatch(lab.repo, "main").unwrap()[0];
    let path = lab.twin.inspect(|world| world.run(run).unwrap().workflow.path.clone());
    assert_eq!(path, ".github/workflows/manual.yaml");
}

#[tokio::test]
async fn what_the_twin_does_not_know_is_refused() {
    let lab = Lab::start().await;
    for (workflow, why) in [
        (
            "on: push\njobs: {a: {runs-on: x, container: y, steps: []}}",
            "container",
        ),
        ("on: push\njobs: {a: {runs-on: x, needs: b, steps: []}}", "needs `b`"),
        (
            "on: push\njobs: {a: {runs-on: '${{ secrets.X }}', steps: []}}",
            "secrets.X",
        ),
        (
            "on: push\njobs: {a: {runs-on: x, if: \"contains('a', 'b')\", steps: []}}",
            "contains",
        ),
        (
            "on: push\njobs: {a: {runs-on: x, outputs: {v: 1}, steps: []}}",
            "output `1`",
        ),
        (
            "on: push\njobs:\n  a: {runs-on: x, continue-on-error: true, steps: []}\n  b: {runs-on: x, needs: a, steps: []}",
            "continue-on-error",
        ),
        (
            "on: push\njobs:\n  a: {runs-on: x, continue-on-error: true, steps: []}\n  b: {runs-on: x, needs: a, if: \"always() && needs.a.result == 'success'\", steps: []}",
            "continue-on-error",
        ),
        ("on: push\njobs: [", "ci.yml"),
    ] {
        let files = [(".github/workflows/ci.yml", workflow)];
        let error = lab.twin.push(lab.repo, "Push", &files).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_forks_run_names_the_fork_as_its_head_repository() {
    let lab = Lab::start().await;
    let options = RepoOptions {
        fork_of: Some(lab.repo),
        installed: false,
        ..RepoOptions::default()
    };
    let fork = lab.twin.create_repo_with("stranger/demo", options);
    let workflow = "on: pull_request\njobs: {a: {runs-on: self-hosted, steps: [{run: echo}]}}";
    let files = [(".github/workflows/ci.yml", workflow)];
    let run = lab.twin.pull_request_from_fork(fork, "patch", &files).unwrap()[0];
    let (status, shown) = lab.api.get(&format!("/actions/runs/{run}")).await;
    assert_eq!(status, 200);
    assert_eq!(shown["head_repository"]["full_name"], "stranger/demo");
    assert_ne!(shown["head_repository"]["id"], shown["repository"]["id"]);
    assert!(lab.twin.inspect(|world| find_job(world, run, "a")).is_some());
    lab.assert_no_violations();
}
