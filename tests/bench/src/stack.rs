//! The functions' stack: their binaries and their settings.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cloud::Cloud;
use crate::cloud::key::app_key;
use crate::cloud::services::Parameters;
use crate::events::WEBHOOK_SECRET;
use crate::sandbox::Function;

const SCHEDULE: &str = "dayfly-bench-minute";
const WEBHOOK_SECRET_PARAMETER: &str = "/dayfly/webhook-secret";
const KEY_PARAMETER: &str = "/dayfly/github-private-key";

/// The repository's `.dayfly.yml`.
const CONFIG: &str = "\
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge, g6.xlarge]
    machine_image: ami-0123456789abcdef0
    disk_size: 100GiB
  - name: large
    labels: [dayfly-gpu, large]
    instance_type: g5.12xlarge
    machine_image: ami-0123456789abcdef0
    max_lifetime: 2h
";

/// Starts the clouds with everything that the functions need.
///
/// # Errors
/// If no key can be generated or no port be bound.
pub async fn start_cloud() -> anyhow::Result<Cloud> {
    let mut parameters = Parameters::default();
    parameters.secret(WEBHOOK_SECRET_PARAMETER, WEBHOOK_SECRET.to_owned());
    parameters.secret(KEY_PARAMETER, app_key()?);
    Cloud::start(CONFIG, SCHEDULE, parameters).await
}

/// The folder of the binaries.
#[derive(Clone, Debug)]
pub struct Binaries(pub PathBuf);

impl Binaries {
    /// Returns a binary, built by cargo (`<folder>/<name>`) or by cargo-lambda
    /// (`<folder>/<name>/bootstrap`).
    ///
    /// # Errors
    /// If it was not built.
    pub fn find(&self, name: &str) -> anyhow::Result<PathBuf> {
        let Self(folder) = self;
        let plain = folder.join(name);
        for candidate in [plain.clone(), plain.join("bootstrap")] {
            if candidate.is_file() {
                return Ok(std::path::absolute(candidate)?);
            }
        }
        bail!(
            "there is no `{}`\n\nhelp: `cargo build --release -p {name}` builds it; another folder is named with `--bin-dir`",
            plain.display()
        )
    }
}

/// Returns a function of the stack, with the template's settings.
///
/// # Errors
/// If its binary was not built.
pub fn function(name: &str, binaries: &Binaries, cloud: &Cloud) -> anyhow::Result<Function> {
    Ok(Function {
        name: name.to_owned(),
        binary: binaries.find(&format!("dayfly-{name}"))?,
        env: environment(cloud),
    })
}

/// Returns the reference: `lambda_runtime` and nothing else, beside the bench's own binary.
///
/// # Errors
/// If it was not built.
pub fn hello(beside: &Path) -> anyhow::Result<Function> {
    Ok(Function {
        name: "hello".to_owned(),
        binary: Binaries(beside.to_owned()).find("dayfly-bench-hello")?,
        env: Vec::new(),
    })
}

/// Every setting of any function. On AWS each has only its own; extra ones cost nothing.
fn environment(cloud: &Cloud) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("AWS_ENDPOINT_URL", cloud.aws_url()),
        ("GITHUB_API_URL", cloud.github_url()),
    ];
    environment.extend(
        [
            ("TABLE_NAME", "dayfly-bench"),
            ("BUS_NAME", "dayfly-bench"),
            ("STACK_NAME", "bench"),
            ("WEBHOOK_SECRET_PARAMETER", WEBHOOK_SECRET_PARAMETER),
            ("GITHUB_APP_ID", "1"),
            ("GITHUB_PRIVATE_KEY_PARAMETER", KEY_PARAMETER),
            ("LAUNCH_TEMPLATE_ID", "lt-0123456789abcdef0"),
            (
                "SUBNET_IDS",
                "subnet-0123456789abcdef0,subnet-0123456789abcdef1,subnet-0123456789abcdef2",
            ),
            ("MINUTE_SCHEDULE_NAME", SCHEDULE),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    environment
}
