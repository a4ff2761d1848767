//! The dashboard function's process.
// The SDK's futures are nested deeply.
#![recursion_limit = "256"]

use dayfly_dashboard::{Function, Request};
use dayfly_runtime::clock;
use dayfly_settings::Environment;
use dayfly_store::DynamoTable;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tracing::Instrument as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    dayfly_runtime::telemetry::init();
    let environment = Environment::of_process();
    let aws = dayfly_aws::config()?;
    let function = &Function {
        store: DynamoTable::new(&aws, environment.table()?),
        web_url: environment.web_url()?,
        lifetime: environment.deadlines()?.lifetime,
    };
    run(service_fn(async |event: LambdaEvent<Request>| {
        let span = tracing::info_span!("board", request = event.context.request_id);
        let answer = Box::pin(function.handle(&event.payload, clock::now())).instrument(span);
        Ok::<_, Error>(answer.await?)
    }))
    .await
}
