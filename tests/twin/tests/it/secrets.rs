//! The secrets that the twin has issued, which no log may contain.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_twin::{Conclusion, SecretKind, Status};

use crate::support::{Lab, ONE_JOB, Receiver, answered};

#[tokio::test]
async fn every_issued_secret_is_recorded_and_none_is_printed() {
    let lab = Lab::start().await;
    let _receiver = Receiver::start(&lab.twin).await;
    lab.push(ONE_JOB);
    lab.until("a webhook", |world| answered(world, "workflow_job", "queued").pop())
        .await;
    let config = lab.api.jit("dayfly-1", &["self-hosted", "dayfly-gpu"]).await;

    let secrets = lab.twin.secrets();
    let kinds: BTreeSet<SecretKind> = secrets.iter().map(|secret| secret.kind).collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    let holds = |kind, value: &str| secrets.iter().any(|one| one.kind == kind && one.value == value);
    assert!(holds(SecretKind::RunnerCredential, &config.credentials.data.client_id));
    assert!(holds(SecretKind::JitConfig, &config.encode().unwrap()));
    let printed = format!("{secrets:?}");
    assert!(secrets.iter().all(|secret| !printed.contains(&secret.value)));
}

#[tokio::test]
async fn a_job_that_runs_elsewhere_runs_until_it_is_ended() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let job = lab.job_named(run, "build").id;
    assert!(lab.twin.end_elsewhere(job, Conclusion::Success).is_err());
    lab.twin.start_elsewhere(job).unwrap();
    // No runner of ours renews it, and so it is not lost either.
    lab.twin.advance(Duration::from_hours(1));
    assert_eq!(lab.job_named(run, "build").status, Status::InProgress);
    lab.twin.end_elsewhere(job, Conclusion::Success).unwrap();
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Success);
}
