//! DynamoDB's expressions: conditions, key conditions and updates.
//!
//! Source: Amazon DynamoDB developer guide, "Using expressions". Anything not implemented is an error,
//! never a condition that happens to hold.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// An item: attribute name to attribute value (`{"S": "…"}`).
pub type Item = Map<String, Value>;

/// The names and values of an expression.
#[derive(Clone, Copy, Debug)]
pub struct Bindings<'a> {
    /// `ExpressionAttributeNames`, or `null`.
    pub names: &'a Value,
    /// `ExpressionAttributeValues`, or `null`.
    pub values: &'a Value,
}

impl<'a> Bindings<'a> {
    /// Returns the bindings of a request, or of one entry of a transaction.
    #[must_use]
    pub fn of(request: &'a Value) -> Self {
        Self {
            names: &request["ExpressionAttributeNames"],
            values: &request["ExpressionAttributeValues"],
        }
    }
}

/// The reason why an expression cannot be used.
pub type Refusal = String;

type Parsed<T> = Result<T, Refusal>;

/// An operand, whose value depends on an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// An attribute, by the steps of its document path.
    Path(Vec<String>),
    Value(Value),
    /// `if_not_exists(path, operand)`.
    IfNotExists(Vec<String>, Box<Operand>),
    /// `a + b`, or `a - b` where the flag is set.
    Sum(Box<Operand>, Box<Operand>, bool),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Both hold.
    And(Box<Condition>, Box<Condition>),
    /// At least one holds.
    Or(Box<Condition>, Box<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    Exists(Vec<String>),
    /// The attribute, text, begins with this.
    BeginsWith(Operand, Operand),
    /// The operands are in one of these orders.
    Compare(Operand, &'static [Ordering], Operand),
    /// The first operand lies between the others, inclusive.
    Between(Operand, Operand, Operand),
    /// The first operand equals one of the others.
    In(Operand, Vec<Operand>),
}

/// One change of an update expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// `SET attribute = operand`.
    Set(String, Operand),
    /// `REMOVE attribute`.
    Remove(String),
    /// `ADD attribute number`.
    Add(String, Operand),
}

impl Operand {
    /// Returns the operand's value for this item; `None` if an attribute is missing.
    ///
    /// # Errors
    /// If a sum's parts are not numbers.
    pub fn value(&self, item: &Item) -> Parsed<Option<Value>> {
        Ok(match self {
            Self::Path(path) => look_up(item, path).cloned(),
            Self::Value(value) => Some(value.clone()),
            Self::IfNotExists(path, otherwise) => match look_up(item, path) {
                Some(value) => Some(value.clone()),
                None => otherwise.value(item)?,
            },
            Self::Sum(left, right, minus) => {
                let (Some(left), Some(right)) = (left.value(item)?, right.value(item)?) else {
                    return Err("an attribute of the sum does not exist".to_owned());
                };
                let right = if *minus { -number(&right)? } else { number(&right)? };
                Some(number_value(number(&left)? + right))
            }
        })
    }
}

impl Condition {
    /// Whether the condition holds for this item; a missing item has no attributes.
    ///
    /// # Errors
    /// If an operand has no valid value.
    pub fn holds(&self, item: &Item) -> Parsed<bool> {
        Ok(match self {
            Self::And(left, right) => left.holds(item)? && right.holds(item)?,
            Self::Or(left, right) => left.holds(item)? || right.holds(item)?,
            Self::Not(inner) => !inner.holds(item)?,
            Self::Exists(path) => look_up(item, path).is_some(),
            Self::BeginsWith(text, start) => match (text.value(item)?, start.value(item)?) {
                (Some(text), Some(start)) => match (text["S"].as_str(), start["S"].as_str()) {
                    (Some(text), Some(start)) => text.starts_with(start),
                    _ => false,
                },
                _ => false,
            },
            Self::Compare(left, orders, right) => {
                match (left.value(item)?, right.value(item)?) {
                    (Some(left), Some(right)) => match compare(&left, &right) {
                        Some(order) => orders.contains(&order),
                        // Values of different types are unequal and unordered.
                        None => orders.len() == 2 && !orders.contains(&Ordering::Equal),
                    },
                    _ => false,
                }
            }
            Self::Between(operand, low, high) => {
                let at_least = Self::Compare(operand.clone(), AT_LEAST, low.clone());
                let at_most = Self::Compare(operand.clone(), AT_MOST, high.clone());
                at_least.holds(item)? && at_most.holds(item)?
            }
            Self::In(operand, others) => {
                let value = operand.value(item)?;
                let mut found = false;
                for other in others {
                    found |= value.is_some() && value == other.value(item)?;
                }
                found
            }
        })
    }
}

const EQUAL: &[Ordering] = &[Ordering::Equal];
const UNEQUAL: &[Ordering] = &[Ordering::Less, Ordering::Greater];
const BELOW: &[Ordering] = &[Ordering::Less];
const ABOVE: &[Ordering] = &[Ordering::Greater];
const AT_MOST: &[Ordering] = &[Ordering::Less, Ordering::Equal];
const AT_LEAST: &[Ordering] = &[Ordering::Greater, Ordering::Equal];

fn look_up<'a>(item: &'a Item, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(item.get(first)?, |value, step| value.get("M")?.get(step))
}

/// Returns the order of two values of one type, if they have one.
#[must_use]
pub fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Ok(left), Ok(right)) = (number(left), number(right)) {
        return Some(left.cmp(&right));
    }
    if let (Some(left), Some(right)) = (left["S"].as_str(), right["S"].as_str()) {
        return Some(left.cmp(right));
    }
    (left == right).then_some(Ordering::Equal)
}

/// Returns a value's number. Only whole numbers: dayfly stores no others.
///
/// # Errors
/// If it is not a whole number.
pub fn number(value: &Value) -> Parsed<i128> {
    value["N"]
        .as_str()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("not a whole number: {value}"))
}

fn number_value(number: i128) -> Value {
    serde_json::json!({ "N": number.to_string() })
}

/// Parses a condition or key condition.
///
/// # Errors
/// If it is malformed, uses unbound names, or is not implemented.
pub fn condition(text: &str, bindings: Bindings<'_>) -> Parsed<Condition> {
    let mut parser = Parser::new(text, bindings)?;
    let condition = parser.or()?;
    parser.end()?;
    Ok(condition)
}

/// Parses an update expression.
///
/// # Errors
/// As for [`condition`].
pub fn update(text: &str, bindings: Bindings<'_>) -> Parsed<Vec<Change>> {
    let mut parser = Parser::new(text, bindings)?;
    let mut changes = Vec::new();
    while let Some(clause) = parser.take() {
        loop {
            changes.push(parser.change(&clause)?);
            if !parser.accept(",") {
                break;
            }
        }
    }
    Ok(changes)
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<String>>,
    bindings: Bindings<'a>,
}

impl<'a> Parser<'a> {
    fn new(text: &str, bindings: Bindings<'a>) -> Parsed<Self> {
        Ok(Self {
            tokens: tokens(text)?.into_iter().peekable(),
            bindings,
        })
    }

    fn take(&mut self) -> Option<String> {
        self.tokens.next()
    }

    fn accept(&mut self, wanted: &str) -> bool {
        self.tokens
            .next_if(|token| token.eq_ignore_ascii_case(wanted))
            .is_some()
    }

    fn expect(&mut self, wanted: &str) -> Parsed<()> {
        match self.take() {
            Some(token) if token.eq_ignore_ascii_case(wanted) => Ok(()),
            other => Err(format!("expected `{wanted}`, found {other:?}")),
        }
    }

    fn end(&mut self) -> Parsed<()> {
        match self.take() {
            None => Ok(()),
            Some(token) => Err(format!("unexpected `{token}`")),
        }
    }

    fn or(&mut self) -> Parsed<Condition> {
        let mut left = self.and()?;
        while self.accept("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Condition> {
        let mut left = self.not()?;
        while self.accept("AND") {
            left = Condition::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed<Condition> {
        if self.accept("NOT") {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        if self.accept("(") {
            let inner = self.or()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.accept("attribute_exists") {
            return Ok(Condition::Exists(self.only_path()?));
        }
        if self.accept("attribute_not_exists") {
            let path = self.only_path()?;
            return Ok(Condition::Not(Box::new(Condition::Exists(path))));
        }
        if self.accept("begins_with") {
            self.expect("(")?;
            let text = self.operand()?;
            self.expect(",")?;
            let start = self.operand()?;
            self.expect(")")?;
            return Ok(Condition::BeginsWith(text, start));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        let left = self.operand()?;
        let operator = self.take().ok_or("the condition ends too early")?;
        let orders = match operator.as_str() {
            "=" => EQUAL,
            "<>" => UNEQUAL,
            "<" => BELOW,
            ">" => ABOVE,
            "<=" => AT_MOST,
            ">=" => AT_LEAST,
            other if other.eq_ignore_ascii_case("BETWEEN") => {
                let low = self.operand()?;
                self.expect("AND")?;
                return Ok(Condition::Between(left, low, self.operand()?));
            }
            other if other.eq_ignore_ascii_case("IN") => {
                self.expect("(")?;
                let mut others = vec![self.operand()?];
                while self.accept(",") {
                    others.push(self.operand()?);
                }
                self.expect(")")?;
                return Ok(Condition::In(left, others));
            }
            other => return Err(format!("not implemented: `{other}`")),
        };
        Ok(Condition::Compare(left, orders, self.operand()?))
    }

    fn change(&mut self, clause: &str) -> Parsed<Change> {
        let attribute = match <[String; 1]>::try_from(self.path()?) {
            Ok([attribute]) => attribute,
            Err(path) => return Err(format!("not implemented: a change at {path:?}")),
        };
        match clause.to_ascii_uppercase().as_str() {
            "SET" => {
                self.expect("=")?;
                Ok(Change::Set(attribute, self.sum()?))
            }
            "REMOVE" => Ok(Change::Remove(attribute)),
            "ADD" => Ok(Change::Add(attribute, self.operand()?)),
            other => Err(format!("not implemented: `{other}`")),
        }
    }

    fn sum(&mut self) -> Parsed<Operand> {
        let left = self.operand()?;
        let minus = self.accept("-");
        if minus || self.accept("+") {
            let right = self.operand()?;
            return Ok(Operand::Sum(Box::new(left), Box::new(right), minus));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Parsed<Operand> {
        if self.accept("if_not_exists") {
            self.expect("(")?;
            let path = self.path()?;
            self.expect(",")?;
            let otherwise = self.operand()?;
            self.expect(")")?;
            return Ok(Operand::IfNotExists(path, Box::new(otherwise)));
        }
        if let Some(name) = self.tokens.next_if(|token| token.starts_with(':')) {
            let value = self.bindings.values.get(&name);
            let value = value.ok_or_else(|| format!("`{name}` has no value"))?;
            return Ok(Operand::Value(value.clone()));
        }
        Ok(Operand::Path(self.path()?))
    }

    fn only_path(&mut self) -> Parsed<Vec<String>> {
        self.expect("(")?;
        let path = self.path()?;
        self.expect(")")?;
        Ok(path)
    }

    fn path(&mut self) -> Parsed<Vec<String>> {
        let token = self.take().ok_or("the expression ends too early")?;
        token.split('.').map(|step| self.name(step)).collect()
    }

    fn name(&self, step: &str) -> Parsed<String> {
        let first = step.chars().next().ok_or("an empty name")?;
        if first == '#' {
            let name = self.bindings.names.get(step).and_then(Value::as_str);
            return Ok(name.ok_or_else(|| format!("`{step}` has no name"))?.to_owned());
        }
        if first.is_alphabetic() || first == '_' {
            return Ok(step.to_owned());
        }
        Err(format!("not a name: `{step}`"))
    }
}

/// Splits an expression into words, comparison signs and single signs.
fn tokens(text: &str) -> Parsed<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || "#:_".contains(first) {
            rest.find(|c: char| !(c.is_alphanumeric() || "#:_.".contains(c)))
                .unwrap_or(rest.len())
        } else if rest.starts_with("<=") || rest.starts_with(">=") || rest.starts_with("<>") {
            2
        } else if "<>=+-(),".contains(first) {
            1
        } else {
            return Err(format!("not implemented: `{first}`"));
        };
        let (token, others) = rest.split_at(length);
        tokens.push(token.to_owned());
        rest = others.trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item() -> Item {
        let Value::Object(item) = json!({
            "pk": {"S": "JOB#1"}, "version": {"N": "7"}, "tags": {"M": {"a": {"S": "b"}}}
        }) else {
            unreachable!()
        };
        item
    }

    fn holds(text: &str) -> Parsed<bool> {
        let request = json!({
            "ExpressionAttributeNames": {"#v": "version", "#t": "tags"},
            "ExpressionAttributeValues": {
                ":seven": {"N": "7"}, ":nine": {"N": "9"}, ":job": {"S": "JOB#"}, ":b": {"S": "b"},
            }
        });
        condition(text, Bindings::of(&request))?.holds(&item())
    }

    #[test]
    fn conditions_are_decided_as_the_guide_says() {
        let cases = [
            ("attribute_not_exists(pk)", false),
            ("attribute_exists(pk) AND #v = :seven", true),
            ("#v = :nine OR attribute_not_exists(missing)", true),
            ("NOT (#v >= :nine)", true),
            ("#v <> :seven", false),
            ("missing <> :seven", false),
            ("pk <> :seven", true),
            ("#v BETWEEN :seven AND :nine AND begins_with(pk, :job)", true),
            ("#v IN (:nine, :seven)", true),
            ("#t.a = :b", true),
        ];
        for (text, expected) in cases {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let order = compare(&json!({"N": "10"}), &json!({"N": "9"}));
        assert_eq!(order, Some(Ordering::Greater));
    }

    #[test]
    fn what_is_not_implemented_or_not_bound_is_refused() {
        for text in [
            "size(pk) > :nine",
            "#missing = :seven",
            "#v = :missing",
            "#v",
            "#v = :seven :",
        ] {
            assert!(holds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_update_is_read_clause_by_clause() {
        let request = json!({"ExpressionAttributeValues": {":one": {"N": "1"}}});
        let changes = update(
            "SET version = if_not_exists(version, :one) + :one, a = :one REMOVE b, c ADD d :one",
            Bindings::of(&request),
        );
        let changes = changes.unwrap();
        assert_eq!(changes.len(), 5);
        let Change::Set(attribute, operand) = &changes[0] else {
            panic!("not a SET: {:?}", changes[0])
        };
        assert_eq!(attribute, "version");
        assert_eq!(operand.value(&item()), Ok(Some(json!({"N": "8"}))));
        assert_eq!(changes[3], Change::Remove("c".to_owned()));
    }
}
