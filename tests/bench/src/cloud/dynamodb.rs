//! One DynamoDB table in memory: key `pk` + `sk`, index `due` by `due` + `due_at`.
//!
//! It implements conditions, transactions and the sparse index, because the functions' next steps
//! depend on them. It has no limits, throttling or latency.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::expression::{self, Bindings, Change, Condition, Item, Operand};
use super::reply::Reply;

type Key = (String, String);

type Candidates<'a> = Box<dyn Iterator<Item = (&'a Key, &'a Item)> + 'a>;

#[derive(Debug, Default)]
pub struct Table {
    items: BTreeMap<Key, Item>,
    /// `due`, `due_at` and the key of every item that has both.
    due: BTreeSet<(String, i128, Key)>,
}

/// The error of a request.
#[derive(Debug)]
enum Failure {
    /// A condition did not hold; the existing item, if any.
    Condition(Item),
    /// The request is invalid or not implemented.
    Validation(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Validation(message)
    }
}

type Done<T> = Result<T, Failure>;

impl Table {
    /// Makes a call; `None` if the operation is not implemented.
    pub fn call(&mut self, operation: &str, request: &Value) -> Option<Reply> {
        let done = match operation {
            "GetItem" => self.get(request),
            "PutItem" => self.put(request),
            "UpdateItem" => self.update(request),
            "DeleteItem" => self.delete(request),
            "Query" => self.query(request),
            "BatchGetItem" => self.batch_get(request),
            "TransactWriteItems" => return Some(self.transact(request)),
            _ => return None,
        };
        Some(match done {
            Ok(answer) => Reply::aws(&answer),
            Err(Failure::Validation(message)) => validation(&message),
            Err(Failure::Condition(item)) => {
                let fields = if wants_old_on_failure(request) && !item.is_empty() {
                    json!({ "Item": item })
                } else {
                    json!({})
                };
                let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
                Reply::aws_error(kind, "The conditional request failed", fields)
            }
        })
    }

    /// Counts the items whose partition key starts with `prefix`.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        self.items.keys().filter(|(pk, _)| pk.starts_with(prefix)).count()
    }

    /// Deletes every item whose partition key starts with `prefix`.
    pub fn forget(&mut self, prefix: &str) {
        let keys = self.items.keys().filter(|(pk, _)| pk.starts_with(prefix));
        for key in keys.cloned().collect::<Vec<_>>() {
            self.replace(key, None);
        }
    }

    fn get(&self, request: &Value) -> Done<Value> {
        Ok(match self.items.get(&key(&request["Key"])?) {
            Some(item) => json!({ "Item": item }),
            None => json!({}),
        })
    }

    fn batch_get(&self, request: &Value) -> Done<Value> {
        let mut responses = serde_json::Map::new();
        let tables = request["RequestItems"].as_object();
        for (table, wanted) in tables.into_iter().flatten() {
            let mut found = Vec::new();
            for wanted in wanted["Keys"].as_array().into_iter().flatten() {
                found.extend(self.items.get(&key(wanted)?));
            }
            responses.insert(table.clone(), json!(found));
        }
        Ok(json!({ "Responses": responses, "UnprocessedKeys": {} }))
    }

    fn put(&mut self, request: &Value) -> Done<Value> {
        let key = key(&request["Item"])?;
        self.check(&key, request)?;
        let old = self.replace(key, request["Item"].as_object().cloned());
        Ok(attributes(request, old.as_ref(), None))
    }

    fn delete(&mut self, request: &Value) -> Done<Value> {
        let key = key(&request["Key"])?;
        self.check(&key, request)?;
        let old = self.replace(key, None);
        Ok(attributes(request, old.as_ref(), None))
    }

    fn update(&mut self, request: &Value) -> Done<Value> {
        let key = key(&request["Key"])?;
        self.check(&key, request)?;
        let old = self.items.get(&key).cloned();
        let mut item = old.clone().unwrap_or_else(|| {
            // An update of a missing item creates it with its key.
            request["Key"].as_object().cloned().unwrap_or_default()
        });
        if let Some(text) = request["UpdateExpression"].as_str() {
            for change in expression::update(text, Bindings::of(request))? {
                // All operands of an update see the item as it was before.
                apply(&mut item, old.as_ref().unwrap_or(&Item::new()), &change)?;
            }
        }
        self.replace(key, Some(item.clone()));
        Ok(attributes(request, old.as_ref(), Some(&item)))
    }

    fn check(&self, key: &Key, request: &Value) -> Done<()> {
        let Some(text) = request["ConditionExpression"].as_str() else {
            return Ok(());
        };
        let nothing = Item::new();
        let item = self.items.get(key).unwrap_or(&nothing);
        if expression::condition(text, Bindings::of(request))?.holds(item)? {
            Ok(())
        } else {
            Err(Failure::Condition(item.clone()))
        }
    }

    /// Makes all of the writes or none: every condition is checked before the first write.
    fn transact(&mut self, request: &Value) -> Reply {
        let entries: Vec<(&str, &Value)> = request["TransactItems"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flatten()
            .map(|(kind, entry)| (kind.as_str(), entry))
            .collect();
        let mut reasons = Vec::new();
        let mut cancelled = false;
        for (kind, entry) in &entries {
            let of = if *kind == "Put" { &entry["Item"] } else { &entry["Key"] };
            match key(of).and_then(|key| self.check(&key, entry)) {
                Ok(()) => reasons.push(json!({ "Code": "None" })),
                Err(Failure::Condition(item)) => {
                    cancelled = true;
                    reasons.push(cancellation(entry, &item));
                }
                Err(Failure::Validation(message)) => return validation(&message),
            }
        }
        if cancelled {
            let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            let message = "Transaction cancelled, please refer cancellation reasons for specific \
                           reasons";
            return Reply::aws_error(kind, message, json!({ "CancellationReasons": reasons }));
        }
        for (kind, entry) in entries {
            let done = match kind {
                "Put" => self.put(entry),
                "Update" => self.update(entry),
                "Delete" => self.delete(entry),
                "ConditionCheck" => Ok(Value::Null),
                other => Err(Failure::Validation(format!("not implemented: `{other}`"))),
            };
            if let Err(failure) = done {
                return validation(&format!("{failure:?}"));
            }
        }
        Reply::aws(&json!({}))
    }

    fn query(&self, request: &Value) -> Done<Value> {
        let text = request["KeyConditionExpression"].as_str();
        let text = text.ok_or_else(|| "a query without a key condition".to_owned())?;
        let condition = expression::condition(text, Bindings::of(request))?;
        let filter = match request["FilterExpression"].as_str() {
            Some(text) => Some(expression::condition(text, Bindings::of(request))?),
            None => None,
        };
        let limit = request["Limit"].as_u64().unwrap_or(u64::MAX);
        let start = match request.get("ExclusiveStartKey") {
            Some(start) => Some(key(start)?),
            None => None,
        };
        let mut candidates = self.candidates(request, &condition)?;
        if request["ScanIndexForward"] == json!(false) {
            let backward: Vec<_> = candidates.collect();
            candidates = Box::new(backward.into_iter().rev());
        }
        if let Some(start) = start {
            candidates
                .find(|(key, _)| **key == start)
                .ok_or_else(|| "a start key that is not in the table".to_owned())?;
        }
        let mut found = Vec::new();
        let mut looked_at = 0;
        let mut last = None;
        let mut more = false;
        for (_, item) in candidates {
            if !condition.holds(item)? {
                continue;
            }
            if looked_at == limit {
                more = true;
                break;
            }
            looked_at += 1;
            last = Some(item);
            if filter.as_ref().map_or(Ok(true), |filter| filter.holds(item))? {
                found.push(item);
            }
        }
        let mut answer = json!({ "Count": found.len(), "ScannedCount": looked_at, "Items": found });
        if let (true, Some(last)) = (more, last) {
            answer["LastEvaluatedKey"] = key_of(last);
        }
        Ok(answer)
    }

    /// Returns the items of the key condition's partition, in the order of their sort key, without
    /// those above an upper bound on the index's sort key.
    fn candidates<'a>(&'a self, request: &Value, condition: &'a Condition) -> Done<Candidates<'a>> {
        match request["IndexName"].as_str() {
            None => {
                let partition = equal_to(condition, "pk")?;
                let from = (partition.clone(), String::new());
                let items = self.items.range(from..);
                Ok(Box::new(items.take_while(move |((pk, _), _)| *pk == partition)))
            }
            Some("due") => {
                let partition = equal_to(condition, "due")?;
                let from = (partition.clone(), i128::MIN, (String::new(), String::new()));
                let entries = self.due.range(from..);
                let top = upper_bound(condition, "due_at");
                let entries =
                    entries.take_while(move |(due, at, _)| *due == partition && top.is_none_or(|top| *at <= top));
                Ok(Box::new(
                    entries.filter_map(|(_, _, key)| self.items.get_key_value(key)),
                ))
            }
            Some(other) => Err(Failure::Validation(format!("no index `{other}`"))),
        }
    }

    fn replace(&mut self, key: Key, item: Option<Item>) -> Option<Item> {
        let old = self.items.remove(&key);
        if let Some(entry) = old.as_ref().and_then(|old| index_entry(&key, old)) {
            self.due.remove(&entry);
        }
        if let Some(item) = item {
            self.due.extend(index_entry(&key, &item));
            self.items.insert(key, item);
        }
        old
    }
}

fn validation(message: &str) -> Reply {
    Reply::aws_error("com.amazon.coral.validate#ValidationException", message, json!({}))
}

fn wants_old_on_failure(request: &Value) -> bool {
    request["ReturnValuesOnConditionCheckFailure"] == json!("ALL_OLD")
}

fn cancellation(entry: &Value, item: &Item) -> Value {
    let mut reason = json!({
        "Code": "ConditionalCheckFailed", "Message": "The conditional request failed"
    });
    if wants_old_on_failure(entry) && !item.is_empty() {
        reason["Item"] = json!(item);
    }
    reason
}

fn key(item: &Value) -> Done<Key> {
    match (item["pk"]["S"].as_str(), item["sk"]["S"].as_str()) {
        (Some(pk), Some(sk)) => Ok((pk.to_owned(), sk.to_owned())),
        _ => Err(Failure::Validation(format!("no key in {item}"))),
    }
}

fn key_of(item: &Item) -> Value {
    let mut key = Item::new();
    for name in ["pk", "sk", "due", "due_at"] {
        if let Some(value) = item.get(name) {
            key.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(key)
}

fn index_entry(key: &Key, item: &Item) -> Option<(String, i128, Key)> {
    let due = item.get("due")?["S"].as_str()?.to_owned();
    let at = expression::number(item.get("due_at")?).ok()?;
    Some((due, at, key.clone()))
}

fn attributes(request: &Value, old: Option<&Item>, new: Option<&Item>) -> Value {
    match (request["ReturnValues"].as_str(), old, new) {
        (Some("ALL_OLD"), Some(item), _) | (Some("ALL_NEW"), _, Some(item)) => {
            json!({ "Attributes": item })
        }
        _ => json!({}),
    }
}

fn apply(item: &mut Item, old: &Item, change: &Change) -> Done<()> {
    match change {
        Change::Set(attribute, operand) => {
            let value = operand.value(old)?;
            let value = value.ok_or_else(|| format!("nothing to set `{attribute}` to"))?;
            item.insert(attribute.clone(), value);
        }
        Change::Remove(attribute) => {
            item.remove(attribute);
        }
        Change::Add(attribute, operand) => {
            let path = vec![attribute.clone()];
            let zero = Operand::Value(json!({ "N": "0" }));
            let before = Operand::IfNotExists(path, Box::new(zero));
            let sum = Operand::Sum(Box::new(before), Box::new(operand.clone()), false);
            if let Some(value) = sum.value(old)? {
                item.insert(attribute.clone(), value);
            }
        }
    }
    Ok(())
}

/// Returns the text that a key condition sets `attribute` equal to.
fn equal_to(condition: &Condition, attribute: &str) -> Done<String> {
    fn find<'a>(condition: &'a Condition, attribute: &str) -> Option<&'a str> {
        match condition {
            Condition::And(left, right) => find(left, attribute).or_else(|| find(right, attribute)),
            Condition::Compare(Operand::Path(path), [Ordering::Equal], Operand::Value(value))
                if path[..] == [attribute] =>
            {
                value["S"].as_str()
            }
            _ => None,
        }
    }
    let found = find(condition, attribute);
    Ok(found
        .ok_or_else(|| format!("the key condition does not fix `{attribute}`"))?
        .to_owned())
}

/// Returns the upper bound of a key condition on `attribute`, if any.
fn upper_bound(condition: &Condition, attribute: &str) -> Option<i128> {
    match condition {
        Condition::And(left, right) => upper_bound(left, attribute).or_else(|| upper_bound(right, attribute)),
        Condition::Compare(Operand::Path(path), orders, Operand::Value(value))
            if path[..] == [attribute] && !orders.contains(&Ordering::Greater) =>
        {
            expression::number(value).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn item(pk: &str, due_at: i64) -> Value {
        json!({
            "pk": {"S": pk}, "sk": {"S": "RUNNER"}, "version": {"N": "1"},
            "due": {"S": "due"}, "due_at": {"N": due_at.to_string()},
        })
    }

    fn call(table: &mut Table, operation: &str, request: &Value) -> (StatusCode, Value) {
        let reply = table.call(operation, request).unwrap();
        (reply.status, reply.body_json())
    }

    fn put_once(pk: &str) -> Value {
        json!({
            "Item": item(pk, 10), "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        })
    }

    #[test]
    fn a_record_is_created_once_and_the_loser_sees_the_winners() {
        let mut table = Table::default();
        assert_eq!(call(&mut table, "PutItem", &put_once("A")).0, StatusCode::OK);
        let (status, body) = call(&mut table, "PutItem", &put_once("A"));
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let kind = body["__type"].as_str().unwrap();
        assert!(kind.ends_with("#ConditionalCheckFailedException"), "{kind}");
        assert_eq!(body["Item"], item("A", 10));
    }

    #[test]
    fn an_update_of_an_old_version_changes_nothing() {
        let mut table = Table::default();
        call(&mut table, "PutItem", &json!({ "Item": item("A", 10) }));
        let request = json!({
            "Key": {"pk": {"S": "A"}, "sk": {"S": "RUNNER"}},
            "ConditionExpression": "version = :seen",
            "UpdateExpression": "SET version = version + :one REMOVE due",
            "ExpressionAttributeValues": {":seen": {"N": "1"}, ":one": {"N": "1"}},
            "ReturnValues": "ALL_NEW",
        });
        let (status, body) = call(&mut table, "UpdateItem", &request);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["Attributes"]["version"], json!({"N": "2"}));
        assert!(body["Attributes"].get("due").is_none());
        assert_eq!(call(&mut table, "UpdateItem", &request).0, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_transaction_writes_all_or_nothing() {
        let mut table = Table::default();
        call(&mut table, "PutItem", &put_once("B"));
        let request = json!({"TransactItems": [{"Put": put_once("A")}, {"Put": put_once("B")}]});
        let (status, body) = call(&mut table, "TransactWriteItems", &request);
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["CancellationReasons"][0]["Code"], "None");
        assert_eq!(body["CancellationReasons"][1]["Code"], "ConditionalCheckFailed");
        assert_eq!(table.count(""), 1);
    }

    #[test]
    fn the_due_index_gives_what_is_due_earliest_first_and_follows_changes() {
        let mut table = Table::default();
        for (pk, at) in [("C", 30), ("A", 10), ("B", 20), ("D", 40)] {
            call(&mut table, "PutItem", &json!({ "Item": item(pk, at) }));
        }
        call(&mut table, "PutItem", &json!({ "Item": item("A", 25) }));
        let key = json!({"pk": {"S": "B"}, "sk": {"S": "RUNNER"}});
        call(&mut table, "DeleteItem", &json!({ "Key": key }));
        let request = json!({
            "IndexName": "due", "KeyConditionExpression": "due = :due AND due_at <= :now",
            "ExpressionAttributeValues": {":due": {"S": "due"}, ":now": {"N": "30"}},
        });
        let (_, body) = call(&mut table, "Query", &request);
        let found: Vec<&Value> = body["Items"].as_array().unwrap().iter().collect();
        assert_eq!(found, [&item("A", 25), &item("C", 30)]);
    }

    #[test]
    fn pages_of_a_query_follow_one_another() {
        let mut table = Table::default();
        for (pk, at) in [("A", 10), ("B", 20), ("C", 30)] {
            call(&mut table, "PutItem", &json!({ "Item": item(pk, at) }));
        }
        let mut request = json!({
            "IndexName": "due", "KeyConditionExpression": "due = :due", "Limit": 2,
            "ExpressionAttributeValues": {":due": {"S": "due"}},
        });
        let (_, first) = call(&mut table, "Query", &request);
        assert_eq!(first["Count"], 2);
        request["ExclusiveStartKey"] = first["LastEvaluatedKey"].clone();
        let (_, second) = call(&mut table, "Query", &request);
        assert_eq!(second["Items"], json!([item("C", 30)]));
        assert!(second.get("LastEvaluatedKey").is_none());
    }

    #[test]
    fn what_is_not_implemented_is_said() {
        let mut table = Table::default();
        assert!(table.call("Scan", &json!({})).is_none());
        let scan_like = json!({"KeyConditionExpression": "begins_with(pk, :x)",
            "ExpressionAttributeValues": {":x": {"S": ""}}});
        assert_eq!(call(&mut table, "Query", &scan_like).0, StatusCode::BAD_REQUEST);
    }
}
