use dayfly_config::labels::Label;
use dayfly_config::{Config, RunnerSpec};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceType, Repository, SecurityGroupId, SubnetId};

use super::*;

const ALL: &str = "
version: 1
organizations: [octo-org, 'lab-*']
repositories: [octo-org/*, lab-*/gpu]
regions: [eu-*]
instance_types: [g4dn, g5.xlarge]
subnets: [subnet-0123456789abcdef0, subnet-1*]
security_groups: ['*']
instance_profiles: [ci-*]
max_price: $0.80/h
max_lifetime: 2h
limits:
  stack: {runners: 100, vcpus: 256}
  organization: {vcpus: 128}
  repository: {runners: 20, vcpus: 16}
labels:
  - labels: [dayfly-h100*, dayfly/gpu=h100*]
    teams: [octo-org/ml]
    actors: [alice, 'renovate[bot]']
comment_caps: all
forks: approved
workflow_run: always
";

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

/// Returns the price and vCPUs of a few instance types.
fn machine(name: &InstanceType) -> Option<Machine> {
    let (vcpus, dollars) = match name.as_str() {
        "g4dn.xlarge" => (4, "0.526"),
        "g4dn.8xlarge" => (32, "2.176"),
        "g4dn.2xlarge" => (8, "0.752"),
        "g5.xlarge" => (4, "1.006"),
        _ => return None,
    };
    let price = Some(MicroDollars::from_decimal(dollars).unwrap());
    Some(Machine { vcpus, price })
}

fn spec(types: &[&str]) -> RunnerSpec {
    let mut spec = Config::built_in().unwrap().runners.remove(0);
    spec.instance_types = types.iter().map(|name| InstanceType::new(*name)).collect();
    spec
}

fn admit(policy: &Policy, whose: &str, types: &[&str], lifecycle: InstanceLifecycle) -> Result<Admitted, Refused> {
    let repository = repository(whose);
    let request = LaunchRequest {
        repository: &repository,
        region: "eu-west-1",
    };
    policy.admit(request, &spec(types), lifecycle, machine)
}

fn types(admitted: &Admitted) -> Vec<&str> {
    admitted.spec.instance_types.iter().map(InstanceType::as_str).collect()
}

#[test]
fn default_admits_everything_but_outside_code() {
    let policy = Policy::default();
    assert_eq!(
        Policy::parse(DEFAULT).unwrap(),
        policy,
        "no policy is the same as an empty one"
    );
    let admitted = admit(&policy, "any/body", &["p5.48xlarge"], InstanceLifecycle::OnDemand).unwrap();
    assert_eq!(admitted.spec, spec(&["p5.48xlarge"]));
    assert_eq!((policy.forks, policy.workflow_run), (Forks::Never, FollowUps::Never));
    assert!(!policy.limits.any() && !policy.admits_anybody());
}

#[test]
fn every_key_is_read() {
    let policy = Policy::parse(ALL).unwrap();
    assert_eq!(policy.max_price, Some(MicroDollars(800_000)));
    assert_eq!(policy.max_lifetime, Some(Duration::from_hours(2)));
    assert_eq!(policy.limits.stack.runners, Some(100));
    assert_eq!(
        (policy.limits.organization.runners, policy.limits.organization.vcpus),
        (None, Some(128))
    );
    assert_eq!(
        (policy.forks, policy.workflow_run, policy.comment_caps),
        (Forks::Approved, FollowUps::Always, CommentCaps::All)
    );
    let rule = &policy.labels[0];
    assert_eq!(rule.teams[0].to_string(), "octo-org/ml");
    assert!(rule.actors.has("renovate[bot]") && !rule.actors.has("bob"));
}

#[test]
fn digest_changes_with_the_policy() {
    let (one, same, other) = (ALL, ALL, ALL.replace("2h", "3h"));
    let digest = |text: &str| Policy::parse(text).unwrap().digest;
    assert_eq!((digest(one), digest(one).len()), (digest(same), 12));
    assert_ne!(digest(one), digest(&other));
}

#[test]
fn first_refusal_names_its_rule_and_the_remedy() {
    use InstanceLifecycle::{OnDemand, Spot};
    let policy = Policy::parse(ALL).unwrap();
    for (whose, types, lifecycle, expected) in [
        (
            "evil/gpu",
            &["g4dn.xlarge"][..],
            Spot,
            "policy rule `organizations` of the stack: `evil` is none of `octo-org`, `lab-*`. The owner of the AWS account can add it",
        ),
        (
            "lab-1/cpu",
            &["g4dn.xlarge"],
            Spot,
            "policy rule `repositories` of the stack: `lab-1/cpu` is none of `octo-org/*`, `lab-*/gpu`. The owner of the AWS account can add it",
        ),
        (
            "octo-org/x",
            &["p5.48xlarge", "g6.xlarge"],
            Spot,
            "policy rule `instance_types` of the stack: `p5.48xlarge` is none of `g4dn.*`, `g5.xlarge`: name one of these",
        ),
        (
            "octo-org/x",
            &["g5.xlarge"],
            OnDemand,
            "policy rule `max_price` of the stack: `g5.xlarge` costs $1.006/h on demand, and $0.80/h is the most: name a cheaper instance type, or use spot",
        ),
        (
            "octo-org/x",
            &["g4dn.metal"],
            OnDemand,
            "policy rule `max_price` of the stack: `g4dn.metal` is not in the table of prices, and $0.80/h is the most: name a cheaper instance type, or use spot",
        ),
        (
            "octo-org/x",
            &["g4dn.8xlarge"],
            Spot,
            "policy rule `limits.repository.vcpus` of the stack: `g4dn.8xlarge` has 32 vCPUs, and 16 at once are the most: it could never be launched. Name a smaller instance type",
        ),
    ] {
        let refused = admit(&policy, whose, types, lifecycle).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let repository = repository("octo-org/x");
    let request = LaunchRequest {
        repository: &repository,
        region: "us-east-1",
    };
    let refused = policy
        .admit(request, &spec(&["g4dn.xlarge"]), Spot, machine)
        .unwrap_err();
    assert_eq!(refused.rule, "regions");
}

#[test]
fn account_resources_must_be_listed() {
    let (listed, default) = (Policy::parse(ALL).unwrap(), Policy::default());
    let with = |subnets: &[&str], groups: &[&str], profile: Option<&str>| {
        let mut spec = spec(&["g4dn.xlarge"]);
        spec.subnets = subnets.iter().map(|id| SubnetId::new(*id)).collect();
        spec.security_groups = groups.iter().map(|id| SecurityGroupId::new(*id)).collect();
        spec.instance_profile = profile.map(str::to_owned);
        spec
    };
    for (spec, by_list, by_default) in [
        (with(&[], &[], None), None, None),
        (
            with(&["subnet-0123456789abcdef0", "subnet-12345678"], &[], None),
            None,
            Some("subnets"),
        ),
        (
            with(&["subnet-12345678", "subnet-21234567"], &[], None),
            Some("subnets"),
            Some("subnets"),
        ),
        (with(&[], &["sg-01234567"], None), None, Some("security_groups")),
        (with(&[], &[], Some("ci-gpu")), None, Some("instance_profiles")),
        (
            with(&[], &[], Some("arn:aws:iam::123456789012:instance-profile/x/ci-gpu")),
            None,
            Some("instance_profiles"),
        ),
        (
            with(&[], &["sg-01234567"], Some("admin")),
            Some("instance_profiles"),
            Some("security_groups"),
        ),
        (
            with(&[], &[], Some("arn:aws:iam::123456789012:instance-profile/ci-x/admin")),
            Some("instance_profiles"),
            Some("instance_profiles"),
        ),
    ] {
        let rule = |policy: &Policy| policy.admit_account_resources(&spec).err().map(|refused| refused.rule);
        assert_eq!(rule(&listed).as_deref(), by_list, "{spec:?}");
        assert_eq!(rule(&default).as_deref(), by_default, "{spec:?}");
    }
    let repository = repository("octo-org/x");
    let request = LaunchRequest {
        repository: &repository,
        region: "eu-west-1",
    };
    let wanted = with(&[], &[], Some("admin"));
    let refused = listed
        .admit(request, &wanted, InstanceLifecycle::Spot, machine)
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "policy rule `instance_profiles` of the stack: `admin` is none of `ci-*`: leave `instance_profile` out to use the stack's own. The owner of the AWS account can add it"
    );
}

#[test]
fn refused_types_are_excluded_and_the_others_admitted() {
    let policy = Policy::parse(ALL).unwrap();
    let wanted = ["g6.xlarge", "g4dn.xlarge", "g5.xlarge", "g4dn.2xlarge"];
    let spot = admit(&policy, "octo-org/x", &wanted, InstanceLifecycle::Spot).unwrap();
    assert_eq!(types(&spot), ["g4dn.xlarge", "g5.xlarge", "g4dn.2xlarge"]);
    let on_demand = admit(&policy, "octo-org/x", &wanted, InstanceLifecycle::OnDemand).unwrap();
    assert_eq!(types(&on_demand), ["g4dn.xlarge", "g4dn.2xlarge"]);
    let excluded: Vec<&str> = on_demand
        .excluded
        .iter()
        .map(|(_, refused)| refused.rule.as_str())
        .collect();
    assert_eq!(excluded, ["instance_types", "max_price"]);
}

#[test]
fn repository_can_only_narrow() {
    let policy = Policy::parse(ALL).unwrap();
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    let dollars = |text| Some(MicroDollars::from_decimal(text).unwrap());
    for (asked, got) in [
        ((None, None), (dollars("0.8"), minutes(120))),
        ((dollars("0.5"), minutes(30)), (dollars("0.5"), minutes(30))),
        ((dollars("9"), minutes(600)), (dollars("0.8"), minutes(120))),
    ] {
        let mut spec = spec(&["g4dn.xlarge"]);
        (spec.max_price, spec.max_lifetime) = asked;
        let narrowed = policy.narrow(&spec);
        assert_eq!((narrowed.max_price, narrowed.max_lifetime), got, "{asked:?}");
        let free = Policy::default().narrow(&spec);
        assert_eq!((free.max_price, free.max_lifetime), asked);
    }
}

#[test]
fn label_rules_ignore_suffixes() {
    let policy = Policy::parse(ALL).unwrap();
    for (label, ruled) in [
        ("dayfly-h100", true),
        ("DAYFLY-H100-8x", true),
        ("dayfly-h100--run-7", true),
        ("dayfly/gpu=h100/spot=only", true),
        ("dayfly-gpu", false),
        ("dayfly-gpu--h100", false),
        ("self-hosted", false),
    ] {
        let labels = [Label::new(label)];
        assert_eq!(policy.rules_for(&labels).count(), usize::from(ruled), "{label}");
    }
}

/// Returns the errors of a policy.
fn errors(text: &str) -> String {
    Policy::parse(text).unwrap_err().to_string()
}

#[test]
fn all_errors_have_key_line_and_remedy() {
    let text = "\
version: 2
organizations: ['octo org']
repositories: [octo]
instance_types: [.xlarge]
subnets: [vpc-1]
security_groups: [default]
instance_profiles: [a b]
max_price: free
max_lifetime: 90
limits:
  stack: {runners: 0}
labels:
  - labels: [dayfly-h100]
  - labels: ['a b']
    teams: [ml]
    actors: ['x/y']
";
    insta::assert_snapshot!(errors(text));
}

#[test]
fn unreadable_policies_are_refused_with_their_place() {
    let errors_of_each = [
        "version: 1\nforks: sometimes\n",
        "version: 1\nmax_prize: $1/h\n",
        "version: 1\nlimits: {stack: {runners: many}}\n",
        "forks: never\n",
        "version: 1\nforks: never\nforks: always\n",
    ]
    .map(errors);
    insta::assert_snapshot!(errors_of_each.join("\n\n"));
    assert!(errors(&"#".repeat(MAX_BYTES + 1)).contains("4096"));
}
