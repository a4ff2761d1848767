//! The interruption function's process.
// The SDK's futures are deeply nested.
#![recursion_limit = "256"]

use dayfly_aws::bus::EventBus;
use dayfly_interruption::{Ec2Event, Function};
use dayfly_metrics::Metered;
use dayfly_runtime::bus_event::Envelope;
use dayfly_runtime::clock::{self, SystemClock};
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
        store: Metered::new(DynamoTable::new(&aws, environment.table()?), SystemClock),
        bus: EventBus::new(&aws, environment.bus()?),
        deadlines: environment.deadlines()?,
    };
    run(service_fn(async |event: LambdaEvent<Envelope>| {
        let request = event.context.request_id;
        let event = Ec2Event::try_from(event.payload)?;
        let span = tracing::info_span!("event", request, instance = %event.instance);
        Box::pin(function.handle(&event, clock::now())).instrument(span).await?;
        Ok::<_, Error>(())
    }))
    .await
}
