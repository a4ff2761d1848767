//! The reporter function's process.
// The SDK's futures are nested deeply.
#![recursion_limit = "256"]

use dayfly_aws::alerts::SnsTopic;
use dayfly_aws::parameters::SsmParameters;
use dayfly_github::GitHubApp;
use dayfly_report::check_run::LogLinks;
use dayfly_reporter::Function;
use dayfly_runtime::bus_event::Envelope;
use dayfly_runtime::clock::{self, SystemClock};
use dayfly_runtime::span;
use dayfly_settings::Environment;
use dayfly_store::DynamoTable;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tracing::Instrument as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    dayfly_runtime::telemetry::init();
    let environment = Environment::of_process();
    let aws = dayfly_aws::config()?;
    let github = environment.github()?;
    let stack = environment.stack()?;
    let function = &Function {
        store: DynamoTable::new(&aws, environment.table()?),
        web_url: github.web_url(),
        github: GitHubApp::new(github, SsmParameters::new(&aws)),
        clock: SystemClock,
        alerts: SnsTopic::new(&aws, environment.alarms_topic()?),
        logs: LogLinks {
            region: aws.region().map(ToString::to_string).unwrap_or_default(),
            stack: stack.clone(),
        },
        stack,
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
