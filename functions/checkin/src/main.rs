//! The check-in function's process.
// The SDK's futures are deeply nested.
#![recursion_limit = "256"]

use dayfly_aws::bus::EventBus;
use dayfly_aws::parameters::SsmParameters;
use dayfly_checkin::Function;
use dayfly_flows::Policies;
use dayfly_github::GitHubApp;
use dayfly_metrics::Metered;
use dayfly_runtime::clock::{self, SystemClock};
use dayfly_settings::Environment;
use dayfly_store::DynamoTable;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tracing::Instrument as _;
use tracing::field::Empty;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    dayfly_runtime::telemetry::init();
    let environment = Environment::of_process();
    let aws = dayfly_aws::config()?;
    let function = &Function {
        store: Metered::new(DynamoTable::new(&aws, environment.table()?), SystemClock),
        github: GitHubApp::new(environment.github()?, SsmParameters::new(&aws)),
        bus: EventBus::new(&aws, environment.bus()?),
        parameters: SsmParameters::new(&aws),
        policies: Policies::new(environment.policy_parameter()),
        deadlines: environment.deadlines()?,
    };
    run(service_fn(async |event: LambdaEvent<_>| {
        let span = tracing::info_span!(
            "checkin",
            request = event.context.request_id,
            instance = Empty,
            runner = Empty
        );
        Ok::<_, Error>(
            Box::pin(function.handle(event.payload, clock::now()))
                .instrument(span)
                .await,
        )
    }))
    .await
}
