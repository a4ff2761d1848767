use std::time::Duration;

use dayfly_config::ImageName;
use dayfly_config::machines::Arch;
use dayfly_ports::{Fleet, FleetErrorKind, Image, InstanceState, InstanceView, Scope};
use dayfly_records::prices::SpotPrice;
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{FleetId, ImageId, InstallationId, InstanceId, InstanceType, SubnetId, Zone};
use dayfly_types::time::Timestamp;

use super::support::{Ec2, described, page};

#[tokio::test]
async fn all_instances_of_the_stack_are_listed_from_all_pages() {
    let ec2 = Ec2::start().await;
    let second = page(&[described("i-2", "terminated", &[])], None);
    ec2.answers("DescribeInstances", "NextToken=more", &second).await;
    let first = page(&[described("i-1", "running", &[])], Some("more"));
    ec2.answers("DescribeInstances", "", &first).await;
    let named = ec2.fleet.instances().await.unwrap();
    let ids: Vec<_> = named.iter().map(|view| view.instance.as_str()).collect();
    assert_eq!(ids, ["i-1", "i-2"]);

    let asked = ec2.asked("DescribeInstances").await;
    assert_eq!(asked.len(), 2);
    for call in asked {
        assert_eq!(call["Filter.1.Name"], "tag:dayfly:stack");
        assert_eq!(call["Filter.1.Value.1"], "dayfly-test");
        assert_eq!(call.get("Filter.2.Name"), None);
    }
}

#[tokio::test]
async fn an_instance_is_read_with_its_details() {
    let ec2 = Ec2::start().await;
    let tags = [
        ("dayfly:stack", "dayfly-test"),
        ("dayfly:fleet", "dayfly-fleet-1"),
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
        lifecycle: InstanceLifecycle::Spot,
        launched_at: Timestamp::from_seconds(1_800_000_000),
        ended_at: None,
        fleet: Some(FleetId::new("dayfly-fleet-1")),
        scope: Some(Scope {
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
        }),
    };
    let fleet = FleetId::new("dayfly-fleet-1");
    assert_eq!(ec2.fleet.instances_of(&fleet).await.unwrap(), [expected]);
    let asked = ec2.asked("DescribeInstances").await;
    assert_eq!(asked[0]["Filter.1.Value.1"], "dayfly-test");
    assert_eq!(asked[0]["Filter.2.Name"], "tag:dayfly:fleet");
    assert_eq!(asked[0]["Filter.2.Value.1"], "dayfly-fleet-1");
}

#[tokio::test]
async fn an_instance_without_a_lifecycle_is_on_demand() {
    let ec2 = Ec2::start().await;
    let unnamed = described("i-1", "running", &[]).replace("<instanceLifecycle>spot</instanceLifecycle>", "");
    ec2.answers("DescribeInstances", "", &page(&[unnamed], None)).await;
    let view = &ec2.fleet.instances().await.unwrap()[0];
    assert_eq!(view.lifecycle, InstanceLifecycle::OnDemand);
    assert_eq!((&view.fleet, &view.scope), (&None, &None));
}

#[tokio::test]
async fn an_instances_state_is_read() {
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
        assert_eq!(ec2.fleet.instances().await.unwrap()[0].state, state, "{name}");
    }
}

#[tokio::test]
async fn the_end_is_parsed_from_ec2s_text() {
    for (state, reason, ended_at) in [
        (
            "terminated",
            "User initiated (2027-01-15 08:30:00 GMT)",
            Some(1_800_001_800),
        ),
        (
            "shutting-down",
            "Service initiated (2027-01-15 08:30:00 GMT)",
            Some(1_800_001_800),
        ),
        ("terminated", "", None),
        ("terminated", "User initiated", None),
        ("terminated", "User initiated (yesterday GMT)", None),
        // It may have been restarted since it was stopped.
        ("running", "User initiated (2027-01-15 08:30:00 GMT)", None),
    ] {
        let ec2 = Ec2::start().await;
        let words = format!("<reason>{reason}</reason><tagSet>");
        let one = described("i-1", state, &[]).replace("<tagSet>", &words);
        ec2.answers("DescribeInstances", "", &page(&[one], None)).await;
        let view = &ec2.fleet.instances().await.unwrap()[0];
        assert_eq!(
            view.ended_at,
            ended_at.map(Timestamp::from_seconds),
            "{state}: {reason}"
        );
    }
}

#[tokio::test]
async fn an_image_is_found_with_its_root_device() {
    let ec2 = Ec2::start().await;
    ec2.answers(
        "DescribeImages",
        "ImageId.1=ami-1",
        "<imagesSet><item><imageId>ami-1</imageId><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>\
         <item><deviceName>/dev/sdb</deviceName><ebs><volumeSize>500</volumeSize></ebs></item>\
         <item><deviceName>/dev/xvda</deviceName><ebs><volumeSize>60</volumeSize></ebs></item></blockDeviceMapping>\
         </item></imagesSet>",
    )
    .await;
    let image = ImageId::new("ami-1");
    let expected = Image {
        image: image.clone(),
        root_device: "/dev/xvda".to_owned(),
        gib: Some(60),
    };
    assert_eq!(ec2.fleet.image(&image).await.unwrap(), expected);
}

#[tokio::test]
async fn an_image_by_name_is_the_owners_newest_for_the_architecture() {
    let ec2 = Ec2::start().await;
    let image = |id: &str, day: &str| {
        format!(
            "<item><imageId>{id}</imageId><rootDeviceName>/dev/sda1</rootDeviceName>\
             <creationDate>2026-10-{day}T08:00:00.000Z</creationDate></item>"
        )
    };
    let images = [image("ami-1", "09"), image("ami-2", "21"), image("ami-3", "10")];
    ec2.answers(
        "DescribeImages",
        "",
        &format!("<imagesSet>{}</imagesSet>", images.concat()),
    )
    .await;
    let name = ImageName {
        name: "my-image-*".to_owned(),
        owner: "self".to_owned(),
    };
    let found = ec2.fleet.newest_image(&name, Arch::Arm64).await.unwrap();
    assert_eq!(found.image, ImageId::new("ami-2"));
    let asked = ec2.asked("DescribeImages").await.remove(0);
    assert_eq!(asked["Owner.1"], "self");
    let filters: Vec<(&str, &str)> = (1..)
        .map_while(|n| {
            let name = asked.get(&format!("Filter.{n}.Name"))?;
            Some((name.as_str(), asked[&format!("Filter.{n}.Value.1")].as_str()))
        })
        .collect();
    assert_eq!(
        filters,
        [
            ("name", "my-image-*"),
            ("architecture", "arm64"),
            ("state", "available"),
            ("root-device-type", "ebs")
        ]
    );
    let none = Ec2::start().await;
    none.answers("DescribeImages", "", "<imagesSet/>").await;
    let error = none.fleet.newest_image(&name, Arch::Arm64).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
    assert!(
        error.message.contains("`my-image-*`") && error.message.contains("arm64"),
        "{error}"
    );
}

#[tokio::test]
async fn an_unusable_image_is_a_bad_request() {
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

async fn prices_of(ec2: &Ec2) -> Result<Vec<u64>, FleetErrorKind> {
    let pool = Pool {
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Zone::new("eu-west-1a"),
    };
    let from = Timestamp::from_seconds(1_800_000_000);
    let prices = ec2
        .fleet
        .spot_prices(&pool, from, from.after(Duration::from_hours(2)))
        .await;
    let micros = |prices: Vec<SpotPrice>| prices.iter().map(|price| price.per_hour.0).collect();
    prices.map(micros).map_err(|error| error.kind)
}

#[tokio::test]
async fn spot_prices_are_of_the_type_zone_and_time_in_order() {
    let ec2 = Ec2::start().await;
    let price =
        |at: &str, dollars: &str| format!("<item><spotPrice>{dollars}</spotPrice><timestamp>{at}</timestamp></item>");
    let page = |prices: &str, next: &str| format!("<spotPriceHistorySet>{prices}</spotPriceHistorySet>{next}");
    let second = page(&price("2027-01-15T07:00:00.000Z", "0.300000"), "");
    ec2.answers("DescribeSpotPriceHistory", "NextToken=more", &second).await;
    let first = page(
        &price("2027-01-15T08:00:00.000Z", "0.301900"),
        "<nextToken>more</nextToken>",
    );
    ec2.answers("DescribeSpotPriceHistory", "", &first).await;
    assert_eq!(prices_of(&ec2).await, Ok(vec![300_000, 301_900]));
    let call = &ec2.asked("DescribeSpotPriceHistory").await[0];
    assert_eq!(call["InstanceType.1"], "g5.xlarge");
    assert_eq!(call["AvailabilityZone"], "eu-west-1a");
    assert_eq!(call["ProductDescription.1"], "Linux/UNIX");
    assert_eq!(
        (call["StartTime"].as_str(), call["EndTime"].as_str()),
        ("2027-01-15T08:00:00Z", "2027-01-15T10:00:00Z")
    );
}

#[tokio::test]
async fn an_instance_was_ended_by_ec2_if_its_reason_says_so() {
    for (code, by_ec2) in [
        ("Server.SpotInstanceTermination", true),
        ("Server.SpotInstanceShutdown", true),
        ("Client.UserInitiatedShutdown", false),
        ("Client.InstanceInitiatedShutdown", false),
    ] {
        let ec2 = Ec2::start().await;
        let reason = format!("<stateReason><code>{code}</code></stateReason><tagSet>");
        let ended = described("i-1", "terminated", &[]).replace("<tagSet>", &reason);
        ec2.answers("DescribeInstances", "i-1", &page(&[ended], None)).await;
        assert_eq!(
            ec2.fleet.ended_by_ec2(&InstanceId::new("i-1")).await,
            Ok(by_ec2),
            "{code}"
        );
    }
    let ec2 = Ec2::start().await;
    ec2.answers("DescribeInstances", "", &page(&[], None)).await;
    assert_eq!(
        ec2.fleet.ended_by_ec2(&InstanceId::new("i-2")).await,
        Ok(false),
        "it is no longer listed"
    );
}

#[tokio::test]
async fn a_missing_price_is_none_and_an_error_is_an_error() {
    let ec2 = Ec2::start().await;
    ec2.answers("DescribeSpotPriceHistory", "", "<spotPriceHistorySet/>")
        .await;
    assert_eq!(prices_of(&ec2).await, Ok(vec![]));

    for (code, expected) in [
        ("InvalidAction", Ok(vec![])),
        ("InvalidParameterValue", Err(FleetErrorKind::BadRequest)),
        ("UnauthorizedOperation", Err(FleetErrorKind::BadRequest)),
    ] {
        let ec2 = Ec2::start().await;
        ec2.refuses("DescribeSpotPriceHistory", "", code, "no").await;
        assert_eq!(prices_of(&ec2).await, expected, "{code}");
    }
}

fn subnets(ids: &[&str]) -> Vec<SubnetId> {
    ids.iter().map(|id| SubnetId::new(*id)).collect()
}

const SUBNETS: &str = "<subnetSet>\
    <item><subnetId>subnet-b</subnetId><availabilityZone>eu-west-1b</availabilityZone></item>\
    <item><subnetId>subnet-a</subnetId><availabilityZone>eu-west-1a</availabilityZone></item></subnetSet>";

#[tokio::test]
async fn subnets_are_returned_with_zones_without_missing_ones() {
    let ec2 = Ec2::start().await;
    ec2.answers("DescribeSubnets", "", SUBNETS).await;
    let asked_for = subnets(&["subnet-a", "subnet-gone", "subnet-b"]);
    let zones = ec2.fleet.zones(&asked_for).await.unwrap();
    let found: Vec<_> = zones
        .iter()
        .map(|(subnet, zone)| (subnet.as_str(), zone.as_str()))
        .collect();
    assert_eq!(found, [("subnet-a", "eu-west-1a"), ("subnet-b", "eu-west-1b")]);
    let call = &ec2.asked("DescribeSubnets").await[0];
    assert_eq!(call["Filter.1.Name"], "subnet-id");
    let named: Vec<_> = (1..).map_while(|n| call.get(&format!("Filter.1.Value.{n}"))).collect();
    assert_eq!(named, ["subnet-a", "subnet-gone", "subnet-b"]);
}

#[tokio::test]
async fn only_missing_subnets_are_a_bad_request_that_names_them() {
    let ec2 = Ec2::start().await;
    ec2.answers("DescribeSubnets", "", "<subnetSet/>").await;
    let asked_for = subnets(&["subnet-1", "subnet-2"]);
    let error = ec2.fleet.zones(&asked_for).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
    assert_eq!(error.code, "InvalidSubnetID.NotFound");
    assert!(error.message.contains("subnet-1, subnet-2"), "{error}");

    let ec2 = Ec2::start().await;
    ec2.refuses("DescribeSubnets", "", "UnauthorizedOperation", "no").await;
    let error = ec2.fleet.zones(&asked_for).await.unwrap_err();
    assert_eq!(error.to_string(), "UnauthorizedOperation: no");
}

#[tokio::test]
async fn no_subnets_make_no_call() {
    let ec2 = Ec2::start().await;
    assert_eq!(ec2.fleet.zones(&[]).await.unwrap(), []);
    assert_eq!(ec2.server.received_requests().await.unwrap().len(), 0);
}
