//! A deployed stack, as CloudFormation describes it.

use std::collections::BTreeMap;

use aws_config::{Region, SdkConfig};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::Stack as StackDescription;
use clap::Args;
use dayfly_types::web::web_url;

use crate::arn::Arn;
use crate::aws;
use crate::error::Error;
use crate::output::Output;

/// The functions that handle events: their stack outputs and their titles. `webhook` and `checkin` are left out:
/// their callers are checked at the Function URL, which must not be bypassed.
const EVENT_FUNCTIONS: [(&str, &str); 5] = [
    ("LaunchFunctionName", "launch"),
    ("JobEventsFunctionName", "job-events"),
    ("InterruptionFunctionName", "interruption"),
    (SWEEPER_OUTPUT, SWEEPER),
    ("ReporterFunctionName", "reporter"),
];

/// The default of the stack parameter `GitHubApiUrl`.
const GITHUB_API: &str = "https://api.github.com";

const SWEEPER_OUTPUT: &str = "SweeperFunctionName";
const DEAD_LETTERS_OUTPUT: &str = "DeadLettersUrl";

/// The title of the function that the schedules invoke.
pub(crate) const SWEEPER: &str = "sweeper";

/// The arguments that name a stack.
#[derive(Clone, Debug, Args)]
pub(crate) struct StackTarget {
    /// The stack's name in CloudFormation
    #[arg(long, default_value = "dayfly")]
    pub(crate) stack: String,
    /// The stack's region, if it is not that of your profile or environment
    #[arg(long)]
    pub(crate) region: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) dead_letters_url: String,
    /// `aws`, except in China and for governments.
    partition: String,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
    /// Titles by the functions' real names.
    functions: BTreeMap<String, &'static str>,
}

impl Stack {
    /// Loads the AWS configuration and finds the stack.
    ///
    /// # Errors
    /// There is no region or no such stack, or it is not one of dayfly's.
    pub(crate) async fn connect(target: &StackTarget, output: &mut Output<'_>) -> Result<(SdkConfig, Self), Error> {
        let aws = aws::config(target.region.as_deref()).await?;
        output.note(format_args!("looking for the stack `{}` …", target.stack))?;
        let stack = Self::find(&aws, target).await?;
        Ok((aws, stack))
    }

    async fn find(aws: &SdkConfig, target: &StackTarget) -> Result<Self, Error> {
        let name = &target.stack;
        let region = aws.region().map_or("?", Region::as_ref);
        let asked = Client::new(aws).describe_stacks().stack_name(name).send().await;
        let answer = asked.map_err(|error| {
            let failure = dayfly_aws::failure(&error);
            // It has no error code of its own.
            if failure.message.contains("does not exist") {
                no_stack(name, region)
            } else {
                Error::aws(format!("looking for the stack `{name}` in {region}"), failure)
            }
        })?;
        let description = answer.stacks().first().ok_or_else(|| no_stack(name, region))?;
        Self::of(name, region, description)
    }

    fn of(name: &str, region: &str, description: &StackDescription) -> Result<Self, Error> {
        let outputs: BTreeMap<&str, &str> = description
            .outputs()
            .iter()
            .filter_map(|output| Some((output.output_key()?, output.output_value()?)))
            .collect();
        let output = |key: &str| {
            outputs.get(key).copied().ok_or_else(|| Error::NoOutput {
                stack: name.to_owned(),
                output: key.to_owned(),
            })
        };
        let functions = EVENT_FUNCTIONS
            .into_iter()
            .map(|(key, title)| Ok((output(key)?.to_owned(), title)))
            .collect::<Result<_, Error>>()?;
        let arn = description.stack_id().and_then(Arn::parse);
        Ok(Self {
            name: name.to_owned(),
            region: region.to_owned(),
            account: arn.map_or("", |arn| arn.account).to_owned(),
            partition: arn.map_or("aws", |arn| arn.partition).to_owned(),
            dead_letters_url: output(DEAD_LETTERS_OUTPUT)?.to_owned(),
            functions,
            outputs: outputs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            parameters: description
                .parameters()
                .iter()
                .filter_map(|one| Some((one.parameter_key()?.to_owned(), one.parameter_value()?.to_owned())))
                .collect(),
        })
    }

    /// Returns the URL of GitHub's web pages.
    pub(crate) fn web_url(&self) -> String {
        let api = self.parameters.get("GitHubApiUrl").map(String::as_str);
        web_url(api.unwrap_or(GITHUB_API))
    }

    /// Returns for how many days the functions' logs are kept, if that is a parameter of the stack.
    pub(crate) fn log_retention_days(&self) -> Option<u64> {
        self.parameters.get("LogRetentionDays")?.parse().ok()
    }

    /// # Errors
    /// The stack has no output of this name.
    pub(crate) fn output(&self, key: &str) -> Result<&str, Error> {
        self.outputs
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| Error::NoOutput {
                stack: self.name.clone(),
                output: key.to_owned(),
            })
    }

    /// Returns the ARN of a resource in the stack's account and region.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            self.partition, self.region, self.account
        )
    }

    /// Returns the real name and the title of the stack's function with this ARN.
    pub(crate) fn function<'a>(&self, arn: &'a str) -> Option<(&'a str, &'static str)> {
        let arn = Arn::parse(arn)?;
        let is_own = arn.region == self.region && arn.account == self.account;
        let name = arn.function_name().filter(|_| is_own)?;
        self.functions.get(name).map(|title| (name, *title))
    }
}

fn no_stack(name: &str, region: &str) -> Error {
    Error::NoStack {
        name: name.to_owned(),
        region: region.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_sdk_cloudformation::types::{Output as StackOutput, Parameter};

    use super::*;

    fn described(outputs: &[(&str, &str)]) -> StackDescription {
        outputs
            .iter()
            .fold(StackDescription::builder(), |stack, (key, value)| {
                stack.outputs(StackOutput::builder().output_key(*key).output_value(*value).build())
            })
            .stack_id("arn:aws:cloudformation:eu-west-1:123:stack/dayfly/0")
            .build()
    }

    const OUTPUTS: [(&str, &str); 8] = [
        ("DeadLettersUrl", "https://sqs.eu-west-1.amazonaws.com/123/dead"),
        ("LaunchFunctionName", "dayfly-Launch-1"),
        ("JobEventsFunctionName", "dayfly-JobEvents-1"),
        ("InterruptionFunctionName", "dayfly-Interruption-1"),
        ("SweeperFunctionName", "dayfly-Sweeper-1"),
        ("ReporterFunctionName", "dayfly-Reporter-1"),
        ("CheckinFunctionName", "dayfly-Checkin-1"),
        ("DrillRoleArn", "arn:aws:iam::123:role/dayfly-DrillRole-1"),
    ];

    pub(crate) fn stack() -> Stack {
        Stack::of("dayfly", "eu-west-1", &described(&OUTPUTS)).unwrap()
    }

    #[test]
    fn stack_is_read_from_its_outputs() {
        let stack = stack();
        assert_eq!(stack.account, "123");
        assert_eq!(stack.dead_letters_url, OUTPUTS[0].1);
    }

    #[test]
    fn web_url_and_log_retention_follow_from_the_parameters() {
        assert_eq!(
            (stack().web_url().as_str(), stack().log_retention_days()),
            ("https://github.com", None)
        );
        let with = [
            ("GitHubApiUrl", "https://git.example.com/api/v3"),
            ("LogRetentionDays", "30"),
        ];
        let parameter = |(key, value)| Parameter::builder().parameter_key(key).parameter_value(value).build();
        let mut described = described(&OUTPUTS);
        described.parameters = Some(with.map(parameter).to_vec());
        let stack = Stack::of("dayfly", "eu-west-1", &described).unwrap();
        assert_eq!(
            (stack.web_url().as_str(), stack.log_retention_days()),
            ("https://git.example.com", Some(30))
        );
    }

    #[test]
    fn missing_output_is_named() {
        let error = Stack::of("other", "eu-west-1", &described(&OUTPUTS[1..]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`other`") && error.contains("`DeadLettersUrl`"),
            "{error}"
        );
    }

    #[test]
    fn output_of_one_command_is_required_only_by_it() {
        let stack = stack();
        assert!(stack.output("DrillRoleArn").unwrap().ends_with("DrillRole-1"));
        assert!(
            stack
                .output("TableName")
                .unwrap_err()
                .to_string()
                .contains("`TableName`")
        );
    }

    #[test]
    fn arn_has_the_stacks_account_and_region() {
        let arn = stack().arn("ec2", "instance/i-1");
        assert_eq!(arn, "arn:aws:ec2:eu-west-1:123:instance/i-1");
    }

    #[test]
    fn only_event_functions_of_this_stack_are_found() {
        let launch = ("dayfly-Launch-1", "launch");
        let cases = [
            ("arn:aws:lambda:eu-west-1:123:function:dayfly-Launch-1", Some(launch)),
            (
                "arn:aws:lambda:eu-west-1:123:function:dayfly-Launch-1:$LATEST",
                Some(launch),
            ),
            ("arn:aws:lambda:eu-west-1:123:function:dayfly-Checkin-1", None),
            ("arn:aws:lambda:eu-west-1:123:function:other", None),
            ("arn:aws:lambda:us-east-1:123:function:dayfly-Launch-1", None),
            ("arn:aws:lambda:eu-west-1:456:function:dayfly-Launch-1", None),
            ("arn:aws:sqs:eu-west-1:123:dayfly-Launch-1", None),
            ("dayfly-Launch-1", None),
        ];
        for (arn, expected) in cases {
            assert_eq!(stack().function(arn), expected, "{arn}");
        }
    }
}
