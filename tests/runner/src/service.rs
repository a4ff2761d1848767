//! A client of the twin's runner protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_twin::runner_protocol::{
    CompleteJob, EndedBy, JitConfig, JobMessage, OpenSession, Order, Refused, RefusedCode, Renewed, RunnerMessage,
    SessionOpened, StepLog, StepReport,
};
use dayfly_twin::{Conclusion, JobId};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};

/// How much longer than a poll an answer may take.
const SLACK: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{}", .0.message)]
    Refused(Refused),
    /// No answer, or an unreadable one.
    #[error("the service cannot be reached: {0}")]
    Http(#[from] reqwest::Error),
}

/// The client of one registered runner.
#[derive(Clone, Debug)]
pub struct Service {
    client: Client,
    url: String,
    credential: String,
    poll: Duration,
    renew: Duration,
}

impl Service {
    /// Opens a session, through `proxy` if given, and returns its id.
    pub async fn open(config: &JitConfig, version: &str, proxy: Option<&str>) -> Result<(Self, String), CallError> {
        // This machine's own proxies are not used.
        let client = Client::builder().no_proxy();
        let client = match proxy {
            Some(proxy) => client.proxy(reqwest::Proxy::http(proxy)?),
            None => client,
        };
        let mut service = Self {
            client: client.build()?,
            url: format!("{}/_twin/runner", config.runner.server_url.trim_end_matches('/')),
            credential: config.credentials.data.client_id.clone(),
            poll: Duration::ZERO,
            renew: Duration::ZERO,
        };
        let request = OpenSession {
            runner_id: config.runner.agent_id,
            version: version.to_owned(),
            os: "linux".to_owned(),
        };
        let answer = service
            .send(service.request(Method::POST, "sessions").json(&request))
            .await?;
        let opened: SessionOpened = answer.json().await?;
        service.poll = Duration::from_secs_f64(opened.poll_seconds.max(0.0));
        service.renew = Duration::from_secs_f64(opened.renew_seconds.max(0.01));
        Ok((service, opened.session_id))
    }

    /// Time between two renewals of a running job.
    pub fn renew_every(&self) -> Duration {
        self.renew
    }

    /// Waits for a job and takes it. Returns `None` if none came, or it was gone by then.
    pub async fn next_job(&self, session: &str) -> Result<Option<JobMessage>, CallError> {
        let path = format!("sessions/{session}/message");
        let answer = self.send(self.request(Method::GET, &path)).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let RunnerMessage::JobOffered { job_id } = answer.json().await?;
        let path = format!("sessions/{session}/jobs/{job_id}/acknowledge");
        match self.send(self.request(Method::POST, &path)).await {
            Ok(answer) => Ok(Some(answer.json().await?)),
            Err(CallError::Refused(refused)) if refused.code == RefusedCode::TooLate => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub async fn close(&self, session: &str) -> Result<(), CallError> {
        let path = format!("sessions/{session}");
        self.send(self.request(Method::DELETE, &path)).await.map(drop)
    }

    /// Renews the job's lease, and returns the service's order.
    pub async fn renew(&self, job: JobId) -> Result<Order, CallError> {
        let path = format!("jobs/{job}/renew");
        let renewed: Renewed = self.send(self.request(Method::POST, &path)).await?.json().await?;
        Ok(renewed.order)
    }

    /// Appends lines to a step's log, and errors to the job's page.
    pub async fn log(&self, job: JobId, step: u32, lines: Vec<String>, errors: Vec<String>) -> Result<(), CallError> {
        let path = format!("jobs/{job}/logs");
        let request = self.request(Method::POST, &path).json(&StepLog { step, lines, errors });
        self.send(request).await.map(drop)
    }

    /// Reports a step's start, or its end with a conclusion.
    pub async fn step(&self, job: JobId, number: u32, conclusion: Option<Conclusion>) -> Result<(), CallError> {
        let path = format!("jobs/{job}/steps");
        let request = self
            .request(Method::POST, &path)
            .json(&StepReport { number, conclusion });
        self.send(request).await.map(drop)
    }

    pub async fn complete(
        &self,
        job: JobId,
        conclusion: Conclusion,
        ended_by: Option<EndedBy>,
        outputs: BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<(), CallError> {
        let path = format!("jobs/{job}/complete");
        let request = self.request(Method::POST, &path).json(&CompleteJob {
            conclusion,
            ended_by,
            outputs,
        });
        self.send(request).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/{path}", self.url))
            .bearer_auth(&self.credential)
            .timeout(self.poll + SLACK)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let answer = request.send().await?;
        match answer.error_for_status_ref() {
            Ok(_) => Ok(answer),
            // A refusal without its body is an error of the service.
            Err(error) => Err(answer.json().await.map_or(CallError::Http(error), CallError::Refused)),
        }
    }
}
