//! The minimal Rust function: `lambda_runtime` and an echo. Its cost is the floor of every other row of
//! the table, on this machine at this time.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (payload, context) = event.into_parts();
    match payload.get("fail") {
        Some(reason) => Err(reason.to_string().into()),
        None => Ok(json!({ "echo": payload, "request": context.request_id })),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}
