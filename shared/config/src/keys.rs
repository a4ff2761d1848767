//! The keys of `.dayfly.yml`: declared once, for the reader, the schema and the docs.

use dayfly_types::ids::{InstanceType, Region, Repository, SecurityGroupId, SubnetId};

use crate::images::MachineImage;
use crate::labels::Label;
use crate::mapping::{Key, Keys, keys, plain};
use crate::spec::{AllocationStrategy, Fallback, Rebalance, RerunOnDemand, RerunWhat, VolumeType};
use crate::values::{AnyOf, ImageOwner, ImagePattern, Name, Profile, RequirementText, Script, ShortOrLong};
use crate::yaml::units::{Amount, HourlyPrice, Size, TimeSpan};
use crate::yaml::{At, Fields, Findings, List, Node, OneOrMore, Pairs, Read, Span};

keys! {
    /// What a repository's jobs may run on: `.dayfly.yml`, or `.github/dayfly.yml`, on the default branch.
    File

    /// The runners. A job whose labels several of them have tries these in the order of the file.
    /// Required, unless `extends` brings some.
    runners: List<Runner>, without "those of the file that it extends",
        example "[{name: gpu, labels: [dayfly-gpu], gpu: t4, machine_image: ami-0123456789abcdef0}]";

    /// A repository of the same owner whose file this one extends, usually the organisation's `.github`.
    /// Its runners come after this file's own, which replace those of the same name. Its other keys hold where
    /// this file does not set them; `actors` and `teams` count as one key there. It cannot extend another file
    /// itself, and the GitHub App has to be installed on it.
    extends: Repository, without "nothing is extended", example "octo-org/.github";

    /// Whether a messenger, the smallest machine there is, takes a job that is given up and fails it with the
    /// reason in its log.
    messenger: bool, default "true", example "false";

    /// Whether the run is cancelled if no messenger can be launched either.
    cancel_run_when_unlaunchable: bool, default "false", example "true";

    /// Whether a commit gets a check run with the story and the cost of its jobs.
    report: bool, default "true", example "false";

    /// Whether a pull request gets a comment with the cost of its runs: one, which is kept up to date.
    comment: bool, default "true", example "false";

    /// The cost of its runs above which a pull request gets that comment.
    comment_above: Amount, default "$0", example "$1.00";

    /// The GitHub users whose jobs are taken, besides the members of `teams`. No one else's are, whatever the
    /// stack policy allows.
    actors: OneOrMore<Name>, without "whatever the stack policy allows", example "[octocat, hubot]";

    /// The teams of the repository's organisation, by slug, whose members' jobs are taken, besides those of
    /// `actors`.
    teams: OneOrMore<Name>, without "whatever the stack policy allows", example "[speech, vision]";
}

keys! {
    /// A kind of runner, which a job gets by its labels.
    Runner

    /// The unique name of the runner, in messages and for a file that extends this one.
    name: Name, required, example "gpu";

    /// The runner's labels. A job gets it if its `runs-on` has some of them and no other besides
    /// `self-hosted`. What follows `--` in a job's label is ignored.
    labels: OneOrMore<Label>, required, example "[dayfly-gpu, large]";

    /// The EC2 instance types to choose from. Either this or the machine's requirements: `gpu`, `vram`,
    /// `gpus`, `cc`, `cpu`, `mem`, `nvme`, `arch`.
    instance_type: OneOrMore<InstanceType>, without "those that meet the requirements, the cheapest first", example "[g5.xlarge, g6.xlarge]";

    /// The model of the GPUs, or several to choose from.
    gpu: AnyOf, without "any model, if another key asks for a GPU", example "[a10g, l4]";

    /// The memory of each GPU: the minimum, or a bound.
    vram: RequirementText, without "any", example "\">=24GiB\"";

    /// The number of GPUs: exactly this, or a bound.
    gpus: RequirementText, without "1, if another key asks for a GPU", example "4";

    /// NVIDIA's compute capability of the GPUs: the minimum, or a bound.
    cc: RequirementText, without "any", example "\">=8.0\"";

    /// The number of vCPUs: the minimum, or a bound.
    cpu: RequirementText, without "any", example "8-16";

    /// The memory: the minimum, or a bound.
    mem: RequirementText, without "any", example "64GiB";

    /// The machine's own disk (instance store): the minimum, or a bound.
    nvme: RequirementText, without "none is needed", example "200GiB";

    /// The processor architecture.
    arch: RequirementText, without "x86_64, if there is such a machine", example "arm64";

    /// The machine image: an AMI id, `ami-…`; an SSM parameter that holds one, `ssm:/path`, below
    /// `/dayfly/images/` or AWS's own `/aws/service/`; a short name; or a mapping, for the newest image with a
    /// name. `dlami-base` is AWS's deep learning image with driver, CUDA and Docker, `dlami-pytorch` the same
    /// with PyTorch, `ubuntu-24.04` and `ubuntu-22.04` are Canonical's, without a driver. A short name means
    /// the image of the machine's region and architecture.
    machine_image: ShortOrLong<MachineImage, Image>, without "`dlami-base` for a machine with a GPU, else `ubuntu-24.04`", example "{name: \"my-image-*\", owner: self}";

    /// The region that the runner is meant for. A stack launches in one region: it skips a runner for another
    /// one and tries the next with the labels.
    region: Region, without "the stack's region", example "eu-west-1";

    /// Whether it runs on spot capacity, and otherwise on demand.
    spot: bool, default "true", example "false";

    /// What is tried when there is no spot capacity.
    fallback: Fallback, default "none", example "on-demand";

    /// The highest price of an instance per hour.
    max_price: HourlyPrice, without "whatever EC2 asks", example "$0.40/h";

    /// How EC2 chooses among the spot capacity pools.
    allocation_strategy: AllocationStrategy, default "price-capacity-optimized", example "capacity-optimized";

    /// When interruptions make the runner leave spot capacity for a while.
    breaker: Breaker, without "never", example "{interruptions: 3, within: 30m, on_demand_for: 2h}";

    /// The root volume: its size, or a mapping with more detail.
    disk: ShortOrLong<Size, Disk>, without "the image's own", example "{size: 200GiB, type: gp3, iops: 6000, throughput: 500}";

    /// The root volume's size: the short form of `disk`.
    disk_size: Size, without "the image's own", example "200GiB";

    /// How long the runner waits for a job.
    idle_timeout: TimeSpan, without "the stack's deadline", example "2m";

    /// How long the runner may live. The stack's deadline is the upper bound.
    max_lifetime: TimeSpan, without "the stack's deadline", example "1h";

    /// A bash script of at most 8 KiB that the instance runs as root before its runner starts. It has as long
    /// as the stack gives an instance to boot. If it fails or takes longer, the instance ends and the job gets
    /// another one, up to five; then the job fails with the last lines of the script's output.
    startup_script: Script, without "nothing", example "apt-get install --yes ffmpeg";

    /// A bash script of at most 8 KiB that the instance runs when EC2 interrupts it during a job.
    on_interruption: Script, without "nothing", example "aws s3 cp model.pt s3://my-bucket/";

    /// What happens on a rebalance recommendation: EC2's signal that an instance is at an elevated risk of
    /// interruption.
    rebalance: Rebalance, default "mark", example "drain-if-idle";

    /// Which jobs are run again after an interruption.
    rerun: RerunWhat, default "interrupted", example "failed";

    /// The most re-runs of a run, up to GitHub's limit of 50.
    max_reruns: u32, default "2", example "3";

    /// Which re-runs get on-demand capacity.
    rerun_on_demand: RerunOnDemand, default "last", example "always";

    /// Environment variables of the startup script and the jobs. No place for secrets: everyone with read
    /// access to the repository sees them.
    env: Pairs, without "none", example "{HF_HOME: /mnt/models}";

    /// Tags of the instance and its volume, besides dayfly's own.
    tags: Pairs, without "none", example "{team: speech}";

    /// The subnets that the instance may be in. The stack policy must list them.
    subnets: OneOrMore<SubnetId>, without "the stack's own", example "[subnet-0123456789abcdef0]";

    /// The instance's security groups, all of the subnets' VPC. The stack policy must list them, and so must the
    /// stack's parameter `JobSecurityGroupArns`.
    security_groups: OneOrMore<SecurityGroupId>, without "the stack's own", example "[sg-0123456789abcdef0]";

    /// The instance profile, by name or ARN. The stack policy must list it, and the stack's parameter
    /// `JobRoleArns` must list its role, which needs the policy in the stack's output `CheckInPolicyArn`: the
    /// instance checks in with it. The startup script can use the role; jobs cannot, because they do not reach
    /// the instance metadata.
    instance_profile: Profile, without "the stack's own", example "gpu-runner";
}

keys! {
    /// The newest image with a name, of the machine's architecture.
    Image

    /// The name, in which `*` stands for any number of characters and `?` for one.
    name: ImagePattern, required, example "\"my-image-*\"";

    /// The owner: an AWS account's number, `amazon`, `aws-marketplace`, or `self` for the stack's own account.
    /// It is required because anybody can publish an image under any name.
    owner: ImageOwner, required, example "amazon";
}

keys! {
    /// A root volume.
    Disk

    /// The size.
    size: Size, without "the image's own", example "200GiB";

    /// The type.
    r#type: VolumeType, without "`gp3`", example "gp3";

    /// The operations per second: for `gp3`, and required for `io1` and `io2`.
    iops: u32, without "the type's own", example "6000";

    /// The throughput in MiB per second: for `gp3`.
    throughput: u32, without "the type's own", example "500";
}

keys! {
    /// When interruptions make a runner leave spot capacity for a while.
    Breaker

    /// How many interruptions open the breaker.
    interruptions: u32, required, example "3";

    /// The time that they are counted over, up to an hour.
    within: TimeSpan, required, example "30m";

    /// How long the next jobs get on-demand capacity, up to six hours.
    on_demand_for: TimeSpan, required, example "2h";
}
