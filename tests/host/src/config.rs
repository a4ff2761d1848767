//! What a host is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Semaphore;

/// The variable that tells the runner of its way to GitHub. GitHub's own runner takes `https_proxy`.
pub const RUNNER_PROXY_VARIABLE: &str = "RUNNER_STANDIN_PROXY";

/// What is on the disk of an instance before its first boot.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The agent, put at `/opt/dayfly/dayfly-agent`. The user data takes it only if it has the
    /// SHA-256 of the stack's parameter.
    pub agent: Option<PathBuf>,
    /// The folder with the GitHub runner, put at `/opt/actions-runner`.
    pub runner: Option<PathBuf>,
    /// What a download of a URL finds: the URL and the file.
    pub downloads: Vec<(String, PathBuf)>,
}

/// A way out of the instance that the host can cut: `url`, as it stands in the user data, is
/// replaced by the address of a link of the instance's own, which leads `to`.
#[derive(Clone, Debug)]
pub struct Route {
    /// The base URL in the user data, without the slash at its end.
    pub url: String,
    /// Where its server listens, in plain HTTP.
    pub to: SocketAddr,
}

/// A host's settings.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The region that its instances are in.
    pub region: String,
    /// The name of the instances' role, as the metadata service tells it.
    pub role: String,
    /// What is on their disks.
    pub image: Image,
    /// Their ways out.
    pub routes: Vec<Route>,
    /// Where GitHub listens, in plain HTTP: the runner's way there is one that the host can cut too,
    /// which it is told of in [`RUNNER_PROXY_VARIABLE`].
    pub github: Option<SocketAddr>,
    /// Variables for the user data on top of the host's own, such as
    /// `DAYFLY_UNREACHABLE_SECONDS`.
    pub environment: Vec<(String, String)>,
    /// The user that the runner runs as; empty: the same that runs the host.
    pub runner_user: String,
    /// Time between EC2's word that an instance runs and the start of its user data.
    pub boot_delay: Duration,
    /// How many instances may be on their way from the start of their user data to that of their
    /// runner: one machine cannot boot hundreds at the same moment, as a cloud can.
    pub boots_at_once: usize,
    /// Time between two looks at EC2.
    pub poll: Duration,
    /// Where the instances' scratch folders are made; the system's folder for such things if
    /// unset.
    pub folder: Option<PathBuf>,
}

impl HostConfig {
    /// Settings with an empty image, no routes, no boot delay and two looks a second.
    #[must_use]
    pub fn new(region: impl Into<String>, role: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            role: role.into(),
            image: Image::default(),
            routes: Vec::new(),
            github: None,
            environment: Vec::new(),
            runner_user: String::new(),
            boot_delay: Duration::ZERO,
            boots_at_once: Semaphore::MAX_PERMITS,
            poll: Duration::from_millis(500),
            folder: None,
        }
    }
}
