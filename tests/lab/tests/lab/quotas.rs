//! The account's EC2 quotas, which only the launch function may read.

use dayfly_lab::aws::{Aws, AwsError};
use serde_json::{Value, json};

use crate::stand_in::Foundation;

/// All G and VT Spot Instance Requests.
const G_SPOT: &str = "L-3819A6DF";
/// All P5 Spot Instance Requests.
const P5_SPOT: &str = "L-C4BD4855";

/// Returns a client of Service Quotas as a function.
fn as_function(lab: &Foundation, name: &str) -> Aws {
    let callers = lab.cloud.ec2().callers();
    let caller = callers.into_iter().find(|caller| caller.name == name).unwrap();
    lab.cloud.aws().at(&lab.cloud.ec2().url()).as_caller(caller.credentials)
}

async fn ask(aws: &Aws, action: &str, code: &str) -> Result<Value, AwsError> {
    let body = json!({"ServiceCode": "ec2", "QuotaCode": code});
    let answer = aws.json("servicequotas", "ServiceQuotasV20190624", action, &body);
    Ok(answer.await?["Quota"]["Value"].clone())
}

#[tokio::test]
async fn launch_is_told_quotas_and_no_other_function_is() {
    let lab = Foundation::start().await;
    let launch = as_function(&lab, "launch");
    lab.cloud.ec2().change(|scenario| {
        scenario.quotas.insert(G_SPOT.to_owned(), 8);
    });
    assert_eq!(ask(&launch, "GetServiceQuota", G_SPOT).await.unwrap(), 8.0);
    let missing = ask(&launch, "GetServiceQuota", P5_SPOT).await.unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchResourceException"));
    assert_eq!(ask(&launch, "GetAWSDefaultServiceQuota", P5_SPOT).await.unwrap(), 0.0);
    assert_eq!(lab.cloud.ec2().count("GetServiceQuota"), 2);

    let sweeper = ask(&as_function(&lab, "sweeper"), "GetServiceQuota", G_SPOT).await;
    assert!(sweeper.unwrap_err().is_denied());
    let forged = launch.as_caller(dayfly_lab::sigv4::Credentials::owner());
    assert!(ask(&forged, "GetServiceQuota", G_SPOT).await.unwrap_err().is_denied());
    lab.stop().await;
}
