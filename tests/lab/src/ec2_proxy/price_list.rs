//! AWS's price list, which ministack does not have: on-demand and volume prices of the scenario.

use serde_json::{Value, json};

use super::Scenario;
use crate::function_url::Outgoing;
use crate::http::Received;

/// The call's name in the header.
const GET_PRODUCTS: &str = "AWSPriceListService.GetProducts";

/// The signing name of the price list.
pub(super) const SERVICE: &str = "pricing";

/// The action's name in policies and faults.
pub(super) const ACTION: &str = "GetProducts";

/// The region of the price list of all regions.
pub(super) const REGION: &str = "us-east-1";

/// Whether a request is for prices.
pub(super) fn is_asked(request: &Received) -> bool {
    let mut headers = request.headers.iter();
    headers.any(|(name, value)| name == "x-amz-target" && value == GET_PRODUCTS)
}

/// Returns the filters, as pairs of field and value.
pub(super) fn filters(request: &Received) -> Vec<(String, String)> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let filters = asked["Filters"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    filters
        .iter()
        .map(|filter| (text(&filter["Field"]), text(&filter["Value"])))
        .collect()
}

/// Returns the answer: an entry for the type, and one for reserved capacity, which costs nothing per
/// hour as in the real list; or the parts of a volume type.
pub(super) fn answer(filters: &[(String, String)], scenario: &Scenario) -> Value {
    let of = |field: &str| {
        filters
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value.as_str())
    };
    if let Some(volume) = of("volumeApiName") {
        return json!({"FormatVersion": "aws_v1", "PriceList": parts(volume, scenario)});
    }
    let Some(instance_type) = of("instanceType") else {
        return json!({"FormatVersion": "aws_v1", "PriceList": []});
    };
    let entry = |price: &str| {
        let dimension = json!({"unit": "Hrs", "pricePerUnit": {"USD": price}});
        let offer = json!({"priceDimensions": {"A.B.C": dimension}});
        json!({
            "product": {"attributes": {"instanceType": instance_type, "regionCode": of("regionCode")}},
            "terms": {"OnDemand": {"A.B": offer}},
        })
        .to_string()
    };
    let price = scenario.on_demand_price(instance_type);
    json!({"FormatVersion": "aws_v1", "PriceList": [entry("0.0000000000"), entry(price)]})
}

/// Returns the parts of a volume type, as the list has them for Ireland.
fn parts(volume: &str, scenario: &Scenario) -> Vec<String> {
    let rates = scenario.volume_rates.iter().filter(|(of, ..)| of == volume);
    let entry = |(_, usage, unit, price): &(String, String, String, String)| {
        let dimension = json!({"unit": unit, "pricePerUnit": {"USD": price}});
        let offer = json!({"priceDimensions": {"A.B.C": dimension}});
        let attributes = json!({"volumeApiName": volume, "usagetype": format!("EU-{usage}")});
        json!({"product": {"attributes": attributes}, "terms": {"OnDemand": {"A.B": offer}}}).to_string()
    };
    rates.map(entry).collect()
}

pub(super) fn json_answer(status: u16, body: &Value) -> Outgoing {
    Outgoing {
        headers: vec![("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())],
        ..Outgoing::json(status, &body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_costs_what_the_scenario_says() {
        let scenario = Scenario::default();
        let asked = vec![("instanceType".to_owned(), "g4dn.xlarge".to_owned())];
        let answer = answer(&asked, &scenario);
        let entry: Value = serde_json::from_str(answer["PriceList"][1].as_str().unwrap()).unwrap();
        let price = &entry["terms"]["OnDemand"]["A.B"]["priceDimensions"]["A.B.C"]["pricePerUnit"]["USD"];
        assert_eq!(price, scenario.on_demand_price("g4dn.xlarge"));
        assert_eq!(super::answer(&[], &scenario)["PriceList"], json!([]));
    }

    #[test]
    fn a_volume_costs_what_the_scenario_says_of_its_parts() {
        let of = |volume: &str| {
            let asked = vec![("volumeApiName".to_owned(), volume.to_owned())];
            answer(&asked, &Scenario::default())["PriceList"]
                .as_array()
                .unwrap()
                .clone()
        };
        assert_eq!((of("gp3").len(), of("gp9").len()), (3, 0));
        let entry: Value = serde_json::from_str(of("gp3")[0].as_str().unwrap()).unwrap();
        assert_eq!(entry["product"]["attributes"]["usagetype"], "EU-EBS:VolumeUsage.gp3");
        let dimension = &entry["terms"]["OnDemand"]["A.B"]["priceDimensions"]["A.B.C"];
        assert_eq!(
            (&dimension["unit"], &dimension["pricePerUnit"]["USD"]),
            (&json!("GB-Mo"), &json!("0.0880000000"))
        );
    }
}
