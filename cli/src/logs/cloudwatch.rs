//! The functions' logs in CloudWatch Logs.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use dayfly_types::time::Timestamp;

use super::line::LogLine;
use super::search::LogSearch;
use crate::error::Error;
use crate::output::Output;

/// The functions' titles, which are the ends of their log groups' names.
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

/// The error code for a missing log group.
const NO_SUCH_GROUP: &str = "ResourceNotFoundException";

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

    /// Finds the lines of all functions, in chronological order.
    ///
    /// # Errors
    /// A log cannot be read, or there is none.
    pub(super) async fn find(&self, search: &LogSearch, output: &mut Output<'_>) -> Result<Vec<LogLine>, Error> {
        let (mut lines, mut groups) = (Vec::new(), 0);
        for (index, function) in FUNCTIONS.into_iter().enumerate() {
            output.note(format_args!(
                "reading the log of {function}, {} of {}; {} lines so far …",
                index + 1,
                FUNCTIONS.len(),
                lines.len()
            ))?;
            // An older stack may lack one of the functions.
            if let Some(found) = self.find_in(function, search).await? {
                lines.extend(found);
                groups += 1;
            }
        }
        if groups == 0 {
            return Err(Error::NoLogs {
                stack: self.stack.to_owned(),
                group: group(self.stack, FUNCTIONS[0]),
            });
        }
        // A stable sort keeps a function's lines of the same moment in order.
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    /// Finds the lines of one function, or returns `None` if it has no log.
    async fn find_in(&self, function: &'static str, search: &LogSearch) -> Result<Option<Vec<LogLine>>, Error> {
        let group = group(self.stack, function);
        let mut pages = self
            .client
            .filter_log_events()
            .log_group_name(&group)
            .filter_pattern(search.filter())
            .start_time(search.from.millis())
            .end_time(search.to.millis())
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
                            .filter(|line| search.matches(&line.text)),
                    );
                }
                Err(error) if error.code() == Some(NO_SUCH_GROUP) => return Ok(None),
                Err(error) => {
                    let request = format!("reading the log group `{group}`");
                    return Err(Error::aws(request, dayfly_aws::failure(&error)));
                }
            }
        }
        Ok(Some(lines))
    }
}

fn group(stack: &str, function: &str) -> String {
    format!("/aws/lambda/{stack}-{function}")
}

fn line(function: &'static str, event: FilteredLogEvent) -> Option<LogLine> {
    Some(LogLine {
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
