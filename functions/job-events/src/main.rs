//! The job events function's process.
// The SDK's futures are deeply nested.
#![recursion_limit = "256"]

use dayfly_aws::bus::EventBus;
use dayfly_aws::parameters::SsmParameters;
use dayfly_ec2::Ec2Fleet;
use dayfly_flows::PriceCache;
use dayfly_github::GitHubApp;
use dayfly_job_events::Function;
use dayfly_metrics::Metered;
use dayfly_ports::PortSet;
use dayfly_runtime::bus_event::Envelope;
use dayfly_runtime::clock::{self, SystemClock};
use dayfly_runtime::span;
use dayfly_settings::Environment;
use dayfly_store::DynamoTable;
use dayfly_types::ids::Region;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tracing::Instrument as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    dayfly_runtime::telemetry::init();
    let environment = Environment::of_process();
    let aws = dayfly_aws::config()?;
    let function = &Function {
        ports: PortSet {
            store: Metered::new(DynamoTable::new(&aws, environment.table()?), SystemClock),
            github: GitHubApp::new(environment.github()?, SsmParameters::new(&aws)),
            fleet: Ec2Fleet::new(&aws, environment.ec2()?),
            bus: EventBus::new(&aws, environment.bus()?),
        },
        prices: PriceCache::new(Region::new(aws.region().map(ToString::to_string).unwrap_or_default())),
        deadlines: environment.deadlines()?,
    };
    run(service_fn(async |event: LambdaEvent<Envelope>| {
        let request = event.context.request_id;
        let event = event.payload.event()?;
        let span = span::of_event(&event, &request);
        Box::pin(function.handle(event, clock::now())).instrument(span).await?;
        Ok::<_, Error>(())
    }))
    .await
}
