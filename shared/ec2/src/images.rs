//! Images, by id or by name.

use aws_sdk_ec2::types::Image as SdkImage;
use dayfly_config::ImageName;
use dayfly_config::machines::Arch;
use dayfly_ports::{FleetError, FleetErrorKind, Image};
use dayfly_types::ids::ImageId;

use crate::{Ec2Fleet, call_error, filter, fleet_error};

impl Ec2Fleet {
    pub(crate) async fn image_of(&self, id: &ImageId) -> Result<Image, FleetError> {
        let answer = self
            .client
            .describe_images()
            .image_ids(id.as_str())
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        let found = answer.images().first().ok_or_else(|| {
            not_usable(format!(
                "image `{id}` does not exist in this region, or this account may not see it"
            ))
        })?;
        usable(id, found)
    }

    pub(crate) async fn newest_of(&self, name: &ImageName, arch: Arch) -> Result<Image, FleetError> {
        let answer = self
            .client
            .describe_images()
            .owners(&name.owner)
            .filters(filter("name", [name.name.as_str()]))
            .filters(filter("architecture", [arch.as_str()]))
            .filters(filter("state", ["available"]))
            .filters(filter("root-device-type", ["ebs"]))
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        // EC2's dates sort as text; the id breaks ties.
        let newest = answer
            .images()
            .iter()
            .max_by_key(|image| (image.creation_date(), image.image_id()));
        let found = newest.and_then(|image| Some((ImageId::new(image.image_id()?), image)));
        let (id, image) = found.ok_or_else(|| {
            not_usable(format!(
                "no EBS-backed image for {arch} named `{}` in this region belongs to `{}`",
                name.name, name.owner
            ))
        })?;
        usable(&id, image)
    }
}

fn usable(id: &ImageId, image: &SdkImage) -> Result<Image, FleetError> {
    let root_device = image
        .root_device_name()
        .ok_or_else(|| not_usable(format!("image `{id}` has no root device: choose an EBS-backed image")))?;
    Ok(Image {
        image: id.clone(),
        gib: image
            .block_device_mappings()
            .iter()
            .find(|mapping| mapping.device_name() == Some(root_device))
            .and_then(|mapping| mapping.ebs()?.volume_size())
            .and_then(|gib| u32::try_from(gib).ok()),
        root_device: root_device.to_owned(),
    })
}

fn not_usable(message: String) -> FleetError {
    fleet_error(FleetErrorKind::BadRequest, "InvalidAMIID.NotFound", message)
}
