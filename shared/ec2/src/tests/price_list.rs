use dayfly_core::ids::InstanceType;
use dayfly_core::money::MicroDollars;
use dayfly_ports::Fleet;
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, ResponseTemplate};

use super::support::Ec2;

/// An entry of the list, with an amount for each hour, or for something else.
fn entry(unit: &str, dollars: &str) -> String {
    let dimension = json!({"unit": unit, "pricePerUnit": {"USD": dollars}, "description": "of no use"});
    let offer = json!({"priceDimensions": {"A.B.C": dimension}, "sku": "A"});
    json!({"product": {"sku": "A"}, "terms": {"OnDemand": {"A.B": offer}}}).to_string()
}

async fn price_of(list: &[String]) -> (Result<Option<MicroDollars>, String>, Value) {
    let ec2 = Ec2::start().await;
    Mock::given(header("x-amz-target", "AWSPriceListService.GetProducts"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"FormatVersion": "aws_v1", "PriceList": list})))
        .mount(&ec2.server)
        .await;
    let price = ec2.fleet.on_demand_price(&InstanceType::new("g5.xlarge")).await;
    let asked = ec2.server.received_requests().await.unwrap();
    (price.map_err(|error| error.to_string()), asked[0].body_json().unwrap())
}

#[tokio::test]
async fn the_price_on_demand_is_what_an_hour_of_linux_on_shared_hardware_costs() {
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
        let filters = asked["Filters"].as_array().unwrap();
        let of = |field: &str| {
            filters
                .iter()
                .find(|filter| filter["Field"] == field)
                .map(|it| it["Value"].clone())
        };
        assert_eq!(asked["ServiceCode"], "AmazonEC2");
        assert_eq!(
            ["instanceType", "regionCode", "operatingSystem", "tenancy"].map(of),
            ["g5.xlarge", "eu-west-1", "Linux", "Shared"].map(|value| Some(json!(value)))
        );
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_an_error() {
    for text in ["no JSON", "{}", &entry("Hrs", "a dollar")] {
        let (price, _) = price_of(&[text.to_owned()]).await;
        assert!(price.is_err(), "{text}: {price:?}");
    }
}
