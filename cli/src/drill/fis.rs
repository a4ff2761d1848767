//! AWS Fault Injection Service, as it is needed here.
//!
//! <https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html#send-spot-instance-interruptions>

use aws_config::SdkConfig;
use aws_sdk_fis::Client;
use aws_sdk_fis::types::{
    CreateExperimentTemplateActionInput, CreateExperimentTemplateStopConditionInput,
    CreateExperimentTemplateTargetInput, ExperimentState, ExperimentStatus,
};
use dayfly_types::ids::RunnerName;

use super::seen::Placed;
use crate::error::Error;
use crate::stack::Stack;

const ACTION: &str = "aws:ec2:send-spot-instance-interruptions";
const TARGET: &str = "aws:ec2:spot-instance";
/// What the action calls its targets.
const TARGETS_OF_ACTION: &str = "SpotInstances";
/// What the template calls its one target and its one action.
const NAME: &str = "runner";

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) instance_arn: String,
    pub(crate) role_arn: String,
    pub(crate) minutes: u32,
    pub(crate) stack: String,
    pub(crate) runner: String,
}

impl Order {
    /// # Errors
    /// If the stack has no role for it.
    pub(crate) fn new(stack: &Stack, runner: &RunnerName, placed: &Placed, minutes: u32) -> Result<Self, Error> {
        Ok(Self {
            instance_arn: stack.arn("ec2", &format!("instance/{}", placed.instance)),
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

/// Where an experiment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Experiment {
    /// It is not over.
    UnderWay,
    /// It has done what it was for.
    Sent,
    /// It has not, for this reason.
    Failed(String),
}

impl Experiment {
    pub(crate) fn of(state: Option<&ExperimentState>) -> Self {
        let Some(state) = state else { return Self::UnderWay };
        match state.status() {
            Some(ExperimentStatus::Completed) => Self::Sent,
            Some(status @ (ExperimentStatus::Failed | ExperimentStatus::Stopped | ExperimentStatus::Cancelled)) => {
                let reason = state.reason().filter(|reason| !reason.is_empty());
                Self::Failed(reason.map_or_else(|| format!("it {status}"), str::to_owned))
            }
            // A status that is not known yet will be followed by one that is.
            _ => Self::UnderWay,
        }
    }
}

/// Who sends interruptions.
pub(crate) trait Injector {
    /// Makes the template of an experiment; answers its id.
    async fn create(&self, order: &Order) -> Result<String, Error>;
    /// Starts an experiment; answers its id.
    async fn start(&self, template: &str, order: &Order) -> Result<String, Error>;
    /// Where an experiment stands.
    async fn state(&self, experiment: &str) -> Result<Experiment, Error>;
    /// Takes the template away. An experiment that was started goes on.
    async fn delete(&self, template: &str) -> Result<(), Error>;
}

/// AWS's own.
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

impl Injector for AwsFis {
    async fn create(&self, order: &Order) -> Result<String, Error> {
        let asked = "making the experiment's template";
        let unsound = |error: aws_sdk_fis::error::BuildError| Error::unsound(asked, &error.to_string());
        let target = CreateExperimentTemplateTargetInput::builder()
            .resource_type(TARGET)
            .resource_arns(&order.instance_arn)
            .selection_mode("ALL")
            .build()
            .map_err(unsound)?;
        let action = CreateExperimentTemplateActionInput::builder()
            .action_id(ACTION)
            .parameters("durationBeforeInterruption", format!("PT{}M", order.minutes))
            .targets(TARGETS_OF_ACTION, NAME)
            .build()
            .map_err(unsound)?;
        let stop = CreateExperimentTemplateStopConditionInput::builder()
            .source("none")
            .build()
            .map_err(unsound)?;
        let mut request = self
            .client
            .create_experiment_template()
            .description(format!("dayfly drill: interrupt {}", order.runner))
            .role_arn(&order.role_arn)
            .targets(NAME, target)
            .actions(NAME, action)
            .stop_conditions(stop);
        for (key, value) in order.tags() {
            request = request.tags(key, value);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| Error::aws(asked, dayfly_aws::failure(&error)))?;
        let id = answer.experiment_template.and_then(|template| template.id);
        id.ok_or_else(|| Error::unsound(asked, "the answer has no id"))
    }

    async fn start(&self, template: &str, order: &Order) -> Result<String, Error> {
        let asked = "starting the experiment";
        let mut request = self.client.start_experiment().experiment_template_id(template);
        for (key, value) in order.tags() {
            request = request.tags(key, value);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| Error::aws(asked, dayfly_aws::failure(&error)))?;
        let id = answer.experiment.and_then(|experiment| experiment.id);
        id.ok_or_else(|| Error::unsound(asked, "the answer has no id"))
    }

    async fn state(&self, experiment: &str) -> Result<Experiment, Error> {
        let answer = self.client.get_experiment().id(experiment).send().await;
        let answer = answer.map_err(|error| {
            Error::aws(
                format!("asking about the experiment {experiment}"),
                dayfly_aws::failure(&error),
            )
        })?;
        let state = answer.experiment.and_then(|experiment| experiment.state);
        Ok(Experiment::of(state.as_ref()))
    }

    async fn delete(&self, template: &str) -> Result<(), Error> {
        let deleted = self.client.delete_experiment_template().id(template).send().await;
        deleted.map_err(|error| Error::aws("deleting the experiment's template", dayfly_aws::failure(&error)))?;
        Ok(())
    }
}
