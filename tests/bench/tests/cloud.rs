//! The loopback clouds through their own ports.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use dayfly_bench::stack;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends a request and returns the whole answer as text.
async fn send(url: &str, head: &str, body: &str) -> String {
    let authority = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let length = body.len();
    let request =
        format!("{head} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn each_service_is_told_from_the_others_by_its_protocol() {
    let cloud = stack::start_cloud().await.unwrap();
    let (aws, github) = (cloud.aws_url(), cloud.github_url());
    let fleet = "Action=CreateFleet&Version=2016-11-15&ClientToken=t\
                 &TargetCapacitySpecification.TotalTargetCapacity=1";
    assert!(send(&aws, "POST /", fleet).await.contains("<instanceIds><item>i-"));
    let schedule = send(&aws, "GET /schedules/dayfly-bench-minute", "").await;
    assert!(schedule.contains("\"State\":\"DISABLED\""), "{schedule}");
    let token = send(&github, "POST /app/installations/42/access_tokens", "").await;
    assert!(token.starts_with("HTTP/1.1 201"), "{token}");
    let state = cloud.state();
    let calls: Vec<&str> = state.calls().keys().map(String::as_str).collect();
    assert_eq!(calls, ["ec2 CreateFleet", "github POST access_tokens", "scheduler GET"]);
    drop(state);
    assert!(cloud.check().is_ok());
}

#[tokio::test]
async fn a_call_that_is_not_implemented_fails_the_bench() {
    let cloud = stack::start_cloud().await.unwrap();
    let answer = send(&cloud.aws_url(), "POST /", "Action=StopInstances").await;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
    let error = cloud.check().unwrap_err().to_string();
    assert!(error.contains("ec2 StopInstances"), "{error}");
}
