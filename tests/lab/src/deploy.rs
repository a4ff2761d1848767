//! Deploys the real template with the real binaries to ministack, by CloudFormation.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::aws::{Aws, Bucket};
use crate::functions::{self, Function};
use crate::template::{self, CodeLocations};

const POLL: Duration = Duration::from_millis(100);

/// A stack takes a second or two; a loaded machine needs longer.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(120);

/// A deployment.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The checkout, with the template in `infra/template.yaml`.
    pub checkout: &'a Path,
    pub binaries: &'a Path,
    /// A folder for temporary files.
    pub scratch: &'a Path,
    pub stack: &'a str,
    /// The template's parameters without their defaults.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct Deployment {
    pub stack: String,
    outputs: BTreeMap<String, String>,
    resources: BTreeMap<String, String>,
}

impl Deployment {
    /// Returns an output of the stack.
    ///
    /// # Errors
    /// If the template has none of this name.
    pub fn output(&self, name: &str) -> anyhow::Result<&str> {
        self.outputs
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("the stack has no output `{name}`"))
    }

    /// Returns the real name of a function.
    ///
    /// # Errors
    /// If the template's output is missing.
    pub fn function(&self, function: Function) -> anyhow::Result<&str> {
        self.output(&function.output())
    }

    /// Returns the physical id of the template's `logical_id`.
    ///
    /// # Errors
    /// If the template has nothing of this name.
    pub fn resource(&self, logical_id: &str) -> anyhow::Result<&str> {
        self.resources
            .get(logical_id)
            .map(String::as_str)
            .with_context(|| format!("the stack has no resource `{logical_id}`"))
    }
}

/// Packages, uploads and deploys.
///
/// # Errors
/// If a binary is missing, the template cannot be deployed, or CloudFormation refuses (with its
/// reasons).
pub async fn deploy(aws: &Aws, plan: &Plan<'_>) -> anyhow::Result<Deployment> {
    let bucket = aws.create_bucket(&format!("{}-code", plan.stack)).await?;
    let code = upload_code(aws, &bucket, plan).await?;
    let file = plan.checkout.join("infra/template.yaml");
    let source = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let prepared = template::prepare(&source, &code, std::env::consts::ARCH)?;
    // By URL, because a template in the request itself is limited to 51,200 bytes.
    let url = aws.put_object(&bucket, "template.yaml", prepared.into()).await?;
    create_stack(aws, plan, &url).await?;
    wait_until_created(aws, plan.stack).await?;
    Ok(Deployment {
        stack: plan.stack.to_owned(),
        outputs: outputs(aws, plan.stack).await?,
        resources: resources(aws, plan.stack).await?,
    })
}

async fn upload_code(aws: &Aws, bucket: &Bucket, plan: &Plan<'_>) -> anyhow::Result<CodeLocations> {
    let mut code = CodeLocations::new();
    for function in Function::ALL {
        let binary = functions::built(plan.binaries, &function.binary())?;
        let scratch = plan.scratch.to_owned();
        let package = tokio::task::spawn_blocking(move || functions::package(&binary, &scratch)).await??;
        let key = format!("{}.zip", function.name());
        aws.put_object(bucket, &key, Bytes::from(package)).await?;
        code.insert(function.logical_id(), (bucket.0.clone(), key));
    }
    Ok(code)
}

async fn create_stack(aws: &Aws, plan: &Plan<'_>, template_url: &str) -> anyhow::Result<()> {
    let mut parameters = vec![
        ("StackName".to_owned(), plan.stack.to_owned()),
        ("TemplateURL".to_owned(), template_url.to_owned()),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_IAM".to_owned()),
        ("Capabilities.member.2".to_owned(), "CAPABILITY_AUTO_EXPAND".to_owned()),
    ];
    for (index, (name, value)) in plan.parameters.iter().enumerate() {
        let prefix = format!("Parameters.member.{}", index + 1);
        parameters.push((format!("{prefix}.ParameterKey"), name.clone()));
        parameters.push((format!("{prefix}.ParameterValue"), value.clone()));
    }
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (&**name, &**value)).collect();
    aws.query("cloudformation", "CreateStack", &parameters).await?;
    Ok(())
}

async fn wait_until_created(aws: &Aws, stack: &str) -> anyhow::Result<()> {
    let created = async {
        loop {
            let answer = aws
                .query("cloudformation", "DescribeStacks", &[("StackName", stack)])
                .await?;
            match answer.text("StackStatus").as_deref() {
                Some("CREATE_COMPLETE") => return Ok(()),
                Some("CREATE_IN_PROGRESS") => tokio::time::sleep(POLL).await,
                status => bail!(
                    "the stack is {}:\n{}",
                    status.unwrap_or("nowhere"),
                    failures(aws, stack).await?
                ),
            }
        }
    };
    tokio::time::timeout(DEPLOYED_WITHIN, created)
        .await
        .with_context(|| format!("the stack `{stack}` does not get deployed"))?
}

async fn failures(aws: &Aws, stack: &str) -> anyhow::Result<String> {
    let answer = aws
        .query("cloudformation", "DescribeStackEvents", &[("StackName", stack)])
        .await?;
    let lines = answer.each("StackEvents", |event| {
        let status = event.text("ResourceStatus")?;
        let reason = event.text("ResourceStatusReason")?;
        status
            .ends_with("FAILED")
            .then(|| format!("  {}: {reason}", event.text("LogicalResourceId").unwrap_or_default()))
    });
    Ok(lines.join("\n"))
}

async fn outputs(aws: &Aws, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let answer = aws
        .query("cloudformation", "DescribeStacks", &[("StackName", stack)])
        .await?;
    let outputs = answer.each("Outputs", |output| {
        Some((output.text("OutputKey")?, output.text("OutputValue")?))
    });
    Ok(outputs.into_iter().collect())
}

async fn resources(aws: &Aws, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let answer = aws
        .query("cloudformation", "DescribeStackResources", &[("StackName", stack)])
        .await?;
    let resources = answer.each("StackResources", |resource| {
        Some((
            resource.text("LogicalResourceId")?,
            resource.text("PhysicalResourceId")?,
        ))
    });
    Ok(resources.into_iter().collect())
}
