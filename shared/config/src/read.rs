//! From the file as it is written to what it means.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use dayfly_types::ids::InstanceType;

use super::finding::Findings;
use super::keys::{self, File};
use super::node::{At, OneOrMore, Pairs, Read as _};
use super::spec::{Breaker, ImageName, MachineImage, RerunPolicy, RunnerSpec, Volume};
use super::words::{Name, ShortOrLong, wrong_tag, wrong_variable};
use super::yaml::{Node, Span, shown};
use super::{Actors, Config, Context, MAX_RERUNS, Passed, units, volume};
use crate::labels::Label;
use crate::machines::{Arch, Table, Wants};

/// GitHub lets a run be run again this often.
///
/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>
const MOST_RERUNS: u32 = 50;

/// Interruptions are remembered for so long.
const LONGEST_WITHIN: Duration = Duration::from_hours(1);

/// A breaker stays open for so long at most.
const LONGEST_ON_DEMAND: Duration = Duration::from_hours(6);

/// EC2 gives an instance 50 tags; the others are ours.
const MOST_TAGS: usize = 40;

/// What all variables of a runner may come to: they are part of its record, and of the answer to its claim.
const MAX_ENV_BYTES: usize = 4 * 1024;

/// Reads a `.dayfly.yml`. Nothing if there is an error.
pub(super) fn config(root: &Rc<Node>, context: Context<'_>, findings: &mut Findings<'_>) -> Option<Config> {
    let file = File::read(root, findings)?;
    let mut config = Config {
        extends: file.extends.map(|at| at.value),
        ..Config::default()
    };
    config.said.messenger = file.messenger.map(|at| at.value);
    config.said.cancel_run = file.cancel_run_when_unlaunchable.map(|at| at.value);
    config.said.report = file.report.map(|at| at.value);
    config.said.comment = file.comment.map(|at| at.value);
    config.said.comment_above = file.comment_above.map(|at| at.value.0);
    config.settle();
    config.actors = Actors::of(file.actors.map(names), file.teams.map(names));
    match file.runners {
        Some(runners) => {
            let mut names = HashMap::new();
            for (index, runner) in runners.value.0.into_iter().enumerate() {
                let place = runner.value.name.as_ref().map_or(runner.span, |name| name.span);
                let name = runner.value.name.as_ref().map(|name| name.value.0.clone());
                let path = format!("runners[{index}]");
                let read = findings.within(path, |findings| {
                    is_the_only_one(name, place, &mut names, findings);
                    spec(runner.value, findings)
                });
                config.take(read, place, context, findings);
            }
        }
        None if config.extends.is_none() && findings.errors() == 0 => {
            let hint = "say at least one runner, or the file that this one `extends`";
            findings.error(file.span, "the key `runners` is missing", Some(hint.to_owned()));
        }
        None => {}
    }
    (findings.errors() == 0).then_some(config)
}

/// Several names without their places.
pub(super) fn names(said: At<OneOrMore<Name>>) -> Vec<String> {
    said.value.values().into_iter().map(|name| name.0).collect()
}

impl Config {
    /// Takes a runner, unless it is meant for another region.
    pub(super) fn take(
        &mut self,
        spec: Option<RunnerSpec>,
        place: Span,
        context: Context<'_>,
        findings: &mut Findings<'_>,
    ) {
        let Some(spec) = spec else { return };
        let Some(why) = context.region.and_then(|region| spec.elsewhere(region)) else {
            self.runners.push(spec);
            return;
        };
        findings.warning(
            place,
            why.clone(),
            Some("the next runner with its labels is tried".to_owned()),
        );
        self.passed.push(Passed {
            name: spec.name,
            labels: spec.labels,
            why,
        });
    }
}

fn is_the_only_one(name: Option<String>, place: Span, names: &mut HashMap<String, Span>, findings: &mut Findings<'_>) {
    let Some(name) = name else { return };
    if let Some(first) = names.get(&name) {
        let message = format!("a runner is called `{}` already, on line {}", shown(&name), first.line);
        findings.within("name", |findings| {
            findings.error(place, message, Some("give each a name of its own".to_owned()));
        });
    } else {
        names.insert(name, place);
    }
}

/// What a runner means. Nothing if what it must have is missing or cannot be read, which was found.
fn spec(runner: keys::Runner, findings: &mut Findings<'_>) -> Option<RunnerSpec> {
    let (types, wants) = machine(&runner, findings);
    let image = image(&runner, &types, findings);
    let (disk_gib, volume) = disk(runner.disk, runner.disk_size, findings);
    let rerun = RerunPolicy {
        what: value(runner.rerun).unwrap_or_default(),
        max: reruns(runner.max_reruns.as_ref(), findings),
        on_demand: value(runner.rerun_on_demand).unwrap_or_default(),
    };
    let breaker = runner.breaker.and_then(|breaker| breaker_of(breaker, findings));
    let env = env(runner.env, findings);
    let tags = tags(runner.tags, findings);
    if let Some(labels) = &runner.labels {
        look_at(&labels.value.0, findings);
    }
    if let (Some(fallback), Some(At { value: false, .. })) = (&runner.fallback, &runner.spot)
        && fallback.value != super::Fallback::None
    {
        let message = "`fallback` does nothing where `spot` is `false`";
        findings.within("fallback", |findings| findings.warning(fallback.span, message, None));
    }
    Some(RunnerSpec {
        name: runner.name?.value.0,
        labels: runner.labels?.value.values(),
        instance_types: types,
        wants,
        image: image?,
        spot: value(runner.spot).unwrap_or(true),
        fallback: value(runner.fallback).unwrap_or_default(),
        max_price: value(runner.max_price).map(|price| price.0),
        allocation_strategy: value(runner.allocation_strategy).unwrap_or_default(),
        breaker,
        on_interruption: value(runner.on_interruption).map(|script| script.0),
        rebalance: value(runner.rebalance).unwrap_or_default(),
        rerun,
        disk_gib,
        volume,
        idle_timeout: value(runner.idle_timeout).map(|span| span.0),
        max_lifetime: value(runner.max_lifetime).map(|span| span.0),
        startup_script: value(runner.startup_script).map(|script| script.0),
        env,
        tags,
        region: value(runner.region),
        subnets: value(runner.subnets).map_or_else(Vec::new, OneOrMore::values),
        security_groups: value(runner.security_groups).map_or_else(Vec::new, OneOrMore::values),
        instance_profile: value(runner.instance_profile).map(|profile| profile.0),
    })
}

/// The image of a runner: for its machines already, if they are known.
fn image(runner: &keys::Runner, types: &[InstanceType], findings: &mut Findings<'_>) -> Option<MachineImage> {
    let (image, span) = match &runner.machine_image {
        // One that cannot be read was found already.
        None if runner.says("machine_image") => return None,
        None => (MachineImage::Fitting, runner.span),
        Some(At { value, span }) => (named(value)?, *span),
    };
    if types.is_empty() {
        return Some(image);
    }
    let table = match Table::embedded() {
        Ok(table) => table,
        Err(error) => {
            findings.error(span, error.to_string(), None);
            return None;
        }
    };
    match image.on_types(types, table) {
        Ok(image) => Some(image),
        Err(error) => {
            findings.within("machine_image", |findings| {
                findings.error(span, error.to_string(), None);
            });
            None
        }
    }
}

fn named(said: &ShortOrLong<MachineImage, keys::Image>) -> Option<MachineImage> {
    match said {
        ShortOrLong::Short(image) => Some(image.clone()),
        ShortOrLong::Long(image) => Some(MachineImage::Newest {
            name: ImageName {
                name: image.name.as_ref()?.value.0.clone(),
                owner: image.owner.as_ref()?.value.0.clone(),
            },
            arch: None,
        }),
    }
}

fn value<T>(at: Option<At<T>>) -> Option<T> {
    at.map(|at| at.value)
}

/// Finds types of two architectures: no image boots on both.
fn look_at_architecture(runner: &keys::Runner, types: &[InstanceType], findings: &mut Findings<'_>) {
    let (Some(first), Some(said)) = (types.first(), &runner.instance_type) else {
        return;
    };
    let arch = Arch::of(first);
    if let Some((other, at)) = types
        .iter()
        .zip(&said.value.0)
        .find(|(other, _)| Arch::of(other) != arch)
    {
        let message = format!(
            "`{other}` is {}, and `{first}` is {arch}: no image boots on both",
            Arch::of(other)
        );
        let hint = "make a runner of each with the same labels".to_owned();
        findings.within("instance_type", |findings| findings.error(at.span, message, Some(hint)));
    }
}

/// The machine that a runner names, or what it wants of one.
fn machine(runner: &keys::Runner, findings: &mut Findings<'_>) -> (Vec<InstanceType>, Option<Wants>) {
    let asked = |want: &Option<At<super::words::Want>>| want.as_ref().map(|at| (at.value.0.clone(), at.span));
    let wanted = [
        ("gpu", runner.gpu.as_ref().map(|at| (at.value.0.clone(), at.span))),
        ("vram", asked(&runner.vram)),
        ("gpus", asked(&runner.gpus)),
        ("cc", asked(&runner.cc)),
        ("cpu", asked(&runner.cpu)),
        ("mem", asked(&runner.mem)),
        ("nvme", asked(&runner.nvme)),
        ("arch", asked(&runner.arch)),
    ];
    let mut wants = Wants::default();
    let mut first = None;
    for (key, (text, span)) in wanted.into_iter().filter_map(|(key, said)| Some((key, said?))) {
        first.get_or_insert((key, span));
        if let Err(error) = wants.set(key, &text) {
            let message = format!("`{key}` is `{}`, expected {}", shown(&text), error.allowed());
            let hint = error.nearest().map(|nearest| format!("did you mean `{nearest}`?"));
            findings.within(key, |findings| findings.error(span, message, hint));
        }
    }
    let types = runner.instance_type.as_ref().map(|types| types.value.clone().values());
    match (types, first) {
        (Some(types), None) => {
            look_at_architecture(runner, &types, findings);
            (types, None)
        }
        (Some(types), Some((key, span))) => {
            let message = format!("`{key}` stands beside `instance_type`, which says already which machine it is");
            let hint = "leave one of the two".to_owned();
            findings.within(key, |findings| findings.error(span, message, Some(hint)));
            (types, None)
        }
        (None, Some(_)) => (Vec::new(), Some(wants)),
        (None, None) => {
            // A type that cannot be read was found already.
            if !runner.says("instance_type") && !Wants::KEYS.iter().any(|key| runner.says(key)) {
                let hint = "name instance types, `instance_type: g5.xlarge`, or what it wants, `gpu: a10g`";
                let message = "nothing says which machine it is";
                findings.within("instance_type", |findings| {
                    findings.error(runner.span, message, Some(hint.to_owned()));
                });
            }
            (Vec::new(), None)
        }
    }
}

fn disk(
    disk: Option<At<ShortOrLong<units::Size, keys::Disk>>>,
    short: Option<At<units::Size>>,
    findings: &mut Findings<'_>,
) -> (Option<u32>, Volume) {
    if let (Some(_), Some(short)) = (&disk, &short) {
        let message = "`disk_size` stands beside `disk`, which says the size too";
        findings.within("disk_size", |findings| {
            findings.error(short.span, message, Some("leave one of the two".to_owned()));
        });
    }
    match disk.map(|disk| disk.value) {
        Some(ShortOrLong::Short(size)) => (Some(size.0), Volume::default()),
        Some(ShortOrLong::Long(disk)) => {
            let asked = volume::Asked {
                kind: disk.r#type,
                size: disk.size,
                iops: disk.iops,
                throughput: disk.throughput,
                keys: ["size", "iops", "throughput"],
            };
            findings.within("disk", |findings| asked.checked(findings))
        }
        None => (value(short).map(|size| size.0), Volume::default()),
    }
}

fn reruns(said: Option<&At<u32>>, findings: &mut Findings<'_>) -> u32 {
    let Some(&At { value, span }) = said else {
        return MAX_RERUNS;
    };
    if value > MOST_RERUNS {
        let message = format!("`max_reruns` is `{value}`, expected 0 to {MOST_RERUNS}, as GitHub allows no more");
        findings.within("max_reruns", |findings| findings.error(span, message, None));
    }
    value
}

fn breaker_of(said: At<keys::Breaker>, findings: &mut Findings<'_>) -> Option<Breaker> {
    let At { value: said, .. } = said;
    let breaker = Breaker {
        interruptions: said.interruptions.as_ref()?.value,
        within: said.within.as_ref()?.value.0,
        on_demand_for: said.on_demand_for.as_ref()?.value.0,
    };
    let places = [
        (
            breaker.interruptions == 0,
            "interruptions",
            said.interruptions?.span,
            "at least 1",
        ),
        (
            breaker.within > LONGEST_WITHIN,
            "within",
            said.within?.span,
            "at most 1h",
        ),
        (
            breaker.on_demand_for > LONGEST_ON_DEMAND,
            "on_demand_for",
            said.on_demand_for?.span,
            "at most 6h",
        ),
    ];
    findings.within("breaker", |findings| {
        for (_, key, span, expected) in places.into_iter().filter(|(wrong, ..)| *wrong) {
            let message = format!("`{key}` is out of bounds, expected {expected}");
            findings.within(key, |findings| findings.error(span, message, None));
        }
    });
    Some(breaker)
}

pub(super) fn env(said: Option<At<Pairs>>, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let Some(At { value, span }) = said else {
        return BTreeMap::new();
    };
    let bytes: usize = value
        .0
        .iter()
        .map(|(name, text)| name.value.len() + text.value.len() + 2)
        .sum();
    findings.within("env", |findings| {
        if bytes > MAX_ENV_BYTES {
            let message = format!("the variables come to {bytes} bytes, and at most {MAX_ENV_BYTES} are taken");
            findings.error(span, message, Some("set what is long in the workflow".to_owned()));
        }
        for (name, text) in &value.0 {
            let wrong = wrong_variable(&name.value);
            let wrong = wrong.or_else(|| {
                (text.value.contains(['\n', '\0'])).then(|| {
                    format!(
                        "`{}` has more than one line, which no variable of a runner may have",
                        name.value
                    )
                })
            });
            if let Some(message) = wrong {
                findings.within(shown(&name.value), |findings| findings.error(name.span, message, None));
            }
        }
    });
    pairs(value)
}

fn tags(said: Option<At<Pairs>>, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let Some(At { value, span }) = said else {
        return BTreeMap::new();
    };
    findings.within("tags", |findings| {
        if value.0.len() > MOST_TAGS {
            let message = format!("there are {} tags, and at most {MOST_TAGS} are taken", value.0.len());
            findings.error(span, message, None);
        }
        for (key, text) in &value.0 {
            if let Some(message) = wrong_tag(&key.value, &text.value) {
                findings.within(shown(&key.value), |findings| findings.error(key.span, message, None));
            }
        }
    });
    pairs(value)
}

fn pairs(said: Pairs) -> BTreeMap<String, String> {
    said.0.into_iter().map(|(key, text)| (key.value, text.value)).collect()
}

/// Finds labels with which no job, or another than is thought, gets a runner.
pub(super) fn look_at(labels: &[At<Label>], findings: &mut Findings<'_>) {
    findings.within("labels", |findings| {
        for At { value: label, span } in labels {
            let text = label.as_str();
            let hosted = ["ubuntu-", "windows-", "macos-"];
            if text.to_ascii_lowercase().starts_with("dayfly/") {
                let message = format!(
                    "`{}` begins as a label does that says itself what it wants",
                    shown(text)
                );
                let hint = "such a label needs no file: take it out, or call it `dayfly-…`";
                findings.error(*span, message, Some(hint.to_owned()));
            } else if label.kind() != text {
                let message = format!("what follows `--` in `{}` is left aside", shown(text));
                let hint = format!(
                    "write `{}`: a job may still put `--` and anything behind it",
                    label.kind()
                );
                findings.warning(*span, message, Some(hint));
            } else if hosted.iter().any(|prefix| text.starts_with(prefix)) {
                let message = format!("`{text}` is a label of GitHub's own runners, which take its jobs too");
                findings.warning(*span, message, Some("choose a label of your own".to_owned()));
            }
        }
        let plain: Vec<Label> = labels.iter().map(|at| at.value.clone()).collect();
        if let Some(first) = labels.first()
            && !crate::labels::must_be_ours(&plain)
        {
            let message = "none of these labels begins with `dayfly` or `cirun-`";
            let hint = "jobs get this runner only with `self-hosted` among their labels";
            findings.warning(first.span, message, Some(hint.to_owned()));
        }
    });
}
