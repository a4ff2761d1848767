//! Links to what the functions logged about an instance.

use std::fmt::Write as _;
use std::time::Duration;

use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

/// The stack whose logs the links lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLinks {
    pub region: String,
    /// The stack's name, a part of its log groups' names.
    pub stack: String,
}

/// The functions that log about instances.
const FUNCTIONS: [&str; 5] = ["launch", "checkin", "job-events", "interruption", "sweeper"];

/// Added before and after the life of an instance.
const MARGIN: Duration = Duration::from_hours(1);

impl LogLinks {
    /// Returns the CloudWatch page that shows all lines about an instance that lived from `from` to `to`.
    ///
    /// The URL is what the page itself makes of a query: JSURL, with each special character as `*` and its
    /// number.
    #[must_use]
    pub fn url(&self, instance: &InstanceId, from: Timestamp, to: Timestamp) -> String {
        let query = format!(
            "fields @timestamp, message, runner, coalesce(reason, error, because, detail) as why, level\n\
             | filter @message like \"{instance}\"\n| sort @timestamp asc\n| limit 1000"
        );
        let margin = i64::try_from(MARGIN.as_millis()).unwrap_or_default();
        let from = Timestamp::from_millis(from.millis() - margin);
        let mut groups = String::new();
        for function in FUNCTIONS {
            let group = escaped(&format!("/aws/lambda/{}-{function}", self.stack));
            let _ = write!(groups, "~'{group}");
        }
        format!(
            "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:logs-insights$3FqueryDetail$3D\
             ~(end~'{}~start~'{}~timeType~'ABSOLUTE~tz~'UTC~editorString~'{}~source~({groups}))",
            moment(to.after(MARGIN)),
            moment(from),
            escaped(&query),
            region = self.region,
        )
    }
}

fn moment(at: Timestamp) -> String {
    escaped(&format!("{}T{}.000Z", at.utc_day(), at.utc_time()))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "*{byte:02x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::now;

    #[test]
    fn link_shows_the_lines_of_one_instance_in_its_time() {
        let logs = LogLinks {
            region: "eu-west-1".to_owned(),
            stack: "dayfly".to_owned(),
        };
        let link = logs.url(&InstanceId::new("i-0abc"), now(), now().after(Duration::from_mins(5)));
        let day = now().utc_day();
        assert!(
            link.starts_with("https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:logs-insights$3FqueryDetail$3D~(end~'"),
            "{link}"
        );
        for part in [
            format!("~start~'{day}T07*3a00*3a00.000Z~"),
            format!("(end~'{day}T09*3a05*3a00.000Z~"),
            "like*20*22i-0abc*22*0a".to_owned(),
            "~source~(~'*2faws*2flambda*2fdayfly-launch~'".to_owned(),
        ] {
            assert!(link.contains(&part), "{part} in {link}");
        }
        assert!(!link.contains([' ', '<', '>', '"']), "{link}");
    }
}
