//! The lab's calls to AWS.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Aws, AwsError, Rest, Xml, read_json};
use crate::sigv4::{Credentials, encode};

/// A session of a role, as opened by STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub credentials: Credentials,
    /// `arn:aws:iam::…:role/…`.
    pub role_arn: String,
    /// `arn:aws:sts::…:assumed-role/<role>/<session>`.
    pub user_arn: String,
    /// `AROA…:<session>`.
    pub user_id: String,
}

/// How a function's invocation ended.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The function's answer, or its error if it failed.
    pub payload: Value,
    /// The kind of failure (`Unhandled`), if the function failed.
    pub error: Option<String>,
    /// The end of its log, which Lambda returns with the answer.
    pub log_tail: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket(pub String);

impl Aws {
    /// Opens a session of a role.
    ///
    /// # Errors
    /// [`AwsError`], also if the role's trust policy does not admit the caller.
    pub async fn assume_role(&self, role_arn: &str, session: &str) -> Result<Session, AwsError> {
        let answer = self
            .query(
                "sts",
                "AssumeRole",
                &[("RoleArn", role_arn), ("RoleSessionName", session)],
            )
            .await?;
        let text = |name: &str| need("sts:AssumeRole", &answer, name);
        Ok(Session {
            credentials: Credentials {
                access_key: text("AccessKeyId")?,
                secret: text("SecretAccessKey")?,
                token: Some(text("SessionToken")?),
            },
            role_arn: role_arn.to_owned(),
            user_arn: text("Arn")?,
            user_id: text("AssumedRoleId")?,
        })
    }

    /// Returns the inline policies of a role as JSON documents.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn role_policies(&self, role: &str) -> Result<Vec<Value>, AwsError> {
        let list = self.query("iam", "ListRolePolicies", &[("RoleName", role)]).await?;
        let mut documents = Vec::new();
        for name in list.texts("PolicyNames") {
            let policy = self
                .query("iam", "GetRolePolicy", &[("RoleName", role), ("PolicyName", &name)])
                .await?;
            let document = need("iam:GetRolePolicy", &policy, "PolicyDocument")?;
            documents.push(policy_document("iam:GetRolePolicy", &document)?);
        }
        Ok(documents)
    }

    /// Returns a function's resource policy, if it has one.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn function_policy(&self, function: &str) -> Result<Option<Value>, AwsError> {
        let path = format!("/2015-03-31/functions/{}/policy", encode(function, b""));
        match self.lambda("GetPolicy", Method::GET, path, Value::Null).await {
            Ok(answer) => {
                let document = answer["Policy"].as_str().unwrap_or_default();
                policy_document("lambda:GetPolicy", document).map(Some)
            }
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns a function's configuration.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn function_configuration(&self, function: &str) -> Result<Value, AwsError> {
        let path = format!("/2015-03-31/functions/{}/configuration", encode(function, b""));
        self.lambda("GetFunctionConfiguration", Method::GET, path, Value::Null)
            .await
    }

    /// Returns a function's peak concurrency of the last three hours.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn peak_concurrency(&self, function: &str) -> Result<u64, AwsError> {
        let now = jiff::Timestamp::now();
        let answer = self
            .query(
                "monitoring",
                "GetMetricStatistics",
                &[
                    ("Namespace", "AWS/Lambda"),
                    ("MetricName", "ConcurrentExecutions"),
                    ("Dimensions.member.1.Name", "FunctionName"),
                    ("Dimensions.member.1.Value", function),
                    ("StartTime", &(now - jiff::SignedDuration::from_hours(3)).to_string()),
                    ("EndTime", &(now + jiff::SignedDuration::from_mins(1)).to_string()),
                    ("Period", "60"),
                    ("Statistics.member.1", "Maximum"),
                ],
            )
            .await?;
        let peaks = answer.each("Datapoints", |point| {
            let text = point.text("Maximum")?;
            // A count, written as `12.0`.
            text.split('.').next()?.parse::<u64>().ok()
        });
        Ok(peaks.into_iter().max().unwrap_or_default())
    }

    /// Adds environment variables to a function's own.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn add_function_environment(
        &self,
        function: &str,
        added: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        let configuration = self.function_configuration(function).await?;
        let mut variables = configuration["Environment"]["Variables"].clone();
        for (name, value) in added {
            variables[name] = json!(value);
        }
        let path = format!("/2015-03-31/functions/{}/configuration", encode(function, b""));
        let body = json!({"Environment": {"Variables": variables}});
        self.lambda("UpdateFunctionConfiguration", Method::PUT, path, body)
            .await?;
        Ok(())
    }

    /// Invokes a function and waits for its answer.
    ///
    /// # Errors
    /// [`AwsError`] if Lambda refuses; a function that fails is an [`Invocation`].
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Invocation, AwsError> {
        let answer = self.invocation(function, event, "RequestResponse").await?;
        let log_tail = answer
            .header("x-amz-log-result")
            .and_then(|tail| STANDARD.decode(tail).ok())
            .map(|tail| String::from_utf8_lossy(&tail).into_owned())
            .unwrap_or_default();
        Ok(Invocation {
            payload: read_json("lambda:Invoke", &answer.body)?,
            error: answer.header("x-amz-function-error").map(str::to_owned),
            log_tail,
        })
    }

    /// Passes an event to a function without waiting, as EventBridge does.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn invoke_later(&self, function: &str, event: &Value) -> Result<(), AwsError> {
        self.invocation(function, event, "Event").await.map(drop)
    }

    /// Limits a function's concurrency: as on AWS, further calls are answered with 429, and events
    /// wait. 0 stops all invocations.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn limit_function(&self, function: &str, at_once: u32) -> Result<(), AwsError> {
        let body = json!({"ReservedConcurrentExecutions": at_once});
        self.lambda("PutFunctionConcurrency", Method::PUT, concurrency(function), body)
            .await
            .map(drop)
    }

    /// Ends [`Aws::limit_function`].
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn release_function(&self, function: &str) -> Result<(), AwsError> {
        let request = Rest {
            service: "lambda",
            method: Method::DELETE,
            path: concurrency(function),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        self.rest("lambda:DeleteFunctionConcurrency", request).await.map(drop)
    }

    async fn invocation(&self, function: &str, event: &Value, kind: &str) -> Result<Answer, AwsError> {
        self.rest(
            "lambda:Invoke",
            Rest {
                service: "lambda",
                method: Method::POST,
                path: format!("/2015-03-31/functions/{}/invocations", encode(function, b"")),
                headers: vec![
                    ("x-amz-invocation-type".to_owned(), kind.to_owned()),
                    ("x-amz-log-type".to_owned(), "Tail".to_owned()),
                ],
                body: event.to_string().into(),
            },
        )
        .await
    }

    async fn lambda(&self, operation: &str, method: Method, path: String, body: Value) -> Result<Value, AwsError> {
        let action = format!("lambda:{operation}");
        let request = Rest {
            service: "lambda",
            method,
            path,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body_of(&body),
        };
        let answer = self.rest(&action, request).await?;
        read_json(&action, &answer.body)
    }

    /// Creates a bucket, unless it exists.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn create_bucket(&self, name: &str) -> Result<Bucket, AwsError> {
        let location = format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.region()
        );
        match self.put_s3(&format!("/{name}"), location.into()).await {
            Ok(()) => {}
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => {}
            Err(error) => return Err(error),
        }
        Ok(Bucket(name.to_owned()))
    }

    /// Puts an object and returns its URL.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn put_object(&self, bucket: &Bucket, key: &str, body: Bytes) -> Result<String, AwsError> {
        let path = format!("/{}/{}", bucket.0, encode(key, b"/"));
        self.put_s3(&path, body).await?;
        Ok(format!("{}{path}", self.endpoint()))
    }

    async fn put_s3(&self, path: &str, body: Bytes) -> Result<(), AwsError> {
        let request = Rest {
            service: "s3",
            method: Method::PUT,
            path: path.to_owned(),
            headers: Vec::new(),
            body,
        };
        self.rest("s3:Put", request).await.map(drop)
    }

    /// Puts an SSM parameter of `kind` (`String`, `SecureString`).
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn put_parameter(&self, name: &str, kind: &str, value: &str) -> Result<(), AwsError> {
        let body = json!({"Name": name, "Type": kind, "Value": value, "Overwrite": true});
        self.json("ssm", "AmazonSSM", "PutParameter", &body).await.map(drop)
    }

    /// Reads an SSM parameter, decrypted.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn parameter(&self, name: &str) -> Result<String, AwsError> {
        let body = json!({"Name": name, "WithDecryption": true});
        let answer = self.json("ssm", "AmazonSSM", "GetParameter", &body).await?;
        Ok(answer["Parameter"]["Value"].as_str().unwrap_or_default().to_owned())
    }

    /// Returns every item of a table, or of its `index`, in DynamoDB's JSON.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn scan(&self, table: &str, index: Option<&str>) -> Result<Vec<Value>, AwsError> {
        let mut items = Vec::new();
        let mut body = json!({"TableName": table, "ConsistentRead": index.is_none()});
        if let Some(index) = index {
            body["IndexName"] = json!(index);
        }
        loop {
            let page = self.json("dynamodb", "DynamoDB_20120810", "Scan", &body).await?;
            items.extend(page["Items"].as_array().into_iter().flatten().cloned());
            match page.get("LastEvaluatedKey") {
                Some(key) if !key.is_null() => body["ExclusiveStartKey"] = key.clone(),
                _ => return Ok(items),
            }
        }
    }

    /// Writes an item, as DynamoDB's JSON.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn put_item(&self, table: &str, item: &Value) -> Result<(), AwsError> {
        let body = json!({"TableName": table, "Item": item});
        self.json("dynamodb", "DynamoDB_20120810", "PutItem", &body)
            .await
            .map(drop)
    }

    /// Deletes an item by its key, as DynamoDB's JSON.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn delete_item(&self, table: &str, key: &Value) -> Result<(), AwsError> {
        let body = json!({"TableName": table, "Key": key});
        self.json("dynamodb", "DynamoDB_20120810", "DeleteItem", &body)
            .await
            .map(drop)
    }

    /// Returns a schedule of the default group.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn schedule(&self, name: &str) -> Result<Value, AwsError> {
        let request = Rest {
            service: "scheduler",
            method: Method::GET,
            path: format!("/schedules/{}?groupName=default", encode(name, b"")),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let answer = self.rest("scheduler:GetSchedule", request).await?;
        read_json("scheduler:GetSchedule", &answer.body)
    }

    /// Returns every line of a log group, oldest first.
    ///
    /// # Errors
    /// [`AwsError`]. A group without lines yet is empty, not an error.
    pub async fn log_lines(&self, group: &str) -> Result<Vec<String>, AwsError> {
        let events = self.log_events(group).await?;
        Ok(events.into_iter().map(|event| event.line).collect())
    }

    /// The same, with the time of each line.
    ///
    /// # Errors
    /// [`AwsError`]. A group without lines yet is empty, not an error.
    pub async fn log_events(&self, group: &str) -> Result<Vec<LogEvent>, AwsError> {
        let body = json!({"logGroupName": group, "limit": 10_000});
        match self.json("logs", "Logs_20140328", "FilterLogEvents", &body).await {
            Ok(answer) => Ok(answer["events"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(LogEvent::read)
                .collect()),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// A line of a log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// In milliseconds since 1970.
    pub at: i64,
    pub line: String,
}

impl LogEvent {
    fn read(event: &Value) -> Option<Self> {
        Some(Self {
            at: event["timestamp"].as_i64()?,
            line: event["message"].as_str()?.trim_end().to_owned(),
        })
    }
}

fn concurrency(function: &str) -> String {
    format!("/2017-10-31/functions/{}/concurrency", encode(function, b""))
}

fn body_of(body: &Value) -> Bytes {
    if body.is_null() {
        Bytes::new()
    } else {
        body.to_string().into()
    }
}

/// IAM percent-encodes policies, Lambda does not.
fn policy_document(action: &str, text: &str) -> Result<Value, AwsError> {
    let shape = || AwsError::Shape {
        action: action.to_owned(),
        missing: "policy document".to_owned(),
        answer: text.to_owned(),
    };
    let decoded = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        // A plus sign stands for itself here, unlike in a form.
        form_urlencoded::parse(format!("d={}", text.replace('+', "%2B")).as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .ok_or_else(shape)?
    };
    serde_json::from_str(&decoded).map_err(|_| shape())
}

pub(super) fn need(action: &str, answer: &Xml, name: &str) -> Result<String, AwsError> {
    answer.text(name).ok_or_else(|| AwsError::Shape {
        action: action.to_owned(),
        missing: name.to_owned(),
        answer: answer.as_str().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_encoded_and_plain() {
        let plain = r#"{"Statement":[{"Resource":"a+b"}]}"#;
        for text in [plain.to_owned(), encode(plain, b"+")] {
            let document = policy_document("x", &text).unwrap();
            assert_eq!(document["Statement"][0]["Resource"], "a+b", "{text}");
        }
        assert!(policy_document("x", "nonsense").is_err());
    }
}
