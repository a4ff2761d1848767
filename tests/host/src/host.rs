//! The handle of a running host, and its polls of EC2.

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
use crate::event::{HostEvent, InstanceEnd, InstanceEvent};
use crate::instance::{Incident, Instance};
use crate::processes;

/// Events that a slow receiver may lag behind without losing any.
const EVENT_CAPACITY: usize = 16_384;
/// How often a dropped handle kills remaining processes, and the pause between.
const DROP_PASSES: u32 = 50;
const DROP_PAUSE: Duration = Duration::from_millis(20);

/// This host has no such instance, or it has ended.
#[derive(Debug, thiserror::Error)]
#[error("no instance `{0}` runs here")]
pub struct NoSuchInstance(String);

#[derive(Debug, thiserror::Error)]
#[error("processes that cannot be killed: {0}")]
pub struct HostError(String);

/// An instance as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    pub id: String,
    pub instance_type: String,
    pub zone: String,
    /// Why it ended, if it has.
    pub ending: Option<InstanceEnd>,
}

struct Entry {
    view: InstanceView,
    incidents: mpsc::UnboundedSender<Incident>,
    end: watch::Sender<Option<InstanceEnd>>,
    up: watch::Sender<bool>,
    mark: String,
    task: Option<JoinHandle<()>>,
}

struct Shared {
    mark: String,
    config: Arc<HostConfig>,
    events: broadcast::Sender<InstanceEvent>,
    entries: Mutex<BTreeMap<String, Entry>>,
    boots: Arc<Semaphore>,
}

/// A running host.
pub struct Host {
    shared: Arc<Shared>,
    poll: JoinHandle<()>,
}

impl Host {
    /// Starts to host the instances of `cloud`. Requires a Tokio runtime.
    pub fn start<C: Cloud>(cloud: C, config: HostConfig) -> Self {
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        let shared = Arc::new(Shared {
            mark: uuid::Uuid::new_v4().to_string(),
            boots: Arc::new(Semaphore::new(config.boots_at_once)),
            config: Arc::new(config),
            events,
            entries: Mutex::default(),
        });
        let poll = tokio::spawn(poll_forever(Arc::new(cloud), Arc::clone(&shared)));
        Self { shared, poll }
    }

    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<InstanceEvent> {
        self.shared.events.subscribe()
    }

    /// Returns all instances so far, by id.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceView> {
        self.shared.entries().values().map(|entry| entry.view.clone()).collect()
    }

    /// Returns a handle for EC2's notices alone.
    #[must_use]
    pub fn notices(&self) -> Notices {
        Notices {
            shared: Arc::clone(&self.shared),
        }
    }

    /// See [`Notices::interrupt`].
    ///
    /// # Errors
    /// No such instance runs; the same for all methods below.
    pub fn interrupt(&self, id: &str, action: &str, after: Duration) -> Result<(), NoSuchInstance> {
        self.notices().interrupt(id, action, after)
    }

    /// See [`Notices::recommend_rebalance`].
    ///
    /// # Errors
    /// As above.
    pub fn recommend_rebalance(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.notices().recommend_rebalance(id)
    }

    /// Ends the instance like a hardware failure, and reports it to EC2.
    ///
    /// # Errors
    /// As above.
    pub fn crash(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.running(id, |entry| end(entry, InstanceEnd::Crashed))
    }

    /// Kills the agent's worker, as the kernel may when memory is short.
    ///
    /// # Errors
    /// As above, or it has no agent (yet).
    pub fn kill_agent(&self, id: &str) -> Result<(), NoSuchInstance> {
        let mark = self.running(id, |entry| entry.mark.clone())?;
        let found = processes::of_instance(&mark);
        let worker = found.iter().find(|it| it.name.as_bytes() == WORKER.to_bytes());
        let worker = worker.ok_or_else(|| NoSuchInstance(id.to_owned()))?;
        signal(worker.pid, Signal::SIGKILL);
        Ok(())
    }

    /// Cuts all routes of the instance, and its link to GitHub.
    ///
    /// # Errors
    /// As above.
    pub fn cut_network(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.running(id, |entry| {
            entry.up.send_replace(false);
        })?;
        self.shared.emit(id, HostEvent::NetworkCut);
        Ok(())
    }

    /// Undoes [`Host::cut_network`].
    ///
    /// # Errors
    /// As above.
    pub fn restore_network(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.running(id, |entry| {
            entry.up.send_replace(true);
        })
    }

    /// Ends all instances, without a report to EC2, and the host.
    ///
    /// # Errors
    /// A process could not be killed.
    pub async fn shutdown(self) -> Result<(), HostError> {
        self.poll.abort();
        let tasks: Vec<JoinHandle<()>> = self
            .shared
            .entries()
            .values_mut()
            .filter_map(|entry| {
                end(entry, InstanceEnd::HostShutDown);
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

/// Gives EC2's notices to the instances of a host.
#[derive(Clone)]
pub struct Notices {
    shared: Arc<Shared>,
}

impl Notices {
    /// Gives an interruption notice of `action` (`terminate`, `stop`, `hibernate`) through the metadata service, and
    /// ends the instance `after` that time.
    ///
    /// # Errors
    /// No such instance runs.
    pub fn interrupt(&self, id: &str, action: &str, after: Duration) -> Result<(), NoSuchInstance> {
        let action = action.to_owned();
        self.shared.cause(id, Incident::Interrupt { action, after })
    }

    /// Gives a rebalance recommendation through the metadata service.
    ///
    /// # Errors
    /// No such instance runs.
    pub fn recommend_rebalance(&self, id: &str) -> Result<(), NoSuchInstance> {
        self.shared.cause(id, Incident::RecommendRebalance)
    }
}

/// Leaves no process even without [`Host::shutdown`], such as after a failed test.
impl Drop for Host {
    fn drop(&mut self) {
        self.poll.abort();
        for _ in 0..DROP_PASSES {
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

    fn cause(&self, id: &str, incident: Incident) -> Result<(), NoSuchInstance> {
        let sent = self.running(id, |entry| entry.incidents.send(incident))?;
        sent.map_err(|_| NoSuchInstance(id.to_owned()))
    }

    fn running<T>(&self, id: &str, act: impl FnOnce(&Entry) -> T) -> Result<T, NoSuchInstance> {
        let entries = self.entries();
        let entry = entries.get(id).filter(|entry| entry.view.ending.is_none());
        entry.map(act).ok_or_else(|| NoSuchInstance(id.to_owned()))
    }

    fn emit(&self, instance: &str, event: HostEvent) {
        // There may be no listener.
        drop(self.events.send(InstanceEvent {
            instance: instance.to_owned(),
            event,
        }));
    }
}

/// Ends the instance. The first reason is kept.
fn end(entry: &Entry, ending: InstanceEnd) {
    entry.end.send_if_modified(|it| {
        let first = it.is_none();
        it.get_or_insert(ending);
        first
    });
}

async fn poll_forever<C: Cloud>(cloud: Arc<C>, shared: Arc<Shared>) {
    loop {
        match cloud.instances().await {
            Ok(instances) => {
                for instance in instances {
                    reconcile(&cloud, &shared, instance).await;
                }
            }
            Err(error) => shared.emit("", HostEvent::Failure(format!("instances: {error}"))),
        }
        tokio::time::sleep(shared.config.poll).await;
    }
}

/// Boots or ends an instance as EC2 reports it.
async fn reconcile<C: Cloud>(cloud: &Arc<C>, shared: &Arc<Shared>, instance: CloudInstance) {
    enum Needs {
        Boot,
        End,
        Report(InstanceEnd),
        Nothing,
    }
    let ending = shared.entries().get(&instance.id).map(|entry| entry.view.ending);
    let needs = match (ending, instance.state) {
        (None, CloudState::Running) => Needs::Boot,
        (Some(None), CloudState::Ended) => Needs::End,
        // The earlier report to EC2 failed.
        (Some(Some(ending)), CloudState::Running) => Needs::Report(ending),
        _ => Needs::Nothing,
    };
    match needs {
        Needs::Boot => admit(cloud, shared, instance),
        Needs::End => {
            if let Some(entry) = shared.entries().get(&instance.id) {
                end(entry, InstanceEnd::Terminated);
            }
        }
        Needs::Report(ending) => report(&**cloud, shared, &instance.id, ending).await,
        Needs::Nothing => {}
    }
}

fn admit<C: Cloud>(cloud: &Arc<C>, shared: &Arc<Shared>, instance: CloudInstance) {
    let (incidents, receiver) = mpsc::unbounded_channel();
    let (end, end_receiver) = watch::channel(None);
    let (up, is_up) = watch::channel(true);
    let mark = format!("{}/{}", shared.mark, instance.id);
    let view = InstanceView {
        id: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        zone: instance.zone.clone(),
        ending: None,
    };
    let hosted = Instance {
        cloud: Arc::clone(cloud),
        config: Arc::clone(&shared.config),
        instance,
        mark: mark.clone(),
        events: shared.events.clone(),
        incidents: receiver,
        end: end_receiver,
        up: is_up,
        boots: Arc::clone(&shared.boots),
    };
    let id = view.id.clone();
    shared.emit(&id, HostEvent::Discovered);
    let mut entries = shared.entries();
    // Under the lock, so that the task finds its entry.
    let task = tokio::spawn(host_one(hosted, Arc::clone(cloud), Arc::clone(shared)));
    entries.insert(
        id,
        Entry {
            view,
            incidents,
            end,
            up,
            mark,
            task: Some(task),
        },
    );
}

async fn host_one<C: Cloud>(hosted: Instance<C>, cloud: Arc<C>, shared: Arc<Shared>) {
    let id = hosted.instance.id.clone();
    let ending = hosted.run_to_end().await;
    if let Some(entry) = shared.entries().get_mut(&id) {
        entry.view.ending = Some(ending);
    }
    if !matches!(ending, InstanceEnd::Terminated | InstanceEnd::HostShutDown) {
        report(&*cloud, &shared, &id, ending).await;
    }
}

async fn report<C: Cloud>(cloud: &C, shared: &Shared, id: &str, ending: InstanceEnd) {
    shared.emit(
        id,
        match cloud.terminate(id, ending).await {
            Ok(()) => HostEvent::ReportedToEc2,
            Err(error) => HostEvent::Failure(format!("terminate: {error}")),
        },
    );
}
