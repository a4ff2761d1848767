use super::*;

fn labels(texts: &[&str]) -> Vec<Label> {
    texts.iter().map(|text| Label::new(*text)).collect()
}

#[test]
fn without_a_file_the_dayfly_gpu_label_stands_for_a_gpu_on_spot() {
    let config = Config::built_in().unwrap();
    let spec = config.resolve(&labels(&["self-hosted", "dayfly-gpu"]))[0];
    assert!(spec.spot);
    assert!(spec.instance_types.iter().all(|one| one.as_str().starts_with('g')));
    assert!(config.resolve(&labels(&["dayfly-cpu"])).is_empty());
}

#[test]
fn a_messenger_is_one_small_machine_on_demand() {
    let spec = Config::messenger().unwrap();
    assert_eq!(
        (spec.spot, spec.instance_types),
        (false, vec![InstanceType::new("t4g.nano")])
    );
    assert!(
        spec.max_lifetime < Some(Duration::from_mins(20)),
        "it costs a cent an hour"
    );
}

#[test]
fn every_key_is_read() {
    let text = "
runners:
  - name: big
    labels: [dayfly-gpu, large]
    instance_type: [g5.2xlarge, g6.2xlarge]
    machine_image: ami-0123456789abcdef0
    spot: false
    fallback: on-demand
    max_price: $1.20/h
    allocation_strategy: capacity-optimized
    breaker: {interruptions: 3, within: 30m, on_demand_for: 2h}
    on_interruption: |
      aws s3 cp model.pt s3://bucket/
    rebalance: drain-if-idle
    rerun: failed
    max_reruns: 3
    rerun_on_demand: never
    disk_size: 200GiB
    idle_timeout: 2m
    max_lifetime: 1h
  - name: small
    labels: [dayfly-cpu]
    instance_type: c7i.large
    machine_image: ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64
messenger: false
cancel_run_when_unlaunchable: true
";
    let config = Config::parse(text).unwrap();
    let big = &config.runners[0];
    assert_eq!(big.image, MachineImage::Ami(ImageId::new("ami-0123456789abcdef0")));
    assert_eq!((big.spot, big.disk_gib), (false, Some(200)));
    assert_eq!(
        (big.fallback, big.max_price, big.allocation_strategy),
        (
            Fallback::OnDemand,
            Some(MicroDollars(1_200_000)),
            AllocationStrategy::CapacityOptimized
        )
    );
    let (half_an_hour, two_hours) = (Duration::from_mins(30), Duration::from_hours(2));
    assert_eq!(
        big.breaker,
        Some(Breaker {
            interruptions: 3,
            within: half_an_hour,
            on_demand_for: two_hours
        })
    );
    assert_eq!(
        big.on_interruption.as_deref(),
        Some("aws s3 cp model.pt s3://bucket/\n")
    );
    assert_eq!(big.rebalance, Rebalance::DrainIfIdle);
    assert_eq!(
        big.rerun,
        RerunPolicy {
            what: RerunWhat::Failed,
            max: 3,
            on_demand: RerunOnDemand::Never
        }
    );
    assert_eq!(
        config.giving_up,
        GivingUp {
            messenger: false,
            cancel_run: true
        }
    );
    assert_eq!(
        (big.idle_timeout, big.max_lifetime),
        (Some(Duration::from_secs(120)), Some(Duration::from_secs(3600)))
    );
    let small = config.resolve(&labels(&["dayfly-cpu--77"]))[0];
    assert_eq!((small.name.as_str(), small.spot, small.disk_gib), ("small", true, None));
    assert_eq!(
        (small.fallback, small.max_price, small.breaker),
        (Fallback::None, None, None)
    );
    assert_eq!(
        (small.rerun, small.rebalance),
        (RerunPolicy::default(), Rebalance::Mark)
    );
}

#[test]
fn runners_that_share_a_label_are_tried_in_the_order_of_the_file() {
    let one = |name: &str| {
        format!("  - {{name: {name}, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}}\n")
    };
    let config = Config::parse(&format!("runners:\n{}{}", one("first"), one("second"))).unwrap();
    let named = config.resolve(&labels(&["dayfly-gpu"]));
    assert_eq!(
        named.iter().map(|spec| &spec.name).collect::<Vec<_>>(),
        ["first", "second"]
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let mut shown = String::new();
    for text in [
        "",
        "runners: 7",
        "runners:\n  - name: a\n    labels: []\n    instance_type: g5.xlarge\n    machine_image: ami-01234567\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: []\n    machine_image: ami-01234567\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: G5 big\n    machine_image: ami-01234567\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: g5.xlarge\n    machine_image: ubuntu\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: g5.xlarge\n    machine_image: ami-01234567\n    idle_timeout: soon\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: g5.xlarge\n    machine_image: ami-01234567\n    max_price: cheap\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: g5.xlarge\n    machine_image: ami-01234567\n    rerun: sometimes\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: g5.xlarge\n    machine_image: ami-01234567\n    max_reruns: 51\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: g5.xlarge\n    machine_image: ami-01234567\n    breaker: {interruptions: 0, within: 1h, on_demand_for: 1h}\n",
        "runners:\n  - name: a\n    labels: [x]\n    instance_type: g5.xlarge\n    machine_image: ami-01234567\n    gpus: 1\n",
        "runners:\n  - name: a\n    name: b\n",
        "runners: [\n",
    ] {
        let error = Config::parse(text).unwrap_err();
        shown.push_str(&format!("--- {text:?}\n{error}\n"));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_file_over_the_limit_or_with_exploding_anchors_is_refused() {
    assert!(Config::parse(&" ".repeat(MAX_BYTES + 1)).is_err());
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for level in 'b'..='i' {
        let below = char::from(level as u8 - 1);
        bomb.push_str(&format!("{level}: &{level} [*{below}, *{below}, *{below}, *{below}, *{below}, *{below}, *{below}, *{below}, *{below}]\n"));
    }
    bomb.push_str("runners: *i\n");
    assert!(Config::parse(&bomb).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = Config::parse(&text);
    }
}
