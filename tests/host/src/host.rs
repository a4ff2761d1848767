//! The handle of a running host, and its looks at EC2.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use dayfly_agent::processes::signal;
use dayfly_agent::worker::WORKER;

use crate::cloud::{Cloud, CloudInstance, CloudState};
use crate::config::HostConfig;
use crate::event::{Ending, HostEvent, Reported};
use crate::instance::{Happening, Life};
use crate::processes;

/// Events that a slow listener may fall behind before it misses some.
const EVENTS: usize = 16_384;
/// How often, and with what pause, a dropped handle looks for what it has to kill.
const DROP_LOOKS: u32 = 50;
const DROP_PAUSE: Duration = Duration::from_millis(20);

/// There is no such instance on this host, or it has ended.
#[derive(Debug, thiserror::Error)]
#[error("no instance `{0}` runs here")]
pub struct NoSuchInstance(String);

/// Something of an instance still runs.
#[derive(Debug, thiserror::Error)]
#[error("processes that cannot be killed: {0}")]
pub struct HostError(String);

/// An instance as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// `i-…`.
    pub id: String,
    /// Such as `g5.xlarge`.
    pub instance_type: String,
    /// Such as `eu-west-1b`.
    pub zone: String,
    /// Why nothing of it runs any more, once that is so.
    pub ending: Option<Ending>,
}

struct Entry {
    view: InstanceView,
    happenings: mpsc::UnboundedSender<Happening>,
    end: watch::Sender<Option<Ending>>,
    up: watch::Sender<bool>,
    mark: String,
    task: Option<JoinHandle<()>>,
}

struct Shared {
    mark: String,
    config: Arc<HostConfig>,
    events: broadcast::Sender<Reported>,
    entries: Mutex<BTreeMap<String, Entry>>,
    boots: Arc<Semaphore>,
}

/// A running host.
pub struct Host {
    shared: Arc<Shared>,
    looks: JoinHandle<()>,
}

impl Host {
    /// Hosts the instances of `cloud` from now on. Call it within a Tokio runtime.
    pub fn start<C: Cloud>(cloud: C, config: HostConfig) -> Self {
        let (events, _) = broadcast::channel(EVENTS);
        let shared = Arc::new(Shared {
            mark: uuid::Uuid::new_v4().to_string(),
            boots: Arc::new(Semaphore::new(config.boots_at_once)),
            config: Arc::new(config),
            events,
            entries: Mutex::default(),
        });
        let looks = tokio::spawn(look_for_ever(Arc::new(cloud), Arc::clone(&shared)));
        Self { shared, looks }
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Reported> {
        self.shared.events.subscribe()
    }

    /// All instances that were ever seen, by id.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceView> {
        self.shared.entries().values().map(|entry| entry.view.clone()).collect()
    }

    /// What can be told to the instances, to give away.
    #[must_use]
    pub fn notices(&self) -> Notices {
        Notices {
            shared: Arc::clone(&self.shared),
        }
    }

    /// As [`Notices::interrupt`].
    ///
    /// # Errors
    /// No such instance runs; so for all that follow.
    pub fn interrupt(&self, id: &str, action: &str, after: Duration) -> Result<(), NoSuchInstance> {
        self.notices().interrupt(id, action, after)
    }

    /// As [`Notices::recommend_rebalance`].
    ///
    /// # Errors
    /// As above.
    pub fn recommend_rebalance(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.notices().recommend_rebalance(id)
    }

    /// Ends the instance hard, as a failed machine under it would, and tells EC2.
    ///
    /// # Errors
    /// As above.
    pub fn crash(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.running(id, |entry| end(entry, Ending::Crashed))
    }

    /// Kills the agent's worker, as the kernel may when memory is short.
    ///
    /// # Errors
    /// As above; it has no agent (yet) either.
    pub fn kill_agent(&self, id: &str) -> Result<(), NoSuchInstance> {
        let mark = self.running(id, |entry| entry.mark.clone())?;
        let found = processes::of_instance(&mark);
        let worker = found.iter().find(|it| it.name.as_bytes() == WORKER.to_bytes());
        let worker = worker.ok_or_else(|| NoSuchInstance(id.to_owned()))?;
        signal(worker.pid, Signal::SIGKILL);
        Ok(())
    }

    /// Cuts the instance off from the servers of all its routes, and from GitHub.
    ///
    /// # Errors
    /// As above.
    pub fn cut_network(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.running(id, |entry| {
            entry.up.send_replace(false);
        })?;
        self.shared.tell(id, HostEvent::NetworkCut);
        Ok(())
    }

    /// Mends what [`Host::cut_network`] cut.
    ///
    /// # Errors
    /// As above.
    pub fn mend_network(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.running(id, |entry| {
            entry.up.send_replace(true);
        })
    }

    /// Ends every instance, without a word to EC2, and the host.
    ///
    /// # Errors
    /// Something could not be killed.
    pub async fn shutdown(self) -> Result<(), HostError> {
        self.looks.abort();
        let tasks: Vec<JoinHandle<()>> = self
            .shared
            .entries()
            .values_mut()
            .filter_map(|entry| {
                end(entry, Ending::HostShutDown);
                entry.task.take()
            })
            .collect();
        for task in tasks {
            if let Err(error) = task.await {
                return Err(HostError(error.to_string()));
            }
        }
        let left = processes::kill(&self.shared.mark).await;
        left.map_err(|left| HostError(format!("{left:?}")))
    }

    fn running<T>(&self, id: &str, act: impl FnOnce(&Entry) -> T) -> Result<T, NoSuchInstance> {
        self.shared.running(id, act)
    }
}

/// What EC2 tells the instances of a host, for somebody who does not own the host.
#[derive(Clone)]
pub struct Notices {
    shared: Arc<Shared>,
}

impl Notices {
    /// Gives a spot notice: the metadata service tells of `action` (`terminate`, `stop`,
    /// `hibernate`), and `after` that nothing of the instance runs any more.
    ///
    /// # Errors
    /// No such instance runs.
    pub fn interrupt(&self, id: &str, action: &str, after: Duration) -> Result<(), NoSuchInstance> {
        let action = action.to_owned();
        self.shared.happen(id, Happening::Interrupt { action, after })
    }

    /// Has the metadata service recommend to leave.
    ///
    /// # Errors
    /// No such instance runs.
    pub fn recommend_rebalance(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.shared.happen(id, Happening::RecommendRebalance)
    }
}

/// Without [`Host::shutdown`], as when a test fails: nothing may be left all the same.
impl Drop for Host {
    fn drop(&mut self) {
        self.looks.abort();
        for _ in 0..DROP_LOOKS {
            if processes::kill_once(&self.shared.mark) == 0 {
                break;
            }
            std::thread::sleep(DROP_PAUSE);
        }
        for entry in self.shared.entries().values_mut() {
            if let Some(task) = entry.task.take() {
                task.abort();
            }
        }
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happen(&self, id: &str, happening: Happening) -> Result<(), NoSuchInstance> {
        let sent = self.running(id, |entry| entry.happenings.send(happening))?;
        sent.map_err(|_| NoSuchInstance(id.to_owned()))
    }

    fn running<T>(&self, id: &str, act: impl FnOnce(&Entry) -> T) -> Result<T, NoSuchInstance> {
        let entries = self.entries();
        let entry = entries.get(id).filter(|entry| entry.view.ending.is_none());
        entry.map(act).ok_or_else(|| NoSuchInstance(id.to_owned()))
    }

    fn tell(&self, instance: &str, event: HostEvent) {
        // Nobody may be listening.
        drop(self.events.send(Reported {
            instance: instance.to_owned(),
            event,
        }));
    }
}

/// The first reason stands.
fn end(entry: &Entry, ending: Ending) {
    entry.end.send_if_modified(|it| {
        let first = it.is_none();
        it.get_or_insert(ending);
        first
    });
}

async fn look_for_ever<C: Cloud>(cloud: Arc<C>, shared: Arc<Shared>) {
    loop {
        match cloud.instances().await {
            Ok(instances) => {
                for instance in instances {
                    attend(&cloud, &shared, instance).await;
                }
            }
            Err(error) => shared.tell("", HostEvent::Trouble(format!("instances: {error}"))),
        }
        tokio::time::sleep(shared.config.poll).await;
    }
}

/// What an instance needs, given what EC2 says of it.
async fn attend<C: Cloud>(cloud: &Arc<C>, shared: &Arc<Shared>, instance: CloudInstance) {
    enum Needs {
        Boot,
        End,
        Report(Ending),
        Nothing,
    }
    let ending = shared.entries().get(&instance.id).map(|entry| entry.view.ending);
    let needs = match (ending, instance.state) {
        (None, CloudState::Running) => Needs::Boot,
        (Some(None), CloudState::Ended) => Needs::End,
        // EC2 was told, and did not hear it.
        (Some(Some(ending)), CloudState::Running) => Needs::Report(ending),
        _ => Needs::Nothing,
    };
    match needs {
        Needs::Boot => admit(cloud, shared, instance),
        Needs::End => {
            if let Some(entry) = shared.entries().get(&instance.id) {
                end(entry, Ending::Terminated);
            }
        }
        Needs::Report(ending) => report(&**cloud, shared, &instance.id, ending).await,
        Needs::Nothing => {}
    }
}

fn admit<C: Cloud>(cloud: &Arc<C>, shared: &Arc<Shared>, instance: CloudInstance) {
    let (happenings, commands) = mpsc::unbounded_channel();
    let (end, told) = watch::channel(None);
    let (up, is_up) = watch::channel(true);
    let mark = format!("{}/{}", shared.mark, instance.id);
    let view = InstanceView {
        id: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        zone: instance.zone.clone(),
        ending: None,
    };
    let life = Life {
        cloud: Arc::clone(cloud),
        config: Arc::clone(&shared.config),
        instance,
        mark: mark.clone(),
        events: shared.events.clone(),
        happenings: commands,
        end: told,
        up: is_up,
        boots: Arc::clone(&shared.boots),
    };
    let id = view.id.clone();
    shared.tell(&id, HostEvent::Seen);
    let mut entries = shared.entries();
    // Under the lock, so that the task finds its entry.
    let task = tokio::spawn(host_one(life, Arc::clone(cloud), Arc::clone(shared)));
    entries.insert(
        id,
        Entry {
            view,
            happenings,
            end,
            up,
            mark,
            task: Some(task),
        },
    );
}

async fn host_one<C: Cloud>(life: Life<C>, cloud: Arc<C>, shared: Arc<Shared>) {
    let id = life.instance.id.clone();
    let ending = life.live().await;
    if let Some(entry) = shared.entries().get_mut(&id) {
        entry.view.ending = Some(ending);
    }
    if !matches!(ending, Ending::Terminated | Ending::HostShutDown) {
        report(&*cloud, &shared, &id, ending).await;
    }
}

async fn report<C: Cloud>(cloud: &C, shared: &Shared, id: &str, ending: Ending) {
    shared.tell(
        id,
        match cloud.terminate(id, ending).await {
            Ok(()) => HostEvent::ReportedToEc2,
            Err(error) => HostEvent::Trouble(format!("terminate: {error}")),
        },
    );
}
