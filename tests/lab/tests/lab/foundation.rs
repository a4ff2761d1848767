//! The surroundings of the functions: deployment, front doors, EC2's proxy, rules. The functions are
//! stand-ins that answer with their event.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_lab::cloud::Ec2Event;
use dayfly_lab::ec2_proxy::{Bucket, Family, Fault, Lifecycle, Pool, Supply};
use dayfly_lab::functions::Function;
use dayfly_lab::sigv4::Credentials;
use serde_json::{Value, json};

use crate::stand_in::{Foundation, claim};

#[tokio::test]
async fn the_check_in_door_opens_to_the_instance_role_alone_and_says_who_came() {
    let lab = Foundation::start().await;
    let url = lab.cloud.checkin_door().url();
    let session = lab.instance_session("i-0123456789abcdef0").await;
    lab.cloud.sessions().insert(session.clone());
    let other = lab.session_of("WebhookRole").await;
    lab.cloud.sessions().insert(other.clone());

    let instance = "i-0123456789abcdef0";
    let (status, event) = claim(&url, instance, Some(&session.credentials)).await;
    assert_eq!(status, 200, "{event}");
    let caller = &event["requestContext"]["authorizer"]["iam"];
    assert!(caller["userId"].as_str().unwrap().starts_with("AROA"), "{caller}");
    assert!(
        caller["userId"].as_str().unwrap().ends_with(":i-0123456789abcdef0"),
        "{caller}"
    );
    assert_eq!(event["rawPath"], "/claim");
    let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["instance"], instance);

    let wrong_secret = Credentials {
        secret: "wrong".into(),
        ..session.credentials.clone()
    };
    let unknown = Credentials {
        access_key: "ASIAUNKNOWN".into(),
        ..session.credentials
    };
    for (who, credentials) in [
        ("anonymous", None),
        ("a wrong secret", Some(&wrong_secret)),
        ("an unknown key", Some(&unknown)),
        ("another role", Some(&other.credentials)),
    ] {
        let (status, answer) = claim(&url, instance, credentials).await;
        assert_eq!((status, answer), (403, json!({"Message": "Forbidden"})), "{who}");
    }
    lab.stop().await;
}

#[tokio::test]
async fn the_webhook_door_passes_body_and_headers_on_as_they_came() {
    let lab = Foundation::start().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http
        .post(lab.cloud.webhook_door().url())
        .header("content-type", "application/json")
        .header("x-hub-signature-256", "sha256=00")
        .body("{\"zen\": \"ü\" }")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let event: Value = answer.json().await.unwrap();
    assert_eq!(event["body"], "{\"zen\": \"ü\" }");
    assert_eq!(event["headers"]["x-hub-signature-256"], "sha256=00");
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    lab.stop().await;
}

#[tokio::test]
async fn ec2_takes_the_cheapest_pool_with_capacity_and_a_token_is_one_fleet() {
    let lab = Foundation::start().await;
    let form = lab.fleet("one");
    let first = lab.ec2(&form).await.xml();
    let ids = first.texts("instanceIds");
    assert_eq!(ids.len(), 1, "{first:?}");
    assert_eq!(first.text("availabilityZone").as_deref(), Some("eu-west-1a"));
    assert_eq!(lab.ec2(&form).await.xml().texts("instanceIds"), ids);
    assert!(
        lab.ec2(&form.replace("g4dn", "g5"))
            .await
            .text
            .contains("IdempotentParameterMismatch")
    );

    let instances = lab.cloud.instances().await.unwrap();
    assert_eq!(instances.len(), 1, "{instances:?}");
    assert_eq!((&*instances[0].id, &*instances[0].zone), (&*ids[0], "eu-west-1a"));

    let pool = Pool::new("g4dn.xlarge", "eu-west-1a");
    lab.cloud.ec2().change(|scenario| {
        scenario.supply.insert(pool, Supply::Left(0));
    });
    let second = lab.ec2(&lab.fleet("two")).await.xml();
    assert_eq!(second.texts("instanceIds").len(), 1);
    assert_eq!(
        second.text("errorCode").as_deref(),
        Some("InsufficientInstanceCapacity")
    );
    assert_eq!(lab.cloud.ec2().count("CreateFleet"), 4);
    lab.stop().await;
}

#[tokio::test]
async fn a_fleet_of_many_is_spread_over_the_pools_that_have_some() {
    let lab = Foundation::start().await;
    lab.cloud.ec2().change(|scenario| {
        for (zone, left) in [("eu-west-1a", 3), ("eu-west-1b", 2), ("eu-west-1c", 0)] {
            let pool = Pool::new("g4dn.xlarge", zone);
            scenario.stock(Lifecycle::Spot, pool, Supply::Left(left));
        }
    });
    let eight = lab
        .fleet("eight")
        .replace("TotalTargetCapacity=1", "TotalTargetCapacity=8");
    let answer = lab.ec2(&eight).await.xml();
    let ids = answer.texts("instanceIds");
    assert_eq!(ids.len(), 5, "{answer:?}");
    assert_eq!(
        lab.ec2(&eight).await.xml().texts("instanceIds"),
        ids,
        "the same call again is the same fleet"
    );
    let refused = answer.each("errorSet", |item| {
        Some((item.text("errorCode")?, item.text("availabilityZone")?))
    });
    let expected = ["a", "b", "c"].map(|zone| ("InsufficientInstanceCapacity".to_owned(), format!("eu-west-1{zone}")));
    assert_eq!(refused, expected);

    let instances = lab.cloud.instances().await.unwrap();
    let described: BTreeMap<&str, &str> = instances.iter().map(|one| (&*one.id, &*one.zone)).collect();
    let zones: Vec<&str> = ids.iter().map(|id| described[&**id]).collect();
    assert_eq!(
        zones,
        ["eu-west-1a", "eu-west-1a", "eu-west-1a", "eu-west-1b", "eu-west-1b"]
    );
    assert_eq!(instances.len(), 5);
    assert!(
        instances
            .iter()
            .all(|one| one.spot && one.tags["dayfly:stack"] == "dayfly")
    );

    lab.cloud
        .ec2()
        .change(|scenario| scenario.refill(Lifecycle::Spot, &["g4dn.xlarge"], &["eu-west-1c"]));
    let more = lab.ec2(&eight.replace("eight", "more")).await.xml();
    assert_eq!(more.texts("instanceIds").len(), 8);
    assert_eq!(
        lab.cloud.ec2().writes(),
        BTreeMap::from([("CreateFleet".to_owned(), 3)])
    );
    lab.stop().await;
}

#[tokio::test]
async fn a_quota_counts_what_runs_and_a_bucket_what_is_asked_for() {
    let lab = Foundation::start().await;
    lab.cloud
        .ec2()
        .change(|scenario| scenario.limit_vcpus(Lifecycle::Spot, Family::GAndVt, 4));
    let first = lab.ec2(&lab.fleet("first")).await.xml().texts("instanceIds");
    assert_eq!(first.len(), 1);
    let quota = "MaxSpotInstanceCountExceeded";
    assert!(lab.ec2(&lab.fleet("second")).await.text.contains(quota));
    lab.cloud.aws().terminate(&first[0]).await.unwrap();
    assert_eq!(lab.ec2(&lab.fleet("third")).await.xml().texts("instanceIds").len(), 1);

    let one = Bucket {
        size: 1,
        per_second: 0.0,
    };
    lab.cloud.ec2().change(|scenario| {
        scenario.limits.clear();
        scenario.bucket = Some(one);
    });
    assert_eq!(lab.ec2(&lab.fleet("fourth")).await.xml().texts("instanceIds").len(), 1);
    assert!(lab.ec2(&lab.fleet("fifth")).await.text.contains("RequestLimitExceeded"));
    assert_eq!(lab.cloud.ec2().throttled(), 1);
    lab.stop().await;
}

#[tokio::test]
async fn the_launch_function_may_ask_where_its_subnets_are() {
    let lab = Foundation::start().await;
    let subnets = lab.cloud.deployment().output("SubnetIds").unwrap().to_owned();
    let mut form = "Action=DescribeSubnets&Version=2016-11-15&Filter.1.Name=subnet-id".to_owned();
    for (number, subnet) in subnets.split(',').chain(["subnet-0123"]).enumerate() {
        write!(form, "&Filter.1.Value.{}={subnet}", number + 1).unwrap();
    }
    let answer = lab.ec2(&form).await.xml();
    let mut zones = answer.each("subnetSet", |item| item.text("availabilityZone"));
    zones.sort();
    assert_eq!(zones, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
    lab.stop().await;
}

#[tokio::test]
async fn faults_refuse_throttle_and_lose_answers_of_what_was_done() {
    let lab = Foundation::start().await;
    lab.cloud.ec2().change(|scenario| {
        scenario.faults = vec![Fault::throttle("CreateFleet", 1), Fault::lose_answer("CreateFleet")];
    });
    let form = lab.fleet("lossy");
    assert!(lab.ec2(&form).await.text.contains("RequestLimitExceeded"));
    assert!(lab.cloud.instances().await.unwrap().is_empty());
    assert_ne!(lab.ec2(&form).await.curl_status, 0, "the connection broke");
    assert_eq!(lab.cloud.instances().await.unwrap().len(), 1, "but the fleet is there");
    assert_eq!(lab.ec2(&form).await.xml().texts("instanceIds").len(), 1);
    assert_eq!(lab.cloud.instances().await.unwrap().len(), 1);

    let prices = lab
        .ec2("Action=DescribeSpotPriceHistory&Version=2016-11-15&InstanceType.1=g5.xlarge&AvailabilityZone=eu-west-1b")
        .await;
    assert_eq!(prices.xml().text("spotPrice").as_deref(), Some("0.388100"));
    lab.stop().await;
}

#[tokio::test]
async fn the_proxy_leaves_rights_to_iam() {
    let lab = Foundation::start().await;
    let denied = lab
        .ec2("Action=TerminateInstances&Version=2016-11-15&InstanceId.1=i-0123456789abcdef0")
        .await;
    assert!(denied.text.contains("UnauthorizedOperation"), "{}", denied.text);
    let webhook = json!({"ec2": lab.fleet("stolen")});
    let denied = lab.cloud.invoke(Function::Webhook, &webhook).await.unwrap();
    let text = STANDARD.decode(denied.payload["answer"].as_str().unwrap()).unwrap();
    assert!(
        String::from_utf8_lossy(&text).contains("UnauthorizedOperation"),
        "{denied:?}"
    );
    let prices = json!({"ec2": "Action=DescribeSpotPriceHistory&Version=2016-11-15&InstanceType.1=g5.xlarge"});
    let denied = lab.cloud.invoke(Function::Webhook, &prices).await.unwrap();
    let text = STANDARD.decode(denied.payload["answer"].as_str().unwrap()).unwrap();
    assert!(
        String::from_utf8_lossy(&text).contains("UnauthorizedOperation"),
        "{denied:?}"
    );
    assert!(lab.cloud.instances().await.unwrap().is_empty());
    lab.stop().await;
}

#[tokio::test]
async fn the_templates_rules_bring_ec2s_events_to_the_interruption_function() {
    let lab = Foundation::start().await;
    let events = [
        (Ec2Event::InterruptionWarning, "i-00000000000000001"),
        (Ec2Event::RebalanceRecommendation, "i-00000000000000002"),
        (Ec2Event::StateChange("terminated".into()), "i-00000000000000003"),
    ];
    for (event, instance) in &events {
        lab.cloud.emit_ec2_event(event, instance).await.unwrap();
    }
    let mut heard = BTreeMap::new();
    let all = async {
        while heard.len() < events.len() {
            for line in lab.cloud.function_log(Function::Interruption).await.unwrap() {
                for (_, instance) in &events {
                    if line.contains(instance) {
                        heard.insert(*instance, line.clone());
                    }
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all)
        .await
        .expect("all events are heard");
    assert!(heard["i-00000000000000001"].contains("Spot Instance Interruption Warning"));
    lab.stop().await;
}
