//! `dayfly drill interruption`: the real command interrupts a runner and reports the recovery.

use std::time::Duration;

use dayfly_lab::command::CommandOutput;
use dayfly_lab::lab::Lab;
use dayfly_twin::Conclusion;

use crate::whole::{Pushed, assert_nothing_left, function_logs, push, start};

/// The command's time limit; in the lab it takes a minute.
const PATIENCE: Duration = Duration::from_secs(180);

async fn drill(lab: &Lab, arguments: &[&str]) -> CommandOutput {
    dayfly(lab, &["drill", "interruption"], arguments).await
}

async fn dayfly(lab: &Lab, command: &[&str], arguments: &[&str]) -> CommandOutput {
    let command = [command, arguments].concat();
    let done = lab.dayfly(&command, None);
    let Ok(done) = tokio::time::timeout(PATIENCE, done).await else {
        panic!("the command does not end\n{}", function_logs(lab).await);
    };
    done.unwrap()
}

/// Returns the name of the first runner launched for the run's job.
fn first_runner(pushed: &Pushed<'_>) -> String {
    format!("dayfly-{}-1-1", pushed.job(1).id)
}

async fn an_interruption_is_sent_and_its_recovery_reported(lab: &Lab) {
    let script = [
        "echo \"attempt $GITHUB_RUN_ATTEMPT\"",
        "if [ \"$GITHUB_RUN_ATTEMPT\" = 1 ]; then sleep 300; fi",
    ];
    let pushed = push(lab, "octo-org/drill", None, &script);
    pushed.printed("attempt 1").await;
    pushed.launched().await;
    let runner = first_runner(&pushed);

    let list = drill(lab, &[]).await;
    assert_eq!(list.status, Some(0), "{}", list.stderr);
    let line = list.stdout.lines().find(|line| line.contains(&runner));
    assert!(line.is_some_and(|line| line.ends_with("spot")), "{}", list.stdout);

    let status = dayfly(lab, &["status"], &["--json"]).await;
    assert_eq!(status.status, Some(0), "{}", status.stderr);
    let shown: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let rows = shown["runners"].as_array().unwrap();
    let row = rows.iter().find(|row| row["runner"] == *runner);
    let row = row.unwrap_or_else(|| panic!("{runner} is not shown: {shown}"));
    assert_eq!(
        (&row["state"], &row["instance"]["price_per_hour"]),
        (&"busy".into(), &158_000.into())
    );

    let done = drill(lab, &["--runner", &runner]).await;
    assert_eq!(done.status, Some(0), "{}\n{}", done.stdout, done.stderr);
    for words in [
        "AWS FIS interrupts i-",
        "EC2 recommends leaving the instance",
        "EC2's notice has come",
        "the job is recorded as interrupted",
        "the runner is gone: EC2 takes the instance back",
        "GitHub runs the job again",
    ] {
        assert!(done.stdout.contains(words), "no `{words}` in\n{}", done.stdout);
    }
    assert_eq!((lab.fis().experiments(), lab.fis().templates()), (1, Vec::new()));
    assert_eq!(pushed.over(2).await, Conclusion::Success);
    assert!(pushed.output(2).contains(&"attempt 2".to_owned()));

    let again = drill(lab, &["--runner", &runner]).await;
    assert_eq!(again.status, Some(2));
    assert!(again.stderr.contains("is gone already"), "{}", again.stderr);
}

async fn what_ec2_never_takes_back_is_refused_before_anything_is_sent(lab: &Lab) {
    let config = "runners:\n  - name: gpu\n    labels: [dayfly-gpu]\n    instance_type: g4dn.xlarge\n    \
                  machine_image: ami-0123456789abcdef0\n    spot: false\n";
    let pushed = push(lab, "octo-org/on-demand", Some(config), &["echo here", "sleep 15"]);
    pushed.printed("here").await;
    pushed.launched().await;
    let runner = first_runner(&pushed);
    for (name, words) in [
        (&*runner, "is on an on-demand instance (i-"),
        ("dayfly-1-1-1", "there is no runner `dayfly-1-1-1`"),
    ] {
        let refused = drill(lab, &["--runner", name]).await;
        assert_eq!(refused.status, Some(2), "{}", refused.stdout);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("help: choose a live runner"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains(&*runner), "{}", refused.stderr);
    }
    assert_eq!(lab.fis().experiments(), 1);
    assert_eq!(pushed.over(1).await, Conclusion::Success);
}

#[tokio::test]
async fn a_drill_shows_an_interruption_healed() {
    let lab = start().await;
    an_interruption_is_sent_and_its_recovery_reported(&lab).await;
    what_ec2_never_takes_back_is_refused_before_anything_is_sent(&lab).await;
    assert_nothing_left(&lab).await;
    lab.shutdown().await.unwrap();
}
