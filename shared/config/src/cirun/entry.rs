//! Reads an entry of a `.cirun.yml` as a chain of launch options.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use dayfly_types::ids::{InstanceType, Region};

use crate::checks::{check_labels, warn_ignored};
use crate::config::Context;
use crate::env_and_tags::env;
use crate::images::MachineImage;
use crate::labels::Label;
use crate::machines::{Arch, Requirements};
use crate::spec::{AllocationStrategy, Fallback, Rebalance, RerunPolicy, RunnerSpec, Volume};
use crate::values::Name;
use crate::volume::VolumeRequest;
use crate::yaml::units::{Size, TimeSpan};
use crate::yaml::{
    At, Fields, Findings, List, Node, OneOrMore, Pairs, Read, ScalarValue, Span, Value, excerpt, report_wrong_kind,
};

const KEYS: [&str; 20] = [
    "name",
    "cloud",
    "instance_type",
    "machine_image",
    "region",
    "preemptible",
    "gpu",
    "labels",
    "idle",
    "extra_config",
    "workflow",
    "count",
    "vpc",
    "disk_size",
    "idle_timeout",
    "timeout",
    "setup",
    "project",
    "zone",
    "env",
];

/// Keys that dayfly ignores, each with what to do instead.
const IGNORED: [(&str, &str); 8] = [
    (
        "idle",
        "each job gets a machine of its own: none waits, and none costs, while there is no job",
    ),
    ("workflow", "jobs choose their runner by its labels"),
    ("count", "each job gets a machine of its own"),
    ("vpc", "the stack has its own; `subnets` in `.dayfly.yml` names others"),
    (
        "timeout",
        "`max_lifetime` in `.dayfly.yml` bounds how long a machine lives",
    ),
    (
        "setup",
        "`startup_script` in `.dayfly.yml` runs before the runner starts",
    ),
    ("project", "AWS has none"),
    (
        "zone",
        "every zone of the region is tried; `subnets` in `.dayfly.yml` names some",
    ),
];

/// The keys whose lists belong together.
const LISTS: [&str; 4] = ["instance_type", "machine_image", "region", "preemptible"];

/// The clouds that Cirun knows besides AWS.
const OTHER_CLOUDS: [&str; 8] = [
    "gcp",
    "azure",
    "do",
    "openstack",
    "oracle",
    "vast_ai",
    "on_prem",
    "lambda",
];

/// Cirun's default region.
const CIRUN_REGION: &str = "eu-west-1";

/// The most launch options of an entry: more than anybody writes, and each is a call.
const MAX_OPTIONS: usize = 32;

/// A number below this may mean minutes or seconds.
const AMBIGUOUS_BELOW: u64 = 60;

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) labels: Vec<Label>,
    /// Each launch option in its order, or why it cannot be launched.
    pub(super) options: Vec<Result<RunnerSpec, String>>,
}

/// Reads an entry, or returns `None` if no job can ask for it.
pub(super) fn read(node: &Node, index: usize, findings: &mut Findings<'_>) -> Option<Entry> {
    let fields = Fields::read(node, &KEYS, findings)?;
    let name = match fields.take::<Name>("name", false, findings) {
        Some(name) => name.value.0,
        None => format!("runner {}", index + 1),
    };
    if !fields.has("labels") {
        let message = format!("`{name}` has no `labels`, so no job can ask for it");
        findings.within("labels", |findings| findings.warning(node.span, message, None));
        return None;
    }
    let labels: OneOrMore<Label> = fields.take("labels", true, findings)?.value;
    check_labels(&labels.0, findings);
    let labels = labels.values();
    let options = match other_cloud(&fields, &name, findings) {
        Some(reason) => vec![Err(reason)],
        None => launch_options(&fields, &labels, findings),
    };
    Some(Entry { name, labels, options })
}

/// Returns the reason if an entry is for another cloud.
fn other_cloud(fields: &Fields<'_>, name: &str, findings: &mut Findings<'_>) -> Option<String> {
    let Some(cloud) = fields.node("cloud") else {
        let message = format!("`{name}` has no `cloud`, so AWS is assumed");
        findings.within("cloud", |findings| findings.warning(fields.span, message, None));
        return None;
    };
    let Some(scalar) = cloud.as_scalar() else {
        findings.within("cloud", |findings| report_wrong_kind(cloud, "`aws`", findings));
        return Some(findings.last_message().to_owned());
    };
    let given = scalar.text.trim().to_ascii_lowercase();
    if given == "aws" {
        return None;
    }
    let reason = format!(
        "`{name}` is for the cloud `{}`, and dayfly launches on AWS only",
        excerpt(&scalar.text)
    );
    findings.within("cloud", |findings| {
        if OTHER_CLOUDS.contains(&given.as_str()) {
            let next = "the next entry with its labels is tried";
            findings.warning(cloud.span, reason.clone(), Some(next.to_owned()));
        } else {
            findings.error(cloud.span, reason.clone(), Some("did you mean `aws`?".to_owned()));
        }
    });
    Some(reason)
}

/// What all launch options of an entry have in common.
struct Common {
    disk_gib: Option<u32>,
    volume: Volume,
    idle_timeout: Option<Duration>,
    env: BTreeMap<String, String>,
}

fn launch_options(
    fields: &Fields<'_>,
    labels: &[Label],
    findings: &mut Findings<'_>,
) -> Vec<Result<RunnerSpec, String>> {
    warn_ignored(fields, &IGNORED, findings);
    let Ok(common) = common(fields, findings) else {
        return vec![Err(findings.last_message().to_owned())];
    };
    let chain = match FallbackChain::read(fields, findings) {
        Ok(chain) => chain,
        Err(reason) => return vec![Err(reason)],
    };
    (0..chain.len)
        .map(|number| {
            let option = chain.option(number, labels, &common, findings);
            option.ok_or_else(|| findings.last_message().to_owned())
        })
        .collect()
}

/// An error was reported.
struct Reported;

fn common(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Result<Common, Reported> {
    let before = findings.error_count();
    let extra = fields.take::<ExtraConfig>("extra_config", false, findings);
    let short = fields.take::<Size>("disk_size", false, findings);
    let (mut disk_gib, mut volume) = (None, Volume::default());
    if let Some(request) = extra.and_then(|extra| extra.value.0) {
        (disk_gib, volume) = findings.within("extra_config.BlockDeviceMappings[0]", |findings| {
            request.check(findings)
        });
    }
    if let Some(short) = short {
        if disk_gib.is_some() {
            let message = "`disk_size` is ignored beside the `VolumeSize` of `extra_config`";
            findings.within("disk_size", |findings| findings.warning(short.span, message, None));
        }
        disk_gib = disk_gib.or(Some(short.value.0));
    }
    let idle_timeout = idle_timeout(fields, findings);
    let env = env(fields.take::<Pairs>("env", false, findings), findings);
    (findings.error_count() == before).then_some(()).ok_or(Reported)?;
    Ok(Common {
        disk_gib,
        volume,
        idle_timeout,
        env,
    })
}

/// Reads how long a runner waits for a job. Cirun's docs have a bare number in seconds in one place, and in
/// minutes in another.
fn idle_timeout(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Duration> {
    let node = fields.node("idle_timeout")?;
    let bare = node
        .as_scalar()
        .and_then(|scalar| scalar.text.trim().parse::<u64>().ok());
    let Some(minutes) = bare.filter(|number| (1..AMBIGUOUS_BELOW).contains(number)) else {
        let read = fields.take::<TimeSpan>("idle_timeout", false, findings)?;
        return Some(read.value.0);
    };
    findings.within("idle_timeout", |findings| {
        let message = format!("`idle_timeout` is `{minutes}` without a unit, which is read as minutes");
        let hint = format!("write `{minutes}m`, or `{minutes}s` if seconds are meant");
        findings.warning(node.span, message, Some(hint));
    });
    Some(Duration::from_secs(minutes * 60))
}

/// The lists of an entry: their *i*-th values are the *i*-th launch option.
struct FallbackChain<'n> {
    fields: &'n Fields<'n>,
    lists: Vec<(&'static str, Vec<&'n Rc<Node>>)>,
    len: usize,
}

impl<'n> FallbackChain<'n> {
    fn read(fields: &'n Fields<'n>, findings: &mut Findings<'_>) -> Result<Self, String> {
        let lists: Vec<(&'static str, Vec<&Rc<Node>>)> = LISTS
            .into_iter()
            .filter_map(|key| {
                let node = fields.node(key)?;
                let values = match &node.value {
                    Value::List(items) => items.iter().collect(),
                    Value::Scalar(_) | Value::Map(_) => vec![node],
                };
                Some((key, values))
            })
            .collect();
        let len = lists.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
        let wrong = lists.iter().find_map(|(key, values)| match values.len() {
            0 => Some((*key, format!("`{key}` is empty, expected at least one"))),
            many if many > MAX_OPTIONS => Some((
                *key,
                format!("`{key}` has {many} values, and at most {MAX_OPTIONS} are tried"),
            )),
            _ => None,
        });
        if let Some((key, message)) = wrong {
            let span = fields.key_span(key).unwrap_or(fields.span);
            findings.within(key, |findings| findings.error(span, message.clone(), None));
            return Err(message);
        }
        for (key, values) in lists.iter().filter(|(_, values)| (2..len).contains(&values.len())) {
            let span = fields.key_span(key).unwrap_or(fields.span);
            let message = format!(
                "`{key}` has {} values where another list has {len}: its last one holds for the rest",
                values.len()
            );
            findings.within(*key, |findings| {
                findings.warning(
                    span,
                    message,
                    Some("write as many in each list, or a single value".to_owned()),
                );
            });
        }
        Ok(Self { fields, lists, len })
    }

    /// Reads the value of a list for a launch option, or returns `None` if the key is missing.
    fn value<T: Read>(&self, key: &str, number: usize, findings: &mut Findings<'_>) -> Result<Option<At<T>>, Reported> {
        let Some((_, values)) = self.lists.iter().find(|(name, _)| *name == key) else {
            return Ok(None);
        };
        let index = number.min(values.len().saturating_sub(1));
        let Some(node) = values.get(index) else { return Ok(None) };
        let read = findings.within(key, |findings| match values.len() {
            1 => At::read(node, findings),
            _ => findings.within(format!("[{index}]"), |findings| At::read(node, findings)),
        });
        read.map(Some).ok_or(Reported)
    }

    /// Returns what a launch option launches, or `None` after reporting why it cannot be launched.
    fn option(
        &self,
        number: usize,
        labels: &[Label],
        common: &Common,
        findings: &mut Findings<'_>,
    ) -> Option<RunnerSpec> {
        let instance_type = self.value::<InstanceType>("instance_type", number, findings).ok();
        let image = self.value::<MachineImage>("machine_image", number, findings).ok();
        let region = self.value::<Region>("region", number, findings).ok();
        let preemptible = self.value::<Preemptible>("preemptible", number, findings).ok();
        let (instance_type, image, region, preemptible) = (instance_type?, image?, region?, preemptible?);
        let requirements = match &instance_type {
            Some(_) => {
                warn_ignored(
                    self.fields,
                    &[("gpu", "the instance type decides which GPU it has")],
                    findings,
                );
                None
            }
            None => Some(self.requirements(findings)?),
        };
        let Some(image) = image else {
            let message = "the key `machine_image` is missing";
            findings.within("machine_image", |findings| {
                findings.error(self.fields.span, message, None);
            });
            return None;
        };
        Some(RunnerSpec {
            name: String::new(),
            labels: labels.to_vec(),
            image: instance_type.as_ref().map_or(image.value.clone(), |first| {
                image.value.for_arch(Arch::of(&first.value))
            }),
            instance_types: instance_type.into_iter().map(|at| at.value).collect(),
            requirements,
            spot: preemptible.is_some_and(|at| at.value.0),
            fallback: Fallback::default(),
            max_price: None,
            allocation_strategy: AllocationStrategy::default(),
            breaker: None,
            on_interruption: None,
            rebalance: Rebalance::default(),
            rerun: RerunPolicy::default(),
            disk_gib: common.disk_gib,
            volume: common.volume,
            idle_timeout: common.idle_timeout,
            max_lifetime: None,
            startup_script: None,
            env: common.env.clone(),
            tags: BTreeMap::new(),
            region: region.map(|at| at.value),
            subnets: Vec::new(),
            security_groups: Vec::new(),
            instance_profile: None,
        })
    }

    /// Returns the requirements of an entry without an instance type.
    fn requirements(&self, findings: &mut Findings<'_>) -> Option<Requirements> {
        let Some(node) = self.fields.node("gpu") else {
            let message = "the key `instance_type` is missing";
            findings.within("instance_type", |findings| {
                findings.error(self.fields.span, message, None);
            });
            return None;
        };
        findings.within("gpu", |findings| {
            let mut requirements = Requirements::default();
            let text = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
            // GCP's name for it.
            let model = text.strip_prefix("nvidia-tesla-").unwrap_or(text);
            if let Err(error) = requirements.set("gpu", model) {
                let message = format!("`gpu` is `{}`, expected {}", excerpt(text), error.allowed());
                let hint = error.nearest().map(|nearest| format!("did you mean `{nearest}`?"));
                findings.error(node.span, message, hint);
                return None;
            }
            Some(requirements)
        })
    }
}

/// A boolean of YAML 1.1, which Cirun reads.
struct Preemptible(bool);

impl ScalarValue for Preemptible {
    fn expected() -> String {
        "`true` or `false`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(Self(true)),
            "false" | "no" | "off" => Some(Self(false)),
            _ => None,
        }
    }
}

/// `extra_config`: on AWS, the root volume.
struct ExtraConfig(Option<VolumeRequest>);

impl Read for ExtraConfig {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::read(node, &["BlockDeviceMappings"], findings)?;
        let mappings: Option<At<List<Mapping>>> = fields.take("BlockDeviceMappings", false, findings);
        let Some(mappings) = mappings else {
            return Some(Self(None));
        };
        let mut mappings = mappings.value.0.into_iter();
        let first = mappings.next().map(|first| first.value.0);
        if let Some(second) = mappings.next() {
            let message = "only the first volume is used, as the root volume";
            findings.within("BlockDeviceMappings", |findings| {
                findings.warning(second.span, message, None);
            });
        }
        Some(Self(first))
    }
}

/// A volume: its keys are flat, unlike in EC2's own API.
struct Mapping(VolumeRequest);

impl Read for Mapping {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let known = [
            "DeviceName",
            "VolumeSize",
            "VolumeType",
            "Throughput",
            "Iops",
            "VolumeInitializationRate",
        ];
        let fields = Fields::read(node, &known, findings)?;
        warn_ignored(
            &fields,
            &[(
                "VolumeInitializationRate",
                "the volume is filled as its blocks are read",
            )],
            findings,
        );
        Some(Self(VolumeRequest {
            kind: fields.take("VolumeType", false, findings),
            size: fields.take("VolumeSize", false, findings),
            iops: fields.take("Iops", false, findings),
            throughput: fields.take("Throughput", false, findings),
            keys: ["VolumeSize", "Iops", "Throughput"],
        }))
    }
}

/// Warns if an entry without a region gets another one than with Cirun.
pub(super) fn warn_of_region(span: Span, context: Context<'_>, findings: &mut Findings<'_>) {
    let Some(region) = context.region.filter(|region| region.as_str() != CIRUN_REGION) else {
        return;
    };
    let message = format!("there is no `region`: Cirun launches in {CIRUN_REGION}, and this stack in {region}");
    let hint = "an AMI exists in one region only".to_owned();
    findings.within("region", |findings| findings.warning(span, message, Some(hint)));
}
