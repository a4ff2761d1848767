//! A deployed stack, as CloudFormation tells of it.

use std::collections::BTreeMap;

use aws_config::{Region, SdkConfig};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::Stack as Described;
use dayfly_types::web::pages_of;

use crate::Place;
use crate::arn::Arn;
use crate::error::Error;

/// The functions that events go to: their outputs, and what the design calls them. `webhook` and
/// `checkin` are left out: who calls them is checked at their Function URL, which nothing else may
/// stand in for.
const EVENT_FUNCTIONS: [(&str, &str); 5] = [
    ("LaunchFunctionName", "launch"),
    ("JobEventsFunctionName", "job-events"),
    ("InterruptionFunctionName", "interruption"),
    (SWEEPER_OUTPUT, SWEEPER),
    ("ReporterFunctionName", "reporter"),
];

/// Where GitHub's API is, unless the stack says otherwise.
const GITHUB_API: &str = "https://api.github.com";

const SWEEPER_OUTPUT: &str = "SweeperFunctionName";
const DEAD_LETTERS_OUTPUT: &str = "DeadLettersUrl";

/// What the design calls the function that the schedules wake.
pub(crate) const SWEEPER: &str = "sweeper";

/// A deployed stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) dead_letters_url: String,
    /// `aws`, but in China and for governments.
    partition: String,
    /// All of them, by name.
    outputs: BTreeMap<String, String>,
    /// What it was deployed with.
    parameters: BTreeMap<String, String>,
    /// Real name to what the design calls it.
    functions: BTreeMap<String, &'static str>,
}

impl Stack {
    /// Asks CloudFormation.
    ///
    /// # Errors
    /// If there is no such stack, or it is none of dayfly's.
    pub(crate) async fn find(aws: &SdkConfig, place: &Place) -> Result<Self, Error> {
        let name = &place.stack;
        let region = aws.region().map_or("?", Region::as_ref);
        let asked = Client::new(aws).describe_stacks().stack_name(name).send().await;
        let answer = asked.map_err(|error| {
            let failure = dayfly_aws::failure(&error);
            // There is no code of its own for it.
            if failure.message.contains("does not exist") {
                no_stack(name, region)
            } else {
                Error::aws(format!("looking for the stack `{name}` in {region}"), failure)
            }
        })?;
        let described = answer.stacks().first().ok_or_else(|| no_stack(name, region))?;
        Self::of(name, region, described)
    }

    fn of(name: &str, region: &str, described: &Described) -> Result<Self, Error> {
        let outputs: BTreeMap<&str, &str> = described
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
        let arn = described.stack_id().and_then(Arn::read);
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
            parameters: described
                .parameters()
                .iter()
                .filter_map(|one| Some((one.parameter_key()?.to_owned(), one.parameter_value()?.to_owned())))
                .collect(),
        })
    }

    /// Where the pages are of the GitHub whose jobs it runs.
    pub(crate) fn web(&self) -> String {
        let api = self.parameters.get("GitHubApiUrl").map(String::as_str);
        pages_of(api.unwrap_or(GITHUB_API))
    }

    /// For how many days its functions' logs are kept, if it says so.
    pub(crate) fn log_days(&self) -> Option<u64> {
        self.parameters.get("LogRetentionDays")?.parse().ok()
    }

    /// An output of the stack.
    ///
    /// # Errors
    /// If it has none of this name.
    pub(crate) fn output(&self, key: &str) -> Result<&str, Error> {
        self.outputs
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| Error::NoOutput {
                stack: self.name.clone(),
                output: key.to_owned(),
            })
    }

    /// The ARN of something in the stack's account and region.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            self.partition, self.region, self.account
        )
    }

    /// The function of this stack that an ARN names: its real name, and what the design calls it.
    pub(crate) fn function<'a>(&self, arn: &'a str) -> Option<(&'a str, &'static str)> {
        let arn = Arn::read(arn)?;
        let here = arn.region == self.region && arn.account == self.account;
        let name = arn.function().filter(|_| here)?;
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
    use aws_sdk_cloudformation::types::{Output, Parameter};

    use super::*;

    fn described(outputs: &[(&str, &str)]) -> Described {
        outputs
            .iter()
            .fold(Described::builder(), |stack, (key, value)| {
                stack.outputs(Output::builder().output_key(*key).output_value(*value).build())
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

    /// A stack for tests of what is decided about it.
    pub(crate) fn stack() -> Stack {
        Stack::of("dayfly", "eu-west-1", &described(&OUTPUTS)).unwrap()
    }

    #[test]
    fn a_stack_is_read_from_its_outputs() {
        let stack = stack();
        assert_eq!(stack.account, "123");
        assert_eq!(stack.dead_letters_url, OUTPUTS[0].1);
    }

    #[test]
    fn where_githubs_pages_are_and_how_long_logs_are_kept_follows_from_the_parameters() {
        assert_eq!(
            (stack().web().as_str(), stack().log_days()),
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
            (stack.web().as_str(), stack.log_days()),
            ("https://git.example.com", Some(30))
        );
    }

    #[test]
    fn a_stack_without_the_outputs_says_which_is_missing() {
        let error = Stack::of("other", "eu-west-1", &described(&OUTPUTS[1..]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`other`") && error.contains("`DeadLettersUrl`"),
            "{error}"
        );
    }

    #[test]
    fn what_one_command_needs_is_missed_by_that_one_only() {
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
    fn an_arn_is_of_the_stacks_account_and_region() {
        let arn = stack().arn("ec2", "instance/i-1");
        assert_eq!(arn, "arn:aws:ec2:eu-west-1:123:instance/i-1");
    }

    #[test]
    fn only_event_functions_of_this_very_stack_are_its_functions() {
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
