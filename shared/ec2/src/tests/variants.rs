use std::collections::BTreeMap;

use dayfly_ports::{Fleet, FleetErrorKind, FleetRequest, InstanceOverrides};
use dayfly_types::ids::SecurityGroupId;

use super::fleet::{LAUNCHED, request};
use super::support::{Ec2, fleet_at_with};

/// The stack's own template in EC2's XML.
const OWN: &str = "<launchTemplateVersionSet><item><launchTemplateId>lt-1</launchTemplateId>\
    <versionNumber>7</versionNumber><launchTemplateData>\
    <imageId>ami-76543210</imageId><instanceType>g4dn.xlarge</instanceType>\
    <iamInstanceProfile><arn>arn:aws:iam::1:instance-profile/own</arn></iamInstanceProfile>\
    <securityGroupIdSet><item>sg-0</item></securityGroupIdSet>\
    <instanceInitiatedShutdownBehavior>terminate</instanceInitiatedShutdownBehavior>\
    <metadataOptions><httpEndpoint>enabled</httpEndpoint><httpTokens>required</httpTokens>\
    <httpPutResponseHopLimit>1</httpPutResponseHopLimit><httpProtocolIpv6>disabled</httpProtocolIpv6>\
    <instanceMetadataTags>disabled</instanceMetadataTags></metadataOptions>\
    <monitoring><enabled>false</enabled></monitoring>\
    <blockDeviceMappingSet><item><deviceName>/dev/sda1</deviceName><ebs><volumeType>gp3</volumeType>\
    <volumeSize>100</volumeSize><encrypted>true</encrypted><deleteOnTermination>true</deleteOnTermination>\
    </ebs></item></blockDeviceMappingSet>\
    <tagSpecificationSet><item><resourceType>network-interface</resourceType><tagSet>\
    <item><key>dayfly:stack</key><value>dayfly-test</value></item></tagSet></item></tagSpecificationSet>\
    <userData>IyEvYmluL2Jhc2g=</userData>\
    </launchTemplateData></item></launchTemplateVersionSet>";

fn with(groups: &[&str], profile: Option<&str>) -> FleetRequest {
    FleetRequest {
        overrides: InstanceOverrides {
            security_groups: groups.iter().map(|id| SecurityGroupId::new(*id)).collect(),
            instance_profile: profile.map(str::to_owned),
        },
        ..request()
    }
}

fn versions(all: &[(i64, &str)]) -> String {
    let items: Vec<String> = all
        .iter()
        .map(|(number, name)| {
            format!(
                "<item><versionNumber>{number}</versionNumber><versionDescription>{name}</versionDescription></item>"
            )
        })
        .collect();
    format!(
        "<launchTemplateVersionSet>{}</launchTemplateVersionSet>",
        items.concat()
    )
}

/// An EC2 with the stack's template and these versions of the other; the next version gets number 9.
async fn ec2_with(variants: &[(i64, &str)]) -> Ec2 {
    let ec2 = Ec2::start().await;
    ec2.answers("DescribeLaunchTemplateVersions", "LaunchTemplateId=lt-1&", OWN)
        .await;
    ec2.answers(
        "DescribeLaunchTemplateVersions",
        "LaunchTemplateId=lt-2",
        &versions(variants),
    )
    .await;
    let made = "<launchTemplateVersion><versionNumber>9</versionNumber></launchTemplateVersion>";
    ec2.answers("CreateLaunchTemplateVersion", "", made).await;
    ec2.answers("CreateFleet", "", LAUNCHED).await;
    ec2
}

/// Returns the template and version of each fleet call.
async fn launched_from(ec2: &Ec2) -> Vec<(String, String)> {
    let field = |call: &BTreeMap<String, String>, name: &str| {
        call[&format!("LaunchTemplateConfigs.1.LaunchTemplateSpecification.{name}")].clone()
    };
    let calls = ec2.asked("CreateFleet").await;
    calls
        .iter()
        .map(|call| (field(call, "LaunchTemplateId"), field(call, "Version")))
        .collect()
}

fn from(template: &str, version: &str) -> (String, String) {
    (template.to_owned(), version.to_owned())
}

#[tokio::test]
async fn other_surroundings_are_a_copied_version_of_the_second_template() {
    let ec2 = ec2_with(&[(1, "nothing is launched from this one")]).await;
    let profile = "arn:aws:iam::1:instance-profile/ci/gpu";
    ec2.fleet.create(&with(&["sg-1", "sg-2"], Some(profile))).await.unwrap();
    assert_eq!(launched_from(&ec2).await, [from("lt-2", "9")]);
    let made = ec2.asked("CreateLaunchTemplateVersion").await.remove(0);
    let name = made["VersionDescription"].clone();
    assert!(name.starts_with("dayfly 7 ") && name.len() == 25, "{name}");
    assert_eq!(made["ClientToken"], name.replace(' ', "-"));
    for (field, value) in [
        ("ImageId", "ami-76543210"),
        ("InstanceType", "g4dn.xlarge"),
        ("IamInstanceProfile.Arn", profile),
        ("SecurityGroupId.1", "sg-1"),
        ("SecurityGroupId.2", "sg-2"),
        ("InstanceInitiatedShutdownBehavior", "terminate"),
        ("MetadataOptions.HttpEndpoint", "enabled"),
        ("MetadataOptions.HttpTokens", "required"),
        ("MetadataOptions.HttpPutResponseHopLimit", "1"),
        ("MetadataOptions.HttpProtocolIpv6", "disabled"),
        ("MetadataOptions.InstanceMetadataTags", "disabled"),
        ("Monitoring.Enabled", "false"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "100"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("TagSpecification.1.ResourceType", "network-interface"),
        ("TagSpecification.1.Tag.1.Key", "dayfly:stack"),
        ("UserData", "IyEvYmluL2Jhc2g="),
    ] {
        let value_of = made.get(&format!("LaunchTemplateData.{field}")).map(String::as_str);
        assert_eq!(value_of, Some(value), "{field}");
    }
}

#[tokio::test]
async fn missing_surroundings_are_the_stacks_own() {
    for (request, group, profile) in [
        (
            with(&["sg-1"], None),
            "sg-1",
            ("Arn", "arn:aws:iam::1:instance-profile/own"),
        ),
        (with(&[], Some("gpu")), "sg-0", ("Name", "gpu")),
    ] {
        let ec2 = ec2_with(&[]).await;
        ec2.fleet.create(&request).await.unwrap();
        let made = ec2.asked("CreateLaunchTemplateVersion").await.remove(0);
        assert_eq!(made["LaunchTemplateData.SecurityGroupId.1"], group);
        let (field, value) = profile;
        assert_eq!(made[&format!("LaunchTemplateData.IamInstanceProfile.{field}")], value);
    }
}

#[tokio::test]
async fn the_first_existing_version_is_used_and_cached() {
    let first = ec2_with(&[]).await;
    first.fleet.create(&with(&["sg-1"], None)).await.unwrap();
    let name = first.asked("CreateLaunchTemplateVersion").await.remove(0)["VersionDescription"].clone();
    let ec2 = ec2_with(&[(5, name.as_str()), (4, "dayfly 7 of another"), (3, name.as_str())]).await;
    for _ in 0..2 {
        ec2.fleet.create(&with(&["sg-1"], None)).await.unwrap();
    }
    assert_eq!(launched_from(&ec2).await, [from("lt-2", "3"), from("lt-2", "3")]);
    assert!(ec2.asked("CreateLaunchTemplateVersion").await.is_empty());
    assert_eq!(ec2.asked("DescribeLaunchTemplateVersions").await.len(), 2);
    ec2.fleet.create(&with(&["sg-2"], None)).await.unwrap();
    assert_eq!(ec2.asked("CreateLaunchTemplateVersion").await.len(), 1, "it is another");
    ec2.fleet.create(&request()).await.unwrap();
    assert_eq!(launched_from(&ec2).await[3], from("lt-1", "$Latest"));
}

#[tokio::test]
async fn a_stack_without_the_second_template_launches_nothing() {
    let ec2 = Ec2::start().await;
    let fleet = fleet_at_with(ec2.server.uri(), None);
    let error = fleet.create(&with(&["sg-1"], None)).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
    assert!(error.message.contains("`security_groups`"), "{error}");
    assert!(ec2.asked("CreateFleet").await.is_empty());
}

#[tokio::test]
async fn a_template_that_cannot_be_read_is_read_again_later() {
    let ec2 = Ec2::start().await;
    ec2.refuses("DescribeLaunchTemplateVersions", "", "InternalError", "later")
        .await;
    let error = ec2.fleet.create(&with(&["sg-1"], None)).await.unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::Unknown);
    assert!(ec2.asked("CreateFleet").await.is_empty());
}
