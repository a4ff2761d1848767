//! No log of any part contains a secret.

use std::collections::BTreeSet;

use dayfly_lab::functions::Function;
use dayfly_lab::lab::Lab;
use dayfly_lab::sigv4::Credentials;
use dayfly_twin::{Conclusion, SecretKind};

use crate::whole::{assert_nothing_left, push, start};

/// Returns every text that no log may contain, with its meaning.
fn secrets(lab: &Lab) -> Vec<(String, String)> {
    let mut secrets = Vec::new();
    for secret in lab.twin().secrets() {
        let kind = format!("{:?}", secret.kind);
        // A key may be printed line by line, or with escaped line ends.
        for line in secret.value.lines().filter(|line| !line.starts_with("-----")) {
            secrets.push((kind.clone(), line.to_owned()));
        }
    }
    let sessions = lab.cloud().sessions().all().into_iter();
    let instances = sessions.map(|session| ("an instance's".to_owned(), session.credentials));
    let callers = lab.ec2().callers().into_iter();
    let functions = callers.map(|caller| (format!("{}'s", caller.name), caller.credentials));
    for (whose, Credentials { secret, token, .. }) in instances.chain(functions) {
        secrets.push((format!("{whose} STS secret"), secret));
        secrets.extend(token.map(|token| (format!("{whose} session token"), token)));
    }
    secrets
}

#[tokio::test]
async fn the_logs_of_all_parts_hold_no_secret_after_a_job() {
    let lab = start().await;
    let pushed = push(&lab, "octo-org/secretive", None, &["env", "echo done"]);
    assert_eq!(pushed.over(1).await, Conclusion::Success);
    assert_nothing_left(&lab).await;
    // Nothing else reads the board.
    lab.invoke(Function::Dashboard, &serde_json::json!({})).await.unwrap();

    let kinds: BTreeSet<SecretKind> = lab.twin().secrets().iter().map(|secret| secret.kind).collect();
    assert_eq!(kinds.len(), 7, "every kind of secret was used: {kinds:?}");
    assert!(!lab.cloud().sessions().all().is_empty(), "the instance had a session");
    let secrets = secrets(&lab);
    let logs = lab.logs().await.unwrap();
    for log in &logs {
        // The interruption function receives every instance's end, and has nothing to report about
        // healthy jobs.
        let silent = log.lines.is_empty();
        assert!(!silent || log.part == "reporter", "{} has logged nothing", log.part);
        for line in &log.lines {
            for (what, secret) in &secrets {
                assert!(secret.len() >= 16, "{what} is too short to be searched for");
                let shown = line.replace(secret, "<here>");
                assert!(!line.contains(secret), "{}: {what} is in the log: {shown}", log.part);
            }
        }
    }
    lab.shutdown().await.unwrap();
}
