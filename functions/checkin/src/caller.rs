//! The signer of a call.

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use dayfly_types::ids::InstanceId;

/// Returns the instance that signed the call. EC2 names the role session of an instance after it, so the
/// `userId` of its credentials is `AROA…:i-…`.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable>
pub fn instance(request: &LambdaFunctionUrlRequest) -> Result<InstanceId, &'static str> {
    let iam = request
        .request_context
        .authorizer
        .as_ref()
        .and_then(|authorizer| authorizer.iam.as_ref());
    let user_id = iam
        .and_then(|iam| iam.user_id.as_deref())
        .ok_or("the call is not signed")?;
    match user_id.split_once(':') {
        Some((role, session)) if role.starts_with("AROA") && is_instance_id(session) => Ok(InstanceId::new(session)),
        _ => Err("the call is not signed by an instance"),
    }
}

fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-")
        .is_some_and(|digits| matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::lambda_function_urls::{
        LambdaFunctionUrlRequestContextAuthorizerDescription, LambdaFunctionUrlRequestContextAuthorizerIamDescription,
    };

    fn signed_by(user_id: Option<&str>) -> Result<InstanceId, &'static str> {
        let mut iam = LambdaFunctionUrlRequestContextAuthorizerIamDescription::default();
        iam.user_id = user_id.map(str::to_owned);
        let mut authorizer = LambdaFunctionUrlRequestContextAuthorizerDescription::default();
        authorizer.iam = Some(iam);
        let mut request = LambdaFunctionUrlRequest::default();
        request.request_context.authorizer = Some(authorizer);
        instance(&request)
    }

    #[test]
    fn only_role_sessions_of_instances_are_callers() {
        assert_eq!(
            signed_by(Some("AROAEXAMPLE:i-0123456789abcdef0")),
            Ok(InstanceId::new("i-0123456789abcdef0"))
        );
        for other in [
            None,
            Some(""),
            Some("AIDAEXAMPLE"),
            Some("AIDAEXAMPLE:i-0123456789abcdef0"),
            Some("AROAEXAMPLE:someone"),
            Some("AROAEXAMPLE:i-0123456789abcdef0:x"),
            Some("AROAEXAMPLE:i-xyz"),
        ] {
            assert!(signed_by(other).is_err(), "{other:?}");
        }
        assert!(instance(&LambdaFunctionUrlRequest::default()).is_err());
    }
}
