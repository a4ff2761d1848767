use super::*;

fn labels(texts: &[&str]) -> Vec<Label> {
    texts.iter().map(|text| Label::new(*text)).collect()
}

#[test]
fn without_a_file_the_dayfly_gpu_label_stands_for_a_gpu_on_spot() {
    let config = Config::built_in().unwrap();
    let spec = config.resolve(&labels(&["self-hosted", "dayfly-gpu"])).unwrap();
    assert!(spec.spot);
    assert!(spec.instance_types.iter().all(|one| one.as_str().starts_with('g')));
    assert_eq!(config.resolve(&labels(&["dayfly-cpu"])), None);
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
    disk_size: 200GiB
    idle_timeout: 2m
    max_lifetime: 1h
  - name: small
    labels: [dayfly-cpu]
    instance_type: c7i.large
    machine_image: ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64
";
    let config = Config::parse(text).unwrap();
    let big = &config.runners[0];
    assert_eq!(big.image, MachineImage::Ami(ImageId::new("ami-0123456789abcdef0")));
    assert_eq!((big.spot, big.disk_gib), (false, Some(200)));
    assert_eq!(
        (big.idle_timeout, big.max_lifetime),
        (Some(Duration::from_secs(120)), Some(Duration::from_secs(3600)))
    );
    let small = config.resolve(&labels(&["dayfly-cpu--77"])).unwrap();
    assert_eq!((small.name.as_str(), small.spot, small.disk_gib), ("small", true, None));
}

#[test]
fn of_runners_that_share_a_label_the_first_is_taken() {
    let one = |name: &str| {
        format!("  - {{name: {name}, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}}\n")
    };
    let config = Config::parse(&format!("runners:\n{}{}", one("first"), one("second"))).unwrap();
    assert_eq!(config.resolve(&labels(&["dayfly-gpu"])).unwrap().name, "first");
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
