//! A host's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Semaphore;

/// The variable with the runner's proxy to GitHub. GitHub's own runner takes `https_proxy`.
pub const RUNNER_PROXY_VARIABLE: &str = "RUNNER_STANDIN_PROXY";

/// The disk of an instance before its first boot.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The agent, installed as `/opt/dayfly/dayfly-agent`. The user data accepts it only with the SHA-256 of the
    /// stack's parameter.
    pub agent: Option<PathBuf>,
    /// The folder of the GitHub runner, installed as `/opt/actions-runner`.
    pub runner: Option<PathBuf>,
    /// The files that downloads return, by URL.
    pub downloads: Vec<(String, PathBuf)>,
}

/// A network route of an instance that the host can cut. `url` in the user data is replaced by the address of the
/// instance's own link to `to`.
#[derive(Clone, Debug)]
pub struct Route {
    /// The base URL in the user data, without a trailing slash.
    pub url: String,
    /// The server's address, for plain HTTP.
    pub to: SocketAddr,
}

#[derive(Clone, Debug)]
pub struct HostConfig {
    pub region: String,
    /// The name of the instances' role in the metadata.
    pub role: String,
    pub image: Image,
    pub routes: Vec<Route>,
    /// GitHub's address, for plain HTTP. The runner reaches it through a link that the host can cut, passed in
    /// [`RUNNER_PROXY_VARIABLE`].
    pub github: Option<SocketAddr>,
    /// More variables for the user data, such as `DAYFLY_UNREACHABLE_SECONDS`.
    pub environment: Vec<(String, String)>,
    /// The runner's user; the host's own if empty.
    pub runner_user: String,
    /// Time from the state `running` to the start of the user data.
    pub boot_delay: Duration,
    /// How many instances may boot at once, from the start of their user data to that of their runner. One machine
    /// cannot boot hundreds at the same moment.
    pub boots_at_once: usize,
    /// Time between polls of EC2.
    pub poll: Duration,
    /// Where the instances' scratch folders are made; the system's temporary folder if unset.
    pub folder: Option<PathBuf>,
}

impl HostConfig {
    /// A configuration with an empty image, no routes, no boot delay and two polls a second.
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
