//! `if:` of a job, as far as the twin knows GitHub's expressions: `&&`, `||`, `!`, `==`, `!=`,
//! parentheses, texts, the status functions, `github.*`, `needs.<job>.result` and
//! `needs.<job>.outputs.<name>`.

use std::collections::BTreeMap;

use crate::model::Conclusion;

/// A condition, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Both hold.
    Both(Box<Self>, Box<Self>),
    /// One of them holds.
    Either(Box<Self>, Box<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// Two values are the same, as GitHub compares texts: in any case.
    Same(Value, Value),
    Status(StatusFunction),
    /// A value that is not empty.
    Holds(Value),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A literal, or known when the run was created.
    Text(String),
    /// How a job ended that comes first.
    Result(String),
    /// An output of an earlier job.
    Output(String, String),
}

/// A function of what came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFunction {
    /// Whatever happened.
    Always,
    /// Everything went well.
    Success,
    /// Something failed.
    Failure,
    Cancelled,
}

/// The results of a job's needs.
#[derive(Debug)]
pub(crate) struct NeedsResults<'a> {
    pub(crate) cancelled: bool,
    /// Whether all that it needs went well, and whether any of it failed.
    pub(crate) succeeded: bool,
    pub(crate) failed: bool,
    /// Job → how it ended, of those that it needs.
    pub(crate) results: BTreeMap<&'a str, Conclusion>,
    /// Job → name → what it put out.
    pub(crate) outputs: BTreeMap<&'a str, &'a BTreeMap<String, String>>,
}

impl Condition {
    /// Reads a condition; `github` are the values that are known already.
    pub(crate) fn parse(text: &str, github: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = text.trim();
        let inner = text
            .strip_prefix("${{")
            .and_then(|text| text.strip_suffix("}}"))
            .unwrap_or(text);
        let unknown = || format!("the twin does not know the condition `{text}`");
        let mut parser = Parser {
            tokens: tokens(inner).ok_or_else(unknown)?,
            at: 0,
            github,
        };
        let condition = parser.either().ok_or_else(unknown)?;
        if parser.at < parser.tokens.len() {
            return Err(unknown());
        }
        Ok(condition)
    }

    /// Whether it holds. Without a status function, all needs must also have succeeded.
    pub(crate) fn holds(&self, known: &NeedsResults<'_>) -> bool {
        let whole = self.has_status_function() || known.succeeded && !known.cancelled;
        whole && self.value(known)
    }

    /// Whether the condition is evaluated although a need failed.
    pub(crate) fn tolerates_failures(&self) -> bool {
        match self {
            Self::Both(one, other) | Self::Either(one, other) => one.tolerates_failures() || other.tolerates_failures(),
            Self::Status(StatusFunction::Always) => true,
            Self::Not(inner) => **inner == Self::Status(StatusFunction::Cancelled),
            Self::Status(_) | Self::Same(..) | Self::Holds(_) => false,
        }
    }

    /// Returns the jobs whose `result` it uses.
    pub(crate) fn results(&self) -> Vec<&str> {
        match self {
            Self::Both(one, other) | Self::Either(one, other) => [one.results(), other.results()].concat(),
            Self::Not(inner) => inner.results(),
            Self::Same(one, other) => [one, other].into_iter().filter_map(Value::result_of).collect(),
            Self::Holds(value) => value.result_of().into_iter().collect(),
            Self::Status(_) => Vec::new(),
        }
    }

    fn has_status_function(&self) -> bool {
        match self {
            Self::Both(one, other) | Self::Either(one, other) => {
                one.has_status_function() || other.has_status_function()
            }
            Self::Not(inner) => inner.has_status_function(),
            Self::Status(_) => true,
            Self::Same(..) | Self::Holds(_) => false,
        }
    }

    fn value(&self, known: &NeedsResults<'_>) -> bool {
        match self {
            Self::Both(one, other) => one.value(known) && other.value(known),
            Self::Either(one, other) => one.value(known) || other.value(known),
            Self::Not(inner) => !inner.value(known),
            Self::Same(one, other) => one.text(known).eq_ignore_ascii_case(&other.text(known)),
            Self::Status(StatusFunction::Always) => true,
            Self::Status(StatusFunction::Success) => known.succeeded && !known.cancelled,
            Self::Status(StatusFunction::Failure) => known.failed,
            Self::Status(StatusFunction::Cancelled) => known.cancelled,
            Self::Holds(value) => !value.text(known).is_empty(),
        }
    }
}

impl Value {
    fn result_of(&self) -> Option<&str> {
        match self {
            Self::Result(job) => Some(job),
            Self::Text(_) | Self::Output(..) => None,
        }
    }

    pub(crate) fn text(&self, known: &NeedsResults<'_>) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Result(job) => known
                .results
                .get(job.as_str())
                .map_or_else(String::new, |end| end.as_str().to_owned()),
            Self::Output(job, name) => known
                .outputs
                .get(job.as_str())
                .and_then(|outputs| outputs.get(name))
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// `needs.<job>.result` or `needs.<job>.outputs.<name>`.
    pub(crate) fn of_needs(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["needs", job, "result"] => Some(Self::Result((*job).to_owned())),
            ["needs", job, "outputs", name] => Some(Self::Output((*job).to_owned(), (*name).to_owned())),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Sign(&'static str),
    Text(String),
    Name(String),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = ["&&", "||", "==", "!=", "!", "(", ")"]
            .into_iter()
            .find(|sign| rest.starts_with(sign))
        {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '\'' {
            let (text, after) = rest[1..].split_once('\'')?;
            tokens.push(Token::Text(text.to_owned()));
            rest = after;
        } else {
            let end = rest
                .find(|one: char| !(one.is_ascii_alphanumeric() || "._-".contains(one)))
                .unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            tokens.push(Token::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    github: &'a BTreeMap<String, String>,
}

impl Parser<'_> {
    fn sign(&mut self, wanted: &'static str) -> bool {
        let is_it = self.tokens.get(self.at) == Some(&Token::Sign(wanted));
        self.at += usize::from(is_it);
        is_it
    }

    fn either(&mut self) -> Option<Condition> {
        let mut condition = self.both()?;
        while self.sign("||") {
            condition = Condition::Either(Box::new(condition), Box::new(self.both()?));
        }
        Some(condition)
    }

    fn both(&mut self) -> Option<Condition> {
        let mut condition = self.one()?;
        while self.sign("&&") {
            condition = Condition::Both(Box::new(condition), Box::new(self.one()?));
        }
        Some(condition)
    }

    fn one(&mut self) -> Option<Condition> {
        if self.sign("!") {
            return Some(Condition::Not(Box::new(self.one()?)));
        }
        if self.sign("(") {
            let inner = self.either()?;
            return self.sign(")").then_some(inner);
        }
        if let Some(status) = self.status_function() {
            return Some(Condition::Status(status));
        }
        let value = self.value()?;
        if self.sign("==") {
            return Some(Condition::Same(value, self.value()?));
        }
        if self.sign("!=") {
            let same = Condition::Same(value, self.value()?);
            return Some(Condition::Not(Box::new(same)));
        }
        Some(Condition::Holds(value))
    }

    fn status_function(&mut self) -> Option<StatusFunction> {
        let Some([Token::Name(name), Token::Sign("("), Token::Sign(")")]) = self.tokens.get(self.at..self.at + 3)
        else {
            return None;
        };
        let status = match name.as_str() {
            "always" => StatusFunction::Always,
            "success" => StatusFunction::Success,
            "failure" => StatusFunction::Failure,
            "cancelled" => StatusFunction::Cancelled,
            _ => return None,
        };
        self.at += 3;
        Some(status)
    }

    fn value(&mut self) -> Option<Value> {
        let value = match self.tokens.get(self.at)? {
            Token::Text(text) => Value::Text(text.clone()),
            Token::Name(name) => match name.strip_prefix("github.") {
                Some(name) => Value::Text(self.github.get(name)?.clone()),
                None => Value::of_needs(name)?,
            },
            Token::Sign(_) => return None,
        };
        self.at += 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, cancelled: bool, end: Conclusion) -> bool {
        let github = BTreeMap::from([("event_name".to_owned(), "merge_group".to_owned())]);
        let outputs = BTreeMap::from([("verdict".to_owned(), "passed".to_owned())]);
        let known = NeedsResults {
            cancelled,
            succeeded: end == Conclusion::Success,
            failed: end == Conclusion::Failure,
            results: BTreeMap::from([("a", end)]),
            outputs: BTreeMap::from([("a", &outputs)]),
        };
        Condition::parse(text, &github).unwrap().holds(&known)
    }

    #[test]
    fn a_condition_holds_as_github_says() {
        use Conclusion::{Failure, Success};
        for (text, cancelled, end, expected) in [
            ("always()", true, Failure, true),
            ("${{ !cancelled() }}", false, Failure, true),
            ("${{ !cancelled() }}", true, Success, false),
            ("failure()", false, Failure, true),
            ("failure()", false, Success, false),
            ("needs.a.outputs.verdict == 'PASSED'", false, Success, true),
            ("needs.a.outputs.verdict == 'passed'", false, Failure, false),
            ("!cancelled() && needs.a.outputs.other == ''", false, Failure, true),
            ("needs.a.result != 'failure' || always()", false, Failure, true),
            ("github.event_name == 'merge_group'", false, Success, true),
            ("!(success() && github.event_name)", false, Success, false),
        ] {
            assert_eq!(holds(text, cancelled, end), expected, "{text} {cancelled} {end:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            "",
            "contains(needs.a.result, 'x')",
            "secrets.X",
            "a ==",
            "'a",
            "github.token",
            "(always()",
        ] {
            assert!(Condition::parse(text, &BTreeMap::new()).is_err(), "{text}");
        }
    }
}
