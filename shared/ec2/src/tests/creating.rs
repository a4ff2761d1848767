use std::collections::BTreeMap;

use dayfly_core::ids::{
    ImageId, InstallationId, InstanceId, InstanceType, JobId, JobKey, RunAttempt, RunnerName, SubnetId, Zone,
};
use dayfly_ports::{Fleet, FleetErrorKind, FleetInstance, FleetRequest, Scope};

use super::support::{Ec2, fleet_at};

fn request() -> FleetRequest {
    let job = JobKey {
        job: JobId(11),
        attempt: RunAttempt(1),
    };
    FleetRequest {
        client_token: "dayfly-11-1-1-t1".to_owned(),
        runner: RunnerName::of(job, 1),
        scope: Scope {
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
        },
        instance_types: vec![InstanceType::new("g5.xlarge"), InstanceType::new("g6.xlarge")],
        subnets: vec![SubnetId::new("subnet-a"), SubnetId::new("subnet-b")],
        image: ImageId::new("ami-12345678"),
        root_device: "/dev/sda1".to_owned(),
        disk_gib: Some(100),
        spot: true,
    }
}

const LAUNCHED: &str = "<fleetId>fleet-1</fleetId><errorSet/>\
    <fleetInstanceSet><item>\
    <instanceIds><item>i-1</item></instanceIds><instanceType>g5.xlarge</instanceType><lifecycle>spot</lifecycle>\
    <launchTemplateAndOverrides><overrides><availabilityZone>eu-west-1a</availabilityZone></overrides>\
    </launchTemplateAndOverrides></item></fleetInstanceSet>";

/// The parameters of the one call that `request` makes.
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
async fn one_call_asks_for_one_instance_from_every_pool() {
    let call = asked(&request()).await;
    for (name, value) in [
        ("Type", "instant"),
        ("ClientToken", "dayfly-11-1-1-t1"),
        ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
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
async fn the_templates_volume_is_taken_out_where_the_root_is_another_device() {
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
            ("Name", "dayfly-11-1-1"),
            ("dayfly:stack", "dayfly-test"),
            ("dayfly:runner", "dayfly-11-1-1"),
            ("dayfly:managed", "true"),
            ("dayfly:repository", "octo/gpu"),
            ("dayfly:installation", "7"),
        ]);
        assert_eq!(tags, expected);
    }
}

#[tokio::test]
async fn on_demand_capacity_is_taken_where_it_costs_least() {
    let call = asked(&FleetRequest {
        spot: false,
        ..request()
    })
    .await;
    assert_eq!(
        call["TargetCapacitySpecification.DefaultTargetCapacityType"],
        "on-demand"
    );
    assert_eq!(call["OnDemandOptions.AllocationStrategy"], "lowest-price");
    assert!(!call.contains_key("SpotOptions.AllocationStrategy"));
}

#[tokio::test]
async fn a_pool_that_is_named_twice_is_asked_for_once() {
    let mut twice = request();
    twice.instance_types = vec![InstanceType::new("g5.xlarge"); 2];
    assert_eq!(overrides(&asked(&twice).await, "InstanceType"), ["g5.xlarge"; 2]);
}

#[tokio::test]
async fn a_repeated_request_is_the_same_call() {
    assert_eq!(asked(&request()).await, asked(&request()).await);
}

#[tokio::test]
async fn an_instance_is_told_with_its_pool() {
    let ec2 = Ec2::start().await;
    ec2.answers("CreateFleet", "", LAUNCHED).await;
    let answer = ec2.fleet.create(&request()).await.unwrap();
    let expected = FleetInstance {
        instance: InstanceId::new("i-1"),
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Some(Zone::new("eu-west-1a")),
        spot: true,
    };
    assert_eq!((answer.instances, answer.errors), (vec![expected], vec![]));
}

#[tokio::test]
async fn errors_without_an_instance_are_told_once_each() {
    let ec2 = Ec2::start().await;
    let error = |code: &str, message: &str| {
        format!("<item><errorCode>{code}</errorCode><errorMessage>{message}</errorMessage></item>")
    };
    let none = format!(
        "<fleetId>fleet-1</fleetId><fleetInstanceSet/><errorSet>{}{}{}</errorSet>",
        error("UnfulfillableCapacity", "no capacity"),
        error("UnfulfillableCapacity", "no capacity"),
        error("MaxSpotInstanceCountExceeded", "quota"),
    );
    ec2.answers("CreateFleet", "", &none).await;
    let answer = ec2.fleet.create(&request()).await.unwrap();
    assert_eq!(answer.instances, []);
    let told: Vec<_> = answer.errors.iter().map(|e| (e.kind, e.to_string())).collect();
    assert_eq!(
        told,
        [
            (
                FleetErrorKind::Capacity,
                "UnfulfillableCapacity: no capacity".to_owned()
            ),
            (FleetErrorKind::Quota, "MaxSpotInstanceCountExceeded: quota".to_owned()),
        ]
    );
}

#[tokio::test]
async fn an_answer_of_nothing_at_all_is_no_success() {
    let ec2 = Ec2::start().await;
    ec2.answers("CreateFleet", "", "<fleetId>fleet-1</fleetId>").await;
    let answer = ec2.fleet.create(&request()).await.unwrap();
    assert_eq!(answer.errors[0].kind, FleetErrorKind::Unknown);
}

#[tokio::test]
async fn a_refused_call_is_of_the_kind_that_its_code_says() {
    let ec2 = Ec2::start().await;
    ec2.refuses("CreateFleet", "", "InvalidAMIID.NotFound", "no such image")
        .await;
    let error = ec2.fleet.create(&request()).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
    assert_eq!(error.to_string(), "InvalidAMIID.NotFound: no such image");
}

#[tokio::test]
async fn instances_and_errors_may_both_be_told() {
    let ec2 = Ec2::start().await;
    let error = "<item><errorCode>UnfulfillableCapacity</errorCode><errorMessage>no</errorMessage></item>";
    let both = LAUNCHED.replace("<errorSet/>", &format!("<errorSet>{error}</errorSet>"));
    ec2.answers("CreateFleet", "", &both).await;
    let answer = ec2.fleet.create(&request()).await.unwrap();
    assert_eq!((answer.instances.len(), answer.errors.len()), (1, 1));
}

#[tokio::test]
async fn a_call_that_gets_no_answer_may_have_been_done() {
    // A port that was free a moment ago: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let error = fleet_at(url).create(&request()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (FleetErrorKind::Unknown, "NoAnswer"));
}
