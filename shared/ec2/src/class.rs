//! EC2's errors, classed by what a caller does about them.
//!
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-errors-list.html>

use std::error::Error;
use std::fmt::Debug;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::CreateFleetError;
use dayfly_aws::failure;
use dayfly_ports::{FleetError, FleetErrorKind};

/// What a caller does about an error of this code. A code that is not known is tried again, never
/// taken for a reason to give up.
pub fn kind(code: &str) -> FleetErrorKind {
    const CAPACITY: [&str; 3] = [
        "InsufficientInstanceCapacity",
        "UnfulfillableCapacity",
        "InsufficientHostCapacity",
    ];
    const QUOTA: [&str; 3] = [
        "MaxSpotInstanceCountExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
    ];
    const BAD_REQUEST: [&str; 5] = [
        "UnauthorizedOperation",
        "Unsupported",
        "UnsupportedOperation",
        "InvalidSubnetID.NotFound",
        "OptInRequired",
    ];
    const THROTTLED: [&str; 4] = ["RequestLimitExceeded", "Throttling", "ThrottlingException", "SlowDown"];
    if CAPACITY.contains(&code) {
        FleetErrorKind::Capacity
    } else if QUOTA.contains(&code) {
        FleetErrorKind::Quota
    } else if code == "SpotMaxPriceTooLow" {
        FleetErrorKind::Price
    } else if THROTTLED.contains(&code) {
        FleetErrorKind::Throttled
    } else if BAD_REQUEST.contains(&code)
        || [
            "InvalidAMIID",
            "InvalidParameter",
            "InvalidLaunchTemplate",
            "MissingParameter",
        ]
        .iter()
        .any(|start| code.starts_with(start))
    {
        FleetErrorKind::BadRequest
    } else {
        FleetErrorKind::Unknown
    }
}

/// An error of a whole call.
pub fn classed<E, R>(error: &SdkError<E, R>) -> FleetError
where
    E: Error + ProvideErrorMetadata + 'static,
    R: Debug,
{
    let failure = failure(error);
    let code = failure.code.unwrap_or_else(|| "NoAnswer".to_owned());
    FleetError {
        kind: kind(&code),
        code,
        message: failure.message,
    }
}

/// An error that came within a fleet's answer.
pub fn fleet_error(error: &CreateFleetError) -> FleetError {
    let code = error.error_code().unwrap_or("NoCode").to_owned();
    FleetError {
        kind: kind(&code),
        code,
        message: error.error_message().unwrap_or("no message").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_class_and_an_unknown_one_is_no_reason_to_give_up() {
        use FleetErrorKind::{BadRequest, Capacity, Price, Quota, Throttled, Unknown};
        for (code, expected) in [
            ("InsufficientInstanceCapacity", Capacity),
            ("UnfulfillableCapacity", Capacity),
            ("InsufficientHostCapacity", Capacity),
            ("MaxSpotInstanceCountExceeded", Quota),
            ("VcpuLimitExceeded", Quota),
            ("InstanceLimitExceeded", Quota),
            ("SpotMaxPriceTooLow", Price),
            ("InvalidAMIID.NotFound", BadRequest),
            ("InvalidAMIID.Malformed", BadRequest),
            ("InvalidParameterValue", BadRequest),
            ("InvalidParameterCombination", BadRequest),
            ("UnauthorizedOperation", BadRequest),
            ("Unsupported", BadRequest),
            ("RequestLimitExceeded", Throttled),
            ("Throttling", Throttled),
            ("InternalError", Unknown),
            ("NoAnswer", Unknown),
            ("SomethingNew", Unknown),
        ] {
            assert_eq!(kind(code), expected, "{code}");
        }
    }
}
