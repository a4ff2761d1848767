//! The course of many jobs through all functions. Each function gets what the earlier ones really
//! published and stored, so that no row measures an unrealistic path.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::cloud::github::BROKEN;
use crate::events::{self, Job};
use crate::measure::{Check, Measured, Measurement, Plan};
use crate::sandbox::Function;
use crate::stack::{self, Binaries};

/// The rows of the table, in the order of measurement.
pub const ROWS: [&str; 9] = [
    "hello",
    "webhook",
    "launch",
    "checkin claim",
    "checkin heartbeat",
    "sweeper",
    "interruption",
    "job-events",
    "reporter",
];

/// The measurement of all rows.
pub struct Journey<'a> {
    /// The functions' binaries.
    pub binaries: &'a Binaries,
    /// The reference, measured beside every cold start.
    pub reference: Function,
    pub cloud: Cloud,
    pub plan: Plan,
    /// The rows to measure, or all if empty; their prerequisites are done unmeasured.
    pub only: Vec<String>,
    /// Receives each step as it starts.
    pub progress: fn(&str),
    pub measured: Vec<(&'static str, Measured)>,
}

impl Journey<'_> {
    /// Goes the whole way, or up to the last wanted row.
    ///
    /// # Errors
    /// If a function fails. The figures until then stay in [`Journey::measured`].
    pub async fn go(&mut self) -> anyhow::Result<()> {
        let events = self.plan.events();
        self.step("hello", &vec![json!({}); events], |_| Ok(())).await?;

        if self.is_over("webhook") {
            return Ok(());
        }
        // Half of the jobs run to their end; the others are alive while that is measured.
        let jobs: Vec<Value> = (0..2 * events)
            .map(|number| self.job(number).webhook("queued"))
            .collect();
        self.step("webhook", &jobs, succeeded).await?;
        let queued = self.take_events("job.queued", jobs.len())?;

        if self.is_over("launch") {
            return Ok(());
        }
        self.step("launch", &queued, |_| Ok(())).await?;
        let instances = self.launched(queued.len())?;
        let (finishing, living) = instances.split_at(events);

        if self.is_over("checkin claim") {
            return Ok(());
        }
        let claims = each(&instances, "claim", &json!({ "agent_version": "0.1.0" }));
        self.step("checkin claim", &claims, claimed).await?;
        let runners = self.cloud.state().github.runner_count();
        ensure!(
            runners == claims.len(),
            "{runners} runners came of {} claims",
            claims.len()
        );

        let alive = json!({ "phase": "listening", "interruption": null });
        self.step("checkin heartbeat", &each(finishing, "heartbeat", &alive), ordered)
            .await?;
        self.step("sweeper", &vec![events::sweep(); events], |_| Ok(())).await?;
        let warnings: Vec<Value> = living.iter().map(|it| events::interruption_warning(&it.id)).collect();
        self.step("interruption", &warnings, |_| Ok(())).await?;
        self.finish(finishing).await?;
        self.refuse(jobs.len()).await
    }

    /// Queues impossible jobs, each in a run of its own, which is reported on their commits.
    async fn refuse(&mut self, first: usize) -> anyhow::Result<()> {
        if self.is_over("reporter") {
            return Ok(());
        }
        let events = self.plan.events();
        let jobs = (first..first + events).map(|number| Job::queued(number, BROKEN).webhook("queued"));
        self.drive("webhook", &jobs.collect::<Vec<_>>(), succeeded).await?;
        let queued = self.take_events("job.queued", events)?;
        self.drive("launch", &queued, |_| Ok(())).await?;
        let due = self.take_events("check_run.due", events)?;
        self.step("reporter", &due, |_| Ok(())).await?;
        let said = self.cloud.state().github.check_count();
        ensure!(
            said == due.len() as u64,
            "{said} check runs came of {} refusals",
            due.len()
        );
        Ok(())
    }

    /// Starts and ends the jobs on these instances.
    async fn finish(&mut self, instances: &[Machine]) -> anyhow::Result<()> {
        if self.is_over("job-events") {
            return Ok(());
        }
        let jobs = self.jobs_on(instances)?;
        let webhooks = |action| jobs.iter().map(|job| job.webhook(action)).collect::<Vec<_>>();
        self.drive("webhook", &webhooks("in_progress"), succeeded).await?;
        let begun = self.take_events("job.in_progress", jobs.len())?;
        self.drive("job-events", &begun, |_| Ok(())).await?;
        self.drive("webhook", &webhooks("completed"), succeeded).await?;
        let ended = self.take_events("job.completed", jobs.len())?;
        self.step("job-events", &ended, |_| Ok(())).await?;
        let state = self.cloud.state();
        let left = instances.iter().filter(|it| state.ec2.is_alive(&it.id)).count();
        ensure!(
            left == 0,
            "{left} of {} instances were left when their jobs were over",
            jobs.len()
        );
        Ok(())
    }

    /// Measures a row, or only does it if another wanted row needs it.
    async fn step(&mut self, row: &'static str, events: &[Value], check: Check) -> anyhow::Result<()> {
        if self.is_over(row) {
            return Ok(());
        }
        if !self.wants(row) {
            self.drive(row, events, check).await?;
            return Ok(());
        }
        (self.progress)(&format!("measuring {row}"));
        let function = self.function(row)?;
        let (measured, _) = self.measurement(&function, check).run(events).await?;
        self.measured.push((row, measured));
        Ok(())
    }

    async fn drive(&self, row: &str, events: &[Value], check: Check) -> anyhow::Result<Vec<Value>> {
        let function = self.function(row)?;
        self.measurement(&function, check).drive(events).await
    }

    fn measurement<'a>(&'a self, function: &'a Function, check: Check) -> Measurement<'a> {
        Measurement {
            function,
            reference: &self.reference,
            cloud: &self.cloud,
            plan: self.plan,
            check,
        }
    }

    fn function(&self, row: &str) -> anyhow::Result<Function> {
        match row.split(' ').next() {
            Some("hello") | None => Ok(self.reference.clone()),
            Some(name) => stack::function(name, self.binaries, &self.cloud),
        }
    }

    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == row)
    }

    /// Whether neither this row nor any later one is wanted.
    fn is_over(&self, row: &str) -> bool {
        let rest = ROWS.iter().skip_while(|other| **other != row);
        !rest.into_iter().any(|row| self.wants(row))
    }

    fn take_events(&self, kind: &str, expected: usize) -> anyhow::Result<Vec<Value>> {
        let events = self.cloud.state().bus.take(kind);
        let found = events.len();
        ensure!(found == expected, "{found} events `{kind}` came of {expected} webhooks");
        Ok(events)
    }

    /// Returns every instance.
    fn launched(&self, expected: usize) -> anyhow::Result<Vec<Machine>> {
        let state = self.cloud.state();
        let instances: Vec<Machine> = state
            .ec2
            .instances()
            .map(|it| Machine {
                id: it.id.clone(),
                repository: it.tag("dayfly:repository").to_owned(),
            })
            .collect();
        let found = instances.len();
        ensure!(found == expected, "{found} instances came of {expected} jobs");
        Ok(instances)
    }

    fn jobs_on(&self, instances: &[Machine]) -> anyhow::Result<Vec<Job>> {
        let state = self.cloud.state();
        let job = |machine: &Machine| {
            let (name, id) = state.github.runner_on(&machine.id)?;
            Job::of_runner(&name, id, &machine.repository)
        };
        instances
            .iter()
            .map(|it| job(it).with_context(|| format!("no runner is registered on `{}`", it.id)))
            .collect()
    }

    /// Returns the job of this number. Jobs that launch handles in a new process are each the first of
    /// their repository: after a pause the cached configuration is no longer fresh, so a cold start has
    /// to call GitHub. The others share one, as the jobs of a matrix do.
    fn job(&self, number: usize) -> Job {
        if number < self.plan.cold {
            Job::queued(number, format!("octo-org/gpu-{number}"))
        } else {
            Job::queued(number, "octo-org/gpu")
        }
    }
}

/// An instance, according to its tags.
struct Machine {
    id: String,
    repository: String,
}

fn each(instances: &[Machine], verb: &str, body: &Value) -> Vec<Value> {
    let event = |machine: &Machine| events::checkin(&machine.id, verb, body.clone());
    instances.iter().map(event).collect()
}

/// Checks for a Function URL's 2XX answer. An answer without a status is a body, and a success.
fn succeeded(answer: &Value) -> anyhow::Result<()> {
    let status = answer["statusCode"].as_u64().unwrap_or(200);
    ensure!((200..300).contains(&status), "it answered {answer}");
    Ok(())
}

fn claimed(answer: &Value) -> anyhow::Result<()> {
    succeeded(answer)?;
    ensure!(body(answer)["jit_config"].is_string(), "no JIT config in {answer}");
    Ok(())
}

fn ordered(answer: &Value) -> anyhow::Result<()> {
    succeeded(answer)?;
    ensure!(body(answer)["order"] == "continue", "no order to continue in {answer}");
    Ok(())
}

fn body(answer: &Value) -> Value {
    let text = answer["body"].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_the_status_of_a_failure_is_one() {
        assert!(succeeded(&json!({ "statusCode": 202, "body": "" })).is_ok());
        assert!(succeeded(&json!({ "statusCode": 503 })).is_err());
    }

    #[test]
    fn a_claim_without_a_jit_config_is_refused() {
        let answer = |body: Value| json!({ "statusCode": 200, "body": body.to_string() });
        assert!(claimed(&answer(json!({ "jit_config": "e30=" }))).is_ok());
        assert!(claimed(&answer(json!({ "runner": "a" }))).is_err());
    }

    #[test]
    fn an_order_other_than_to_continue_is_refused() {
        let answer = json!({ "statusCode": 200, "body": r#"{"order":"stop"}"# });
        assert!(ordered(&answer).is_err());
    }
}
