//! `.dayfly.yml` as it is written: its keys, once, for the reader, the schema and the docs.

use dayfly_types::ids::{InstanceType, Region, Repository, SecurityGroupId, SubnetId};

use super::finding::Findings;
use super::node::{At, Fields, List, OneOrMore, Pairs, Read};
use super::spec::{AllocationStrategy, Fallback, MachineImage, Rebalance, RerunOnDemand, RerunWhat, VolumeType};
use super::units::{Amount, HourlyPrice, Size, Span as Duration};
use super::words::{AnyOf, ImageOwner, ImagePattern, Name, Profile, Script, ShortOrLong, Want};
use super::yaml::{Node, Span};
use crate::labels::Label;

/// What is said of a key, besides its type.
#[derive(Debug)]
#[cfg_attr(
    not(any(test, feature = "schema")),
    allow(dead_code, reason = "the rest is for the schema")
)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does, line by line.
    pub(super) doc: &'static [&'static str],
    /// Whether it must be there.
    pub(super) required: bool,
    /// What holds without it: a value in YAML.
    pub(super) default: Option<&'static str>,
    /// What holds without it, in words.
    pub(super) without: Option<&'static str>,
    /// A value in YAML.
    pub(super) example: &'static str,
}

/// A mapping whose keys are written down here.
pub(super) trait Keys {
    const KEYS: &'static [Key];
}

/// Declares a mapping of the file: for each key its type, what holds without it (`required`,
/// `default` and a value, or `without` and words), and an example.
macro_rules! keys {
    (
        $(#[doc = $about:literal])* $name:ident
        $( $(#[doc = $doc:literal])* $key:ident: $type:ty, $how:ident $($what:literal)?, example $example:literal; )+
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        #[allow(dead_code, reason = "not every mapping is asked for its place")]
        pub(super) struct $name {
            pub(super) span: Span,
            given: Vec<&'static str>,
            $( pub(super) $key: Option<At<$type>>, )+
        }

        impl Keys for $name {
            const KEYS: &'static [Key] = &[ $( Key {
                name: plain(stringify!($key)),
                doc: &[$($doc),*],
                required: keys!(@required $how),
                default: keys!(@default $how $($what)?),
                without: keys!(@without $how $($what)?),
                example: $example,
            }, )+ ];
        }

        impl Read for $name {
            fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
                let names: Vec<&str> = Self::KEYS.iter().map(|key| key.name).collect();
                let fields = Fields::of(node, &names, findings)?;
                $( let $key = fields.take(plain(stringify!($key)), keys!(@required $how), findings); )+
                let given = Self::KEYS.iter().map(|key| key.name).filter(|name| fields.has(name)).collect();
                Some(Self { span: node.span, given, $($key),+ })
            }
        }

        impl $name {
            /// Whether a key is there, be it with a value that cannot be read.
            #[allow(dead_code, reason = "not every mapping is asked")]
            pub(super) fn says(&self, key: &str) -> bool {
                self.given.contains(&key)
            }
        }

        #[cfg(any(test, feature = "schema"))]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let about = [$($about),*];
                let types = vec![ $( <$type as super::schema::Described>::schema(generator) ),+ ];
                super::schema::mapping(&about, Self::KEYS, types)
            }
        }
    };
    (@required required) => { true };
    (@required $how:ident) => { false };
    (@default default $value:literal) => { Some($value) };
    (@default $how:ident $($value:literal)?) => { None };
    (@without without $value:literal) => { Some($value) };
    (@without $how:ident $($value:literal)?) => { None };
}

/// A key's name without what Rust needs before a word of its own.
const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

keys! {
    /// What a repository's jobs may run on: `.dayfly.yml`, or `.github/dayfly.yml`, on the default branch.
    File

    /// The runners, in the order in which they are tried by a job whose labels several have.
    /// Required, unless `extends` brings some.
    runners: List<Runner>, without "those of the file that it extends",
        example "[{name: gpu, labels: [dayfly-gpu], gpu: t4, machine_image: ami-0123456789abcdef0}]";

    /// A repository of the same owner whose file this one extends, usually the organisation's `.github`.
    /// Its runners come after this file's own, one of the same name is replaced by this file's, and its
    /// other keys hold where this file does not say them; `actors` and `teams` are one in that. It cannot
    /// extend another itself, and the GitHub App has to be installed on it.
    extends: Repository, without "nothing is extended", example "octo-org/.github";

    /// Whether a job that is given up is taken by a messenger, the smallest machine there is, which fails
    /// it with the reason in its log.
    messenger: bool, default "true", example "false";

    /// Whether the run is cancelled if not even a messenger can be launched.
    cancel_run_when_unlaunchable: bool, default "false", example "true";

    /// Whether a commit gets a check run with what its jobs went through and have cost.
    report: bool, default "true", example "false";

    /// Whether a pull request gets a comment with what its runs have cost: one, which is kept up to date.
    comment: bool, default "true", example "false";

    /// What the runs of a pull request must have cost for it to get that comment: more than this.
    comment_above: Amount, default "$0", example "$1.00";

    /// The GitHub users whose jobs are taken. Nobody else's are, whatever the stack's policy allows, but
    /// for those of members of `teams`.
    actors: OneOrMore<Name>, without "everybody's whom the stack's policy allows", example "[octocat, hubot]";

    /// The teams of the repository's organisation, by their slugs, whose members' jobs are taken. Nobody
    /// else's are, but for those of `actors`.
    teams: OneOrMore<Name>, without "everybody's whom the stack's policy allows", example "[speech, vision]";
}

keys! {
    /// A kind of runner: what a job gets whose labels it has.
    Runner

    /// What it is called in messages, and by a file that extends this one. No two have the same.
    name: Name, required, example "gpu";

    /// The labels that stand for it. A job gets it whose `runs-on` has some of them and no other besides
    /// `self-hosted`. What follows `--` in a job's label is left aside.
    labels: OneOrMore<Label>, required, example "[dayfly-gpu, large]";

    /// The EC2 instance types that will do. Either this, or what it wants of its machine: `gpu`, `vram`,
    /// `gpus`, `cc`, `cpu`, `mem`, `nvme`, `arch`.
    instance_type: OneOrMore<InstanceType>, without "what it wants decides, the cheapest first", example "[g5.xlarge, g6.xlarge]";

    /// The model of its GPUs, or several that will do.
    gpu: AnyOf, without "any model, if another key asks for a GPU", example "[a10g, l4]";

    /// The memory of each GPU: at least so much, or a bound.
    vram: Want, without "any", example "\">=24GiB\"";

    /// How many GPUs: so many, or a bound.
    gpus: Want, without "1, if another key asks for a GPU", example "4";

    /// What its GPUs can compute, by NVIDIA's number: at least that, or a bound.
    cc: Want, without "any", example "\">=8.0\"";

    /// How many vCPUs: at least so many, or a bound.
    cpu: Want, without "any", example "8-16";

    /// How much memory: at least so much, or a bound.
    mem: Want, without "any", example "64GiB";

    /// How much disk the machine has of its own: at least so much, or a bound.
    nvme: Want, without "none is needed", example "200GiB";

    /// The architecture of its processors.
    arch: Want, without "x86_64, if there is such a machine", example "arm64";

    /// The image that it starts: an AMI id, `ami-…`; an SSM parameter that holds one, `ssm:/path`,
    /// below `/dayfly/images/` or AWS's own `/aws/service/`; a short name; or a mapping, for the newest of those that go by a name. `dlami-base` is AWS's deep learning
    /// image with driver, CUDA and Docker, `dlami-pytorch` the same with PyTorch, `ubuntu-24.04` and
    /// `ubuntu-22.04` are Canonical's, without a driver. A name stands for the image of the machine's region
    /// and architecture.
    machine_image: ShortOrLong<MachineImage, Image>, without "`dlami-base` for a machine with a GPU, else `ubuntu-24.04`", example "{name: \"my-image-*\", owner: self}";

    /// The region that it is meant for. One stack launches in one region: a runner for another is refused,
    /// and the next that has the labels is tried.
    region: Region, without "the stack's region", example "eu-west-1";

    /// Spot capacity, or else on-demand.
    spot: bool, default "true", example "false";

    /// What is tried once no spot capacity is left.
    fallback: Fallback, default "none", example "on-demand";

    /// What an hour of an instance may cost at most.
    max_price: HourlyPrice, without "whatever EC2 asks", example "$0.40/h";

    /// How EC2 picks among the pools of spot capacity.
    allocation_strategy: AllocationStrategy, default "price-capacity-optimized", example "capacity-optimized";

    /// Leaves spot for a while after so many interruptions.
    breaker: Breaker, without "spot is never left", example "{interruptions: 3, within: 30m, on_demand_for: 2h}";

    /// The root volume: its size, or a mapping that says more.
    disk: ShortOrLong<Size, Disk>, without "the image's own", example "{size: 200GiB, type: gp3, iops: 6000, throughput: 500}";

    /// The root volume's size: the short form of `disk`.
    disk_size: Size, without "the image's own", example "200GiB";

    /// How long it waits for a job.
    idle_timeout: Duration, without "the stack's deadline", example "2m";

    /// How long it may live in all, and never longer than the stack allows.
    max_lifetime: Duration, without "the stack's deadline", example "1h";

    /// What the instance runs before its runner starts, in bash, as root. At most 8 KiB. It has the time that
    /// the stack gives an instance to boot. If it fails or takes longer, the instance ends, and the job
    /// gets another, up to five; then the job fails with the last lines of what the script said.
    startup_script: Script, without "nothing", example "apt-get install --yes ffmpeg";

    /// What the instance runs when EC2 takes it back while a job runs, in bash. At most 8 KiB.
    on_interruption: Script, without "nothing", example "aws s3 cp model.pt s3://my-bucket/";

    /// What a rebalance recommendation does: EC2's word that an instance is more likely to be
    /// interrupted than others.
    rebalance: Rebalance, default "mark", example "drain-if-idle";

    /// Which jobs are run again after an interruption.
    rerun: RerunWhat, default "interrupted", example "failed";

    /// How often a run is run again at most, up to GitHub's 50.
    max_reruns: u32, default "2", example "3";

    /// Which re-runs get on-demand capacity.
    rerun_on_demand: RerunOnDemand, default "last", example "always";

    /// Environment variables of the startup script and of its jobs. No place for secrets: whoever can read
    /// the repository reads them.
    env: Pairs, without "none", example "{HF_HOME: /mnt/models}";

    /// Tags of the instance and its volume, besides dayfly's own.
    tags: Pairs, without "none", example "{team: speech}";

    /// The subnets that it may be in. The stack's policy must list them.
    subnets: OneOrMore<SubnetId>, without "the stack's own", example "[subnet-0123456789abcdef0]";

    /// Its security groups, all of one VPC, and its subnets of the same. The stack's policy must list them,
    /// and the stack's parameter `JobSecurityGroupArns`.
    security_groups: OneOrMore<SecurityGroupId>, without "the stack's own", example "[sg-0123456789abcdef0]";

    /// Its instance profile, by name or ARN. The stack's policy must list it, and the stack's parameter
    /// `JobRoleArns` its role, which needs the policy in the stack's output `CheckInPolicyArn`: the instance
    /// checks in with it. The startup script can use the role; jobs cannot, as they do not reach the
    /// instance's metadata.
    instance_profile: Profile, without "the stack's own", example "gpu-runner";
}

keys! {
    /// An image that goes by a name: the newest that there is of the machine's architecture.
    Image

    /// Its name, in which `*` stands for any number of characters and `?` for one.
    name: ImagePattern, required, example "\"my-image-*\"";

    /// Whose it is: an AWS account's number, `amazon`, `aws-marketplace`, or `self` for the stack's own
    /// account. Anybody can publish an image by any name.
    owner: ImageOwner, required, example "amazon";
}

keys! {
    /// A root volume.
    Disk

    /// Its size.
    size: Size, without "the image's own", example "200GiB";

    /// Its type.
    r#type: VolumeType, without "`gp3`", example "gp3";

    /// Its operations per second: for `gp3`, and `io1` and `io2`, which do not do without.
    iops: u32, without "the type's own", example "6000";

    /// Its throughput in MiB per second: for `gp3`.
    throughput: u32, without "the type's own", example "500";
}

keys! {
    /// When interruptions make a runner leave spot for a while.
    Breaker

    /// So many interruptions
    interruptions: u32, required, example "3";

    /// in this time, up to an hour,
    within: Duration, required, example "30m";

    /// send the next jobs to on-demand for so long, up to six hours.
    on_demand_for: Duration, required, example "2h";
}
