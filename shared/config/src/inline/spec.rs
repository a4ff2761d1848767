//! The runner for an inline label.

use std::sync::LazyLock;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;

use super::{InlineImage, InlineSpec, Spot};
use crate::config::Config;
use crate::images::{ImageAlias, MachineImage};
use crate::labels::Label;
use crate::machines::{Arch, GpuModel, NoMatch, Table};
use crate::spec::RunnerSpec;
use crate::yaml::ConfigError;

/// Why no runner can be made for a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InlineSpecError {
    #[error(transparent)]
    NoMachine(#[from] NoMatch),
    /// The default image does not fit.
    #[error(
        "no image that dayfly knows by name has a driver for {0}: make one that has, and name it with `image=ami-…`"
    )]
    NoDriver(GpuModel),
    /// The built-in configuration cannot be read, which a test rules out.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A test rules this out.
    #[error("no runner is built in")]
    NoBuiltInRunner,
}

/// The built-in runner, read once.
static BUILT_IN: LazyLock<Result<RunnerSpec, InlineSpecError>> = LazyLock::new(|| {
    let mut runners = Config::built_in()?.runners.into_iter();
    runners.next().ok_or(InlineSpecError::NoBuiltInRunner)
});

impl InlineSpec {
    /// Returns the runner for a label. What the label does not set is the built-in runner's.
    ///
    /// `price` returns the current price of a machine type per hour, if it is known. The region is not part of
    /// the runner: the caller has to compare it with the stack's.
    ///
    /// # Errors
    /// If there is no such machine, or no image for it.
    pub fn spec(
        &self,
        label: &Label,
        table: &Table,
        price: &dyn Fn(&InstanceType) -> Option<MicroDollars>,
    ) -> Result<RunnerSpec, InlineSpecError> {
        let instance_types = self.instance_types(table, price)?;
        let built_in = BUILT_IN.clone()?;
        let (spot, fallback) = self.spot.unwrap_or(Spot::Only).as_configured();
        Ok(RunnerSpec {
            name: self.kind(),
            labels: vec![label.clone()],
            image: self.image(&instance_types, table)?,
            instance_types,
            spot,
            fallback,
            max_price: self.price,
            disk_gib: self.disk_gib.or(built_in.disk_gib),
            ..built_in
        })
    }

    fn instance_types(
        &self,
        table: &Table,
        price: &dyn Fn(&InstanceType) -> Option<MicroDollars>,
    ) -> Result<Vec<InstanceType>, NoMatch> {
        if !self.types.is_empty() {
            return Ok(self.types.clone());
        }
        let machines = table.launch_candidates(&self.requirements, price)?;
        Ok(machines.into_iter().map(|machine| machine.name.clone()).collect())
    }

    /// Returns the named image, or the default one for the machine.
    fn image(&self, types: &[InstanceType], table: &Table) -> Result<MachineImage, InlineSpecError> {
        // All have one architecture.
        let arch = types.first().map_or(Arch::X86_64, |name| table.arch(name));
        match &self.image {
            Some(InlineImage::Ami(id)) => Ok(MachineImage::Ami(id.clone())),
            Some(InlineImage::Alias(alias)) => Ok(alias.image(arch)),
            None => ImageAlias::for_types(types, table)
                .map(|alias| alias.image(arch))
                .map_err(InlineSpecError::NoDriver),
        }
    }
}
