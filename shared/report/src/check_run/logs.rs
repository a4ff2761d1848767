//! Where CloudWatch shows what was logged of an instance.

use std::fmt::Write as _;
use std::time::Duration;

use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

/// Where the functions' logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The region of the stack.
    pub region: String,
    /// The stack's name, which is in those of its log groups.
    pub stack: String,
}

/// The functions that say something of an instance.
const FUNCTIONS: [&str; 5] = ["launch", "checkin", "job-events", "interruption", "sweeper"];

/// How much earlier and later than an instance lived is looked for it.
const AROUND: Duration = Duration::from_hours(1);

impl Logs {
    /// The page of CloudWatch's that shows all lines about an instance that lived at this time.
    ///
    /// Its address is what the page itself makes of a query: parts of what JSURL writes, each character that
    /// may mean something as `*` and its number.
    #[must_use]
    pub fn of(&self, instance: &InstanceId, from: Timestamp, to: Timestamp) -> String {
        let query = format!(
            "fields @timestamp, message, runner, coalesce(reason, error, because, detail) as why, level\n\
             | filter @message like \"{instance}\"\n| sort @timestamp asc\n| limit 1000"
        );
        let around = i64::try_from(AROUND.as_millis()).unwrap_or_default();
        let from = Timestamp::from_millis(from.millis() - around);
        let mut groups = String::new();
        for function in FUNCTIONS {
            let group = escaped(&format!("/aws/lambda/{}-{function}", self.stack));
            let _ = write!(groups, "~'{group}");
        }
        format!(
            "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:logs-insights$3FqueryDetail$3D\
             ~(end~'{}~start~'{}~timeType~'ABSOLUTE~tz~'UTC~editorString~'{}~source~({groups}))",
            moment(to.after(AROUND)),
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
    fn the_page_shows_the_lines_of_one_instance_in_its_time() {
        let logs = Logs {
            region: "eu-west-1".to_owned(),
            stack: "dayfly".to_owned(),
        };
        let link = logs.of(&InstanceId::new("i-0abc"), now(), now().after(Duration::from_mins(5)));
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
