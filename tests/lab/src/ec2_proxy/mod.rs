//! A proxy between the functions and ministack's EC2: a scenario decides capacity, prices and failures,
//! and the proxy counts the calls.
//!
//! It also answers for Service Quotas, which ministack does not have.
//!
//! Everything else passes through as it was signed, so that ministack checks signature and permissions;
//! only a `CreateFleet` is narrowed (to the pool that EC2 would have chosen) and signed again in its
//! caller's name.

mod bucket;
mod fleet;
mod fleet_events;
mod market;
mod price_list;
mod prices;
mod quotas;
mod script;

pub use bucket::Bucket;
pub use fleet_events::{Launch, Shortage};
pub use market::{Family, Lifecycle, Pool, Supply, Usage, vcpus};
pub use script::{Call, Fault, FaultKind, Scenario};

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use reqwest::Method;
use tokio::sync::broadcast;

use crate::aws::{Answer, Aws, AwsError, Xml, forward, now_seconds};
use crate::function_url::Outgoing;
use crate::http::{Handler, Received, Reply, Server};
use crate::sigv4::{self, Credentials, Scope, sha256_hex};

use bucket::Buckets;
use fleet::FleetRequest;
use fleet_events::FleetEvents;

/// EC2's limit, in bytes; user data and tags stay far below.
const BODY_LIMIT: usize = 1024 * 1024;

/// The parameters of a query call, in their order.
type Form = Vec<(String, String)>;

/// A function whose calls the proxy recognizes by their signature.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `launch`, `job-events` …
    pub name: String,
    pub credentials: Credentials,
    pub role: String,
}

impl Caller {
    /// Returns the function `name` with the session that ministack gives its processes.
    ///
    /// ministack derives it from the ARNs alone (`execution_credentials` in its Lambda runtime, version
    /// 1.5.33), so the proxy can sign in the function's name what it changed. If the derivation
    /// changed, signatures would not verify and fleets would pass unchanged; a test checks this.
    #[must_use]
    pub fn function(name: &str, function_arn: &str, role_arn: &str) -> Self {
        let digest = sha256_hex(format!("{function_arn}:{role_arn}").as_bytes());
        Self {
            name: name.to_owned(),
            credentials: Credentials {
                access_key: format!("ASIA{}", digest[..16].to_uppercase()),
                secret: sha256_hex(format!("secret:{digest}").as_bytes()),
                token: Some(sha256_hex(format!("token:{digest}").as_bytes())),
            },
            role: role_arn.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }
}

#[derive(Debug)]
pub struct Ec2Proxy {
    server: Server,
    shared: Arc<Proxy>,
}

impl Ec2Proxy {
    /// Starts the proxy in front of `aws`, without callers yet.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(aws: &Aws, scenario: Scenario) -> anyhow::Result<Self> {
        let shared = Arc::new(Proxy {
            http: reqwest::Client::builder().no_proxy().build()?,
            aws: aws.clone(),
            state: Mutex::new(State {
                scenario,
                ..State::default()
            }),
            fleets: tokio::sync::Mutex::default(),
            fleet_events: FleetEvents::default(),
        });
        let server = Server::start(Arc::clone(&shared), BODY_LIMIT).await?;
        Ok(Self { server, shared })
    }

    /// Adds the functions and the subnets of a deployment.
    pub fn know(&self, callers: Vec<Caller>, subnet_zones: BTreeMap<String, String>) {
        let mut state = self.shared.state();
        state.callers = callers;
        state.subnet_zones = subnet_zones;
    }

    /// Returns the functions with their credentials, for searches of the logs.
    #[must_use]
    pub fn callers(&self) -> Vec<Caller> {
        self.shared.state().callers.clone()
    }

    /// Returns the functions' EC2 endpoint: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Changes the scenario while it runs.
    pub fn change(&self, change: impl FnOnce(&mut Scenario)) {
        change(&mut self.shared.state().scenario);
    }

    /// Subscribes to launches.
    #[must_use]
    pub fn launches(&self) -> broadcast::Receiver<Launch> {
        self.shared.fleet_events.launches()
    }

    /// Subscribes to fleets that got fewer instances than requested.
    #[must_use]
    pub fn shortages(&self) -> broadcast::Receiver<Shortage> {
        self.shared.fleet_events.shortages()
    }

    /// Returns every call of the functions so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// Returns how often the functions called `action`.
    #[must_use]
    pub fn count(&self, action: &str) -> usize {
        self.shared
            .state()
            .calls
            .iter()
            .filter(|call| call.action == action)
            .count()
    }

    /// Returns how often the functions called each writing action.
    #[must_use]
    pub fn writes(&self) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for call in self.shared.state().calls.iter().filter(|call| call.is_write()) {
            *writes.entry(call.action.clone()).or_default() += 1;
        }
        writes
    }

    /// Returns how often the functions were throttled.
    #[must_use]
    pub fn throttled(&self) -> usize {
        let throttled = Some(FaultKind::throttled());
        let state = self.shared.state();
        state.calls.iter().filter(|call| call.fault == throttled).count()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

#[derive(Debug, Default)]
struct State {
    scenario: Scenario,
    callers: Vec<Caller>,
    subnet_zones: BTreeMap<String, String>,
    calls: Vec<Call>,
    buckets: Buckets,
}

#[derive(Debug)]
struct Proxy {
    http: reqwest::Client,
    /// The owner's view: the proxy's own calls are not counted.
    aws: Aws,
    state: Mutex<State>,
    /// The answers to fleets, by client token. Locked during a whole `CreateFleet`: two concurrent
    /// calls with the same token are one fleet.
    fleets: tokio::sync::Mutex<HashMap<String, (Form, Outgoing)>>,
    fleet_events: FleetEvents,
}

impl Handler for Proxy {
    async fn handle(&self, request: Received) -> Reply {
        if let Some(action) = quotas::action(&request) {
            return self.quotas(&request, &action).await;
        }
        if price_list::is_asked(&request) {
            return self.price_list(&request).await;
        }
        let form: Form = form_urlencoded::parse(&request.body).into_owned().collect();
        let action = value(&form, "Action").unwrap_or_default().to_owned();
        let caller = self.caller(&request, "ec2");
        let fault = self.enter(&action, caller.as_ref(), &form);
        match fault {
            Some(FaultKind::Refuse { status, code, message }) => {
                return Reply::Whole(error(status, &code, &message));
            }
            Some(FaultKind::LoseRequest) => return Reply::Lost,
            Some(FaultKind::LoseAnswer) | None => {}
        }
        let answer = match (&*action, &caller) {
            ("CreateFleet", Some(caller)) => self.create_fleet(&request, &form, caller).await,
            ("DescribeSpotPriceHistory", _) => self.spot_prices(&request, &form).await,
            _ => self.pass(&request).await,
        };
        if fault.is_some() {
            Reply::Lost
        } else {
            Reply::Whole(answer)
        }
    }
}

impl Proxy {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the function that signed this, if its signature is valid.
    fn caller(&self, request: &Received, service: &str) -> Option<Caller> {
        self.caller_in(request, self.scope(service))
    }

    /// The same for a service that may be in another region.
    fn caller_in(&self, request: &Received, scope: Scope<'_>) -> Option<Caller> {
        let key = sigv4::claimed_access_key(&request.headers)?;
        let caller = {
            let state = self.state();
            state
                .callers
                .iter()
                .find(|caller| caller.credentials.access_key == key)
                .cloned()?
        };
        let signed = sigv4::Request {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: &request.body,
        };
        sigv4::verify(&signed, scope, &caller.credentials, now_seconds())
            .inspect_err(|fault| tracing::warn!("a call in the name of {}: {fault}", caller.name))
            .ok()?;
        Some(caller)
    }

    fn scope<'a>(&'a self, service: &'a str) -> Scope<'a> {
        Scope {
            region: self.aws.region(),
            service,
        }
    }

    /// Counts the call, and returns the fault of the scenario or of the throttling for it.
    fn enter(&self, action: &str, caller: Option<&Caller>, form: &Form) -> Option<FaultKind> {
        let caller = caller?;
        let mut guard = self.state();
        let state = &mut *guard;
        let bucket = state.scenario.bucket;
        let is_throttled = bucket.is_some_and(|bucket| !state.buckets.take(bucket, action, Instant::now()));
        let fault = state.scenario.take_fault(action, &caller.name);
        let fault = fault.or_else(|| is_throttled.then(FaultKind::throttled));
        state.calls.push(Call {
            action: action.to_owned(),
            caller: caller.name.clone(),
            parameters: form.clone(),
            fault: fault.clone(),
        });
        fault
    }

    async fn pass(&self, request: &Received) -> Outgoing {
        let mut headers = request.headers.clone();
        headers.retain(|(name, _)| !is_framing(name));
        self.send(&request.method, &request.target(), &headers, request.body.clone())
            .await
    }

    async fn send(&self, method: &str, target: &str, headers: &[(String, String)], body: bytes::Bytes) -> Outgoing {
        let url = format!("{}{target}", self.aws.endpoint());
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST);
        match forward(&self.http, method, &url, headers, body).await {
            Ok(answer) => outgoing(answer),
            Err(cause) => error(503, "ServiceUnavailable", &cause.to_string()),
        }
    }

    /// The history has only today's prices. ministack refuses unauthorized callers: it checks
    /// permissions before it reports that it does not know the call.
    async fn spot_prices(&self, request: &Received, form: &Form) -> Outgoing {
        let passed = self.pass(request).await;
        if matches!(passed.status, 401 | 403) {
            return passed;
        }
        let state = self.state();
        xml(prices::history(form, &state.scenario, &state.subnet_zones))
    }

    /// Invalid signatures and unauthorized roles are refused as by AWS.
    async fn quotas(&self, request: &Received, action: &str) -> Reply {
        let Some(caller) = self.caller(request, quotas::SERVICE) else {
            return Reply::Whole(quotas::denied(quotas::SERVICE, action));
        };
        let code = quotas::code(request);
        let form = vec![("QuotaCode".to_owned(), code.clone())];
        match self.enter(action, Some(&caller), &form) {
            Some(FaultKind::Refuse { status, code, message }) => {
                return Reply::Whole(quotas::refusal(status, &code, &message));
            }
            Some(FaultKind::LoseRequest | FaultKind::LoseAnswer) => return Reply::Lost,
            None => {}
        }
        Reply::Whole(match quotas::may(&self.aws, &caller, quotas::SERVICE, action).await {
            Ok(true) => quotas::answer(action, &code, &self.state().scenario),
            Ok(false) => quotas::denied(quotas::SERVICE, action),
            Err(cause) => quotas::refusal(500, "ServiceException", &format!("{cause:#}")),
        })
    }

    /// Authorized roles get the scenario's on-demand price.
    async fn price_list(&self, request: &Received) -> Reply {
        let scope = Scope {
            region: price_list::REGION,
            service: price_list::SERVICE,
        };
        let denied = || quotas::denied(price_list::SERVICE, price_list::ACTION);
        let Some(caller) = self.caller_in(request, scope) else {
            return Reply::Whole(denied());
        };
        let asked = price_list::filters(request);
        match self.enter(price_list::ACTION, Some(&caller), &asked) {
            Some(FaultKind::Refuse { status, code, message }) => {
                return Reply::Whole(quotas::refusal(status, &code, &message));
            }
            Some(FaultKind::LoseRequest | FaultKind::LoseAnswer) => return Reply::Lost,
            None => {}
        }
        Reply::Whole(
            match quotas::may(&self.aws, &caller, price_list::SERVICE, price_list::ACTION).await {
                Ok(true) => price_list::json_answer(200, &price_list::answer(&asked, &self.state().scenario)),
                Ok(false) => denied(),
                Err(cause) => quotas::refusal(500, "InternalErrorException", &format!("{cause:#}")),
            },
        )
    }

    async fn create_fleet(&self, request: &Received, form: &Form, caller: &Caller) -> Outgoing {
        let token = value(form, "ClientToken").map(str::to_owned);
        let mut fleets = self.fleets.lock().await;
        if let Some((asked, answer)) = token.as_ref().and_then(|token| fleets.get(token)) {
            return if asked == form {
                answer.clone()
            } else {
                error(
                    400,
                    "IdempotentParameterMismatch",
                    "The client token was used with other parameters before.",
                )
            };
        }
        let answer = self.launch(request, form, caller).await;
        if let Some(token) = token.filter(|_| answer.status == 200) {
            fleets.insert(token, (form.clone(), answer.clone()));
        }
        answer
    }

    /// Returns the running vCPUs of each limited quota.
    async fn in_use(&self) -> Result<Usage, AwsError> {
        let mut usage = Usage::new();
        if self.state().scenario.limits.is_empty() {
            return Ok(usage);
        }
        for instance in self.aws.instances().await? {
            if !instance.is_ended() {
                let lifecycle = if instance.spot {
                    Lifecycle::Spot
                } else {
                    Lifecycle::OnDemand
                };
                let quota = (lifecycle, Family::of(&instance.instance_type));
                *usage.entry(quota).or_default() += vcpus(&instance.instance_type);
            }
        }
        Ok(usage)
    }

    /// Launches pool by pool, each pool's share as a fleet of its own: ministack spreads a fleet over
    /// all its pools in turn, and has unlimited capacity everywhere.
    async fn launch(&self, request: &Received, form: &Form, caller: &Caller) -> Outgoing {
        let wanted = FleetRequest::read(form);
        let mut in_use = match self.in_use().await {
            Ok(in_use) => in_use,
            Err(cause) => return error(503, "ServiceUnavailable", &cause.to_string()),
        };
        let choice = {
            let mut state = self.state();
            let zones = state.subnet_zones.clone();
            wanted.choose(&mut state.scenario, &zones, &mut in_use)
        };
        let mut launched = Vec::new();
        let mut fleet_id = format!("fleet-lab-{}", now_seconds());
        for (pool, count) in &choice.taken {
            let body = fleet::narrowed(form, pool.number, *count);
            let answer = self.send_as(caller, request, body).await;
            if answer.status != 200 {
                return answer;
            }
            let Ok(read) = Xml::read("ec2:CreateFleet", &answer.body) else {
                return answer;
            };
            if let Some(id) = read.text("fleetId") {
                fleet_id = id;
            }
            let ids = read.texts("instanceIds");
            let price = self.state().scenario.price(wanted.lifecycle, &pool.pool).to_owned();
            self.fleet_events.launched(&ids, &pool.pool, wanted.lifecycle, &price);
            launched.push((pool.clone(), ids));
        }
        let got = launched.iter().map(|(_, ids)| ids.len()).sum();
        self.fleet_events
            .shortage(wanted.lifecycle, wanted.count, got, &choice.errors);
        xml(wanted.answer(&fleet_id, &launched, &choice.errors))
    }

    async fn send_as(&self, caller: &Caller, request: &Received, body: String) -> Outgoing {
        let mut headers = request.headers.clone();
        headers.retain(|(name, _)| !is_framing(name) && !name.starts_with("x-amz-") && name != "authorization");
        let target = request.target();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let signed = sigv4::Request {
            method: &request.method,
            path,
            query,
            headers: &headers,
            body: body.as_bytes(),
        };
        let added = sigv4::sign(&signed, self.scope("ec2"), &caller.credentials, now_seconds());
        headers.extend(added);
        self.send(&request.method, &target, &headers, body.into()).await
    }
}

/// Headers of a connection rather than a request. The host stays, because it is signed.
fn is_framing(name: &str) -> bool {
    matches!(name, "connection" | "content-length" | "transfer-encoding" | "expect")
}

fn value<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
}

fn outgoing(answer: Answer) -> Outgoing {
    Outgoing {
        status: answer.status,
        headers: answer.headers,
        body: answer.body.to_vec(),
    }
}

fn xml(body: String) -> Outgoing {
    Outgoing {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/xml;charset=UTF-8".to_owned())],
        body: body.into_bytes(),
    }
}

/// Returns an error in EC2's own shape.
fn error(status: u16, code: &str, message: &str) -> Outgoing {
    let (code, message) = (escape(code), escape(message));
    Outgoing {
        status,
        ..xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
             <Message>{message}</Message></Error></Errors><RequestID>lab</RequestID></Response>"
        ))
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_ec2s_shape() {
        let outgoing = error(503, "RequestLimitExceeded", "a < b");
        let text = String::from_utf8(outgoing.body).unwrap();
        assert_eq!(outgoing.status, 503);
        assert!(
            text.contains("<Code>RequestLimitExceeded</Code><Message>a &lt; b</Message>"),
            "{text}"
        );
    }

    #[test]
    fn a_functions_session_is_not_printed() {
        let caller = Caller::function("launch", "arn:f", "arn:r");
        assert!(caller.credentials.access_key.starts_with("ASIA"));
        assert!(!format!("{caller:?}").contains(&caller.credentials.secret));
    }
}
