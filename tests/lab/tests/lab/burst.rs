//! Jobs that are queued together are launched together.

use dayfly_lab::ec2_proxy::Bucket;
use dayfly_twin::{Conclusion, Status};

use crate::whole::{PATIENCE, assert_nothing_left, function_logs, start_with};

const JOBS: usize = 12;

/// One for the first, which comes alone, and one or two for those that come while it is made: they may
/// be slow on a busy machine.
const MOST_CALLS: usize = 3;

const WORKFLOW: &str = "\
on: push
jobs:
  train:
    strategy:
      matrix:
        seed: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    runs-on: dayfly-gpu
    steps:
      - run: echo \"seed ${{ matrix.seed }}\"
";

#[tokio::test]
async fn a_matrix_is_launched_by_few_calls_and_ec2_throttles_none() {
    let lab = start_with(|config| config.scenario.bucket = Some(Bucket::EC2)).await;
    let repository = lab.twin().create_repo("octo-org/matrix");
    let files = [(".github/workflows/train.yml", WORKFLOW)];
    let run = lab.twin().push(repository, "Train", &files).unwrap()[0];
    let over = lab.twin().wait_for("the end of the matrix", PATIENCE, |state| {
        let run = state.run(run)?;
        (run.status == Status::Completed).then_some(run.conclusion).flatten()
    });
    match over.await {
        Ok(conclusion) => assert_eq!(conclusion, Conclusion::Success),
        Err(error) => panic!("{error}\n{}", function_logs(&lab).await),
    }
    let jobs = lab.twin().inspect(|state| state.jobs_of(run, 1).len());
    assert_eq!((jobs, lab.ec2().throttled()), (JOBS, 0));
    let calls = lab.ec2().count("CreateFleet");
    assert!(calls <= MOST_CALLS, "{calls} calls");
    assert_nothing_left(&lab).await;
    lab.shutdown().await.unwrap();
}
