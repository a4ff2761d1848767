//! Webhooks with a valid signature: their sender may still send anything.

use aws_lambda_events::http::{HeaderMap, HeaderValue};
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use dayfly_types::time::Timestamp;
use dayfly_webhook::Function;
use dayfly_world::World;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SECRET: &str = "the secret of the corpus";
const PARAMETER: &str = "/dayfly/webhook-secret";

/// Handles a webhook: its event's name, a newline, and its body. The answer is one that GitHub shows in its list of
/// deliveries, and at most one event is on the bus.
pub fn webhook(data: &[u8]) {
    let (name, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&b"workflow_job"[..], data),
    };
    let (Ok(name), Ok(body)) = (HeaderValue::from_bytes(name), std::str::from_utf8(body)) else {
        return;
    };
    let world = World::new();
    world.set_parameter(PARAMETER, SECRET);
    let function = Function::new(world.clone(), world.clone(), world.clone(), PARAMETER.to_owned());
    let answer = world.run(function.handle(request(name, body), Timestamp::from_seconds(1_800_000_000)));
    let events = std::iter::from_fn(|| world.next_event()).count();
    match answer.status_code {
        200 | 400 => assert_eq!(events, 0, "{:?}", answer.body),
        202 => assert!(events <= 1, "{events} events"),
        other => panic!("answered with {other}: {:?}", answer.body),
    }
}

fn request(event: HeaderValue, body: &str) -> LambdaFunctionUrlRequest {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may have any length");
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let mut request = LambdaFunctionUrlRequest::default();
    request.headers = HeaderMap::new();
    request.headers.insert("x-github-event", event);
    request
        .headers
        .insert("x-github-delivery", HeaderValue::from_static("one"));
    request.headers.insert(
        "x-hub-signature-256",
        HeaderValue::from_str(&signature).expect("it is hex"),
    );
    request.body = Some(body.to_owned());
    request
}
