//! Webhooks: disturbed, recorded, redelivered.

use std::time::Duration;

use dayfly_twin::{Conclusion, Disturbance, Odds, RunId, Timings, TwinConfig, WebhookFault};
use serde_json::{Value, json};

use crate::support::{Lab, ONE_JOB, Receiver, answered, read};

impl Lab {
    /// A run that is queued and done, without a runner of ours.
    fn whole_run(&self) -> RunId {
        let run = self.push(ONE_JOB);
        let job = self.job_named(run, "build").id;
        self.twin.run_elsewhere(job, Conclusion::Success).unwrap();
        run
    }

    async fn until_answered(&self, event: &str, action: &str, count: usize) {
        let what = format!("{count} times {event}.{action}");
        self.until(&what, |world| {
            (answered(world, event, action).len() >= count).then_some(())
        })
        .await;
    }

    async fn app_call(&self, method: reqwest::Method, rest: &str) -> (u16, Value) {
        let url = format!("{}/app/hook/deliveries{rest}", self.twin.url());
        let jwt = self.twin.app_jwt().unwrap();
        read(
            self.api
                .http
                .request(method, url)
                .bearer_auth(jwt)
                .send()
                .await
                .unwrap(),
        )
        .await
    }
}

fn job_webhooks(receiver: &Receiver) -> Vec<String> {
    receiver
        .names()
        .into_iter()
        .filter(|name| name.starts_with("workflow_job."))
        .collect()
}

#[tokio::test]
async fn completed_can_come_before_queued() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    lab.twin
        .disturb_webhooks(WebhookFault::on("workflow_job", "queued").once(Disturbance::HoldUntil {
            event: "workflow_job".to_owned(),
            action: "completed".to_owned(),
        }));
    lab.whole_run();
    lab.until_answered("workflow_job", "queued", 1).await;
    let names = job_webhooks(&receiver);
    let place = |name: &str| names.iter().position(|one| one == name).unwrap();
    assert!(
        place("workflow_job.completed") < place("workflow_job.queued"),
        "{names:?}"
    );
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_lost_webhook_is_in_no_list_and_a_failed_one_is() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    let on = |action| WebhookFault::on("workflow_job", action);
    lab.twin.disturb_webhooks(on("queued").always(Disturbance::Lose));
    lab.twin
        .disturb_webhooks(on("in_progress").once(Disturbance::Fail(502)));
    lab.whole_run();
    lab.until_answered("workflow_run", "completed", 1).await;
    lab.until_answered("workflow_job", "completed", 1).await;
    assert_eq!(job_webhooks(&receiver), ["workflow_job.completed"]);
    let (_, failed) = lab.app_call(reqwest::Method::GET, "?status=failure").await;
    let failed: Vec<_> = failed.as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(failed, ["in_progress"]);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_doubled_webhook_comes_under_one_guid() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    let five = WebhookFault::on("workflow_job", "queued").once(Disturbance::Copies(5));
    lab.twin.disturb_webhooks(five);
    lab.push(ONE_JOB);
    lab.until_answered("workflow_job", "queued", 5).await;
    let mut guids: Vec<_> = receiver
        .arrived()
        .into_iter()
        .filter(|one| one.event == "workflow_job")
        .map(|one| one.guid)
        .collect();
    assert_eq!(guids.len(), 5);
    guids.dedup();
    assert_eq!(guids.len(), 1);
}

#[tokio::test]
async fn a_held_webhook_comes_when_it_is_let_go() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    let hold = WebhookFault::on_all("workflow_job").times(1, Disturbance::Hold);
    lab.twin.disturb_webhooks(hold);
    lab.whole_run();
    lab.until_answered("workflow_job", "completed", 1).await;
    assert!(!job_webhooks(&receiver).contains(&"workflow_job.queued".to_owned()));
    assert_eq!(lab.twin.release_webhooks(), 1);
    lab.until_answered("workflow_job", "queued", 1).await;
    assert!(job_webhooks(&receiver).contains(&"workflow_job.queued".to_owned()));
}

#[tokio::test]
async fn a_failed_delivery_is_sent_again_under_its_guid() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    receiver.answer_with(503);
    lab.push(ONE_JOB);
    lab.until_answered("workflow_job", "queued", 1).await;
    lab.until_answered("workflow_run", "requested", 1).await;
    receiver.answer_with(200);
    let (_, failed) = lab.app_call(reqwest::Method::GET, "?status=failure").await;
    let failed = failed.as_array().unwrap();
    let one = failed.iter().find(|one| one["event"] == "workflow_job").unwrap();
    assert_eq!(one["status_code"], 503);
    let (status, _) = lab
        .app_call(reqwest::Method::POST, &format!("/{}/attempts", one["id"]))
        .await;
    assert_eq!(status, 202);
    lab.until_answered("workflow_job", "queued", 2).await;
    let again = receiver.arrived().pop().unwrap();
    assert_eq!(json!(again.guid), one["guid"]);
    let (_, all) = lab.app_call(reqwest::Method::GET, "").await;
    assert_eq!(all[0]["redelivery"], true);
    assert_ne!(all[0]["id"], one["id"]);
    let (status, whole) = lab.app_call(reqwest::Method::GET, &format!("/{}", all[0]["id"])).await;
    assert_eq!(status, 200);
    assert_eq!(whole["request"]["payload"]["action"], "queued");
    assert_eq!(lab.app_call(reqwest::Method::POST, "/1/attempts").await.0, 404);
    lab.assert_no_violations();
}

#[tokio::test]
async fn deliveries_are_listed_by_pages_and_for_three_days() {
    let lab = Lab::start().await;
    let _receiver = Receiver::start(&lab.twin).await;
    lab.whole_run();
    lab.until_answered("workflow_run", "completed", 1).await;
    lab.until_answered("workflow_job", "completed", 1).await;
    let mut seen = Vec::new();
    let mut rest = "?per_page=2".to_owned();
    loop {
        let (_, page) = lab.app_call(reqwest::Method::GET, &rest).await;
        let page = page.as_array().unwrap();
        let Some(last) = page.last() else { break };
        seen.extend(page.iter().map(|one| one["id"].as_u64().unwrap()));
        rest = format!("?per_page=2&cursor={}", last["id"]);
    }
    assert_eq!(seen.len(), 6);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    lab.twin.advance(Duration::from_hours(73));
    assert_eq!(lab.app_call(reqwest::Method::GET, "").await.1, json!([]));
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_silent_is_recorded_as_failed() {
    let config = TwinConfig {
        timings: Timings {
            webhook_timeout: Duration::from_millis(200),
            ..Timings::default()
        },
        ..TwinConfig::checked()
    };
    let lab = Lab::start_with(config).await;
    // Accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    lab.twin.set_webhook_url(&format!("http://{address}/"));
    lab.twin.ping();
    let outcome = |world: &dayfly_twin::State| world.deliveries().next_back()?.outcome.clone();
    let timed_out = lab.until("the time-out", outcome).await;
    assert_eq!((timed_out.status_code, timed_out.status.as_str()), (504, "timed out"));
    drop(silent);
    lab.twin.ping();
    let gone = lab
        .until("the second answer", |world| {
            (world.deliveries().count() == 2).then(|| outcome(world)).flatten()
        })
        .await;
    assert_eq!(
        (gone.status_code, gone.status.as_str()),
        (502, "failed to connect to host")
    );
    lab.assert_no_violations();
}

#[tokio::test]
async fn ping_installation_and_waiting_job_webhooks_are_sent() {
    let config = TwinConfig {
        protected_environments: vec!["production".to_owned()],
        ..TwinConfig::checked()
    };
    let lab = Lab::start_with(config).await;
    let receiver = Receiver::start(&lab.twin).await;
    lab.twin.ping();
    let _ = lab.twin.create_repo("newcomers/first");
    let run = lab.push(
        "\
on: push
jobs:
  deploy:
    runs-on: self-hosted
    environment: production
    steps: [{run: echo}]
",
    );
    let job = lab.job_named(run, "deploy").id;
    lab.until_answered("workflow_job", "waiting", 1).await;
    lab.twin.approve(job).unwrap();
    assert!(lab.twin.approve(job).is_err());
    lab.until_answered("workflow_job", "queued", 1).await;
    lab.until_answered("installation", "created", 1).await;
    let names = receiver.names();
    for name in [
        "ping.",
        "installation.created",
        "workflow_job.waiting",
        "workflow_job.queued",
    ] {
        assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
    }
    lab.assert_no_violations();
}

#[tokio::test]
async fn one_seed_disturbs_in_one_way() {
    let odds = Odds {
        seed: 7,
        lose_percent: 40,
        double_percent: 40,
        delay_up_to: Duration::ZERO,
    };
    let mut histories = Vec::new();
    for _ in 0..2 {
        let lab = Lab::start_with(TwinConfig::default()).await;
        // Deliveries are recorded when they are sent, whatever their result.
        lab.twin.set_webhook_url("http://127.0.0.1:1/");
        lab.twin.disturb_webhooks_by_chance(odds);
        for _ in 0..5 {
            lab.whole_run();
        }
        let history: Vec<_> = lab.twin.inspect(|world| {
            world
                .deliveries()
                .map(|one| (one.event.clone(), one.action.clone()))
                .collect()
        });
        histories.push(history);
    }
    assert_eq!(histories[0], histories[1]);
    assert_ne!(histories[0].len(), 30, "some are lost or doubled");
}
