use super::*;

const AT: i64 = 1_440_938_160;
const SCOPE: Scope<'_> = Scope {
    region: "us-east-1",
    service: "iam",
};

fn example_credentials() -> Credentials {
    Credentials {
        access_key: "AKIDEXAMPLE".into(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        token: None,
    }
}

/// The worked example of AWS's own documentation: `ListUsers` on 2015-08-30.
fn example_headers() -> Vec<(String, String)> {
    [
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", "iam.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn example(headers: &[(String, String)]) -> Request<'_> {
    Request {
        method: "GET",
        path: "/",
        query: "Action=ListUsers&Version=2010-05-08",
        headers,
        body: b"",
    }
}

#[test]
fn the_published_example_verifies() {
    let headers = example_headers();
    assert_eq!(verify(&example(&headers), SCOPE, &example_credentials(), AT), Ok(()));
}

#[test]
fn each_change_to_a_signed_request_is_refused_with_its_reason() {
    type Change = fn(&mut Vec<(String, String)>);
    let cases: [(&str, Change, SignatureFault); 7] = [
        (
            "no signature",
            |h| h.retain(|(n, _)| n != "authorization"),
            SignatureFault::Unsigned,
        ),
        (
            "another algorithm",
            |h| h[3].1 = "Bearer abc".into(),
            SignatureFault::Unsigned,
        ),
        (
            "another host",
            |h| h[1].1 = "evil.example".into(),
            SignatureFault::Mismatch,
        ),
        (
            "another key",
            |h| h[3].1 = h[3].1.replace("AKIDEXAMPLE", "AKIDOTHER"),
            SignatureFault::UnknownKey,
        ),
        (
            "another service",
            |h| h[3].1 = h[3].1.replace("/iam/", "/sts/"),
            SignatureFault::WrongScope,
        ),
        (
            "a token that is not the session's",
            |h| h.push(("x-amz-security-token".into(), "x".into())),
            SignatureFault::WrongToken,
        ),
        (
            "a hash of another body",
            |h| h.push(("x-amz-content-sha256".into(), "00".into())),
            SignatureFault::WrongBody,
        ),
    ];
    for (name, change, fault) in cases {
        let mut headers = example_headers();
        change(&mut headers);
        assert_eq!(
            verify(&example(&headers), SCOPE, &example_credentials(), AT),
            Err(fault),
            "{name}"
        );
    }
}

#[test]
fn a_changed_body_query_or_clock_is_refused() {
    let headers = example_headers();
    let changed = [
        (
            Request {
                body: b"x",
                ..example(&headers)
            },
            AT,
            SignatureFault::Mismatch,
        ),
        (
            Request {
                query: "Action=Other",
                ..example(&headers)
            },
            AT,
            SignatureFault::Mismatch,
        ),
        (
            Request {
                method: "POST",
                ..example(&headers)
            },
            AT,
            SignatureFault::Mismatch,
        ),
        (example(&headers), AT + CLOCK_SKEW_SECONDS + 1, SignatureFault::Skewed),
        (example(&headers), AT - CLOCK_SKEW_SECONDS - 1, SignatureFault::Skewed),
    ];
    for (request, now, fault) in changed {
        assert_eq!(verify(&request, SCOPE, &example_credentials(), now), Err(fault));
    }
}

#[test]
fn what_we_sign_verifies_and_carries_the_session_token() {
    fn request(headers: &[(String, String)]) -> Request<'_> {
        Request {
            method: "POST",
            path: "/claim/a%20b",
            query: "b=2&a=1",
            headers,
            body: b"{}",
        }
    }
    let credentials = Credentials {
        token: Some("a-token".into()),
        ..example_credentials()
    };
    let mut headers = vec![("host".to_owned(), "127.0.0.1:1".to_owned())];
    let added = sign(&request(&headers), SCOPE, &credentials, AT);
    headers.extend(added);
    assert_eq!(verify(&request(&headers), SCOPE, &credentials, AT), Ok(()));
    assert_eq!(claimed_access_key(&headers).as_deref(), Some("AKIDEXAMPLE"));
    headers.retain(|(name, _)| name != "x-amz-security-token");
    assert_eq!(
        verify(&request(&headers), SCOPE, &credentials, AT),
        Err(SignatureFault::WrongToken)
    );
}

#[test]
fn credentials_print_no_secret() {
    let credentials = Credentials {
        token: Some("a-token".into()),
        ..example_credentials()
    };
    let printed = format!("{credentials:?}");
    assert!(!printed.contains("wJalr") && !printed.contains("a-token"), "{printed}");
}
