//! IAM's decision over a handful of policies, for the front door: ministack's Function URLs do not
//! check the second permission that callers need since October 2025.
//!
//! Only what dayfly's template uses is supported; anything else is an error, never a silent decision.

use serde_json::Value;

/// A request to decide on.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Such as `lambda:InvokeFunctionUrl`.
    pub action: &'a str,
    pub resource: &'a str,
    /// Condition keys and their values.
    pub context: &'a [(&'a str, &'a str)],
}

/// An unsupported policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lab's front door does not understand this policy: {0}")]
pub struct NotUnderstood(String);

/// Whether `policies` allow the request: a statement allows it and none denies it.
///
/// # Errors
/// [`NotUnderstood`].
pub fn allows(policies: &[Value], question: &Question<'_>) -> Result<bool, NotUnderstood> {
    let mut allowed = false;
    for statement in policies.iter().flat_map(|policy| listed(&policy["Statement"])) {
        if !applies(statement, question)? {
            continue;
        }
        match statement["Effect"].as_str() {
            Some("Allow") => allowed = true,
            Some("Deny") => return Ok(false),
            _ => return Err(NotUnderstood(statement.to_string())),
        }
    }
    Ok(allowed)
}

fn applies(statement: &Value, question: &Question<'_>) -> Result<bool, NotUnderstood> {
    for negated in ["NotAction", "NotResource", "NotPrincipal"] {
        if statement.get(negated).is_some() {
            return Err(NotUnderstood(statement.to_string()));
        }
    }
    let named = |field: &str, asked: &str| {
        listed(&statement[field])
            .filter_map(Value::as_str)
            .any(|pattern| matches(pattern, asked))
    };
    if !named("Action", question.action) || !named("Resource", question.resource) {
        return Ok(false);
    }
    conditions_hold(&statement["Condition"], question)
}

fn conditions_hold(condition: &Value, question: &Question<'_>) -> Result<bool, NotUnderstood> {
    for (operator, keys) in condition.as_object().into_iter().flatten() {
        if !matches!(&**operator, "StringEquals" | "Bool") {
            return Err(NotUnderstood(condition.to_string()));
        }
        for (key, wanted) in keys.as_object().into_iter().flatten() {
            let actual = question
                .context
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(key))
                .map(|(_, value)| *value);
            let met = listed(wanted).any(|wanted| {
                let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
                actual == Some(&*wanted)
            });
            if !met {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Returns a value, or each of a list of them: policies may have either.
fn listed(value: &Value) -> impl Iterator<Item = &Value> {
    value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
        .iter()
        .filter(|value| !value.is_null())
}

/// Matches a pattern with `*` for any run of characters. Case matters in ARNs, and does no harm in
/// actions, which the template spells as AWS does.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:0:function:checkin";

    fn ask(policies: &[Value], context: &[(&str, &str)]) -> Result<bool, NotUnderstood> {
        allows(
            policies,
            &Question {
                action: "lambda:InvokeFunction",
                resource: FUNCTION,
                context,
            },
        )
    }

    #[test]
    fn a_statement_allows_only_what_it_names() {
        let url = [("lambda:InvokedViaFunctionUrl", "true")];
        let allow = |action: &str, resource: &str, condition: Value| json!({"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}]});
        let cases = [
            ("by name", allow("lambda:InvokeFunction", FUNCTION, Value::Null), true),
            (
                "by pattern",
                allow("lambda:*", "arn:aws:lambda:*:function:check*", Value::Null),
                true,
            ),
            (
                "another action",
                allow("lambda:InvokeFunctionUrl", FUNCTION, Value::Null),
                false,
            ),
            (
                "another resource",
                allow(
                    "lambda:InvokeFunction",
                    "arn:aws:lambda:eu-west-1:0:function:webhook",
                    Value::Null,
                ),
                false,
            ),
            (
                "a prefix of the resource",
                allow(
                    "lambda:InvokeFunction",
                    "arn:aws:lambda:eu-west-1:0:function:check",
                    Value::Null,
                ),
                false,
            ),
            (
                "the condition met",
                allow("*", "*", json!({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}})),
                true,
            ),
            (
                "the condition met, as a boolean",
                allow("*", "*", json!({"Bool": {"lambda:InvokedViaFunctionUrl": true}})),
                true,
            ),
            (
                "the condition not met",
                allow("*", "*", json!({"Bool": {"lambda:InvokedViaFunctionUrl": "false"}})),
                false,
            ),
            (
                "a key that is not there",
                allow("*", "*", json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}})),
                false,
            ),
        ];
        for (name, policy, expected) in cases {
            assert_eq!(ask(&[policy], &url), Ok(expected), "{name}");
        }
    }

    #[test]
    fn a_denial_wins_and_nothing_is_allowed_by_default() {
        let allow = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
        let deny =
            json!({"Statement": [{"Effect": "Deny", "Action": ["a:B", "lambda:InvokeFunction"], "Resource": "*"}]});
        assert_eq!(ask(&[], &[]), Ok(false));
        assert_eq!(ask(std::slice::from_ref(&allow), &[]), Ok(true));
        assert_eq!(ask(&[allow, deny], &[]), Ok(false));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let unknown = [
            json!({"Statement": [{"Effect": "Allow", "NotAction": "x:*", "Resource": "*"}]}),
            json!({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}),
            json!({"Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]}),
        ];
        for policy in unknown {
            assert!(ask(std::slice::from_ref(&policy), &[]).is_err(), "{policy}");
        }
    }
}
