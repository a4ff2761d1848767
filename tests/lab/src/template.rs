//! Prepares the template for a deployment without `sam build`: only the location of the code and the
//! architecture differ from the repository's.

use std::collections::BTreeMap;

/// The location of each function's zip, by the function's logical id.
pub type CodeLocations = BTreeMap<String, (String, String)>;

/// A template that the lab cannot deploy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The lab has no code for this function.
    #[error("the template's `{0}` has a CodeUri that the lab knows nothing of")]
    UnknownFunction(String),
    /// The template has no function for this code.
    #[error("the template has no function `{0}`")]
    MissingFunction(String),
}

/// Sets every `CodeUri` to its bucket and key, and every architecture to `architecture`.
///
/// Works on lines, because a YAML reader would lose the template's tags (`!Ref`) and anchors.
///
/// # Errors
/// [`TemplateError`] if functions and code are not the same set.
pub fn prepare(template: &str, code: &CodeLocations, architecture: &str) -> Result<String, TemplateError> {
    let mut resource = String::new();
    let mut found = Vec::new();
    let mut lines = Vec::new();
    for line in template.lines() {
        if let Some(name) = resource_name(line) {
            name.clone_into(&mut resource);
        }
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        if trimmed.starts_with("CodeUri:") {
            let (bucket, key) = code
                .get(&resource)
                .ok_or_else(|| TemplateError::UnknownFunction(resource.clone()))?;
            found.push(resource.clone());
            lines.push(format!("{indent}CodeUri: {{Bucket: {bucket}, Key: {key}}}"));
        } else if trimmed.starts_with("Architectures:") {
            lines.push(format!("{indent}Architectures: [{architecture}]"));
        } else {
            lines.push(line.to_owned());
        }
    }
    match code.keys().find(|name| !found.contains(name)) {
        Some(missing) => Err(TemplateError::MissingFunction(missing.clone())),
        None => Ok(lines.join("\n") + "\n"),
    }
}

/// Returns the logical id that starts on a line: two spaces, a name, a colon and nothing else.
fn resource_name(line: &str) -> Option<&str> {
    let name = line.strip_prefix("  ")?.strip_suffix(':')?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "\
Globals:
  Function:
    Architectures: [arm64]
Resources:
  Table:
    Type: AWS::DynamoDB::Table
  WebhookFunction:
    Properties:
      CodeUri: ../functions/webhook/
      Role: !GetAtt WebhookRole.Arn
";

    fn prepared(template: &str, functions: &[&str]) -> Result<String, TemplateError> {
        let code = functions
            .iter()
            .map(|name| ((*name).to_owned(), ("code".to_owned(), format!("{name}.zip"))))
            .collect();
        prepare(template, &code, "x86_64")
    }

    #[test]
    fn only_code_and_architecture_change() {
        let expected = TEMPLATE
            .replace("../functions/webhook/", "{Bucket: code, Key: WebhookFunction.zip}")
            .replace("arm64", "x86_64");
        assert_eq!(prepared(TEMPLATE, &["WebhookFunction"]).as_deref(), Ok(&*expected));
    }

    #[test]
    fn a_template_that_does_not_fit_is_refused() {
        let cases = [
            (
                prepared(TEMPLATE, &[]),
                TemplateError::UnknownFunction("WebhookFunction".into()),
            ),
            (
                prepared(TEMPLATE, &["WebhookFunction", "Other"]),
                TemplateError::MissingFunction("Other".into()),
            ),
        ];
        for (result, error) in cases {
            assert_eq!(result, Err(error));
        }
    }
}
