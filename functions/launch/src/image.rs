//! Images: SSM paths resolved, root devices looked up, both kept for a while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use dayfly_core::config::MachineImage;
use dayfly_core::ids::ImageId;
use dayfly_core::machines::Arch;
use dayfly_core::time::Timestamp;
use dayfly_ports::{Fleet, FleetErrorKind, Image, ParameterError, Parameters};
use secrecy::ExposeSecret as _;

use crate::NoPlan;

/// How long an image that was looked up is used without looking again.
const FRESH: Duration = Duration::from_secs(3600);

/// Images by what the configuration calls them.
#[derive(Debug, Default)]
pub struct ImageCache {
    known: RefCell<HashMap<String, (Image, Timestamp)>>,
}

impl ImageCache {
    /// Finds an image.
    pub(crate) async fn find<P: Parameters, F: Fleet>(
        &self,
        parameters: &P,
        fleet: &F,
        wanted: &MachineImage,
        now: Timestamp,
    ) -> Result<Image, NoPlan> {
        let name = match wanted {
            MachineImage::Ami(image) => image.as_str().to_owned(),
            MachineImage::Parameter(path) => format!("ssm:{path}"),
            MachineImage::Alias(alias) => alias.to_string(),
        };
        if let Some((image, at)) = self.known.borrow().get(&name)
            && now.since(*at) < FRESH
        {
            return Ok(image.clone());
        }
        let id = match wanted {
            MachineImage::Ami(image) => image.clone(),
            MachineImage::Parameter(path) => resolve(parameters, path).await?,
            // Whoever knows the machine has said its architecture; this is the usual one.
            MachineImage::Alias(alias) => resolve(parameters, &alias.parameter(Arch::X86_64)).await?,
        };
        let image = fleet.image(&id).await.map_err(|error| match error.kind {
            FleetErrorKind::BadRequest => NoPlan::Refused(format!(
                "the image {id} (`machine_image: {name}`) cannot be used in this account and region; EC2 says {error}"
            )),
            _ => NoPlan::Unavailable(format!("the image {id} could not be looked up; EC2 says {error}"), None),
        })?;
        self.known.borrow_mut().insert(name, (image.clone(), now));
        Ok(image)
    }
}

async fn resolve<P: Parameters>(parameters: &P, path: &str) -> Result<ImageId, NoPlan> {
    let value = parameters.read(path).await.map_err(|error| match error {
        ParameterError::Missing(_) => NoPlan::Refused(format!(
            "`machine_image: ssm:{path}`: there is no such SSM parameter in this region"
        )),
        ParameterError::Unavailable { .. } => NoPlan::Unavailable(error.to_string(), None),
    })?;
    Ok(ImageId::new(value.expose_secret()))
}
