use dayfly_config::VolumeType;
use dayfly_ports::Fleet;
use dayfly_records::prices::VolumeRate;
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, ResponseTemplate};

use super::support::Ec2;

/// An entry of the list with a price per `unit`.
fn entry(unit: &str, dollars: &str) -> String {
    let dimension = json!({"unit": unit, "pricePerUnit": {"USD": dollars}, "description": "of no use"});
    let offer = json!({"priceDimensions": {"A.B.C": dimension}, "sku": "A"});
    json!({"product": {"sku": "A"}, "terms": {"OnDemand": {"A.B": offer}}}).to_string()
}

/// An entry of the list for a usage type of volumes.
fn of_volume(usage: &str, unit: &str, dollars: &str) -> String {
    let mut entry: Value = serde_json::from_str(&entry(unit, dollars)).unwrap();
    entry["product"]["attributes"] = json!({"usagetype": usage});
    entry.to_string()
}

async fn rate_of(kind: VolumeType, list: &[String]) -> (Result<Option<VolumeRate>, String>, Value) {
    let ec2 = Ec2::start().await;
    listing(&ec2, list).await;
    let rate = ec2.fleet.volume_rate(kind).await;
    let asked = ec2.server.received_requests().await.unwrap();
    (rate.map_err(|error| error.to_string()), asked[0].body_json().unwrap())
}

fn asked_of(asked: &Value, field: &str) -> Option<Value> {
    let filters = asked["Filters"].as_array().unwrap();
    let found = filters.iter().find(|filter| filter["Field"] == field);
    found.map(|it| it["Value"].clone())
}

async fn listing(ec2: &Ec2, list: &[String]) {
    Mock::given(header("x-amz-target", "AWSPriceListService.GetProducts"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"FormatVersion": "aws_v1", "PriceList": list})))
        .mount(&ec2.server)
        .await;
}

async fn price_of(list: &[String]) -> (Result<Option<MicroDollars>, String>, Value) {
    let ec2 = Ec2::start().await;
    listing(&ec2, list).await;
    let price = ec2.fleet.on_demand_price(&InstanceType::new("g5.xlarge")).await;
    let asked = ec2.server.received_requests().await.unwrap();
    (price.map_err(|error| error.to_string()), asked[0].body_json().unwrap())
}

#[tokio::test]
async fn the_on_demand_price_is_for_linux_on_shared_hardware() {
    for (list, expected) in [
        (vec![entry("Hrs", "1.0060000000")], Some(1_006_000)),
        (
            vec![entry("Hrs", "0.0000000000"), entry("Hrs", "1.0060000000")],
            Some(1_006_000),
        ),
        (vec![entry("Quantity", "3.0")], None),
        (vec![], None),
    ] {
        let (price, asked) = price_of(&list).await;
        assert_eq!(price, Ok(expected.map(MicroDollars)), "{list:?}");
        let of = |field: &str| asked_of(&asked, field);
        assert_eq!(asked["ServiceCode"], "AmazonEC2");
        assert_eq!(
            ["instanceType", "regionCode", "operatingSystem", "tenancy"].map(of),
            ["g5.xlarge", "eu-west-1", "Linux", "Shared"].map(|value| Some(json!(value)))
        );
    }
}

#[tokio::test]
async fn an_unreadable_list_is_an_error() {
    for text in ["no JSON", "{}", &entry("Hrs", "a dollar")] {
        let (price, _) = price_of(&[text.to_owned()]).await;
        assert!(price.is_err(), "{text}: {price:?}");
    }
}

#[tokio::test]
async fn a_volumes_rate_is_read_from_its_parts_in_the_region() {
    let gp3 = [
        // Included IOPS, and a usage type outside the region's own zones.
        of_volume("EU-EBS:VolumeP-IOPS.gp3", "IOPS-Mo", "0.0000000000"),
        of_volume("EU-EBS:VolumeUsage.gp3-outpost", "GB-Mo", "0.5000000000"),
        of_volume("EU-EBS:VolumeUsage.gp3", "GB-Mo", "0.0880000000"),
        of_volume("EU-EBS:VolumeP-IOPS.gp3", "IOPS-Mo", "0.0055000000"),
        of_volume("EU-EBS:VolumeP-Throughput.gp3", "GiBps-mo", "45.0560000000"),
    ];
    let by_mib = of_volume("EU-EBS:VolumeP-Throughput.gp3", "MiBps-mo", "0.0440000000");
    let io1 = [
        of_volume("EU-EBS:VolumeUsage.piops", "GB-Mo", "0.1380000000"),
        of_volume("EU-EBS:VolumeP-IOPS.piops", "IOPS-Mo", "0.0720000000"),
    ];
    let io2 = [
        of_volume("EBS:VolumeP-IOPS.io2.tier2", "IOPS-Mo", "0.0455000000"),
        of_volume("EBS:VolumeP-IOPS.io2", "IOPS-Mo", "0.0650000000"),
        of_volume("EBS:VolumeUsage.io2", "GB-month", "0.1250000000"),
    ];
    let gp2 = [of_volume("EU-EBS:VolumeUsage.gp2", "GB-Mo", "0.1100000000")];
    let with_mib = [&gp3[..4], &[by_mib]].concat();
    for (kind, list, expected) in [
        (VolumeType::Gp3, &gp3[..], Some((88_000, 5_500, 44_000))),
        (VolumeType::Gp3, &with_mib[..], Some((88_000, 5_500, 44_000))),
        (VolumeType::Gp2, &gp2[..], Some((110_000, 0, 0))),
        (VolumeType::Io1, &io1[..], Some((138_000, 72_000, 0))),
        (VolumeType::Io2, &io2[..], Some((125_000, 65_000, 0))),
        // One part is missing.
        (VolumeType::Gp3, &gp3[..3], None),
        (VolumeType::Gp3, &[][..], None),
    ] {
        let (rate, asked) = rate_of(kind, list).await;
        let rate = rate
            .unwrap()
            .map(|rate| (rate.gib_month.0, rate.iops_month.0, rate.throughput_month.0));
        assert_eq!(rate, expected, "{kind:?}");
        assert_eq!(asked["ServiceCode"], "AmazonEC2");
        assert_eq!(asked_of(&asked, "regionCode"), Some(json!("eu-west-1")));
        let name = serde_json::to_value(kind).unwrap();
        assert_eq!(asked_of(&asked, "volumeApiName"), Some(name));
    }
    let (rate, _) = rate_of(VolumeType::Gp2, &["no JSON".to_owned()]).await;
    assert!(rate.is_err(), "{rate:?}");
}
