//! The images that configurations name, resolved to AMIs and cached for an hour.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use dayfly_config::MachineImage;
use dayfly_config::machines::Arch;
use dayfly_flows::Blocked;
use dayfly_ports::{Fleet, FleetError, FleetErrorKind, Image, ParameterError, Parameters};
use dayfly_types::ids::ImageId;
use dayfly_types::time::Timestamp;
use secrecy::ExposeSecret as _;

use crate::LaunchPorts;

/// Where the template lets the stack read parameters that hold an image.
const IMAGE_PARAMETERS: &str = "/dayfly/images/";

/// How long an image is used before it is looked up again.
const FRESH: Duration = Duration::from_secs(3600);

/// Images by the name in the configuration and the architecture.
#[derive(Debug, Default)]
pub struct ImageCache {
    known: RefCell<HashMap<(String, Arch), (Image, Timestamp)>>,
}

impl ImageCache {
    pub(crate) async fn find<P: LaunchPorts>(
        &self,
        ports: &P,
        wanted: &MachineImage,
        now: Timestamp,
    ) -> Result<Image, Blocked> {
        let name = wanted.written();
        let arch = match wanted {
            MachineImage::Newest { arch: Some(arch), .. } => *arch,
            // The machine's architecture is part of every plan; this is the usual one.
            _ => Arch::X86_64,
        };
        if let Some((image, at)) = self.known.borrow().get(&(name.clone(), arch))
            && now.since(*at) < FRESH
        {
            return Ok(image.clone());
        }
        let (parameters, fleet) = (ports.parameters(), ports.fleet());
        let image = match wanted {
            MachineImage::Ami(image) => look_up(fleet, image, &name).await?,
            MachineImage::Parameter(path) => look_up(fleet, &resolve(parameters, path).await?, &name).await?,
            MachineImage::Alias(alias) => {
                let id = resolve(parameters, &alias.parameter(arch)).await?;
                look_up(fleet, &id, &name).await?
            }
            MachineImage::Newest { name: asked, .. } => {
                let found = fleet.newest_image(asked, arch).await;
                found.map_err(|error| not_found(&error, &format!("an image `{name}` for {arch}"), &name))?
            }
            // A plan whose machine is known has chosen one already.
            MachineImage::Default => {
                return Err(Blocked::Denied(
                    "it is not known which image fits the machine: name a `machine_image`".to_owned(),
                ));
            }
        };
        self.known.borrow_mut().insert((name, arch), (image.clone(), now));
        Ok(image)
    }
}

async fn look_up<F: Fleet>(fleet: &F, id: &ImageId, name: &str) -> Result<Image, Blocked> {
    let found = fleet.image(id).await;
    found.map_err(|error| not_found(&error, &format!("the image {id}"), name))
}

fn not_found(error: &FleetError, what: &str, name: &str) -> Blocked {
    match error.kind {
        FleetErrorKind::BadRequest => Blocked::Denied(format!(
            "{what} (`machine_image: {name}`) cannot be used in this account and region; EC2 says {error}"
        )),
        _ => Blocked::Unavailable(format!("{what} could not be looked up; EC2 says {error}"), None),
    }
}

async fn resolve<P: Parameters>(parameters: &P, path: &str) -> Result<ImageId, Blocked> {
    let value = parameters.read(path).await.map_err(|error| match error {
        ParameterError::Missing(_) => Blocked::Denied(format!(
            "`machine_image: ssm:{path}`: there is no such SSM parameter in this region"
        )),
        ParameterError::Forbidden { .. } => Blocked::Denied(format!(
            "`machine_image: ssm:{path}`: the stack reads SSM parameters below `{IMAGE_PARAMETERS}` and AWS's own below `/aws/service/` only: put the AMI's id into one of them"
        )),
        ParameterError::Unavailable { .. } => Blocked::unavailable(error),
    })?;
    let value = value.expose_secret().trim();
    if !is_image_id(value) {
        return Err(Blocked::Denied(format!(
            "`machine_image: ssm:{path}`: the SSM parameter does not hold an AMI id, `ami-…`"
        )));
    }
    Ok(ImageId::new(value))
}

fn is_image_id(text: &str) -> bool {
    text.strip_prefix("ami-")
        .is_some_and(|digits| matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}
