//! The file as it is written, checked and turned into what it means.

use std::time::Duration;

use serde::Deserialize;

use super::{
    AllocationStrategy, Breaker, Config, ConfigError, Fallback, GivingUp, MAX_RERUNS, MachineImage, Rebalance,
    RerunOnDemand, RerunPolicy, RerunWhat, RunnerSpec, units,
};
use crate::ids::{ImageId, InstanceType};
use crate::labels::Label;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    runners: Vec<RawRunner>,
    #[serde(default = "yes")]
    messenger: bool,
    #[serde(default)]
    cancel_run_when_unlaunchable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRunner {
    name: String,
    labels: Vec<String>,
    instance_type: OneOrMore,
    machine_image: String,
    #[serde(default = "yes")]
    spot: bool,
    #[serde(default)]
    fallback: Fallback,
    #[serde(default)]
    max_price: Option<units::HourlyPrice>,
    #[serde(default)]
    allocation_strategy: AllocationStrategy,
    #[serde(default)]
    breaker: Option<RawBreaker>,
    #[serde(default)]
    on_interruption: Option<String>,
    #[serde(default)]
    rebalance: Rebalance,
    #[serde(default)]
    rerun: RerunWhat,
    #[serde(default = "max_reruns")]
    max_reruns: u32,
    #[serde(default)]
    rerun_on_demand: RerunOnDemand,
    #[serde(default)]
    disk_size: Option<units::Size>,
    #[serde(default)]
    idle_timeout: Option<units::Span>,
    #[serde(default)]
    max_lifetime: Option<units::Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBreaker {
    interruptions: u32,
    within: units::Span,
    on_demand_for: units::Span,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn yes() -> bool {
    true
}

fn max_reruns() -> u32 {
    MAX_RERUNS
}

/// Reads a file's text.
pub(super) fn config(text: &str) -> Result<Config, ConfigError> {
    let raw: RawConfig = serde_saphyr::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
    let runners = raw
        .runners
        .into_iter()
        .map(RawRunner::checked)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Config {
        runners,
        giving_up: GivingUp {
            messenger: raw.messenger,
            cancel_run: raw.cancel_run_when_unlaunchable,
        },
    })
}

/// GitHub lets a run be run again this often.
///
/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>
const MOST_RERUNS: u32 = 50;

/// Interruptions are remembered for so long.
const LONGEST_WITHIN: Duration = Duration::from_hours(1);

/// A breaker stays open for so long at most.
const LONGEST_ON_DEMAND: Duration = Duration::from_hours(6);

/// What a hook may hold: it travels to the instance in the answer to its claim.
const MAX_HOOK_BYTES: usize = 8 * 1024;

impl RawRunner {
    fn checked(self) -> Result<RunnerSpec, ConfigError> {
        let bad = |key: &str, what: &str| Err(ConfigError(format!("runner `{}`: `{key}` {what}", self.name)));
        let types = match self.instance_type {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        };
        if self.labels.is_empty() {
            return bad(
                "labels",
                "is empty: name at least one label that a job's `runs-on` can ask for",
            );
        }
        if types.is_empty() {
            return bad(
                "instance_type",
                "is empty: name at least one EC2 instance type, `g5.xlarge` say",
            );
        }
        if let Some(odd) = types.iter().find(|one| !is_instance_type(one)) {
            return bad(
                "instance_type",
                &format!("has `{odd}`, which is no EC2 instance type: expected one like `g5.xlarge`"),
            );
        }
        let Some(image) = machine_image(&self.machine_image) else {
            return bad(
                "machine_image",
                &format!(
                    "is `{}`: expected an AMI id, `ami-…`, or an SSM parameter, `ssm:/path`",
                    self.machine_image
                ),
            );
        };
        if self.max_reruns > MOST_RERUNS {
            return bad(
                "max_reruns",
                &format!("is {}: GitHub allows {MOST_RERUNS}", self.max_reruns),
            );
        }
        if let Some(breaker) = &self.breaker
            && (breaker.interruptions == 0
                || breaker.within.0 > LONGEST_WITHIN
                || breaker.on_demand_for.0 > LONGEST_ON_DEMAND)
        {
            return bad(
                "breaker",
                "is out of bounds: expected at least 1 of `interruptions`, `within` up to 1h and `on_demand_for` up to 6h",
            );
        }
        if self
            .on_interruption
            .as_ref()
            .is_some_and(|hook| hook.len() > MAX_HOOK_BYTES)
        {
            return bad(
                "on_interruption",
                &format!(
                    "has more than {MAX_HOOK_BYTES} bytes: keep the script in the repository or the image, and call it here"
                ),
            );
        }
        Ok(RunnerSpec {
            labels: self.labels.into_iter().map(Label::new).collect(),
            instance_types: types.into_iter().map(InstanceType::new).collect(),
            image,
            spot: self.spot,
            fallback: self.fallback,
            max_price: self.max_price.map(|price| price.0),
            allocation_strategy: self.allocation_strategy,
            breaker: self.breaker.map(|breaker| Breaker {
                interruptions: breaker.interruptions,
                within: breaker.within.0,
                on_demand_for: breaker.on_demand_for.0,
            }),
            on_interruption: self.on_interruption,
            rebalance: self.rebalance,
            rerun: RerunPolicy {
                what: self.rerun,
                max: self.max_reruns,
                on_demand: self.rerun_on_demand,
            },
            disk_gib: self.disk_size.map(|size| size.0),
            idle_timeout: self.idle_timeout.map(|span| span.0),
            max_lifetime: self.max_lifetime.map(|span| span.0),
            name: self.name,
        })
    }
}

fn is_instance_type(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.split_once('.')
        .is_some_and(|(family, size)| plain(family) && plain(size))
}

fn machine_image(text: &str) -> Option<MachineImage> {
    if let Some(path) = text.strip_prefix("ssm:") {
        let plain = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
        return plain.then(|| MachineImage::Parameter(path.to_owned()));
    }
    let digits = text.strip_prefix("ami-")?;
    (matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| MachineImage::Ami(ImageId::new(text)))
}
