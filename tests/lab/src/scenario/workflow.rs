//! Workflows of one job.

/// A job of some seconds.
pub(super) const THREE_EPOCHS: &[&str] = &[
    "for epoch in 1 2 3; do",
    "  echo \"epoch $epoch: loss 0.$((90 / epoch))\"",
    "  sleep 1",
    "done",
];

/// A job that does not end.
pub(super) const FOR_EVER: &[&str] = &["echo 'this takes longer than any instance lives'", "sleep 600"];

/// A job that does not end in its first attempt.
pub(super) const STUCK_AT_FIRST: &[&str] = &[
    "echo \"attempt $GITHUB_RUN_ATTEMPT\"",
    "if [ \"$GITHUB_RUN_ATTEMPT\" = 1 ]; then sleep 300; fi",
    "echo 'trained to the end'",
];

/// The path of the workflow.
pub(super) const PATH: &str = ".github/workflows/train.yml";

/// A repository with only a workflow, whose one job runs `script`.
pub(super) fn of(script: &[&str]) -> Vec<(&'static str, String)> {
    on("dayfly-gpu", script)
}

/// The same for another label.
pub(super) fn on(label: &str, script: &[&str]) -> Vec<(&'static str, String)> {
    let head = format!(
        "\
name: train
on: push
jobs:
  train:
    runs-on: {label}
    steps:
      - name: Where am I
        run: echo \"on $(uname -sm), for $GITHUB_REPOSITORY\"
      - name: Train
        run: |
"
    );
    vec![(PATH, format!("{head}{}", indented(script)))]
}

/// Formats a script as the `run: |` of a step.
pub(super) fn indented(script: &[&str]) -> String {
    script
        .iter()
        .fold(String::new(), |step, line| step + "          " + line + "\n")
}
