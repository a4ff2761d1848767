//! The runner that an inline label stands for.

use std::sync::LazyLock;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;

use super::{Asked, AskedImage, Label, Spot};
use crate::images::ImageAlias;
use crate::machines::{Arch, GpuModel, NoMatch, Table};
use crate::{Config, ConfigError, MachineImage, RunnerSpec};

/// Why what a label asks for cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotServe {
    /// No machine is so.
    #[error(transparent)]
    NoMachine(#[from] NoMatch),
    /// The image that comes without being named does not fit.
    #[error(
        "no image that dayfly knows by name has a driver for {0}: make one that has, and name it with `image=ami-…`"
    )]
    NoDriver(GpuModel),
    /// What is built in cannot be read, which a test rules out.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No runner is built in, which a test rules out.
    #[error("no runner is built in")]
    NothingBuiltIn,
}

/// The runner that is built in, read once.
static BUILT_IN: LazyLock<Result<RunnerSpec, CannotServe>> = LazyLock::new(|| {
    let mut runners = Config::built_in()?.runners.into_iter();
    runners.next().ok_or(CannotServe::NothingBuiltIn)
});

impl Asked {
    /// The runner that the label stands for, with what the label leaves open as the built-in one has it.
    ///
    /// `price` is what an hour of a machine type costs now, where that is known. The region is not part
    /// of it: whoever launches must compare it with its own.
    ///
    /// # Errors
    /// If there is no such machine, or no image for it.
    pub fn spec(
        &self,
        label: &Label,
        table: &Table,
        price: &dyn Fn(&InstanceType) -> Option<MicroDollars>,
    ) -> Result<RunnerSpec, CannotServe> {
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
        let machines = table.to_launch(&self.wants, price)?;
        Ok(machines.into_iter().map(|machine| machine.name.clone()).collect())
    }

    /// The image: the one that is named, or else one that has a driver for the GPU if there is any.
    fn image(&self, types: &[InstanceType], table: &Table) -> Result<MachineImage, CannotServe> {
        // All are of one architecture.
        let arch = types.first().map_or(Arch::X86_64, |name| table.arch(name));
        match &self.image {
            Some(AskedImage::Ami(id)) => return Ok(MachineImage::Ami(id.clone())),
            Some(AskedImage::Alias(alias)) => return Ok(alias.image(arch)),
            None => {}
        }
        let gpus = types.iter().filter_map(|name| table.get(name)?.gpu.as_ref());
        let gpus: Vec<_> = gpus.map(|gpu| &gpu.model).collect();
        let image = ImageAlias::default_for(gpus.first().copied());
        match gpus.into_iter().find(|gpu| !image.drives(gpu)) {
            Some(gpu) => Err(CannotServe::NoDriver(gpu.clone())),
            None => Ok(image.image(arch)),
        }
    }
}
