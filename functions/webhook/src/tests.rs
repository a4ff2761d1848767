use aws_lambda_events::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_records::Record;
use dayfly_records::event::Event;
use dayfly_world::{Fate, World};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

const SECRET: &str = "a secret of some length";

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

fn world() -> World {
    let world = World::new();
    world.set_parameter("/dayfly/secret", SECRET);
    world
}

fn function(world: &World) -> Function<World, World, World> {
    Function::new(world.clone(), world.clone(), world.clone(), "/dayfly/secret".to_owned())
}

fn signed(event: &str, delivery: &str, body: &str) -> LambdaFunctionUrlRequest {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let mut request = LambdaFunctionUrlRequest::default();
    request.headers = HeaderMap::new();
    for (name, value) in [
        ("x-github-event", event),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", signature.as_str()),
    ] {
        request.headers.insert(name, value.parse().unwrap());
    }
    request.body = Some(body.to_owned());
    request
}

fn job(action: &str, labels: &[&str]) -> String {
    serde_json::json!({
        "action": action,
        "workflow_job": {
            "id": 11, "run_id": 22, "run_attempt": 1, "name": "test", "head_sha": "abc", "labels": labels,
            "runner_id": null, "runner_name": null, "conclusion": null,
        },
        "repository": { "full_name": "octo/gpu" },
        "installation": { "id": 7 },
    })
    .to_string()
}

fn status(world: &World, request: LambdaFunctionUrlRequest) -> i64 {
    world.run(function(world).handle(request, now())).status_code
}

#[test]
fn queued_job_becomes_one_event_on_the_bus() {
    let world = world();
    assert_eq!(
        status(&world, signed("workflow_job", "d-1", &job("queued", &["dayfly-gpu"]))),
        202
    );
    let Some(Event::JobQueued(event)) = world.next_event() else {
        panic!()
    };
    assert_eq!(world.next_event(), None);
    assert_eq!(
        (event.job.0, event.run.0, event.repository.to_string().as_str()),
        (11, 22, "octo/gpu")
    );
}

#[test]
fn duplicate_is_answered_with_200_and_not_published() {
    let world = world();
    let request = signed("workflow_job", "d-1", &job("queued", &["dayfly-gpu"]));
    assert_eq!(status(&world, request.clone()), 202);
    for _ in 0..4 {
        assert_eq!(status(&world, request.clone()), 200);
    }
    assert_eq!(world.events().len(), 1);
}

#[test]
fn base64_body_is_decoded_before_the_signature_check() {
    let world = world();
    let mut request = signed("workflow_job", "d-1", &job("queued", &["dayfly-gpu"]));
    request.body = Some(STANDARD.encode(request.body.unwrap()));
    request.is_base64_encoded = true;
    assert_eq!(status(&world, request), 202);
    assert_eq!(world.events().len(), 1);
}

#[test]
fn bad_input_gets_its_status_and_goes_no_further() {
    let good = job("queued", &["dayfly-gpu"]);
    let without = |name: &str| {
        let mut request = signed("workflow_job", "d-1", &good);
        request.headers.remove(name);
        request
    };
    let with = |name: &'static str, value: &str| {
        let mut request = signed("workflow_job", "d-1", &good);
        request.headers.insert(name, value.parse().unwrap());
        request
    };
    let large = " ".repeat(25 * 1024 * 1024 + 1);
    let mut no_base64 = signed("workflow_job", "d-1", &good);
    no_base64.is_base64_encoded = true;
    for (what, request, expected) in [
        ("no signature", without("x-hub-signature-256"), 401),
        ("malformed signature", with("x-hub-signature-256", "sha256=xyz"), 401),
        (
            "wrong signature",
            with("x-hub-signature-256", &format!("sha256={}", "0".repeat(64))),
            401,
        ),
        ("no event", without("x-github-event"), 400),
        ("no delivery", without("x-github-delivery"), 400),
        ("odd delivery", with("x-github-delivery", "a b"), 400),
        ("no json", signed("workflow_job", "d-1", "{"), 400),
        ("empty", signed("workflow_job", "d-1", ""), 400),
        (
            "not the shape",
            signed("workflow_job", "d-1", r#"{"action":"queued"}"#),
            400,
        ),
        (
            "odd repository",
            signed("workflow_job", "d-1", &good.replace("octo/gpu", "octo/../x")),
            400,
        ),
        ("too large", signed("workflow_job", "d-1", &large), 413),
        ("no base64", no_base64, 400),
    ] {
        let world = world();
        assert_eq!(status(&world, request), expected, "{what}");
        assert_eq!(
            (world.events().len(), world.table().records().count()),
            (0, 0),
            "{what}"
        );
    }
}

#[test]
fn foreign_jobs_are_accepted_with_a_reason() {
    let without_installation = job("queued", &["dayfly-gpu"]).replace("installation", "somebody");
    for (what, event, body) in [
        ("hosted labels", "workflow_job", job("queued", &["ubuntu-latest"])),
        ("no labels", "workflow_job", job("queued", &[])),
        ("waiting", "workflow_job", job("waiting", &["dayfly-gpu"])),
        ("another action", "workflow_job", job("dreamt", &["dayfly-gpu"])),
        ("another event", "push", "{}".to_owned()),
        ("no installation", "workflow_job", without_installation),
    ] {
        let world = world();
        let answer = world.run(function(&world).handle(signed(event, "d-1", &body), now()));
        assert_eq!(answer.status_code, 202, "{what}");
        assert!(answer.body.unwrap().len() > 20, "{what}");
        assert_eq!(world.events().len(), 0, "{what}");
    }
}

#[test]
fn ping_is_answered() {
    assert_eq!(status(&world(), signed("ping", "d-1", r#"{"zen":"x"}"#)), 200);
}

#[test]
fn unreadable_secret_is_503_and_retried_by_the_next_call() {
    let world = world();
    let function = function(&world);
    let request = signed("workflow_job", "d-1", &job("queued", &["dayfly-gpu"]));
    world.break_down("read");
    assert_eq!(world.run(function.handle(request.clone(), now())).status_code, 503);
    world.restore();
    assert_eq!(world.run(function.handle(request, now())).status_code, 202);
}

#[test]
fn changed_secret_is_found_but_not_read_at_will() {
    let world = world();
    let function = function(&world);
    let request = signed("workflow_job", "d-1", &job("queued", &["dayfly-gpu"]));
    world.set_parameter("/dayfly/secret", "the one before");
    for _ in 0..10 {
        assert_eq!(world.run(function.handle(request.clone(), now())).status_code, 401);
    }
    assert_eq!(world.calls("read"), 1);
    world.set_parameter("/dayfly/secret", SECRET);
    let later = now().after(std::time::Duration::from_secs(61));
    assert_eq!(world.run(function.handle(request, later)).status_code, 202);
}

#[test]
fn bus_outage_is_a_failure_and_a_redelivery_gets_through() {
    let world = world();
    let request = signed("workflow_job", "d-1", &job("queued", &["dayfly-gpu"]));
    world.break_down("publish");
    assert_eq!(status(&world, request.clone()), 503);
    world.restore();
    assert_eq!(status(&world, request), 202);
    assert_eq!(world.events().len(), 1);
}

#[test]
fn crash_between_any_two_calls_loses_no_delivery() {
    for fatal in 0..6 {
        let world = world();
        let request = signed("workflow_job", "d-1", &job("queued", &["dayfly-gpu"]));
        let fate = world.run_until_call(Some(fatal), function(&world).handle(request.clone(), now()));
        let redelivered = now().after(std::time::Duration::from_secs(60));
        let answer = world.run(function(&world).handle(request, redelivered));
        assert!((200..300).contains(&answer.status_code), "{fatal}");
        assert!(!world.events().is_empty(), "lost after a crash before call {fatal}");
        let delivered = world
            .table()
            .records()
            .any(|record| matches!(record, Record::Delivery(d) if d.published));
        assert!(delivered, "{fatal}");
        if matches!(fate, Fate::Ended(_)) {
            assert_eq!(world.events().len(), 1);
        }
    }
}

proptest! {
    #[test]
    fn no_signed_input_panics(event in "workflow_job|workflow_run|ping|x", body in "\\PC{0,300}") {
        let world = world();
        let status = status(&world, signed(&event, "d-1", &body));
        prop_assert!(status < 500);
    }

    #[test]
    fn no_unsigned_input_panics(signature in "\\PC{0,80}", body in "\\PC{0,300}", base64: bool) {
        let world = world();
        let mut request = signed("workflow_job", "d-1", &body);
        request.is_base64_encoded = base64;
        if let Ok(value) = signature.parse() {
            request.headers.insert("x-hub-signature-256", value);
            prop_assert!((400..500).contains(&status(&world, request)));
        }
    }
}
