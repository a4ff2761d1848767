use dayfly_core::ids::{
    ImageId, InstallationId, InstanceId, InstanceType, JobId, JobKey, RunAttempt, RunnerName, Zone,
};
use dayfly_core::money::MicroDollars;
use dayfly_core::time::Timestamp;
use dayfly_ports::{Fleet, FleetErrorKind, Image, InstanceState, InstanceView, Scope};

use super::support::{Ec2, described, page};

fn runner() -> RunnerName {
    let job = JobKey {
        job: JobId(11),
        attempt: RunAttempt(1),
    };
    RunnerName::of(job, 1)
}

#[tokio::test]
async fn the_living_are_those_of_the_stack_on_all_pages() {
    let ec2 = Ec2::start().await;
    let second = page(&[described("i-2", "pending", &[])], None);
    ec2.answers("DescribeInstances", "NextToken=more", &second).await;
    let first = page(&[described("i-1", "running", &[])], Some("more"));
    ec2.answers("DescribeInstances", "", &first).await;
    let living = ec2.fleet.living().await.unwrap();
    let ids: Vec<_> = living.iter().map(|view| view.instance.as_str()).collect();
    assert_eq!(ids, ["i-1", "i-2"]);

    let asked = ec2.asked("DescribeInstances").await;
    assert_eq!(asked.len(), 2);
    for call in asked {
        assert_eq!(call["Filter.1.Name"], "tag:dayfly:stack");
        assert_eq!(call["Filter.1.Value.1"], "dayfly-test");
        assert_eq!(call["Filter.2.Name"], "instance-state-name");
        let states: Vec<_> = (1..).map_while(|n| call.get(&format!("Filter.2.Value.{n}"))).collect();
        assert_eq!(states, ["pending", "running", "stopping", "stopped"]);
    }
}

#[tokio::test]
async fn an_instance_is_seen_with_what_matters() {
    let ec2 = Ec2::start().await;
    let tags = [
        ("dayfly:stack", "dayfly-test"),
        ("dayfly:runner", "dayfly-11-1-1"),
        ("dayfly:repository", "octo/gpu"),
        ("dayfly:installation", "7"),
    ];
    let one = page(&[described("i-1", "shutting-down", &tags)], None);
    ec2.answers("DescribeInstances", "", &one).await;
    let expected = InstanceView {
        instance: InstanceId::new("i-1"),
        state: InstanceState::ShuttingDown,
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Zone::new("eu-west-1a"),
        spot: true,
        launched_at: Timestamp::from_seconds(1_800_000_000),
        runner: Some(runner()),
        scope: Some(Scope {
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
        }),
    };
    assert_eq!(ec2.fleet.of_runner(&runner()).await.unwrap(), [expected]);
    let asked = ec2.asked("DescribeInstances").await;
    assert_eq!(asked[0]["Filter.1.Value.1"], "dayfly-test");
    assert_eq!(asked[0]["Filter.2.Name"], "tag:dayfly:runner");
    assert_eq!(asked[0]["Filter.2.Value.1"], "dayfly-11-1-1");
}

#[tokio::test]
async fn an_instances_state_is_ec2s() {
    for (name, state) in [
        ("pending", InstanceState::Pending),
        ("running", InstanceState::Running),
        ("shutting-down", InstanceState::ShuttingDown),
        ("terminated", InstanceState::Terminated),
        ("stopping", InstanceState::Stopped),
        ("stopped", InstanceState::Stopped),
        ("a-new-word", InstanceState::Running),
    ] {
        let ec2 = Ec2::start().await;
        let one = page(&[described("i-1", name, &[])], None);
        ec2.answers("DescribeInstances", "", &one).await;
        assert_eq!(ec2.fleet.living().await.unwrap()[0].state, state, "{name}");
    }
}

#[tokio::test]
async fn an_image_is_found_with_its_root_device() {
    let ec2 = Ec2::start().await;
    ec2.answers(
        "DescribeImages",
        "ImageId.1=ami-1",
        "<imagesSet><item><imageId>ami-1</imageId><rootDeviceName>/dev/xvda</rootDeviceName></item></imagesSet>",
    )
    .await;
    let image = ImageId::new("ami-1");
    let expected = Image {
        image: image.clone(),
        root_device: "/dev/xvda".to_owned(),
    };
    assert_eq!(ec2.fleet.image(&image).await.unwrap(), expected);
}

#[tokio::test]
async fn an_image_that_cannot_be_started_is_a_bad_request() {
    let no_root = "<imagesSet><item><imageId>ami-1</imageId></item></imagesSet>";
    for answer in ["<imagesSet/>", no_root] {
        let ec2 = Ec2::start().await;
        ec2.answers("DescribeImages", "", answer).await;
        let error = ec2.fleet.image(&ImageId::new("ami-1")).await.unwrap_err();
        assert_eq!(error.kind, FleetErrorKind::BadRequest, "{error}");
        assert!(error.message.contains("`ami-1`"), "{error}");
    }
    let ec2 = Ec2::start().await;
    ec2.refuses("DescribeImages", "", "InvalidAMIID.Malformed", "Invalid id")
        .await;
    let error = ec2.fleet.image(&ImageId::new("ami-1")).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
}

async fn price_of(ec2: &Ec2) -> Result<Option<MicroDollars>, FleetErrorKind> {
    ec2.fleet
        .spot_price(&InstanceType::new("g5.xlarge"), &Zone::new("eu-west-1a"))
        .await
        .map_err(|error| error.kind)
}

#[tokio::test]
async fn the_spot_price_is_the_latest_of_that_type_and_zone() {
    let ec2 = Ec2::start().await;
    let price =
        |at: &str, dollars: &str| format!("<item><spotPrice>{dollars}</spotPrice><timestamp>{at}</timestamp></item>");
    let history = format!(
        "<spotPriceHistorySet>{}{}</spotPriceHistorySet>",
        price("2027-01-15T07:00:00.000Z", "0.300000"),
        price("2027-01-15T08:00:00.000Z", "0.301900"),
    );
    ec2.answers("DescribeSpotPriceHistory", "", &history).await;
    assert_eq!(price_of(&ec2).await, Ok(Some(MicroDollars(301_900))));
    let call = &ec2.asked("DescribeSpotPriceHistory").await[0];
    assert_eq!(call["InstanceType.1"], "g5.xlarge");
    assert_eq!(call["AvailabilityZone"], "eu-west-1a");
    assert_eq!(call["ProductDescription.1"], "Linux/UNIX");
    assert!(call.contains_key("StartTime"));
}

#[tokio::test]
async fn a_price_that_ec2_does_not_tell_is_none_and_an_error_is_an_error() {
    let ec2 = Ec2::start().await;
    ec2.answers("DescribeSpotPriceHistory", "", "<spotPriceHistorySet/>")
        .await;
    assert_eq!(price_of(&ec2).await, Ok(None));

    for (code, expected) in [
        ("InvalidAction", Ok(None)),
        ("InvalidParameterValue", Err(FleetErrorKind::BadRequest)),
        ("UnauthorizedOperation", Err(FleetErrorKind::BadRequest)),
    ] {
        let ec2 = Ec2::start().await;
        ec2.refuses("DescribeSpotPriceHistory", "", code, "no").await;
        assert_eq!(price_of(&ec2).await, expected, "{code}");
    }
}
