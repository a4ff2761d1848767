//! The conversion between a Lambda Function URL's HTTP requests and its function's events and answers.
//!
//! Source: "Invoking Lambda function URLs" in the Lambda developer guide (payload format 2.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::aws::{Invocation, Session};

/// An HTTP request to a Function URL.
#[derive(Clone, Debug)]
pub struct Incoming<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As sent.
    pub path: &'a str,
    /// As sent, without the question mark.
    pub query: &'a str,
    /// As sent.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

#[derive(Clone, Debug)]
pub struct Url {
    /// The first label of its host.
    pub id: String,
    /// Such as `eu-west-1`.
    pub region: String,
    pub account: String,
}

impl Url {
    /// Returns the public host name.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.lambda-url.{}.on.aws", self.id, self.region)
    }

    /// Parses `https://<id>.lambda-url.<region>.on.aws/`.
    #[must_use]
    pub fn parse(url: &str, account: &str) -> Option<Self> {
        let host = url.strip_prefix("https://")?.trim_end_matches('/');
        let (id, rest) = host.split_once(".lambda-url.")?;
        Some(Self {
            id: id.to_owned(),
            region: rest.strip_suffix(".on.aws")?.to_owned(),
            account: account.to_owned(),
        })
    }
}

/// Returns the function's event. `caller` is given behind `AWS_IAM`.
#[must_use]
pub fn event(url: &Url, incoming: &Incoming<'_>, caller: Option<&Session>, now: jiff::Timestamp) -> Value {
    let mut headers = Map::new();
    for (name, value) in incoming.headers {
        let name = name.to_ascii_lowercase();
        let joined = match headers.get(&name).and_then(Value::as_str) {
            Some(first) => format!("{first},{value}"),
            None => value.clone(),
        };
        headers.insert(name, Value::String(joined));
    }
    headers.insert("host".to_owned(), json!(url.host()));
    headers.insert("x-forwarded-for".to_owned(), json!("127.0.0.1"));
    headers.insert("x-forwarded-port".to_owned(), json!("443"));
    headers.insert("x-forwarded-proto".to_owned(), json!("https"));
    let text = std::str::from_utf8(incoming.body).ok().filter(|_| is_text(&headers));
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": incoming.path,
        "rawQueryString": incoming.query,
        "headers": headers,
        "requestContext": {
            "accountId": if caller.is_some() { &*url.account } else { "anonymous" },
            "apiId": url.id,
            "authentication": null,
            "domainName": url.host(),
            "domainPrefix": url.id,
            "http": {
                "method": incoming.method,
                "path": incoming.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent"),
            },
            "requestId": format!("lab-{}", now.as_nanosecond()),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": text.is_none() && !incoming.body.is_empty(),
    });
    if !incoming.body.is_empty() {
        event["body"] = text.map_or_else(|| json!(STANDARD.encode(incoming.body)), |text| json!(text));
    }
    if !incoming.query.is_empty() {
        event["queryStringParameters"] = form_urlencoded::parse(incoming.query.as_bytes())
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect::<Map<_, _>>()
            .into();
    }
    if let Some(caller) = caller {
        event["requestContext"]["authorizer"] = authorizer(url, caller);
    }
    event
}

/// Returns AWS's data about an authenticated caller. A role's session has its role's unique id and its
/// own name as both ids.
fn authorizer(url: &Url, caller: &Session) -> Value {
    json!({"iam": {
        "accessKey": caller.credentials.access_key,
        "accountId": url.account,
        "callerId": caller.user_id,
        "cognitoIdentity": null,
        "principalOrgId": null,
        "userArn": caller.user_arn,
        "userId": caller.user_id,
    }})
}

fn is_text(headers: &Map<String, Value>) -> bool {
    let kind = headers.get("content-type").and_then(Value::as_str).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || matches!(
            &*kind,
            "application/json" | "application/xml" | "application/javascript"
        )
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Outgoing {
    /// A JSON answer of the front door's own.
    #[must_use]
    pub fn json(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
        }
    }

    /// The answer to a caller without access.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::json(403, r#"{"Message":"Forbidden"}"#)
    }
}

/// Returns the HTTP answer for a function's answer.
#[must_use]
pub fn answer(invocation: &Invocation) -> Outgoing {
    let payload = &invocation.payload;
    if invocation.error.is_some() {
        return Outgoing::json(502, "Internal Server Error");
    }
    let Some(status) = payload.get("statusCode").and_then(Value::as_u64) else {
        // Anything without a status is the body itself.
        let body = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
        return Outgoing::json(200, &body);
    };
    let (Ok(status), Some(body)) = (u16::try_from(status), body_of(payload)) else {
        return Outgoing::json(502, "Internal Server Error");
    };
    let mut headers: Vec<(String, String)> = payload["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned())))
        .collect();
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    Outgoing { status, headers, body }
}

fn body_of(payload: &Value) -> Option<Vec<u8>> {
    let body = match payload.get("body") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(body) => body.as_str()?,
    };
    if payload["isBase64Encoded"].as_bool() == Some(true) {
        STANDARD.decode(body).ok()
    } else {
        Some(body.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::Credentials;

    fn url() -> Url {
        Url::parse("https://abc.lambda-url.eu-west-1.on.aws/", "000000000000").unwrap()
    }

    fn session() -> Session {
        Session {
            credentials: Credentials {
                access_key: "ASIA1".into(),
                secret: "s".into(),
                token: Some("t".into()),
            },
            role_arn: "arn:aws:iam::000000000000:role/r".into(),
            user_arn: "arn:aws:sts::000000000000:assumed-role/r/i-1".into(),
            user_id: "AROA1:i-1".into(),
        }
    }

    #[test]
    fn urls_are_read_and_other_texts_are_not() {
        assert_eq!(url().host(), "abc.lambda-url.eu-west-1.on.aws");
        for other in ["", "https://example.com/", "http://abc.lambda-url.eu-west-1.on.aws/"] {
            assert!(Url::parse(other, "0").is_none(), "{other}");
        }
    }

    #[test]
    fn the_event_names_the_caller_only_behind_iam() {
        let incoming = Incoming {
            method: "POST",
            path: "/claim",
            query: "a=1",
            headers: &[("Content-Type".to_owned(), "application/json".to_owned())],
            body: b"{}",
        };
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let open = event(&url(), &incoming, None, now);
        assert_eq!(open["requestContext"]["accountId"], "anonymous");
        assert!(open["requestContext"].get("authorizer").is_none());
        let signed = event(&url(), &incoming, Some(&session()), now);
        assert_eq!(signed["requestContext"]["authorizer"]["iam"]["userId"], "AROA1:i-1");
        assert_eq!(signed["requestContext"]["accountId"], "000000000000");
        assert_eq!(signed["body"], "{}");
        assert_eq!(signed["queryStringParameters"]["a"], "1");
        assert!(!signed.to_string().contains("\"s\""), "the secret stays outside");
    }

    #[test]
    fn bodies_that_are_no_text_come_as_base64() {
        for (kind, body, encoded) in [
            ("application/json", &b"{}"[..], false),
            ("text/plain; charset=utf-8", b"x", false),
            ("application/octet-stream", b"x", true),
            ("application/json", b"\xff", true),
            ("application/octet-stream", b"", false),
        ] {
            let headers = [("content-type".to_owned(), kind.to_owned())];
            let incoming = Incoming {
                method: "POST",
                path: "/",
                query: "",
                headers: &headers,
                body,
            };
            let event = event(&url(), &incoming, None, jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(event["isBase64Encoded"], encoded, "{kind}");
            assert_eq!(event.get("body").is_some(), !body.is_empty(), "{kind}");
        }
    }

    #[test]
    fn a_functions_answer_becomes_http() {
        let cases = [
            (json!({"statusCode": 204}), None, (204, "")),
            (
                json!({"statusCode": 200, "body": "aGk=", "isBase64Encoded": true}),
                None,
                (200, "hi"),
            ),
            (
                json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}),
                None,
                (502, "Internal Server Error"),
            ),
            (json!({"order": "stop"}), None, (200, r#"{"order":"stop"}"#)),
            (json!("plain"), None, (200, "plain")),
            (
                json!({"errorMessage": "boom"}),
                Some("Unhandled"),
                (502, "Internal Server Error"),
            ),
        ];
        for (payload, error, (status, body)) in cases {
            let outgoing = answer(&Invocation {
                payload: payload.clone(),
                error: error.map(str::to_owned),
                log_tail: String::new(),
            });
            assert_eq!(outgoing.status, status, "{payload}");
            assert_eq!(String::from_utf8(outgoing.body).unwrap(), body, "{payload}");
        }
    }

    #[test]
    fn the_functions_headers_win() {
        let payload = json!({"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": "x"});
        let outgoing = answer(&Invocation {
            payload,
            error: None,
            log_tail: String::new(),
        });
        assert_eq!(outgoing.headers, [("content-type".to_owned(), "text/plain".to_owned())]);
    }
}
