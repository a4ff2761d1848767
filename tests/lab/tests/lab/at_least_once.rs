//! Webhooks arrive more than once and in any order, and answers get lost: there is still one instance.

use dayfly_lab::ec2_proxy::Fault;
use dayfly_lab::lab::Lab;
use dayfly_twin::{Conclusion, Disturbance, WebhookFault};

use crate::whole::{PATIENCE, POLL, Pushed, assert_nothing_left, push, start};

/// Waits until every webhook of `action` about the run's job is answered, and returns the answers.
async fn answers(pushed: &Pushed<'_>, action: &str, count: usize) -> Vec<u16> {
    let job = pushed.job(1).id;
    let what = format!("{count} answers to `{action}` in {}", pushed.repository);
    let answered = pushed.lab.twin().wait_for(&what, PATIENCE, |state| {
        let statuses: Vec<u16> = state
            .deliveries()
            .filter(|one| one.event == "workflow_job" && one.action.as_deref() == Some(action))
            .filter(|one| one.subject == Some(job.0))
            .filter_map(|one| Some(one.outcome.as_ref()?.status_code))
            .collect();
        (statuses.len() >= count).then_some(statuses)
    });
    answered.await.unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the client tokens of the `CreateFleet` calls for the run's job so far.
fn fleets(pushed: &Pushed<'_>) -> Vec<String> {
    let calls = pushed.fleets();
    let tokens = calls.iter().filter_map(|call| call.parameter("ClientToken"));
    tokens.map(str::to_owned).collect()
}

async fn the_same_delivery_five_times_at_once_is_one_instance(lab: &Lab) {
    let five = WebhookFault::on("workflow_job", "queued").once(Disturbance::Copies(5));
    lab.twin().disturb_webhooks(five);
    let pushed = push(lab, "octo-org/five-times", None, &["true"]);
    let statuses = answers(&pushed, "queued", 5).await;
    assert!(
        statuses.iter().all(|status| (200..300).contains(status)),
        "{statuses:?}"
    );
    let taken = statuses.iter().filter(|status| **status == 202).count();
    assert_eq!(taken, 1, "one was taken, the others were doubles: {statuses:?}");
    assert_eq!(pushed.over(1).await, Conclusion::Success);
    assert_eq!(fleets(&pushed).len(), 1);
    assert_eq!(pushed.instances().await.len(), 1);
}

/// Waits until the table has the end of the run's job.
async fn known_to_be_over(pushed: &Pushed<'_>) {
    let job = pushed.job(1).id.to_string();
    let known = async {
        loop {
            let items = pushed.lab.table_items().await.unwrap();
            if items.iter().any(|item| item.to_string().contains(&job)) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, known).await;
    assert!(waited.is_ok(), "no record of job {job}");
}

async fn a_job_that_is_completed_before_it_is_queued_gets_no_instance(lab: &Lab) {
    let late = WebhookFault::on("workflow_job", "queued").once(Disturbance::Hold);
    lab.twin().disturb_webhooks(late);
    let pushed = push(lab, "octo-org/out-of-order", None, &["true"]);
    lab.twin().run_elsewhere(pushed.job(1).id, Conclusion::Success).unwrap();
    known_to_be_over(&pushed).await;
    assert_eq!(lab.twin().release_webhooks(), 1);
    assert_eq!(answers(&pushed, "queued", 1).await, [202]);
    assert_nothing_left(lab).await;
    assert_eq!(fleets(&pushed), Vec::<String>::new());
    assert!(pushed.instances().await.is_empty());
}

async fn a_fleet_whose_answer_is_lost_is_still_one_instance(lab: &Lab) {
    lab.ec2()
        .change(|scenario| scenario.faults.push(Fault::lose_answer("CreateFleet")));
    let pushed = push(lab, "octo-org/lost-answer", None, &["true"]);
    assert_eq!(pushed.over(1).await, Conclusion::Success);
    let tokens = fleets(&pushed);
    assert!(tokens.len() > 1, "it was asked for again: {tokens:?}");
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(pushed.instances().await.len(), 1);
}

#[tokio::test]
async fn what_comes_twice_late_or_gets_lost_launches_one_instance_at_most() {
    let lab = start().await;
    the_same_delivery_five_times_at_once_is_one_instance(&lab).await;
    a_job_that_is_completed_before_it_is_queued_gets_no_instance(&lab).await;
    a_fleet_whose_answer_is_lost_is_still_one_instance(&lab).await;
    assert_nothing_left(&lab).await;
    lab.shutdown().await.unwrap();
}
