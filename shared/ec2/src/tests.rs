use std::collections::BTreeMap;

use dayfly_core::ids::{JobId, JobKey, RunAttempt, SubnetId};
use dayfly_ports::InstanceState;
use wiremock::matchers::body_string_contains;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

fn fleet(server: &MockServer) -> Ec2Fleet {
    let url = server.uri();
    let config = dayfly_aws::config_from(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_EC2" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    });
    let settings = Ec2Settings {
        launch_template: "lt-1".into(),
        stack: "dayfly".into(),
    };
    Ec2Fleet::new(&config.unwrap(), settings)
}

async fn answering(action: &str, status: u16, answer: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(body_string_contains(format!("Action={action}&")))
        .respond_with(ResponseTemplate::new(status).set_body_string(answer))
        .mount(&server)
        .await;
    server
}

fn refused(code: &str) -> String {
    format!("<Response><Errors><Error><Code>{code}</Code><Message>as it is</Message></Error></Errors></Response>")
}

fn runner() -> RunnerName {
    let key = JobKey {
        job: JobId(11),
        attempt: RunAttempt(1),
    };
    RunnerName::of(key, 1)
}

fn request() -> FleetRequest {
    FleetRequest {
        client_token: "dayfly-11-1-1-t1".into(),
        runner: runner(),
        instance_types: vec![InstanceType::new("g5.xlarge"), InstanceType::new("g6.xlarge")],
        subnets: vec![SubnetId::new("subnet-a"), SubnetId::new("subnet-b")],
        image: ImageId::new("ami-01234567"),
        root_device: "/dev/sda1".into(),
        disk_gib: Some(100),
        spot: true,
        tags: BTreeMap::from([("dayfly:repository".to_owned(), "octo/gpu".to_owned())]),
    }
}

const BOTH: &str = "<CreateFleetResponse><fleetId>fleet-1</fleetId>
  <errorSet><item><errorCode>InsufficientInstanceCapacity</errorCode><errorMessage>none in b</errorMessage></item></errorSet>
  <fleetInstanceSet><item>
    <lifecycle>spot</lifecycle><instanceType>g6.xlarge</instanceType>
    <launchTemplateAndOverrides><overrides><availabilityZone>eu-west-1a</availabilityZone></overrides></launchTemplateAndOverrides>
    <instanceIds><item>i-0123456789abcdef0</item></instanceIds>
  </item></fleetInstanceSet></CreateFleetResponse>";

#[tokio::test]
async fn one_call_asks_for_every_type_in_every_zone_with_the_token_and_the_tags() {
    let server = answering("CreateFleet", 200, BOTH).await;
    fleet(&server).create(&request()).await.unwrap();
    let requests: Vec<Request> = server.received_requests().await.unwrap();
    let body = String::from_utf8(requests[0].body.clone()).unwrap();
    for part in [
        "Type=instant",
        "ClientToken=dayfly-11-1-1-t1",
        "SpotOptions.AllocationStrategy=price-capacity-optimized",
        "TargetCapacitySpecification.TotalTargetCapacity=1",
        "TargetCapacitySpecification.DefaultTargetCapacityType=spot",
        "LaunchTemplateConfigs.1.Overrides.4.SubnetId=subnet-b",
        "LaunchTemplateConfigs.1.Overrides.4.InstanceType=g6.xlarge",
        "LaunchTemplateConfigs.1.Overrides.1.ImageId=ami-01234567",
        "VolumeSize=100",
        "dayfly%3Arunner",
        "octo%2Fgpu",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn an_answer_with_instances_and_errors_is_both() {
    let server = answering("CreateFleet", 200, BOTH).await;
    let answer = fleet(&server).create(&request()).await.unwrap();
    let [instance] = answer.instances.try_into().unwrap();
    assert_eq!(instance.instance.as_str(), "i-0123456789abcdef0");
    assert_eq!((instance.instance_type.as_str(), instance.spot), ("g6.xlarge", true));
    assert_eq!(instance.zone, Some(Zone::new("eu-west-1a")));
    assert_eq!(answer.errors[0].kind, FleetErrorKind::Capacity);
}

#[tokio::test]
async fn an_instance_that_is_gone_already_is_no_error_and_any_other_refusal_is() {
    let gone = answering("TerminateInstances", 400, &refused("InvalidInstanceID.NotFound")).await;
    fleet(&gone).terminate(&[InstanceId::new("i-1")], false).await.unwrap();
    let refused = answering("TerminateInstances", 403, &refused("UnauthorizedOperation")).await;
    let error = fleet(&refused)
        .terminate(&[InstanceId::new("i-1")], false)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "UnauthorizedOperation: as it is");
}

#[tokio::test]
async fn an_instance_without_a_runner_is_ended_without_waiting_for_its_system() {
    for (at_once, waits) in [(true, false), (false, true)] {
        let server = answering("TerminateInstances", 200, "<TerminateInstancesResponse/>").await;
        fleet(&server)
            .terminate(&[InstanceId::new("i-1")], at_once)
            .await
            .unwrap();
        let body = String::from_utf8(server.received_requests().await.unwrap()[0].body.clone()).unwrap();
        assert_eq!(body.contains("SkipOsShutdown=true"), !waits, "{body}");
    }
}

#[tokio::test]
async fn every_page_of_a_description_is_read_and_only_of_this_stack() {
    let page = |id: &str, next: &str| {
        format!(
            "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>{id}</instanceId>
             <instanceState><code>16</code><name>running</name></instanceState><instanceType>g5.xlarge</instanceType>
             <launchTime>2026-01-01T00:00:00Z</launchTime><instanceLifecycle>spot</instanceLifecycle>
             <placement><availabilityZone>eu-west-1a</availabilityZone></placement>
             <tagSet><item><key>dayfly:runner</key><value>dayfly-11-1-1</value></item></tagSet>
             </item></instancesSet></item></reservationSet>{next}</DescribeInstancesResponse>"
        )
    };
    let server = MockServer::start().await;
    Mock::given(body_string_contains("NextToken=second"))
        .respond_with(ResponseTemplate::new(200).set_body_string(page("i-2", "")))
        .mount(&server)
        .await;
    Mock::given(body_string_contains(
        "Filter.1.Name=tag%3Adayfly%3Astack&Filter.1.Value.1=dayfly",
    ))
    .respond_with(ResponseTemplate::new(200).set_body_string(page("i-1", "<nextToken>second</nextToken>")))
    .with_priority(6)
    .mount(&server)
    .await;
    let living = fleet(&server).living().await.unwrap();
    assert_eq!(living.len(), 2);
    assert_eq!(
        (living[1].state, living[1].runner.as_ref()),
        (InstanceState::Running, Some(&runner()))
    );
    assert_eq!(living[0].launched_at.seconds(), 1_767_225_600);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_a_bad_request() {
    let none = answering(
        "DescribeImages",
        200,
        "<DescribeImagesResponse><imagesSet/></DescribeImagesResponse>",
    )
    .await;
    let error = fleet(&none).image(&ImageId::new("ami-01234567")).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
}

#[tokio::test]
async fn the_spot_price_is_read_to_the_micro_dollar() {
    let history = "<DescribeSpotPriceHistoryResponse><spotPriceHistorySet><item><spotPrice>0.157800</spotPrice></item>\
                   </spotPriceHistorySet></DescribeSpotPriceHistoryResponse>";
    let server = answering("DescribeSpotPriceHistory", 200, history).await;
    let price = fleet(&server)
        .spot_price(&InstanceType::new("g4dn.xlarge"), &Zone::new("eu-west-1a"))
        .await
        .unwrap();
    assert_eq!(price, Some(MicroDollars(157_800)));
}

#[tokio::test]
async fn a_cloud_that_does_not_answer_is_unknown() {
    let server = MockServer::start().await;
    let fleet = fleet(&server);
    drop(server);
    let error = fleet.create(&request()).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::Unknown);
}
