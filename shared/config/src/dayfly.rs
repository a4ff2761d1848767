//! Reads `.dayfly.yml`.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use dayfly_types::ids::InstanceType;

use crate::actors::Actors;
use crate::checks::{check_labels, names};
use crate::config::{Config, Context};
use crate::env_and_tags::{env, tags};
use crate::images::{ImageName, MachineImage};
use crate::keys::{self, File};
use crate::machines::{Arch, Requirements, Table};
use crate::spec::{Breaker, Fallback, MAX_RERUNS, RerunPolicy, RunnerSpec, Volume};
use crate::values::{RequirementText, ShortOrLong};
use crate::volume::VolumeRequest;
use crate::yaml::units::Size;
use crate::yaml::{At, Findings, Node, OneOrMore, Read as _, Span, excerpt};

/// How often GitHub lets a run be re-run.
///
/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>
const RERUN_LIMIT: u32 = 50;

/// How long interruptions are remembered.
const LONGEST_WITHIN: Duration = Duration::from_hours(1);

/// How long a breaker may stay open.
const LONGEST_ON_DEMAND: Duration = Duration::from_hours(6);

/// Reads a file, or returns `None` if it has an error.
pub(crate) fn config(root: &Rc<Node>, context: Context<'_>, findings: &mut Findings<'_>) -> Option<Config> {
    let file = File::read(root, findings)?;
    let mut config = Config {
        extends: file.extends.map(|at| at.value),
        ..Config::default()
    };
    config.given.messenger = file.messenger.map(|at| at.value);
    config.given.cancel_run = file.cancel_run_when_unlaunchable.map(|at| at.value);
    config.given.report = file.report.map(|at| at.value);
    config.given.comment = file.comment.map(|at| at.value);
    config.given.comment_above = file.comment_above.map(|at| at.value.0);
    config.apply_defaults();
    config.actors = Actors::of(file.actors.map(names), file.teams.map(names));
    match file.runners {
        Some(runners) => {
            let mut names = HashMap::new();
            for (index, runner) in runners.value.0.into_iter().enumerate() {
                let span = runner.value.name.as_ref().map_or(runner.span, |name| name.span);
                let name = runner.value.name.as_ref().map(|name| name.value.0.clone());
                let path = format!("runners[{index}]");
                let spec = findings.within(path, |findings| {
                    check_unique(name, span, &mut names, findings);
                    spec(runner.value, findings)
                });
                if let Some(spec) = spec {
                    config.add_runner(spec, span, context, findings);
                }
            }
        }
        None if config.extends.is_none() && findings.error_count() == 0 => {
            let hint = "add a runner, or name the repository whose file this one `extends`";
            findings.error(file.span, "the key `runners` is missing", Some(hint.to_owned()));
        }
        None => {}
    }
    (findings.error_count() == 0).then_some(config)
}

fn check_unique(name: Option<String>, span: Span, names: &mut HashMap<String, Span>, findings: &mut Findings<'_>) {
    let Some(name) = name else { return };
    if let Some(first) = names.get(&name) {
        let message = format!("another runner is called `{}`, on line {}", excerpt(&name), first.line);
        findings.within("name", |findings| {
            findings.error(span, message, Some("give each a name of its own".to_owned()));
        });
    } else {
        names.insert(name, span);
    }
}

/// Returns what a runner means, or `None` if a required key is missing or unreadable, which was reported.
fn spec(runner: keys::Runner, findings: &mut Findings<'_>) -> Option<RunnerSpec> {
    let (types, requirements) = machine(&runner, findings);
    let image = image(&runner, &types, findings);
    let (disk_gib, volume) = disk(runner.disk, runner.disk_size, findings);
    let rerun = RerunPolicy {
        what: value(runner.rerun).unwrap_or_default(),
        max: reruns(runner.max_reruns.as_ref(), findings),
        on_demand: value(runner.rerun_on_demand).unwrap_or_default(),
    };
    let breaker = runner.breaker.and_then(|given| breaker(given, findings));
    let env = env(runner.env, findings);
    let tags = tags(runner.tags, findings);
    if let Some(labels) = &runner.labels {
        check_labels(&labels.value.0, findings);
    }
    if let (Some(fallback), Some(At { value: false, .. })) = (&runner.fallback, &runner.spot)
        && fallback.value != Fallback::None
    {
        let message = "`fallback` does nothing where `spot` is `false`";
        findings.within("fallback", |findings| findings.warning(fallback.span, message, None));
    }
    Some(RunnerSpec {
        name: runner.name?.value.0,
        labels: runner.labels?.value.values(),
        instance_types: types,
        requirements,
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

/// Returns the image of a runner: the one for its machines, if they are known.
fn image(runner: &keys::Runner, types: &[InstanceType], findings: &mut Findings<'_>) -> Option<MachineImage> {
    let (image, span) = match &runner.machine_image {
        // An unreadable one was reported.
        None if runner.has("machine_image") => return None,
        None => (MachineImage::Default, runner.span),
        Some(At { value, span }) => (named_image(value)?, *span),
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
    match image.for_types(types, table) {
        Ok(image) => Some(image),
        Err(error) => {
            findings.within("machine_image", |findings| {
                findings.error(span, error.to_string(), None);
            });
            None
        }
    }
}

fn named_image(given: &ShortOrLong<MachineImage, keys::Image>) -> Option<MachineImage> {
    match given {
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

/// Reports types of two architectures: no image boots on both.
fn check_architecture(runner: &keys::Runner, types: &[InstanceType], findings: &mut Findings<'_>) {
    let (Some(first), Some(given)) = (types.first(), &runner.instance_type) else {
        return;
    };
    let arch = Arch::of(first);
    if let Some((other, at)) = types
        .iter()
        .zip(&given.value.0)
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

/// Returns the machines that a runner names, or its requirements.
fn machine(runner: &keys::Runner, findings: &mut Findings<'_>) -> (Vec<InstanceType>, Option<Requirements>) {
    let given = |at: &Option<At<RequirementText>>| at.as_ref().map(|at| (at.value.0.clone(), at.span));
    let given = [
        ("gpu", runner.gpu.as_ref().map(|at| (at.value.0.clone(), at.span))),
        ("vram", given(&runner.vram)),
        ("gpus", given(&runner.gpus)),
        ("cc", given(&runner.cc)),
        ("cpu", given(&runner.cpu)),
        ("mem", given(&runner.mem)),
        ("nvme", given(&runner.nvme)),
        ("arch", given(&runner.arch)),
    ];
    let mut requirements = Requirements::default();
    let mut first = None;
    for (key, (text, span)) in given.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        first.get_or_insert((key, span));
        if let Err(error) = requirements.set(key, &text) {
            let message = format!("`{key}` is `{}`, expected {}", excerpt(&text), error.allowed());
            let hint = error.nearest().map(|nearest| format!("did you mean `{nearest}`?"));
            findings.within(key, |findings| findings.error(span, message, hint));
        }
    }
    let types = runner.instance_type.as_ref().map(|types| types.value.clone().values());
    match (types, first) {
        (Some(types), None) => {
            check_architecture(runner, &types, findings);
            (types, None)
        }
        (Some(types), Some((key, span))) => {
            let message = format!("`{key}` is set beside `instance_type`, which names the machine already");
            let hint = "remove one of the two".to_owned();
            findings.within(key, |findings| findings.error(span, message, Some(hint)));
            (types, None)
        }
        (None, Some(_)) => (Vec::new(), Some(requirements)),
        (None, None) => {
            // An unreadable one was reported.
            if !runner.has("instance_type") && !Requirements::KEYS.iter().any(|key| runner.has(key)) {
                let hint = "name instance types, `instance_type: g5.xlarge`, or requirements, `gpu: a10g`";
                let message = "no key says which machine it is";
                findings.within("instance_type", |findings| {
                    findings.error(runner.span, message, Some(hint.to_owned()));
                });
            }
            (Vec::new(), None)
        }
    }
}

fn disk(
    disk: Option<At<ShortOrLong<Size, keys::Disk>>>,
    short: Option<At<Size>>,
    findings: &mut Findings<'_>,
) -> (Option<u32>, Volume) {
    if let (Some(_), Some(short)) = (&disk, &short) {
        let message = "`disk_size` is set beside `disk`, which has the size too";
        findings.within("disk_size", |findings| {
            findings.error(short.span, message, Some("remove one of the two".to_owned()));
        });
    }
    match disk.map(|disk| disk.value) {
        Some(ShortOrLong::Short(size)) => (Some(size.0), Volume::default()),
        Some(ShortOrLong::Long(disk)) => {
            let request = VolumeRequest {
                kind: disk.r#type,
                size: disk.size,
                iops: disk.iops,
                throughput: disk.throughput,
                keys: ["size", "iops", "throughput"],
            };
            findings.within("disk", |findings| request.check(findings))
        }
        None => (value(short).map(|size| size.0), Volume::default()),
    }
}

fn reruns(given: Option<&At<u32>>, findings: &mut Findings<'_>) -> u32 {
    let Some(&At { value, span }) = given else {
        return MAX_RERUNS;
    };
    if value > RERUN_LIMIT {
        let message = format!("`max_reruns` is `{value}`, expected 0 to {RERUN_LIMIT}, as GitHub allows no more");
        findings.within("max_reruns", |findings| findings.error(span, message, None));
    }
    value
}

fn breaker(given: At<keys::Breaker>, findings: &mut Findings<'_>) -> Option<Breaker> {
    let given = given.value;
    let breaker = Breaker {
        interruptions: given.interruptions.as_ref()?.value,
        within: given.within.as_ref()?.value.0,
        on_demand_for: given.on_demand_for.as_ref()?.value.0,
    };
    let bounds = [
        (
            breaker.interruptions == 0,
            "interruptions",
            given.interruptions?.span,
            "at least 1",
        ),
        (
            breaker.within > LONGEST_WITHIN,
            "within",
            given.within?.span,
            "at most 1h",
        ),
        (
            breaker.on_demand_for > LONGEST_ON_DEMAND,
            "on_demand_for",
            given.on_demand_for?.span,
            "at most 6h",
        ),
    ];
    findings.within("breaker", |findings| {
        for (_, key, span, expected) in bounds.into_iter().filter(|(wrong, ..)| *wrong) {
            let message = format!("`{key}` is out of bounds, expected {expected}");
            findings.within(key, |findings| findings.error(span, message, None));
        }
    });
    Some(breaker)
}
