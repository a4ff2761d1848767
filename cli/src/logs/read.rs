//! The functions' logs in CloudWatch Logs.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use dayfly_types::time::Timestamp;

use super::about::About;
use super::line::Line;
use crate::error::Error;
use crate::output::Output;

/// What the design calls the functions: the ends of their log groups' names.
const FUNCTIONS: [&str; 8] = [
    "webhook",
    "launch",
    "checkin",
    "job-events",
    "interruption",
    "sweeper",
    "reporter",
    "dashboard",
];

/// What CloudWatch Logs says where there is no such log group.
const NO_GROUP: &str = "ResourceNotFoundException";

/// The logs of a stack's functions.
pub(super) struct Logs<'a> {
    client: Client,
    stack: &'a str,
}

impl<'a> Logs<'a> {
    pub(super) fn new(aws: &SdkConfig, stack: &'a str) -> Self {
        Self {
            client: Client::new(aws),
            stack,
        }
    }

    /// The lines of all functions, in the order of time.
    ///
    /// # Errors
    /// If one cannot be read, or none is there.
    pub(super) async fn of(&self, about: &About, output: &mut Output<'_>) -> Result<Vec<Line>, Error> {
        let (mut lines, mut there) = (Vec::new(), 0);
        for (index, function) in FUNCTIONS.into_iter().enumerate() {
            output.note(format_args!(
                "reading the log of {function}, {} of {}; {} lines so far …",
                index + 1,
                FUNCTIONS.len(),
                lines.len()
            ))?;
            // A stack may be older than one of the functions.
            if let Some(found) = self.of_function(function, about).await? {
                lines.extend(found);
                there += 1;
            }
        }
        if there == 0 {
            return Err(Error::NoLogs {
                stack: self.stack.to_owned(),
                group: group(self.stack, FUNCTIONS[0]),
            });
        }
        // Stable: what a function says in one moment stays in its order.
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    /// Those of one; nothing if it has no log.
    async fn of_function(&self, function: &'static str, about: &About) -> Result<Option<Vec<Line>>, Error> {
        let group = group(self.stack, function);
        let mut pages = self
            .client
            .filter_log_events()
            .log_group_name(&group)
            .filter_pattern(about.filter())
            .start_time(about.from.millis())
            .end_time(about.to.millis())
            .into_paginator()
            .send();
        let mut lines = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => {
                    let events = page.events.unwrap_or_default().into_iter();
                    lines.extend(
                        events
                            .filter_map(|event| line(function, event))
                            .filter(|line| about.is_in(&line.text)),
                    );
                }
                Err(error) if error.code() == Some(NO_GROUP) => return Ok(None),
                Err(error) => {
                    let asked = format!("reading the log group `{group}`");
                    return Err(Error::aws(asked, dayfly_aws::failure(&error)));
                }
            }
        }
        Ok(Some(lines))
    }
}

fn group(stack: &str, function: &str) -> String {
    format!("/aws/lambda/{stack}-{function}")
}

fn line(function: &'static str, event: FilteredLogEvent) -> Option<Line> {
    Some(Line {
        at: Timestamp::from_millis(event.timestamp?),
        function,
        text: event.message?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_log_group_of_the_template_is_read() {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/template.yaml");
        let template = std::fs::read_to_string(template).unwrap();
        let prefix = "LogGroupName: !Sub /aws/lambda/${AWS::StackName}-";
        let named = template.lines().filter_map(|line| line.trim().strip_prefix(prefix));
        let mut named: Vec<&str> = named.collect();
        let mut read = FUNCTIONS.to_vec();
        named.sort_unstable();
        read.sort_unstable();
        assert_eq!(read, named);
    }
}
