//! Amazon Resource Names.

/// `arn:partition:service:region:account:resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    /// The rest, with its colons and slashes.
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let head = parts.next()?;
        let arn = Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        };
        (head == "arn").then_some(arn)
    }

    /// Returns the name of a Lambda function, without version or alias.
    pub(crate) fn function_name(&self) -> Option<&'a str> {
        let name = self.resource.strip_prefix("function:")?;
        (self.service == "lambda").then(|| name.split(':').next().unwrap_or(name))
    }

    /// Returns the part after the last slash: the name of a rule or schedule.
    pub(crate) fn resource_name(&self) -> &'a str {
        self.resource.rsplit('/').next().unwrap_or(self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_arns() {
        let cases = [
            (
                "arn:aws:lambda:eu-west-1:123:function:dayfly-Launch-1",
                Some("dayfly-Launch-1"),
                "function:dayfly-Launch-1",
            ),
            (
                "arn:aws-cn:lambda:cn-north-1:123:function:f:$LATEST",
                Some("f"),
                "function:f:$LATEST",
            ),
            ("arn:aws:events:eu-west-1:123:rule/dayfly/JobQueued", None, "JobQueued"),
            ("arn:aws:events:eu-west-1:123:rule/SpotNotice", None, "SpotNotice"),
            (
                "arn:aws:scheduler:eu-west-1:123:schedule/default/dayfly-minute",
                None,
                "dayfly-minute",
            ),
            ("arn:aws:sqs:eu-west-1:123:function:f", None, "function:f"),
        ];
        for (text, function, last) in cases {
            let arn = Arn::parse(text).unwrap();
            assert_eq!((arn.function_name(), arn.resource_name()), (function, last), "{text}");
        }
        for text in ["", "arn:aws:lambda", "urn:aws:lambda:r:a:function:f"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
