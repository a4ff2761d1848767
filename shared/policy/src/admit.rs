//! Admits a launch, narrowed to what the policy allows.

use dayfly_config::RunnerSpec;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceType, Repository, SecurityGroupId, SubnetId};
use dayfly_types::money::MicroDollars;

use crate::Policy;

/// A refusal by a rule, with its reason for the job's author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy rule `{rule}` of the stack: {reason}")]
pub struct Refused {
    /// The rule's key.
    pub rule: String,
    /// Why, and what to do.
    pub reason: String,
}

impl Refused {
    pub fn new(rule: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            reason: reason.into(),
        }
    }

    /// Returns the refusal of a job whose origin GitHub does not tell: what is unknown is not trusted.
    #[must_use]
    pub fn unverified(why: &str, needed: &str) -> Self {
        Self::new(
            "forks",
            format!("it is not known whether the job may run: {why}. It takes {needed}"),
        )
    }
}

/// A repository that wants to launch in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchRequest<'a> {
    pub repository: &'a Repository,
    pub region: &'a str,
}

/// What the table of machine types knows of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    pub vcpus: u32,
    /// The on-demand price per hour, if it is known.
    pub price: Option<MicroDollars>,
}

/// What the policy admits of what a repository's configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The runner, narrowed: fewer instance types, a lower price, a shorter life.
    pub spec: RunnerSpec,
    /// The instance types that were refused.
    pub excluded: Vec<(InstanceType, Refused)>,
}

impl Policy {
    /// Returns what may be launched for an entry of a repository's configuration. `machine` looks up an instance
    /// type. An unknown one cannot be compared with a price or a number of vCPUs, so such a rule refuses it.
    ///
    /// # Errors
    /// The first refusal, if nothing is left.
    pub fn admit(
        &self,
        request: LaunchRequest<'_>,
        spec: &RunnerSpec,
        lifecycle: InstanceLifecycle,
        machine: impl Fn(&InstanceType) -> Option<Machine>,
    ) -> Result<Admitted, Refused> {
        self.admit_repository(request.repository)?;
        self.admit_region(request.region)?;
        self.admit_account_resources(spec)?;
        let mut spec = self.narrow(spec);
        let mut excluded = Vec::new();
        for name in std::mem::take(&mut spec.instance_types) {
            match self.admit_instance_type(&name, lifecycle, machine(&name)) {
                Ok(()) => spec.instance_types.push(name),
                Err(refused) => excluded.push((name, refused)),
            }
        }
        match excluded.first() {
            Some((_, refused)) if spec.instance_types.is_empty() => Err(refused.clone()),
            _ => Ok(Admitted { spec, excluded }),
        }
    }

    /// # Errors
    /// The rule that refuses the repository.
    pub fn admit_repository(&self, repository: &Repository) -> Result<(), Refused> {
        let owner = repository.owner();
        let full_name = repository.to_string();
        for (rule, name, allowed) in [
            ("organizations", owner, &self.organizations),
            ("repositories", full_name.as_str(), &self.repositories),
        ] {
            if !allowed.has(name) {
                let reason = format!("`{name}` is none of {allowed}. The owner of the AWS account can add it");
                return Err(Refused::new(rule, reason));
            }
        }
        Ok(())
    }

    /// # Errors
    /// The rule that refuses the region.
    pub fn admit_region(&self, region: &str) -> Result<(), Refused> {
        if self.regions.has(region) {
            return Ok(());
        }
        let reason = format!("`{region}` is none of {}: name one of these", self.regions);
        Err(Refused::new("regions", reason))
    }

    /// Admits the subnets, security groups and instance profile that an entry names in place of the stack's own.
    /// They let it reach, and be, what others in the account cannot, so the policy must list them.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn admit_account_resources(&self, spec: &RunnerSpec) -> Result<(), Refused> {
        let subnets = spec.subnets.iter().map(SubnetId::as_str);
        let groups = spec.security_groups.iter().map(SecurityGroupId::as_str);
        let profile = spec.instance_profile.as_deref().into_iter();
        for (rule, key, allowed, name) in subnets
            .map(|name| ("subnets", "subnets", &self.subnets, name))
            .chain(groups.map(|name| ("security_groups", "security_groups", &self.security_groups, name)))
            .chain(profile.map(|name| ("instance_profiles", "instance_profile", &self.instance_profiles, name)))
        {
            // An ARN ends with the profile's name, which is unique in the account.
            let last = name.rsplit('/').next().unwrap_or(name);
            if !allowed.has(name) && !allowed.has(last) {
                let reason = format!(
                    "`{name}` is none of {allowed}: leave `{key}` out to use the stack's own. The owner of the AWS account can add it"
                );
                return Err(Refused::new(rule, reason));
            }
        }
        Ok(())
    }

    /// Admits an instance type. The price of spot capacity is bounded by the price given to EC2, which
    /// [`Policy::narrow`] lowers.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn admit_instance_type(
        &self,
        name: &InstanceType,
        lifecycle: InstanceLifecycle,
        machine: Option<Machine>,
    ) -> Result<(), Refused> {
        if !self.instance_types.has(name.as_str()) {
            let reason = format!("`{name}` is none of {}: name one of these", self.instance_types);
            return Err(Refused::new("instance_types", reason));
        }
        if let (Some(most), InstanceLifecycle::OnDemand) = (self.max_price, lifecycle) {
            let price = machine.and_then(|machine| machine.price);
            if price.is_none_or(|price| price > most) {
                let costs = price.map_or("is not in the table of prices".to_owned(), |price| {
                    format!("costs {price}/h on demand")
                });
                return Err(Refused::new(
                    "max_price",
                    format!("`{name}` {costs}, and {most}/h is the most: name a cheaper instance type, or use spot"),
                ));
            }
        }
        for (scope, limit) in self.limits.named() {
            let Some(most) = limit.vcpus else { continue };
            let vcpus = machine.map(|machine| machine.vcpus);
            if vcpus.is_none_or(|vcpus| vcpus > most) {
                let has = vcpus.map_or("is not in the table of instance types".to_owned(), |vcpus| {
                    format!("has {vcpus} vCPUs")
                });
                return Err(Refused::new(
                    format!("limits.{scope}.vcpus"),
                    format!(
                        "`{name}` {has}, and {most} at once are the most: it could never be launched. Name a smaller instance type"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Narrows a runner to the policy's price and lifetime.
    #[must_use]
    pub fn narrow(&self, spec: &RunnerSpec) -> RunnerSpec {
        RunnerSpec {
            max_price: tighter(spec.max_price, self.max_price),
            max_lifetime: tighter(spec.max_lifetime, self.max_lifetime),
            ..spec.clone()
        }
    }
}

/// Returns the tighter of two limits.
fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
