//! Measures one row of the table: a function fed with events, cold and warm.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::sandbox::{Function, Invoked, Sandbox};
use crate::size::Size;
use crate::stats::Sample;

/// How often each thing is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Processes started.
    pub cold: usize,
    /// Invocations of one warm process.
    pub warm: usize,
}

/// Uncounted invocations of the warm process: the first builds clients and opens connections, which the
/// cold measurements cover.
const WARM_UP: usize = 1;

impl Plan {
    /// Returns how many events a row consumes.
    #[must_use]
    pub fn events(&self) -> usize {
        self.cold + WARM_UP + self.warm
    }
}

/// The figures of a function.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Spawn to the first request for an event.
    pub init: Sample,
    /// Event handed out to answer, in a process that has just started.
    pub first: Sample,
    /// Spawn to answer.
    pub cold: Sample,
    /// Spawn to answer of the reference, started right before each process of the function.
    pub reference: Sample,
    /// Event handed out to answer, in a process that has answered before.
    pub warm: Sample,
    /// Peak resident memory after the first answer, in bytes; the largest of all processes.
    pub cold_rss: u64,
    /// Peak resident memory after the last answer of the warm process, in bytes.
    pub peak_rss: u64,
    /// Calls to AWS and GitHub of a first invocation, on average.
    pub cold_calls: f64,
    /// Calls to AWS and GitHub of a warm invocation, on average.
    pub warm_calls: f64,
    pub size: Size,
}

/// Checks that an answer is from the measured path.
pub type Check = fn(&Value) -> anyhow::Result<()>;

/// Feeds a function with events, one process each and then one process for all.
pub struct Measurement<'a> {
    pub function: &'a Function,
    pub reference: &'a Function,
    pub cloud: &'a Cloud,
    pub plan: Plan,
    pub check: Check,
}

impl Measurement<'_> {
    /// Measures with the first [`Plan::events`] events; the rest is fed to the warm process without
    /// being counted. Returns the answers in the order of their events.
    ///
    /// # Errors
    /// If there are too few events, a process fails, or an answer is wrong.
    pub async fn run(&self, events: &[Value]) -> anyhow::Result<(Measured, Vec<Value>)> {
        let cold = events.get(..self.plan.cold).context("too few events")?;
        let mut answers = Vec::with_capacity(events.len());
        let (mut init, mut first, mut spawn) = (Vec::new(), Vec::new(), Vec::new());
        let mut reference = Vec::new();
        let mut cold_rss = 0;
        let before = self.calls();
        for event in cold {
            self.come_alone();
            reference.push(cold_start(self.reference, &json!({})).await?.1);
            let (sandbox, invoked) = Sandbox::start_cold(self.function, event).await?;
            init.push(sandbox.init().context("an answer to an event that was not requested")?);
            first.push(invoked.took());
            spawn.push(sandbox.since_spawn(invoked.answered));
            cold_rss = cold_rss.max(sandbox.peak_rss()?);
            answers.push(self.checked(invoked, &sandbox)?);
            sandbox.end().await?;
        }
        let cold_calls = self.calls_each(before, self.plan.cold);

        let mut sandbox = Sandbox::start(self.function).await?;
        let (mut warm, mut peak_rss, mut warm_calls) = (Vec::new(), 0, 0.0);
        let mut before = 0;
        for (number, event) in (1..).zip(&events[self.plan.cold..]) {
            self.come_alone();
            let invoked = sandbox.invoke(event).await?;
            if number > WARM_UP && warm.len() < self.plan.warm {
                warm.push(invoked.took());
            }
            answers.push(self.checked(invoked, &sandbox)?);
            if number == WARM_UP {
                before = self.calls();
            }
            if number == WARM_UP + self.plan.warm {
                peak_rss = sandbox.peak_rss()?;
                warm_calls = self.calls_each(before, self.plan.warm);
            }
        }
        sandbox.end().await?;
        let measured = Measured {
            init: init.into_iter().collect(),
            first: first.into_iter().collect(),
            cold: spawn.into_iter().collect(),
            reference: reference.into_iter().collect(),
            warm: warm.into_iter().collect(),
            cold_rss,
            peak_rss,
            cold_calls,
            warm_calls,
            size: Size::of(&self.function.binary)?,
        };
        Ok((measured, answers))
    }

    /// Feeds all events to one process without measuring.
    ///
    /// # Errors
    /// As for [`Measurement::run`].
    pub async fn drive(&self, events: &[Value]) -> anyhow::Result<Vec<Value>> {
        let mut sandbox = Sandbox::start(self.function).await?;
        let mut answers = Vec::with_capacity(events.len());
        for event in events {
            self.come_alone();
            let invoked = sandbox.invoke(event).await?;
            answers.push(self.checked(invoked, &sandbox)?);
        }
        sandbox.end().await?;
        Ok(answers)
    }

    /// Makes each job come alone: the rate limit buckets are full, and no other launch was just made
    /// that it would join. Bursts are measured separately.
    fn come_alone(&self) {
        let mut state = self.cloud.state();
        state.table.forget("BUCKET#");
        state.table.forget("QUEUE#");
    }

    fn checked(&self, invoked: Invoked, sandbox: &Sandbox) -> anyhow::Result<Value> {
        let answer = invoked.outcome.map_err(anyhow::Error::from);
        self.cloud
            .check()
            .and(answer)
            .and_then(|answer| (self.check)(&answer).map(|()| answer))
            .with_context(|| format!("`{}` did not do its work{}", self.function.name, sandbox.quote_log()))
    }

    fn calls(&self) -> u64 {
        self.cloud.state().call_count()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a bench makes fewer calls than a float has digits for"
    )]
    fn calls_each(&self, before: u64, invocations: usize) -> f64 {
        (self.calls() - before) as f64 / invocations.max(1) as f64
    }
}

async fn cold_start(function: &Function, event: &Value) -> anyhow::Result<(Value, Duration)> {
    let (sandbox, invoked) = Sandbox::start_cold(function, event).await?;
    let took = sandbox.since_spawn(invoked.answered);
    sandbox.end().await?;
    Ok((invoked.outcome?, took))
}
