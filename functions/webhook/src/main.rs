//! The webhook function's process.
// The SDK's futures are nested deeply.
#![recursion_limit = "256"]

use dayfly_aws::bus::EventBus;
use dayfly_aws::parameters::SsmParameters;
use dayfly_runtime::clock;
use dayfly_settings::Environment;
use dayfly_store::DynamoTable;
use dayfly_webhook::Function;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tracing::Instrument as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    dayfly_runtime::telemetry::init();
    let environment = Environment::of_process();
    let aws = dayfly_aws::config()?;
    let function = &Function::new(
        DynamoTable::new(&aws, environment.table()?),
        EventBus::new(&aws, environment.bus()?),
        SsmParameters::new(&aws),
        environment.webhook_secret_parameter()?,
    );
    run(service_fn(async |event: LambdaEvent<_>| {
        let span = tracing::info_span!(
            "webhook",
            request = event.context.request_id,
            delivery = tracing::field::Empty
        );
        Ok::<_, Error>(
            Box::pin(function.handle(event.payload, clock::now()))
                .instrument(span)
                .await,
        )
    }))
    .await
}
