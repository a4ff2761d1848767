//! The AWS half of the lab: ministack with the stack deployed, EC2's proxy and the two front doors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::aws::{Aws, Ec2Instance, Invocation};
use crate::deploy::{Deployment, Plan, deploy};
use crate::ec2_proxy::{Caller, Ec2Proxy, Scenario};
use crate::front_door::{FrontDoor, Sessions};
use crate::function_url::Url;
use crate::functions::Function;
use crate::ministack::{Ministack, Settings};
use crate::sigv4::Credentials;

/// ministack's only account.
const ACCOUNT: &str = "000000000000";

/// The configuration of the AWS half.
#[derive(Clone, Debug)]
pub struct CloudConfig {
    pub checkout: PathBuf,
    /// The folder with the functions' binaries.
    pub binaries: PathBuf,
    pub region: String,
    pub stack: String,
    /// The length of a minute of the schedules.
    pub minute: Duration,
    pub webhook_secret: String,
    pub app_private_key: String,
    /// Further parameters of the template.
    pub parameters: BTreeMap<String, String>,
    pub scenario: Scenario,
}

#[derive(Debug)]
pub struct Cloud {
    ministack: Ministack,
    aws: Aws,
    deployment: Deployment,
    ec2: Ec2Proxy,
    webhook_door: FrontDoor,
    checkin_door: FrontDoor,
    sessions: Sessions,
}

impl Cloud {
    /// Starts everything, with all files in `scratch`.
    ///
    /// # Errors
    /// If a part does not start; the started parts are ended.
    pub async fn start(config: &CloudConfig, scratch: &Path) -> anyhow::Result<Self> {
        let ministack = Ministack::start(&Settings {
            checkout: &config.checkout,
            scratch,
            region: &config.region,
            minute: config.minute,
        })
        .await?;
        let aws = Aws::new(&ministack.endpoint(), &config.region, Credentials::owner())?;
        put_parameters(&aws, config).await?;
        let deployment = deploy(
            &aws,
            &Plan {
                checkout: &config.checkout,
                binaries: &config.binaries,
                scratch,
                stack: &config.stack,
                parameters: config.parameters.clone(),
            },
        )
        .await?;
        let ec2 = Ec2Proxy::start(&aws, config.scenario.clone()).await?;
        ec2.know(callers(&aws, &deployment).await?, aws.subnet_zones().await?);
        // The only setting of the functions besides the template's.
        let ec2_url = [
            "AWS_ENDPOINT_URL_EC2",
            "AWS_ENDPOINT_URL_PRICING",
            "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
        ]
        .map(|name| (name.to_owned(), ec2.url()))
        .into();
        for function in Function::ALL {
            aws.add_function_environment(deployment.function(function)?, &ec2_url)
                .await?;
        }
        let sessions = Sessions::default();
        let webhook = url(&deployment, "WebhookUrl")?;
        let checkin = url(&deployment, "CheckinUrl")?;
        Ok(Self {
            webhook_door: FrontDoor::open(&aws, webhook, deployment.function(Function::Webhook)?).await?,
            checkin_door: FrontDoor::guarded(&aws, checkin, deployment.function(Function::Checkin)?, sessions.clone())
                .await?,
            ministack,
            aws,
            deployment,
            ec2,
            sessions,
        })
    }

    /// The account owner's view of AWS, which bypasses the EC2 proxy.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// EC2 as the functions see it.
    #[must_use]
    pub fn ec2(&self) -> &Ec2Proxy {
        &self.ec2
    }

    #[must_use]
    pub fn ministack(&self) -> &Ministack {
        &self.ministack
    }

    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The URL for webhooks.
    #[must_use]
    pub fn webhook_door(&self) -> &FrontDoor {
        &self.webhook_door
    }

    /// The URL for check-ins.
    #[must_use]
    pub fn checkin_door(&self) -> &FrontDoor {
        &self.checkin_door
    }

    /// Invokes a function and waits for its answer.
    ///
    /// # Errors
    /// If Lambda refuses; a function that fails is an [`Invocation`].
    pub async fn invoke(&self, function: Function, event: &Value) -> anyhow::Result<Invocation> {
        let name = self.deployment.function(function)?;
        Ok(self.aws.invoke(name, event).await?)
    }

    /// Throttles a function until it is released: calls of its URL are answered with 429, and its
    /// events wait.
    ///
    /// # Errors
    /// If Lambda refuses.
    pub async fn throttle(&self, function: Function) -> anyhow::Result<()> {
        self.limit(function, 0).await
    }

    /// Limits a function's concurrency, as reserved concurrency does on AWS.
    ///
    /// # Errors
    /// If Lambda refuses.
    pub async fn limit(&self, function: Function, at_once: u32) -> anyhow::Result<()> {
        let name = self.deployment.function(function)?;
        Ok(self.aws.limit_function(name, at_once).await?)
    }

    /// Ends [`Cloud::throttle`].
    ///
    /// # Errors
    /// If Lambda refuses.
    pub async fn release(&self, function: Function) -> anyhow::Result<()> {
        Ok(self.aws.release_function(self.deployment.function(function)?).await?)
    }

    /// Puts an event of EC2's on the default bus, which the template's rules read.
    ///
    /// # Errors
    /// If the bus refuses it.
    pub async fn emit_ec2_event(&self, event: &Ec2Event, instance: &str) -> anyhow::Result<()> {
        event.emit(&self.aws, instance).await
    }

    /// Returns every item of the table, in `DynamoDB`'s JSON.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn table_items(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.aws.scan(self.deployment.output("TableName")?, None).await?)
    }

    /// Deletes every item of the table, as an operator's mistake would.
    ///
    /// # Errors
    /// If the table cannot be read or written.
    pub async fn empty_table(&self) -> anyhow::Result<()> {
        let table = self.deployment.output("TableName")?;
        for item in self.aws.scan(table, None).await? {
            let key = json!({"pk": item["pk"], "sk": item["sk"]});
            self.aws.delete_item(table, &key).await?;
        }
        Ok(())
    }

    /// Returns the records of the due index.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub async fn live_records(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.aws.scan(self.deployment.output("TableName")?, Some("due")).await?)
    }

    /// Returns the instances of the stack, including ended ones that EC2 still lists.
    ///
    /// # Errors
    /// If EC2 does not answer.
    pub async fn instances(&self) -> anyhow::Result<Vec<Ec2Instance>> {
        let mut instances = self.aws.instances().await?;
        instances.retain(|instance| instance.tags.get("dayfly:stack") == Some(&self.deployment.stack));
        Ok(instances)
    }

    /// Whether the minute schedule is on.
    ///
    /// # Errors
    /// If the schedule cannot be read.
    pub async fn minute_schedule_enabled(&self) -> anyhow::Result<bool> {
        let schedule = self.aws.schedule(self.deployment.output("MinuteScheduleName")?).await?;
        Ok(schedule["State"] == "ENABLED")
    }

    /// Returns the number of messages in the dead-letter queue.
    ///
    /// # Errors
    /// If the queue cannot be read.
    pub async fn dead_letters(&self) -> anyhow::Result<u64> {
        let body = json!({
            "QueueUrl": self.deployment.output("DeadLettersUrl")?,
            "AttributeNames": ["ApproximateNumberOfMessages"],
        });
        let answer = self.aws.json("sqs", "AmazonSQS", "GetQueueAttributes", &body).await?;
        answer["Attributes"]["ApproximateNumberOfMessages"]
            .as_str()
            .and_then(|count| count.parse().ok())
            .with_context(|| format!("the queue has no number of messages: {answer}"))
    }

    /// Returns everything that a function logged.
    ///
    /// # Errors
    /// If its log group cannot be read.
    pub async fn function_log(&self, function: Function) -> anyhow::Result<Vec<String>> {
        Ok(self.aws.log_lines(self.log_group(function)?).await?)
    }

    /// Returns a function's log group.
    ///
    /// # Errors
    /// If the stack has no such log group.
    pub fn log_group(&self, function: Function) -> anyhow::Result<&str> {
        self.deployment.resource(&format!("{}Logs", function.title()))
    }

    /// Ends everything.
    ///
    /// # Errors
    /// If a process of ministack's does not end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.webhook_door.stop().await;
        self.checkin_door.stop().await;
        self.ec2.stop().await;
        self.ministack.stop().await
    }
}

/// An event about an instance on the default bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ec2Event {
    /// It will be reclaimed in two minutes.
    InterruptionWarning,
    /// It may be reclaimed soon.
    RebalanceRecommendation,
    /// Its state changed. ministack itself reports launches and ends.
    StateChange(String),
}

impl Ec2Event {
    /// Puts it on the default bus.
    ///
    /// # Errors
    /// If the bus refuses it.
    pub async fn emit(&self, aws: &Aws, instance: &str) -> anyhow::Result<()> {
        let region = aws.region();
        let entry = json!({
            "Source": "aws.ec2",
            "DetailType": self.detail_type(),
            "Resources": [format!("arn:aws:ec2:{region}:{ACCOUNT}:instance/{instance}")],
            "Detail": self.detail(instance).to_string(),
        });
        let body = json!({"Entries": [entry]});
        let answer = aws.json("events", "AWSEvents", "PutEvents", &body).await?;
        anyhow::ensure!(answer["FailedEntryCount"] == 0, "the bus refused the event: {answer}");
        Ok(())
    }

    fn detail_type(&self) -> &'static str {
        match self {
            Self::InterruptionWarning => "EC2 Spot Instance Interruption Warning",
            Self::RebalanceRecommendation => "EC2 Instance Rebalance Recommendation",
            Self::StateChange(_) => "EC2 Instance State-change Notification",
        }
    }

    fn detail(&self, instance: &str) -> Value {
        match self {
            Self::InterruptionWarning => json!({"instance-id": instance, "instance-action": "terminate"}),
            Self::RebalanceRecommendation => json!({"instance-id": instance}),
            Self::StateChange(state) => json!({"instance-id": instance, "state": state}),
        }
    }
}

async fn put_parameters(aws: &Aws, config: &CloudConfig) -> anyhow::Result<()> {
    aws.put_parameter("/dayfly/github/webhook-secret", "SecureString", &config.webhook_secret)
        .await?;
    aws.put_parameter("/dayfly/github/private-key", "SecureString", &config.app_private_key)
        .await?;
    Ok(())
}

async fn callers(aws: &Aws, deployment: &Deployment) -> anyhow::Result<Vec<Caller>> {
    let mut callers = Vec::new();
    for function in Function::ALL {
        let configuration = aws.function_configuration(deployment.function(function)?).await?;
        let text = |field: &str| configuration[field].as_str().unwrap_or_default().to_owned();
        callers.push(Caller::function(function.name(), &text("FunctionArn"), &text("Role")));
    }
    Ok(callers)
}

fn url(deployment: &Deployment, output: &str) -> anyhow::Result<Url> {
    let text = deployment.output(output)?;
    Url::parse(text, ACCOUNT).with_context(|| format!("`{text}` is no Function URL"))
}
