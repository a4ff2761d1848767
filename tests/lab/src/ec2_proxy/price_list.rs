//! AWS's price list, which ministack does not know: what instances cost on demand by the scenario.

use serde_json::{Value, json};

use super::Scenario;
use crate::function_url::Outgoing;
use crate::http::Received;

/// The call that is answered, as the header names it.
const GET_PRODUCTS: &str = "AWSPriceListService.GetProducts";

/// The signing name of the price list.
pub(super) const SERVICE: &str = "pricing";

/// The action, as policies and faults name it.
pub(super) const ACTION: &str = "GetProducts";

/// Where the price list of all regions is.
pub(super) const REGION: &str = "us-east-1";

/// Whether a request asks for prices.
pub(super) fn is_asked(request: &Received) -> bool {
    let mut headers = request.headers.iter();
    headers.any(|(name, value)| name == "x-amz-target" && value == GET_PRODUCTS)
}

/// What is asked for, as pairs of field and value.
pub(super) fn filters(request: &Received) -> Vec<(String, String)> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let filters = asked["Filters"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    filters
        .iter()
        .map(|filter| (text(&filter["Field"]), text(&filter["Value"])))
        .collect()
}

/// The answer: one entry for the type, and another as the list has them of what is reserved, which costs
/// nothing by the hour.
pub(super) fn answer(filters: &[(String, String)], scenario: &Scenario) -> Value {
    let of = |field: &str| {
        filters
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value.as_str())
    };
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

/// An answer of the service.
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
}
