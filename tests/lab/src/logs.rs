//! The logs of all parts of the lab, kept to be searched and shown.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use dayfly_host::{HostEvent, InstanceEvent};
use dayfly_twin::TwinEvent;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub part: String,
    pub lines: Vec<String>,
}

/// Records the events of the instances and the twin.
#[derive(Debug)]
pub struct Recorder {
    instances: Arc<Mutex<Vec<String>>>,
    twin: Arc<Mutex<Vec<String>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Recorder {
    /// Subscribes to both.
    #[must_use]
    pub fn start(host: broadcast::Receiver<InstanceEvent>, twin: broadcast::Receiver<TwinEvent>) -> Self {
        let (instance_lines, twin_lines) = (Arc::default(), Arc::default());
        let tasks = [
            record(host, Arc::clone(&instance_lines), |reported| {
                let what = match &reported.event {
                    HostEvent::ConsoleLine(line) => line.clone(),
                    HostEvent::AgentLine(line) => line.to_string(),
                    other => format!("{other:?}"),
                };
                format!("{}: {what}", reported.instance)
            }),
            record(twin, Arc::clone(&twin_lines), |event| {
                format!("{} {:?}", event.at, event.what)
            }),
        ];
        Self {
            instances: instance_lines,
            twin: twin_lines,
            tasks,
        }
    }

    /// The output of the instances' consoles and agents.
    #[must_use]
    pub fn instances(&self) -> Log {
        log("instances", &self.instances)
    }

    /// The events of the twin.
    #[must_use]
    pub fn twin(&self) -> Log {
        log("twin", &self.twin)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn log(part: &str, lines: &Mutex<Vec<String>>) -> Log {
    Log {
        part: part.to_owned(),
        // A panic cannot leave a line incomplete.
        lines: lines.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    }
}

fn record<T: Clone + Send + 'static>(
    mut events: broadcast::Receiver<T>,
    lines: Arc<Mutex<Vec<String>>>,
    line: impl Fn(&T) -> String + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let text = match events.recv().await {
                Ok(event) => line(&event),
                Err(RecvError::Lagged(missed)) => format!("({missed} lines were missed)"),
                Err(RecvError::Closed) => return,
            };
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    })
}
