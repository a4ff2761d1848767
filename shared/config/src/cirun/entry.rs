//! An entry: what it asks of AWS, attempt by attempt.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use dayfly_types::ids::{InstanceType, Region};

use super::ignored;
use crate::finding::Findings;
use crate::labels::Label;
use crate::machines::{Arch, Wants};
use crate::node::{At, Fields, List, OneOrMore, Pairs, Read, Word, wrong_kind};
use crate::read::{env, look_at};
use crate::spec::{AllocationStrategy, Fallback, MachineImage, Rebalance, RerunPolicy, Volume};
use crate::units::{Size, Span as Lasting};
use crate::volume;
use crate::words::Name;
use crate::yaml::{Node, Span, Value, shown};
use crate::{Context, RunnerSpec};

/// What may stand in an entry.
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

/// Those that mean nothing here, and what to do instead.
const IGNORED: [(&str, &str); 8] = [
    (
        "idle",
        "each job gets a machine of its own: none waits, and none is paid for, while there is no job",
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

/// The lists that belong together.
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

/// The region that Cirun takes if none is said.
const CIRUN_REGION: &str = "eu-west-1";

/// More attempts than anybody writes; each is a call.
const MOST_ATTEMPTS: usize = 32;

/// A number of minutes below this one may be meant as seconds, and the other way round.
const AMBIGUOUS_BELOW: u64 = 60;

/// An entry.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) labels: Vec<Label>,
    /// What is launched, or why it cannot be, in their order.
    pub(super) attempts: Vec<Result<RunnerSpec, String>>,
}

/// Reads an entry. Nothing if no job can ask for it.
pub(super) fn read(node: &Node, index: usize, findings: &mut Findings<'_>) -> Option<Entry> {
    let fields = Fields::of(node, &KEYS, findings)?;
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
    look_at(&labels.0, findings);
    let labels = labels.values();
    let attempts = match elsewhere(&fields, &name, findings) {
        Some(why) => vec![Err(why)],
        None => attempts(&fields, &labels, findings),
    };
    Some(Entry { name, labels, attempts })
}

/// Why an entry is for another cloud, if it is.
fn elsewhere(fields: &Fields<'_>, name: &str, findings: &mut Findings<'_>) -> Option<String> {
    let Some(cloud) = fields.node("cloud") else {
        let message = format!("`{name}` does not say its `cloud`, so AWS is meant");
        findings.within("cloud", |findings| findings.warning(fields.span, message, None));
        return None;
    };
    let Some(scalar) = cloud.scalar() else {
        findings.within("cloud", |findings| wrong_kind(cloud, "`aws`", findings));
        return Some(findings.last().to_owned());
    };
    let said = scalar.text.trim().to_ascii_lowercase();
    if said == "aws" {
        return None;
    }
    let why = format!(
        "`{name}` is for the cloud `{}`, and dayfly launches on AWS only",
        shown(&scalar.text)
    );
    findings.within("cloud", |findings| {
        if OTHER_CLOUDS.contains(&said.as_str()) {
            let next = "the next entry with its labels is tried";
            findings.warning(cloud.span, why.clone(), Some(next.to_owned()));
        } else {
            findings.error(cloud.span, why.clone(), Some("did you mean `aws`?".to_owned()));
        }
    });
    Some(why)
}

/// What all attempts of an entry have alike.
struct Alike {
    disk_gib: Option<u32>,
    volume: Volume,
    idle_timeout: Option<Duration>,
    env: BTreeMap<String, String>,
}

fn attempts(fields: &Fields<'_>, labels: &[Label], findings: &mut Findings<'_>) -> Vec<Result<RunnerSpec, String>> {
    ignored(fields, &IGNORED, findings);
    let Ok(alike) = alike(fields, findings) else {
        return vec![Err(findings.last().to_owned())];
    };
    let fallback_chain = FallbackChain::of(fields, findings);
    if let Err(why) = &fallback_chain {
        return vec![Err(why.clone())];
    }
    let Ok(fallback_chain) = fallback_chain else {
        return Vec::new();
    };
    (0..fallback_chain.attempts)
        .map(|number| {
            let attempt = fallback_chain.attempt(number, labels, &alike, findings);
            attempt.ok_or_else(|| findings.last().to_owned())
        })
        .collect()
}

/// An error was found.
struct Found;

fn alike(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Result<Alike, Found> {
    let before = findings.errors();
    let mapped = fields.take::<ExtraConfig>("extra_config", false, findings);
    let short = fields.take::<Size>("disk_size", false, findings);
    let (mut disk_gib, mut volume) = (None, Volume::default());
    if let Some(asked) = mapped.and_then(|extra| extra.value.0) {
        (disk_gib, volume) = findings.within("extra_config.BlockDeviceMappings[0]", |findings| {
            asked.checked(findings)
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
    (findings.errors() == before).then_some(()).ok_or(Found)?;
    Ok(Alike {
        disk_gib,
        volume,
        idle_timeout,
        env,
    })
}

/// How long a runner waits for a job. A bare number is in seconds in one place of Cirun's docs, and in
/// minutes in another.
fn idle_timeout(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Duration> {
    let node = fields.node("idle_timeout")?;
    let bare = node.scalar().and_then(|scalar| scalar.text.trim().parse::<u64>().ok());
    let Some(minutes) = bare.filter(|number| (1..AMBIGUOUS_BELOW).contains(number)) else {
        let read = fields.take::<Lasting>("idle_timeout", false, findings)?;
        return Some(read.value.0);
    };
    findings.within("idle_timeout", |findings| {
        let message = format!("`idle_timeout` is `{minutes}` without a unit, which is taken as minutes");
        let hint = format!("write `{minutes}m`, or `{minutes}s` if seconds are meant");
        findings.warning(node.span, message, Some(hint));
    });
    Some(Duration::from_secs(minutes * 60))
}

/// The lists of an entry, which belong together value by value.
struct FallbackChain<'n> {
    fields: &'n Fields<'n>,
    lists: Vec<(&'static str, Vec<&'n Rc<Node>>)>,
    attempts: usize,
}

impl<'n> FallbackChain<'n> {
    fn of(fields: &'n Fields<'n>, findings: &mut Findings<'_>) -> Result<Self, String> {
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
        let attempts = lists.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
        let wrong = lists.iter().find_map(|(key, values)| match values.len() {
            0 => Some((*key, format!("`{key}` is empty, expected at least one"))),
            many if many > MOST_ATTEMPTS => Some((
                *key,
                format!("`{key}` has {many} values, and at most {MOST_ATTEMPTS} are tried"),
            )),
            _ => None,
        });
        if let Some((key, message)) = wrong {
            let place = fields.place(key).unwrap_or(fields.span);
            findings.within(key, |findings| findings.error(place, message.clone(), None));
            return Err(message);
        }
        for (key, values) in lists.iter().filter(|(_, values)| (2..attempts).contains(&values.len())) {
            let place = fields.place(key).unwrap_or(fields.span);
            let message = format!(
                "`{key}` has {} values where another list has {attempts}: its last one holds for the rest",
                values.len()
            );
            findings.within(*key, |findings| {
                findings.warning(
                    place,
                    message,
                    Some("write as many in each list, or one alone".to_owned()),
                );
            });
        }
        Ok(Self {
            fields,
            lists,
            attempts,
        })
    }

    /// Reads the value of a list that an attempt has. Nothing within if the key is not there.
    fn value<T: Read>(&self, key: &str, number: usize, findings: &mut Findings<'_>) -> Result<Option<At<T>>, Found> {
        let Some((_, values)) = self.lists.iter().find(|(name, _)| *name == key) else {
            return Ok(None);
        };
        let index = number.min(values.len().saturating_sub(1));
        let Some(node) = values.get(index) else { return Ok(None) };
        let read = findings.within(key, |findings| match values.len() {
            1 => At::read(node, findings),
            _ => findings.within(format!("[{index}]"), |findings| At::read(node, findings)),
        });
        read.map(Some).ok_or(Found)
    }

    /// What an attempt launches. Nothing if it cannot be launched; what was found last says why.
    fn attempt(
        &self,
        number: usize,
        labels: &[Label],
        alike: &Alike,
        findings: &mut Findings<'_>,
    ) -> Option<RunnerSpec> {
        let instance_type = self.value::<InstanceType>("instance_type", number, findings).ok();
        let image = self.value::<MachineImage>("machine_image", number, findings).ok();
        let region = self.value::<Region>("region", number, findings).ok();
        let preemptible = self.value::<Preemptible>("preemptible", number, findings).ok();
        let (instance_type, image, region, preemptible) = (instance_type?, image?, region?, preemptible?);
        let wants = match &instance_type {
            Some(_) => {
                ignored(
                    self.fields,
                    &[("gpu", "the instance type says already which GPU it has")],
                    findings,
                );
                None
            }
            None => Some(self.wants(findings)?),
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
            image: instance_type
                .as_ref()
                .map_or(image.value.clone(), |first| image.value.on(Arch::of(&first.value))),
            instance_types: instance_type.into_iter().map(|at| at.value).collect(),
            wants,
            spot: preemptible.is_some_and(|at| at.value.0),
            fallback: Fallback::default(),
            max_price: None,
            allocation_strategy: AllocationStrategy::default(),
            breaker: None,
            on_interruption: None,
            rebalance: Rebalance::default(),
            rerun: RerunPolicy::default(),
            disk_gib: alike.disk_gib,
            volume: alike.volume,
            idle_timeout: alike.idle_timeout,
            max_lifetime: None,
            startup_script: None,
            env: alike.env.clone(),
            tags: BTreeMap::new(),
            region: region.map(|at| at.value),
            subnets: Vec::new(),
            security_groups: Vec::new(),
            instance_profile: None,
        })
    }

    /// What an entry without an instance type wants of its machine.
    fn wants(&self, findings: &mut Findings<'_>) -> Option<Wants> {
        let Some(node) = self.fields.node("gpu") else {
            let message = "the key `instance_type` is missing";
            findings.within("instance_type", |findings| {
                findings.error(self.fields.span, message, None);
            });
            return None;
        };
        findings.within("gpu", |findings| {
            let mut wants = Wants::default();
            let text = node.scalar().map_or("", |scalar| scalar.text.as_str());
            // As GCP writes it.
            let model = text.strip_prefix("nvidia-tesla-").unwrap_or(text);
            if let Err(error) = wants.set("gpu", model) {
                let message = format!("`gpu` is `{}`, expected {}", shown(text), error.allowed());
                let hint = error.nearest().map(|nearest| format!("did you mean `{nearest}`?"));
                findings.error(node.span, message, hint);
                return None;
            }
            Some(wants)
        })
    }
}

/// A truth value as YAML 1.1 has them, which Cirun reads.
struct Preemptible(bool);

impl Word for Preemptible {
    fn expected() -> String {
        "`true` or `false`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(Self(true)),
            "false" | "no" | "off" => Some(Self(false)),
            _ => None,
        }
    }
}

/// `extra_config`: on AWS, the root volume.
struct ExtraConfig(Option<volume::Asked>);

impl Read for ExtraConfig {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &["BlockDeviceMappings"], findings)?;
        let mappings: Option<At<List<Mapping>>> = fields.take("BlockDeviceMappings", false, findings);
        let Some(mappings) = mappings else {
            return Some(Self(None));
        };
        let mut mappings = mappings.value.0.into_iter();
        let first = mappings.next().map(|first| first.value.0);
        if let Some(second) = mappings.next() {
            let message = "only the first volume is taken: it is the root volume";
            findings.within("BlockDeviceMappings", |findings| {
                findings.warning(second.span, message, None);
            });
        }
        Some(Self(first))
    }
}

/// A volume: its keys lie flat, other than in EC2's own API.
struct Mapping(volume::Asked);

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
        let fields = Fields::of(node, &known, findings)?;
        ignored(
            &fields,
            &[(
                "VolumeInitializationRate",
                "the volume is filled as its blocks are read",
            )],
            findings,
        );
        Some(Self(volume::Asked {
            kind: fields.take("VolumeType", false, findings),
            size: fields.take("VolumeSize", false, findings),
            iops: fields.take("Iops", false, findings),
            throughput: fields.take("Throughput", false, findings),
            keys: ["VolumeSize", "Iops", "Throughput"],
        }))
    }
}

/// Warns where an entry without a region gets another than with Cirun.
pub(super) fn look_at_region(place: Span, context: Context<'_>, findings: &mut Findings<'_>) {
    let Some(region) = context.region.filter(|region| region.as_str() != CIRUN_REGION) else {
        return;
    };
    let message = format!("no `region` is said: Cirun takes {CIRUN_REGION}, and this stack launches in {region}");
    let hint = "an AMI is known in its own region only".to_owned();
    findings.within("region", |findings| findings.warning(place, message, Some(hint)));
}
