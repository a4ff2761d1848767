//! The sweeper function's process.
// The SDK's futures are deeply nested.
#![recursion_limit = "256"]

use dayfly_aws::bus::EventBus;
use dayfly_aws::parameters::SsmParameters;
use dayfly_aws::schedule::MinuteSchedule;
use dayfly_ec2::Ec2Fleet;
use dayfly_flows::PriceCache;
use dayfly_github::GitHubApp;
use dayfly_metrics::Metered;
use dayfly_ports::PortSet;
use dayfly_runtime::clock::{self, SystemClock};
use dayfly_settings::Environment;
use dayfly_store::DynamoTable;
use dayfly_sweeper::{Function, Task};
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
        schedule: MinuteSchedule::new(&aws, environment.minute_schedule()?),
        prices: PriceCache::new(Region::new(aws.region().map(ToString::to_string).unwrap_or_default())),
        deadlines: environment.deadlines()?,
    };
    run(service_fn(async |event: LambdaEvent<Task>| {
        let span = tracing::info_span!("sweeper", request = event.context.request_id);
        let task = event.payload;
        let work = async {
            let swept = Box::pin(function.handle(task, clock::now())).await?;
            function.publish_runner_count(task, swept).await;
            Ok::<_, Error>(())
        };
        work.instrument(span).await
    }))
    .await
}
