use std::collections::BTreeMap;

use dayfly_config::{AllocationStrategy, Volume, VolumeType};
use dayfly_ports::{Fleet, FleetAnswer, FleetErrorKind, FleetInstance, FleetRequest, InstanceOverrides, Scope};
use dayfly_types::capacity::{InstanceLifecycle, Placement, Pool};
use dayfly_types::ids::{FleetId, ImageId, InstallationId, InstanceId, InstanceType, SubnetId, Zone};
use dayfly_types::money::MicroDollars;

use super::support::{Ec2, fleet_at};

fn pool(instance_type: &str, zone: &str) -> Pool {
    Pool {
        instance_type: InstanceType::new(instance_type),
        zone: Zone::new(zone),
    }
}

fn placement(instance_type: &str, letter: &str) -> Placement {
    Placement {
        pool: pool(instance_type, &format!("eu-west-1{letter}")),
        subnet: SubnetId::new(format!("subnet-{letter}")),
    }
}

pub(super) fn request() -> FleetRequest {
    FleetRequest {
        fleet: FleetId::new("dayfly-fleet-1"),
        scope: Scope {
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
        },
        count: 3,
        placements: vec![
            placement("g5.xlarge", "a"),
            placement("g5.xlarge", "b"),
            placement("g6.xlarge", "a"),
            placement("g6.xlarge", "b"),
        ],
        image: ImageId::new("ami-12345678"),
        root_device: "/dev/sda1".to_owned(),
        disk_gib: Some(100),
        volume: Volume::default(),
        tags: BTreeMap::new(),
        overrides: InstanceOverrides::default(),
        lifecycle: InstanceLifecycle::Spot,
        strategy: AllocationStrategy::PriceCapacityOptimized,
        max_price: None,
    }
}

fn on_demand() -> FleetRequest {
    FleetRequest {
        lifecycle: InstanceLifecycle::OnDemand,
        ..request()
    }
}

pub(super) const LAUNCHED: &str = "<fleetId>fleet-1</fleetId><errorSet/>\
    <fleetInstanceSet><item>\
    <instanceIds><item>i-1</item></instanceIds><instanceType>g5.xlarge</instanceType><lifecycle>spot</lifecycle>\
    <launchTemplateAndOverrides><overrides><availabilityZone>eu-west-1a</availabilityZone></overrides>\
    </launchTemplateAndOverrides></item></fleetInstanceSet>";

/// One pool's part of an answer, with the overrides as EC2 repeats them.
fn part(instance_type: &str, subnet: &str, inner: &str) -> String {
    format!(
        "<item><launchTemplateAndOverrides><overrides><instanceType>{instance_type}</instanceType>\
         <subnetId>{subnet}</subnetId></overrides></launchTemplateAndOverrides>{inner}</item>"
    )
}

fn error(code: &str, message: &str) -> String {
    format!("<errorCode>{code}</errorCode><errorMessage>{message}</errorMessage>")
}

/// Returns how an answer of EC2's is read.
async fn answered(request: &FleetRequest, instances: &[String], errors: &[String]) -> FleetAnswer {
    let ec2 = Ec2::start().await;
    let answer = format!(
        "<fleetId>fleet-1</fleetId><errorSet>{}</errorSet><fleetInstanceSet>{}</fleetInstanceSet>",
        errors.concat(),
        instances.concat()
    );
    ec2.answers("CreateFleet", "", &answer).await;
    ec2.fleet.create(request).await.unwrap()
}

/// Returns the parameters of the only call that `request` makes.
async fn asked(request: &FleetRequest) -> BTreeMap<String, String> {
    let ec2 = Ec2::start().await;
    ec2.answers("CreateFleet", "", LAUNCHED).await;
    ec2.fleet.create(request).await.unwrap();
    let mut asked = ec2.asked("CreateFleet").await;
    assert_eq!(asked.len(), 1);
    asked.remove(0)
}

fn overrides(call: &BTreeMap<String, String>, field: &str) -> Vec<String> {
    (1..)
        .map_while(|n| call.get(&format!("LaunchTemplateConfigs.1.Overrides.{n}.{field}")))
        .cloned()
        .collect()
}

#[tokio::test]
async fn one_call_requests_all_instances_from_every_pool() {
    let call = asked(&request()).await;
    for (name, value) in [
        ("Type", "instant"),
        ("ClientToken", "dayfly-fleet-1"),
        ("TargetCapacitySpecification.TotalTargetCapacity", "3"),
        ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
        ("SpotOptions.AllocationStrategy", "price-capacity-optimized"),
        (
            "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId",
            "lt-1",
        ),
        ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version", "$Latest"),
    ] {
        assert_eq!(call.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(
        overrides(&call, "InstanceType"),
        ["g5.xlarge", "g5.xlarge", "g6.xlarge", "g6.xlarge"]
    );
    assert_eq!(
        overrides(&call, "SubnetId"),
        ["subnet-a", "subnet-b", "subnet-a", "subnet-b"]
    );
    assert_eq!(overrides(&call, "ImageId"), ["ami-12345678"; 4]);
}

#[tokio::test]
async fn fewer_instances_than_requested_are_accepted() {
    for request in [request(), on_demand()] {
        let call = asked(&request).await;
        let all_or_nothing: Vec<_> = call.keys().filter(|name| name.contains("MinTargetCapacity")).collect();
        assert!(all_or_nothing.is_empty(), "{all_or_nothing:?}");
    }
}

#[tokio::test]
async fn spot_capacity_uses_the_configured_strategy() {
    for (strategy, name) in [
        (AllocationStrategy::PriceCapacityOptimized, "price-capacity-optimized"),
        (AllocationStrategy::CapacityOptimized, "capacity-optimized"),
        (AllocationStrategy::LowestPrice, "lowest-price"),
    ] {
        let call = asked(&FleetRequest { strategy, ..request() }).await;
        assert_eq!(call["SpotOptions.AllocationStrategy"], name);
        assert_eq!(call["SpotOptions.InstanceInterruptionBehavior"], "terminate");
    }
}

#[tokio::test]
async fn a_price_limit_bounds_each_spot_pool_or_the_on_demand_total() {
    let limit = |request: FleetRequest, micros| FleetRequest {
        max_price: Some(MicroDollars(micros)),
        ..request
    };
    for (micros, each, sum) in [
        (157_800, "0.157800", "0.473400"),
        (1_000_000, "1.000000", "3.000000"),
        (12_000_001, "12.000001", "36.000003"),
    ] {
        let spot = asked(&limit(request(), micros)).await;
        assert_eq!(overrides(&spot, "MaxPrice"), [each; 4]);
        assert!(!spot.contains_key("SpotOptions.MaxTotalPrice"));

        let on_demand = asked(&limit(on_demand(), micros)).await;
        assert_eq!(on_demand["OnDemandOptions.MaxTotalPrice"], sum);
        assert_eq!(overrides(&on_demand, "MaxPrice"), [""; 0]);
    }
    for request in [request(), on_demand()] {
        let call = asked(&request).await;
        assert!(!call.keys().any(|name| name.contains("Price")), "no limit is none");
    }
}

#[tokio::test]
async fn the_root_volume_is_encrypted_and_ends_with_its_instance() {
    for (disk_gib, sizes) in [(Some(100), vec!["100"; 4]), (None, vec![])] {
        let call = asked(&FleetRequest { disk_gib, ..request() }).await;
        let volume = |field: &str| overrides(&call, &format!("BlockDeviceMapping.1.{field}"));
        assert_eq!(volume("DeviceName"), ["/dev/sda1"; 4]);
        assert_eq!(volume("Ebs.VolumeType"), ["gp3"; 4]);
        assert_eq!(volume("Ebs.Encrypted"), ["true"; 4]);
        assert_eq!(volume("Ebs.DeleteOnTermination"), ["true"; 4]);
        assert_eq!(volume("Ebs.VolumeSize"), sizes);
    }
}

#[tokio::test]
async fn the_root_volume_has_the_requested_type() {
    for (kind, iops, throughput, expected) in [
        (None, None, None, ("gp3", None, None)),
        (
            Some(VolumeType::Gp3),
            Some(6000),
            Some(500),
            ("gp3", Some("6000"), Some("500")),
        ),
        (None, Some(4000), None, ("gp3", Some("4000"), None)),
        (Some(VolumeType::Gp2), None, None, ("gp2", None, None)),
        (Some(VolumeType::Io1), Some(100), None, ("io1", Some("100"), None)),
        (
            Some(VolumeType::Io2),
            Some(256_000),
            None,
            ("io2", Some("256000"), None),
        ),
    ] {
        let volume = Volume { kind, iops, throughput };
        let call = asked(&FleetRequest { volume, ..request() }).await;
        let value = |field: &str| {
            let name = format!("LaunchTemplateConfigs.1.Overrides.4.BlockDeviceMapping.1.Ebs.{field}");
            call.get(&name).map(String::as_str)
        };
        let volume_options = (value("VolumeType").unwrap(), value("Iops"), value("Throughput"));
        assert_eq!(volume_options, expected, "{volume:?}");
    }
}

#[tokio::test]
async fn the_templates_volume_is_removed_if_the_root_device_differs() {
    let call = asked(&FleetRequest {
        root_device: "/dev/xvda".to_owned(),
        ..request()
    })
    .await;
    let mapping = |field: &str| overrides(&call, &format!("BlockDeviceMapping.{field}"));
    assert_eq!(mapping("1.DeviceName"), ["/dev/xvda"; 4]);
    assert_eq!(mapping("1.Ebs.Encrypted"), ["true"; 4]);
    assert_eq!(mapping("2.DeviceName"), ["/dev/sda1"; 4]);
    assert_eq!(mapping("2.NoDevice"), [""; 4]);

    let same = asked(&request()).await;
    assert_eq!(overrides(&same, "BlockDeviceMapping.2.DeviceName"), [""; 0]);
}

#[tokio::test]
async fn fleet_instance_and_volume_are_tagged_as_ours() {
    let call = asked(&request()).await;
    for (n, resource) in [(1, "fleet"), (2, "instance"), (3, "volume")] {
        assert_eq!(call[&format!("TagSpecification.{n}.ResourceType")], resource);
        let tags: BTreeMap<&str, &str> = (1..)
            .map_while(|tag| {
                let at = format!("TagSpecification.{n}.Tag.{tag}");
                Some((
                    call.get(&format!("{at}.Key"))?.as_str(),
                    call.get(&format!("{at}.Value"))?.as_str(),
                ))
            })
            .collect();
        let expected = BTreeMap::from([
            ("Name", "dayfly octo/gpu"),
            ("dayfly:stack", "dayfly-test"),
            ("dayfly:fleet", "dayfly-fleet-1"),
            ("dayfly:managed", "true"),
            ("dayfly:repository", "octo/gpu"),
            ("dayfly:installation", "7"),
        ]);
        assert_eq!(tags, expected);
    }
}

#[tokio::test]
async fn custom_tags_are_added_to_instance_and_volume() {
    let mut request = request();
    request.tags = [
        ("team", "speech"),
        ("Name", "my runner"),
        ("dayfly:stack", "another"),
        ("dayfly:fleet", ""),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let call = asked(&request).await;
    for (n, theirs) in [(1, false), (2, true), (3, true)] {
        let tags: Vec<(&str, &str)> = (1..)
            .map_while(|tag| {
                let at = format!("TagSpecification.{n}.Tag.{tag}");
                Some((
                    call.get(&format!("{at}.Key"))?.as_str(),
                    call.get(&format!("{at}.Value"))?.as_str(),
                ))
            })
            .collect();
        assert!(tags.contains(&("dayfly:stack", "dayfly-test")) && tags.contains(&("dayfly:fleet", "dayfly-fleet-1")));
        assert_eq!(tags.contains(&("team", "speech")), theirs, "{tags:?}");
        assert_eq!(tags.contains(&("Name", "my runner")), theirs, "{tags:?}");
        let mut keys: Vec<&str> = tags.iter().map(|(key, _)| *key).collect();
        keys.dedup();
        assert_eq!(keys.len(), tags.len(), "EC2 refuses a key that stands twice");
    }
}

#[tokio::test]
async fn on_demand_capacity_uses_the_lowest_price() {
    let call = asked(&on_demand()).await;
    assert_eq!(
        call["TargetCapacitySpecification.DefaultTargetCapacityType"],
        "on-demand"
    );
    assert_eq!(call["OnDemandOptions.AllocationStrategy"], "lowest-price");
    assert!(!call.contains_key("SpotOptions.AllocationStrategy"));
}

#[tokio::test]
async fn a_pool_named_twice_is_requested_once_in_its_first_subnet() {
    let mut twice = request();
    let other_subnet = Placement {
        subnet: SubnetId::new("subnet-a2"),
        ..placement("g5.xlarge", "a")
    };
    twice.placements = vec![
        placement("g5.xlarge", "a"),
        other_subnet,
        placement("g5.xlarge", "b"),
        placement("g5.xlarge", "a"),
    ];
    let call = asked(&twice).await;
    assert_eq!(overrides(&call, "SubnetId"), ["subnet-a", "subnet-b"]);
}

#[tokio::test]
async fn no_more_pools_are_named_than_ec2_accepts() {
    let mut many = request();
    let types = (0..301).map(|n| placement(&format!("g5.{n}xlarge"), "a"));
    many.placements = types.collect();
    let named = overrides(&asked(&many).await, "InstanceType");
    assert_eq!(named.len(), 300);
    assert_eq!(named.last().map(String::as_str), Some("g5.299xlarge"));
}

#[tokio::test]
async fn a_repeated_request_is_the_same_call() {
    assert_eq!(asked(&request()).await, asked(&request()).await);
}

#[tokio::test]
async fn an_instance_is_returned_with_its_pool() {
    let ec2 = Ec2::start().await;
    ec2.answers("CreateFleet", "", LAUNCHED).await;
    let answer = ec2.fleet.create(&request()).await.unwrap();
    let expected = FleetInstance {
        instance: InstanceId::new("i-1"),
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Some(Zone::new("eu-west-1a")),
        lifecycle: InstanceLifecycle::Spot,
    };
    assert_eq!((answer.instances, answer.errors), (vec![expected], vec![]));
}

#[tokio::test]
async fn the_instances_of_all_pools_are_returned() {
    for (request, lifecycle) in [
        (request(), "<lifecycle>spot</lifecycle>"),
        (on_demand(), "<lifecycle>on-demand</lifecycle>"),
        (on_demand(), ""),
    ] {
        let of = |ids: &str| format!("{lifecycle}<instanceIds>{ids}</instanceIds>");
        let parts = [
            part("g5.xlarge", "subnet-b", &of("<item>i-1</item><item>i-2</item>")),
            part("g6.xlarge", "subnet-a", &of("<item>i-3</item>")),
            part("g6.xlarge", "subnet-unknown", &of("<item>i-4</item>")),
        ];
        let answer = answered(&request, &parts, &[]).await;
        let returned: Vec<_> = answer
            .instances
            .iter()
            .map(|one| {
                let zone = one.zone.as_ref().map(Zone::as_str);
                (one.instance.as_str(), one.instance_type.as_str(), zone, one.lifecycle)
            })
            .collect();
        let bought = request.lifecycle;
        assert_eq!(
            returned,
            [
                ("i-1", "g5.xlarge", Some("eu-west-1b"), bought),
                ("i-2", "g5.xlarge", Some("eu-west-1b"), bought),
                ("i-3", "g6.xlarge", Some("eu-west-1a"), bought),
                ("i-4", "g6.xlarge", None, bought),
            ]
        );
    }
}

#[tokio::test]
async fn an_error_is_returned_once_per_pool() {
    let capacity = error("UnfulfillableCapacity", "no capacity");
    let quota = error("MaxSpotInstanceCountExceeded", "quota");
    let answer = answered(
        &request(),
        &[],
        &[
            part("g5.xlarge", "subnet-a", &capacity),
            part("g5.xlarge", "subnet-a", &capacity),
            part("g5.xlarge", "subnet-b", &capacity),
            part("g5.xlarge", "subnet-a", &quota),
            format!("<item>{quota}</item>"),
            format!("<item>{quota}</item>"),
        ],
    )
    .await;
    assert_eq!(answer.instances, []);
    let returned: Vec<_> = answer
        .errors
        .iter()
        .map(|error| (error.kind, error.to_string(), error.pool.clone()))
        .collect();
    let capacity = "UnfulfillableCapacity: no capacity".to_owned();
    let quota = "MaxSpotInstanceCountExceeded: quota".to_owned();
    let (a, b) = (pool("g5.xlarge", "eu-west-1a"), pool("g5.xlarge", "eu-west-1b"));
    assert_eq!(
        returned,
        [
            (FleetErrorKind::Capacity, capacity.clone(), Some(a.clone())),
            (FleetErrorKind::Capacity, capacity, Some(b)),
            (FleetErrorKind::Quota, quota.clone(), Some(a)),
            (FleetErrorKind::Quota, quota, None),
        ]
    );
}

#[tokio::test]
async fn an_error_may_name_its_pool_by_zone() {
    let named = "<item><launchTemplateAndOverrides><overrides><instanceType>g5.xlarge</instanceType>\
                 <availabilityZone>eu-west-1c</availabilityZone></overrides></launchTemplateAndOverrides>\
                 <errorCode>InsufficientInstanceCapacity</errorCode><errorMessage>no</errorMessage></item>";
    let answer = answered(&request(), &[], &[named.to_owned()]).await;
    assert_eq!(answer.errors[0].pool, Some(pool("g5.xlarge", "eu-west-1c")));
}

#[tokio::test]
async fn an_empty_answer_is_no_success() {
    let limited = FleetRequest {
        max_price: Some(MicroDollars(500_000)),
        ..on_demand()
    };
    for (request, names_the_limit) in [(request(), false), (on_demand(), false), (limited, true)] {
        let answer = answered(&request, &[], &[]).await;
        assert_eq!(answer.errors[0].kind, FleetErrorKind::Unknown);
        assert_eq!(answer.errors[0].message.contains("$0.50"), names_the_limit);
    }
}

#[tokio::test]
async fn a_refused_call_is_classified_by_its_code() {
    let ec2 = Ec2::start().await;
    ec2.refuses("CreateFleet", "", "InvalidAMIID.NotFound", "no such image")
        .await;
    let error = ec2.fleet.create(&request()).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
    assert_eq!(error.to_string(), "InvalidAMIID.NotFound: no such image");
}

#[tokio::test]
async fn an_answer_may_have_instances_and_errors() {
    let some = "<lifecycle>spot</lifecycle><instanceIds><item>i-1</item></instanceIds>";
    let answer = answered(
        &request(),
        &[part("g5.xlarge", "subnet-a", some)],
        &[part("g6.xlarge", "subnet-a", &error("UnfulfillableCapacity", "no"))],
    )
    .await;
    assert_eq!((answer.instances.len(), answer.errors.len()), (1, 1));
}

#[tokio::test]
async fn an_unanswered_call_may_have_taken_effect() {
    // A port that was free a moment ago, so nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let error = fleet_at(url).create(&request()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (FleetErrorKind::Unknown, "NoAnswer"));
}
