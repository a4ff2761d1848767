//! AWS and GitHub on loopback, for the measured binaries.
//!
//! Real state where the next step depends on it, no latency, no faults: only the functions' own time is
//! measured. Unimplemented calls are answered 501 and recorded, so that the bench fails instead of
//! measuring an error path.

pub mod dynamodb;
pub mod ec2;
pub mod expression;
pub mod github;
pub mod key;
pub mod reply;
pub mod services;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use http::request::Parts;
use serde_json::json;

use crate::server::Server;
use dynamodb::Table;
use ec2::Ec2;
use github::GitHub;
use reply::{Reply, Request};
use services::{Bus, Parameters, Schedule};

/// The state of the clouds.
#[derive(Debug)]
pub struct Clouds {
    pub table: Table,
    pub bus: Bus,
    pub parameters: Parameters,
    pub schedule: Schedule,
    pub ec2: Ec2,
    pub github: GitHub,
    calls: BTreeMap<String, u64>,
    refused: Vec<String>,
}

impl Clouds {
    /// Returns the number of calls answered so far.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Returns every call answered so far, by name.
    #[must_use]
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    fn aws(&mut self, request: &Request) -> Reply {
        let target = request.header("x-amz-target").unwrap_or_default();
        let (name, reply) = match target.split_once('.') {
            Some(("DynamoDB_20120810", operation)) => {
                let reply = self.table.call(operation, &request.json());
                (format!("dynamodb {operation}"), reply)
            }
            Some(("AmazonSSM", operation)) => {
                let reply = self.parameters.call(operation, &request.json());
                (format!("ssm {operation}"), reply)
            }
            Some(("AWSEvents", "PutEvents")) => {
                let reply = self.bus.put(&request.json());
                ("events PutEvents".to_owned(), Some(reply))
            }
            Some(("AWSPriceListService", "GetProducts")) => {
                ("pricing GetProducts".to_owned(), Some(services::price_list()))
            }
            Some(_) => (target.to_owned(), None),
            None if request.path.starts_with("/schedules/") => {
                let reply = self.schedule.call(request);
                (format!("scheduler {}", request.method), reply)
            }
            None => {
                let form = form_urlencoded::parse(&request.body).into_owned().collect();
                let reply = self.ec2.call(&form);
                let action = form.get("Action").map_or(request.path.as_str(), String::as_str);
                (format!("ec2 {action}"), reply)
            }
        };
        self.settle(name, reply, request)
    }

    fn github(&mut self, request: &Request) -> Reply {
        let reply = self.github.call(request);
        let last = request.path.rsplit('/').find(|step| step.parse::<u64>().is_err());
        let name = format!("github {} {}", request.method, last.unwrap_or_default());
        self.settle(name, reply, request)
    }

    fn settle(&mut self, name: String, reply: Option<Reply>, request: &Request) -> Reply {
        let reply = reply.unwrap_or_else(|| {
            let body = String::from_utf8_lossy(&request.body);
            let (path, query) = (&request.path, &request.query);
            self.refused.push(format!("{name} ({path}?{query} {body})"));
            let message = format!("the bench does not implement {name}");
            Reply::json(http::StatusCode::NOT_IMPLEMENTED, &json!({ "message": message }))
        });
        *self.calls.entry(name).or_default() += 1;
        reply
    }
}

/// The clouds and the two servers in front of them.
pub struct Cloud {
    clouds: Arc<Mutex<Clouds>>,
    aws: Server,
    github: Server,
}

impl Cloud {
    /// Starts the servers.
    ///
    /// # Errors
    /// If no loopback port can be bound.
    pub async fn start(config: &str, schedule: &str, parameters: Parameters) -> anyhow::Result<Self> {
        let clouds = Arc::new(Mutex::new(Clouds {
            table: Table::default(),
            bus: Bus::default(),
            parameters,
            schedule: Schedule::disabled(schedule),
            ec2: Ec2::default(),
            github: GitHub::new(config),
            calls: BTreeMap::new(),
            refused: Vec::new(),
        }));
        let aws = serve(&clouds, Clouds::aws).await?;
        let github = serve(&clouds, Clouds::github).await?;
        Ok(Self { clouds, aws, github })
    }

    /// The value of `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn aws_url(&self) -> String {
        self.aws.url()
    }

    /// The value of `GITHUB_API_URL`.
    #[must_use]
    pub fn github_url(&self) -> String {
        self.github.url()
    }

    /// Locks the state. Hold it briefly: every call of a function waits for it.
    pub fn state(&self) -> MutexGuard<'_, Clouds> {
        lock(&self.clouds)
    }

    /// Fails if a function made an unimplemented call.
    ///
    /// # Errors
    /// With the first such call.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.state().refused.first() {
            None => Ok(()),
            Some(call) => bail!("the bench's clouds do not implement {call}"),
        }
    }
}

fn lock(clouds: &Mutex<Clouds>) -> MutexGuard<'_, Clouds> {
    // A panic in one call leaves the others' state usable; the call itself is answered 500.
    clouds.lock().unwrap_or_else(PoisonError::into_inner)
}

type Handler = fn(&mut Clouds, &Request) -> Reply;

async fn serve(clouds: &Arc<Mutex<Clouds>>, handler: Handler) -> anyhow::Result<Server> {
    let router = Router::new()
        .fallback(answer)
        .layer(DefaultBodyLimit::disable())
        .with_state((Arc::clone(clouds), handler));
    Server::start(router).await
}

async fn answer(State((clouds, handler)): State<(Arc<Mutex<Clouds>>, Handler)>, parts: Parts, body: Bytes) -> Reply {
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    handler(&mut lock(&clouds), &request)
}
