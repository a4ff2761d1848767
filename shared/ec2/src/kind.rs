//! Classifies EC2's error codes.

use dayfly_ports::FleetErrorKind;

/// Classifies the code of a refused call or of an error in a fleet's answer. An unlisted code is
/// [`FleetErrorKind::Unknown`], which is retried: EC2 has hundreds, and adds new ones.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
pub(crate) fn kind_of(code: &str) -> FleetErrorKind {
    // Some codes are prefixed with the side at fault.
    let code = code
        .strip_prefix("Client.")
        .or_else(|| code.strip_prefix("Server."))
        .unwrap_or(code);
    match code {
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientCapacity"
        | "InsufficientCapacityOnHost"
        | "InsufficientReservedInstanceCapacity"
        | "InsufficientVolumeCapacity"
        // Concerns one subnet: another zone may have addresses.
        | "InsufficientFreeAddressesInSubnet"
        | "ReservationCapacityExceeded"
        | "UnfulfillableCapacity" => FleetErrorKind::Capacity,
        "MaxSpotInstanceCountExceeded"
        | "MaxSpotFleetRequestCountExceeded"
        | "MaxFleetCountExceeded"
        | "VcpuLimitExceeded"
        | "InstanceLimitExceeded"
        | "ResourceLimitExceeded"
        | "NetworkInterfaceLimitExceeded"
        | "VolumeLimitExceeded"
        | "MaxIOPSLimitExceeded" => FleetErrorKind::Quota,
        "SpotMaxPriceTooLow" => FleetErrorKind::Price,
        "IdempotentParameterMismatch" => FleetErrorKind::TokenUsed,
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "EC2ThrottledException" => FleetErrorKind::Throttled,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AuthFailure"
        | "OptInRequired"
        | "Blocked"
        | "RequestResourceCountExceeded"
        | "UnknownParameter"
        | "UnknownVolumeType"
        | "ValidationError"
        | "MalformedQueryString"
        | "VolumeTypeNotAvailableInZone" => FleetErrorKind::BadRequest,
        // The version was just created and has not propagated yet.
        "InvalidLaunchTemplateId.VersionNotFound" => FleetErrorKind::Unknown,
        // `InvalidAMIID.NotFound`, `InvalidFleetConfiguration` (a type that a zone does not have),
        // `MissingInput`, `Unsupported`, `AuthFailure.ServiceLinkedRoleCreationNotPermitted` …
        _ if BAD_REQUESTS.iter().any(|prefix| code.starts_with(prefix)) => FleetErrorKind::BadRequest,
        _ => FleetErrorKind::Unknown,
    }
}

/// Prefixes of codes for requests that can never succeed as they are.
const BAD_REQUESTS: [&str; 4] = ["Invalid", "Missing", "Unsupported", "AuthFailure."];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_classified() {
        use FleetErrorKind::{BadRequest, Capacity, Price, Quota, Throttled, TokenUsed, Unknown};
        for (code, expected) in [
            ("InsufficientInstanceCapacity", Capacity),
            ("UnfulfillableCapacity", Capacity),
            ("InsufficientHostCapacity", Capacity),
            ("Server.InsufficientInstanceCapacity", Capacity),
            ("InsufficientVolumeCapacity", Capacity),
            ("InsufficientFreeAddressesInSubnet", Capacity),
            ("ReservationCapacityExceeded", Capacity),
            ("MaxSpotInstanceCountExceeded", Quota),
            ("VcpuLimitExceeded", Quota),
            ("Client.VcpuLimitExceeded", Quota),
            ("InstanceLimitExceeded", Quota),
            ("MaxSpotFleetRequestCountExceeded", Quota),
            ("MaxFleetCountExceeded", Quota),
            ("VolumeLimitExceeded", Quota),
            ("SpotMaxPriceTooLow", Price),
            ("InvalidAMIID.NotFound", BadRequest),
            ("InvalidAMIID.Malformed", BadRequest),
            ("InvalidParameterValue", BadRequest),
            ("InvalidParameterCombination", BadRequest),
            ("InvalidFleetConfiguration", BadRequest),
            ("InvalidSubnetID.NotFound", BadRequest),
            ("InvalidLaunchTemplateId.NotFound", BadRequest),
            ("MissingParameter", BadRequest),
            ("InvalidLaunchTemplateId.VersionNotFound", Unknown),
            ("UnauthorizedOperation", BadRequest),
            ("AuthFailure", BadRequest),
            ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", BadRequest),
            ("OptInRequired", BadRequest),
            ("Unsupported", BadRequest),
            ("UnsupportedOperation", BadRequest),
            ("UnsupportedHostConfiguration", BadRequest),
            ("IdempotentParameterMismatch", TokenUsed),
            ("RequestLimitExceeded", Throttled),
            ("Throttling", Throttled),
            ("ThrottlingException", Throttled),
            ("EC2ThrottledException", Throttled),
            ("Client.RequestLimitExceeded", Throttled),
            ("InternalError", Unknown),
            ("Server.InternalError", Unknown),
            ("Unavailable", Unknown),
            ("RequestExpired", Unknown),
            ("PendingVerification", Unknown),
            ("SomethingThatEc2WillSayOneDay", Unknown),
            ("", Unknown),
        ] {
            assert_eq!(kind_of(code), expected, "{code}");
        }
    }
}
