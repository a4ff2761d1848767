//! AWS FIS, which ministack does not have: the part that sends an interruption to a spot instance.
//!
//! A template is validated as FIS does it, the experiment has the permissions of the template's role in
//! the deployed stack, and its effect is EC2's: recommendation, notice, end.
//!
//! Source: "AWS FIS actions reference" in the FIS user guide, and the FIS API reference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_host::Notices;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio::task::AbortHandle;

use crate::aws::{Aws, now_seconds};
use crate::cloud::Ec2Event;
use crate::ec2_proxy::Launch;
use crate::function_url::Outgoing;
use crate::http::{Handler, Received, Reply, Server};
use crate::policy::{Question, allows};
use crate::sigv4::{self, Credentials, Scope};

/// The length of an FIS minute in the lab.
pub const MINUTE: Duration = Duration::from_secs(10);

/// How long before its end an instance gets its notice, in minutes.
const NOTICE: u32 = 2;

/// The size limit of a request, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

#[derive(Debug)]
pub struct Fis {
    server: Server,
    desk: Arc<Desk>,
}

impl Fis {
    /// Starts it for the instances that `notices` reaches; those that `launches` reports as spot can be
    /// interrupted.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(aws: &Aws, notices: Notices, launches: broadcast::Receiver<Launch>) -> anyhow::Result<Self> {
        let desk = Arc::new(Desk(Arc::new(Shared {
            aws: aws.clone(),
            notices,
            state: Mutex::new(State {
                launches,
                spot: BTreeSet::new(),
                templates: BTreeMap::new(),
                experiments: BTreeMap::new(),
                running: Vec::new(),
                made: 0,
            }),
        })));
        let server = Server::start(Arc::clone(&desk), BODY_LIMIT).await?;
        Ok(Self { server, desk })
    }

    /// Returns the value for `AWS_ENDPOINT_URL_FIS`: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the existing templates.
    #[must_use]
    pub fn templates(&self) -> Vec<String> {
        self.desk.0.state().templates.keys().cloned().collect()
    }

    /// Returns the number of experiments ever started.
    #[must_use]
    pub fn experiments(&self) -> usize {
        self.desk.0.state().experiments.len()
    }

    /// Ends it with all running experiments.
    pub async fn stop(self) {
        for running in self.desk.0.state().running.drain(..) {
            running.abort();
        }
        self.server.stop().await;
    }
}

#[derive(Debug)]
struct State {
    launches: broadcast::Receiver<Launch>,
    /// The spot instances.
    spot: BTreeSet<String>,
    templates: BTreeMap<String, Order>,
    /// Status and reason.
    experiments: BTreeMap<String, (&'static str, String)>,
    running: Vec<AbortHandle>,
    made: u32,
}

impl State {
    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:015}", self.made)
    }

    fn is_spot(&mut self, instance: &str) -> bool {
        loop {
            match self.launches.try_recv() {
                Ok(launch) if launch.spot => drop(self.spot.insert(launch.instance)),
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return self.spot.contains(instance),
            }
        }
    }
}

struct Shared {
    aws: Aws,
    notices: Notices,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an experiment.
    async fn run(&self, order: &Order) -> Result<(), String> {
        if !self.state().is_spot(&order.instance) {
            return Err("Target resolution returned empty set".to_owned());
        }
        self.check_rights(order).await?;
        let failed = |error: dayfly_host::NoSuchInstance| error.to_string();
        self.notices.recommend_rebalance(&order.instance).map_err(failed)?;
        self.emit(&Ec2Event::RebalanceRecommendation, order).await?;
        tokio::time::sleep(MINUTE * (order.minutes - NOTICE)).await;
        self.notices
            .interrupt(&order.instance, "terminate", MINUTE * NOTICE)
            .map_err(failed)?;
        self.emit(&Ec2Event::InterruptionWarning, order).await
    }

    async fn emit(&self, event: &Ec2Event, order: &Order) -> Result<(), String> {
        let emitted = event.emit(&self.aws, &order.instance).await;
        emitted.map_err(|error| format!("{error:#}"))
    }

    /// Checks that the experiment's role may find and interrupt the instance.
    async fn check_rights(&self, order: &Order) -> Result<(), String> {
        let said = |error: &dyn std::error::Error| error.to_string();
        let instances = self.aws.instances().await.map_err(|error| said(&error))?;
        let instance = instances.iter().find(|instance| instance.id == order.instance);
        let tags = instance.map(|instance| instance.tags.clone()).unwrap_or_default();
        let keys: Vec<(String, &String)> = tags
            .iter()
            .map(|(key, value)| (format!("aws:ResourceTag/{key}"), value))
            .collect();
        let context: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (&**key, &***value)).collect();
        let role = order.role.rsplit('/').next().unwrap_or_default();
        let policies = self.aws.role_policies(role).await.map_err(|error| said(&error))?;
        for (action, resource, context) in [
            ("ec2:DescribeInstances", "*", &[][..]),
            ("ec2:SendSpotInstanceInterruptions", &order.instance_arn, &context),
        ] {
            let question = Question {
                action,
                resource,
                context,
            };
            if !allows(&policies, &question).map_err(|error| said(&error))? {
                return Err(format!("{} is not authorized to perform: {action}", order.role));
            }
        }
        Ok(())
    }
}

/// The order in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    instance: String,
    instance_arn: String,
    role: String,
    minutes: u32,
}

impl Order {
    /// Reads a `CreateExperimentTemplate` that interrupts one instance.
    fn read(template: &Value) -> Result<Self, String> {
        let text = |value: &Value, what: &str| value.as_str().map(str::to_owned).ok_or(format!("{what} is missing"));
        if template["stopConditions"][0]["source"] != "none" {
            return Err("stopConditions must be given".to_owned());
        }
        let only = |what: &str| {
            let all = template[what].as_object().filter(|all| all.len() == 1);
            let one = all.and_then(|all| all.iter().next());
            one.map(|(name, value)| (name.clone(), value.clone()))
                .ok_or(format!("the lab takes one of {what}"))
        };
        let (target_name, target) = only("targets")?;
        let (_, action) = only("actions")?;
        if action["actionId"] != "aws:ec2:send-spot-instance-interruptions" {
            return Err(format!("the lab does not know the action {}", action["actionId"]));
        }
        if action["targets"]["SpotInstances"] != *target_name || target["resourceType"] != "aws:ec2:spot-instance" {
            return Err("the action's targets SpotInstances must be of aws:ec2:spot-instance".to_owned());
        }
        let instance_arn = text(&target["resourceArns"][0], "resourceArns")?;
        let before = text(
            &action["parameters"]["durationBeforeInterruption"],
            "durationBeforeInterruption",
        )?;
        let minutes = before.strip_prefix("PT").and_then(|text| text.strip_suffix('M'));
        let minutes = minutes.and_then(|text| text.parse().ok());
        Ok(Self {
            instance: instance_arn.rsplit('/').next().unwrap_or_default().to_owned(),
            instance_arn,
            role: text(&template["roleArn"], "roleArn")?,
            minutes: minutes
                .filter(|minutes| (NOTICE..=15).contains(minutes))
                .ok_or("durationBeforeInterruption must be between PT2M and PT15M")?,
        })
    }
}

struct Desk(Arc<Shared>);

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Handler for Desk {
    async fn handle(&self, request: Received) -> Reply {
        Reply::Whole(self.answer(&request))
    }
}

impl Desk {
    fn answer(&self, request: &Received) -> Outgoing {
        if let Err(fault) = self.check_signature(request) {
            return refusal(403, "AccessDeniedException", &fault.to_string());
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (&*request.method, &*path) {
            ("POST", ["experimentTemplates"]) => self.create(&body),
            ("DELETE", ["experimentTemplates", id]) => self.delete(id),
            ("POST", ["experiments"]) => self.start(&body),
            ("GET", ["experiments", id]) => self.get(id),
            _ => refusal(404, "UnknownOperationException", &request.target()),
        }
    }

    /// Only the account's owner is known here, as in ministack.
    fn check_signature(&self, request: &Received) -> Result<(), sigv4::SignatureFault> {
        let signed = sigv4::Request {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: &request.body,
        };
        let scope = Scope {
            region: self.0.aws.region(),
            service: "fis",
        };
        sigv4::verify(&signed, scope, &Credentials::owner(), now_seconds())
    }

    fn create(&self, body: &Value) -> Outgoing {
        let order = match Order::read(body) {
            Ok(order) => order,
            Err(what) => return refusal(400, "ValidationException", &what),
        };
        let mut state = self.0.state();
        let id = state.id("EXT");
        state.templates.insert(id.clone(), order);
        Outgoing::json(200, &json!({"experimentTemplate": {"id": id}}).to_string())
    }

    fn delete(&self, id: &str) -> Outgoing {
        match self.0.state().templates.remove(id) {
            Some(_) => Outgoing::json(200, &json!({"experimentTemplate": {"id": id}}).to_string()),
            None => refusal(404, "ResourceNotFoundException", id),
        }
    }

    fn start(&self, body: &Value) -> Outgoing {
        let template = body["experimentTemplateId"].as_str().unwrap_or_default();
        let mut state = self.0.state();
        let Some(order) = state.templates.get(template).cloned() else {
            return refusal(404, "ResourceNotFoundException", template);
        };
        let id = state.id("EXP");
        state.experiments.insert(id.clone(), ("initiating", String::new()));
        let shared = Arc::clone(&self.0);
        let experiment = id.clone();
        let running = tokio::spawn(async move {
            shared
                .state()
                .experiments
                .insert(experiment.clone(), ("running", String::new()));
            let end = match shared.run(&order).await {
                Ok(()) => ("completed", "Experiment completed.".to_owned()),
                Err(reason) => ("failed", reason),
            };
            shared.state().experiments.insert(experiment, end);
        });
        state.running.push(running.abort_handle());
        shown(&id, "initiating", "")
    }

    fn get(&self, id: &str) -> Outgoing {
        match self.0.state().experiments.get(id) {
            Some((status, reason)) => shown(id, status, reason),
            None => refusal(404, "ResourceNotFoundException", id),
        }
    }
}

fn shown(id: &str, status: &str, reason: &str) -> Outgoing {
    let experiment = json!({"id": id, "state": {"status": status, "reason": reason}});
    Outgoing::json(200, &json!({"experiment": experiment}).to_string())
}

fn refusal(status: u16, kind: &str, message: &str) -> Outgoing {
    let mut outgoing = Outgoing::json(status, &json!({"message": message}).to_string());
    outgoing.headers.push(("x-amzn-errortype".to_owned(), kind.to_owned()));
    outgoing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(change: impl FnOnce(&mut Value)) -> Value {
        let mut template = json!({
            "roleArn": "arn:aws:iam::0:role/drill",
            "stopConditions": [{"source": "none"}],
            "targets": {"it": {
                "resourceType": "aws:ec2:spot-instance",
                "resourceArns": ["arn:aws:ec2:eu-west-1:0:instance/i-1"],
                "selectionMode": "ALL",
            }},
            "actions": {"go": {
                "actionId": "aws:ec2:send-spot-instance-interruptions",
                "parameters": {"durationBeforeInterruption": "PT5M"},
                "targets": {"SpotInstances": "it"},
            }},
        });
        change(&mut template);
        template
    }

    #[test]
    fn a_template_is_read_as_fis_reads_it() {
        let order = Order::read(&template(|_| {})).unwrap();
        assert_eq!((&*order.instance, order.minutes), ("i-1", 5));
        let wrong: [fn(&mut Value); 6] = [
            |it| it["actions"]["go"]["parameters"]["durationBeforeInterruption"] = json!("PT1M"),
            |it| it["actions"]["go"]["parameters"]["durationBeforeInterruption"] = json!("5 minutes"),
            |it| it["actions"]["go"]["actionId"] = json!("aws:ec2:stop-instances"),
            |it| it["actions"]["go"]["targets"] = json!({"SpotInstances": "another"}),
            |it| it["stopConditions"] = json!([]),
            |it| it["roleArn"] = Value::Null,
        ];
        for change in wrong {
            let template = template(change);
            assert!(Order::read(&template).is_err(), "{template}");
        }
    }
}
