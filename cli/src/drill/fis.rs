//! AWS Fault Injection Service.
//!
//! <https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html#send-spot-instance-interruptions>

use aws_config::SdkConfig;
use aws_sdk_fis::Client;
use aws_sdk_fis::types::{
    CreateExperimentTemplateActionInput, CreateExperimentTemplateStopConditionInput,
    CreateExperimentTemplateTargetInput, ExperimentState, ExperimentStatus,
};
use dayfly_types::ids::RunnerName;

use super::snapshot::Placement;
use crate::error::Error;
use crate::stack::Stack;

const ACTION: &str = "aws:ec2:send-spot-instance-interruptions";
const TARGET: &str = "aws:ec2:spot-instance";
/// The action's name for its targets.
const TARGETS_OF_ACTION: &str = "SpotInstances";
/// The name of the template's only target and action.
const NAME: &str = "runner";

/// The interruption to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExperimentRequest {
    pub(crate) instance_arn: String,
    pub(crate) role_arn: String,
    pub(crate) minutes: u32,
    pub(crate) stack: String,
    pub(crate) runner: String,
}

impl ExperimentRequest {
    /// # Errors
    /// The stack has no role for experiments.
    pub(crate) fn new(stack: &Stack, runner: &RunnerName, placement: &Placement, minutes: u32) -> Result<Self, Error> {
        Ok(Self {
            instance_arn: stack.arn("ec2", &format!("instance/{}", placement.instance)),
            role_arn: stack.output("DrillRoleArn")?.to_owned(),
            minutes,
            stack: stack.name.clone(),
            runner: runner.to_string(),
        })
    }

    fn tags(&self) -> [(&'static str, &str); 2] {
        [("dayfly:stack", &self.stack), ("dayfly:runner", &self.runner)]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExperimentProgress {
    Running,
    /// The interruption was sent.
    Sent,
    /// It was not sent, for this reason.
    Failed(String),
}

impl ExperimentProgress {
    pub(crate) fn from_state(state: Option<&ExperimentState>) -> Self {
        let Some(state) = state else { return Self::Running };
        match state.status() {
            Some(ExperimentStatus::Completed) => Self::Sent,
            Some(status @ (ExperimentStatus::Failed | ExperimentStatus::Stopped | ExperimentStatus::Cancelled)) => {
                let reason = state.reason().filter(|reason| !reason.is_empty());
                Self::Failed(reason.map_or_else(|| format!("it {status}"), str::to_owned))
            }
            // An unknown status is followed by a known one.
            _ => Self::Running,
        }
    }
}

/// Sends interruptions.
pub(crate) trait FaultInjector {
    /// Creates an experiment template and returns its id.
    async fn create(&self, request: &ExperimentRequest) -> Result<String, Error>;
    /// Starts an experiment and returns its id.
    async fn start(&self, template: &str, request: &ExperimentRequest) -> Result<String, Error>;
    async fn state(&self, experiment: &str) -> Result<ExperimentProgress, Error>;
    /// Deletes the template. A started experiment goes on.
    async fn delete(&self, template: &str) -> Result<(), Error>;
}

#[derive(Debug)]
pub(crate) struct AwsFis {
    client: Client,
}

impl AwsFis {
    pub(crate) fn new(aws: &SdkConfig) -> Self {
        Self {
            client: Client::new(aws),
        }
    }
}

impl FaultInjector for AwsFis {
    async fn create(&self, request: &ExperimentRequest) -> Result<String, Error> {
        let action = "creating the experiment template";
        let invalid = |error: aws_sdk_fis::error::BuildError| Error::invalid(action, &error.to_string());
        let target = CreateExperimentTemplateTargetInput::builder()
            .resource_type(TARGET)
            .resource_arns(&request.instance_arn)
            .selection_mode("ALL")
            .build()
            .map_err(invalid)?;
        let interruption = CreateExperimentTemplateActionInput::builder()
            .action_id(ACTION)
            .parameters("durationBeforeInterruption", format!("PT{}M", request.minutes))
            .targets(TARGETS_OF_ACTION, NAME)
            .build()
            .map_err(invalid)?;
        let stop = CreateExperimentTemplateStopConditionInput::builder()
            .source("none")
            .build()
            .map_err(invalid)?;
        let mut call = self
            .client
            .create_experiment_template()
            .description(format!("dayfly drill: interrupt {}", request.runner))
            .role_arn(&request.role_arn)
            .targets(NAME, target)
            .actions(NAME, interruption)
            .stop_conditions(stop);
        for (key, value) in request.tags() {
            call = call.tags(key, value);
        }
        let answer = call.send().await;
        let answer = answer.map_err(|error| Error::aws(action, dayfly_aws::failure(&error)))?;
        let id = answer.experiment_template.and_then(|template| template.id);
        id.ok_or_else(|| Error::invalid(action, "the answer has no id"))
    }

    async fn start(&self, template: &str, request: &ExperimentRequest) -> Result<String, Error> {
        let action = "starting the experiment";
        let mut call = self.client.start_experiment().experiment_template_id(template);
        for (key, value) in request.tags() {
            call = call.tags(key, value);
        }
        let answer = call.send().await;
        let answer = answer.map_err(|error| Error::aws(action, dayfly_aws::failure(&error)))?;
        let id = answer.experiment.and_then(|experiment| experiment.id);
        id.ok_or_else(|| Error::invalid(action, "the answer has no id"))
    }

    async fn state(&self, experiment: &str) -> Result<ExperimentProgress, Error> {
        let answer = self.client.get_experiment().id(experiment).send().await;
        let answer = answer.map_err(|error| {
            Error::aws(
                format!("asking about the experiment {experiment}"),
                dayfly_aws::failure(&error),
            )
        })?;
        let state = answer.experiment.and_then(|experiment| experiment.state);
        Ok(ExperimentProgress::from_state(state.as_ref()))
    }

    async fn delete(&self, template: &str) -> Result<(), Error> {
        let deleted = self.client.delete_experiment_template().id(template).send().await;
        deleted.map_err(|error| Error::aws("deleting the experiment template", dayfly_aws::failure(&error)))?;
        Ok(())
    }
}
