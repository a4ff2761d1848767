//! `dayfly-lab demo`: one scenario, live, with a table of what is left at its end.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::bail;
use comfy_table::Table;

use dayfly_twin::RunId;

use crate::ec2_proxy::Launch;
use crate::lab::{Lab, LabConfig, Leftovers};
use crate::scenario::Demo;
use crate::stop::Stop;
use crate::timeline::{Sight, why_gone};
use crate::watch::Watch;

/// How long a scenario may take until its run is over.
const RUN_WITHIN: Duration = Duration::from_secs(150);

/// How long dayfly may take afterwards until nothing is left.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// How long what was logged may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

const REPOSITORY: &str = "octo-org/demo";

/// Shows `demo` on `out` and ends the lab, whatever came of it.
///
/// # Errors
/// When the lab does not start, the run ends otherwise than it must, or something is left.
pub async fn show(demo: Demo, out: &mut impl Write) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let mut config = LabConfig::new()?;
    config.deadlines = demo.deadlines();
    config.twin.timings = demo.timings();
    let minute = config.minute;
    writeln!(out, "{demo:?}: {}", demo.what())?;
    let start = Instant::now();
    let lab = tokio::select! {
        lab = Lab::start(config) => lab?,
        () = stop.asked() => bail!("stopped"),
    };
    writeln!(
        out,
        "The lab is up after {:.1} s: ministack, the stack, a GitHub twin. A schedule's minute lasts {} s in it.\n",
        start.elapsed().as_secs_f64(),
        minute.as_secs_f64()
    )?;
    let shown = tokio::select! {
        shown = Show { lab: &lab, demo, watch: Watch::new(&lab), launches: Vec::new() }.run(out) => shown,
        () = stop.asked() => Err(anyhow::anyhow!("stopped")),
    };
    lab.shutdown().await?;
    shown
}

/// A demo in progress.
struct Show<'a> {
    lab: &'a Lab,
    demo: Demo,
    watch: Watch,
    launches: Vec<Launch>,
}

impl Show<'_> {
    async fn run(mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let run = self.push()?;
        let ended = tokio::time::timeout(RUN_WITHIN, self.until_over(run, out)).await;
        let left = if ended.is_ok() {
            self.until_settled(out).await?
        } else {
            self.lab.leftovers().await?
        };
        self.table(&left, out).await?;
        let Ok(ended) = ended else {
            bail!("the run is not over after {RUN_WITHIN:?}");
        };
        ended?;
        let (attempt, conclusion) = self.demo.end();
        let seen = self.lab.twin().look(|state| self.demo.ended(state, run));
        if seen != Some((attempt, Some(conclusion))) {
            bail!("the run should have ended with {conclusion:?} in attempt {attempt}, and is {seen:?}");
        }
        if !left.is_empty() {
            bail!("something is left: {left:?}");
        }
        if let Some(missing) = self.demo.shows().iter().find(|stage| !self.watch.has_shown(stage)) {
            bail!("the timeline should have shown `{missing}`");
        }
        let violations = self.lab.twin().violations();
        if !violations.is_empty() {
            bail!("GitHub's descriptions were broken:\n{}", violations.join("\n"));
        }
        writeln!(out, "Nothing is left.")?;
        Ok(())
    }

    fn push(&self) -> anyhow::Result<RunId> {
        let twin = self.lab.twin();
        self.demo.prepare(self.lab);
        let repository = twin.create_repo(REPOSITORY);
        // Nothing but the workflow: what `dayfly-gpu` stands for is built in.
        let workflow = self.demo.workflow();
        let files = [(".github/workflows/train.yml", &*workflow)];
        let runs = twin.push(repository, "Train on a GPU", &files)?;
        match runs[..] {
            [run] => Ok(run),
            _ => bail!("the push should have started one run, and started {}", runs.len()),
        }
    }

    /// Prints what is seen until the run is over.
    async fn until_over(&mut self, run: RunId, out: &mut impl Write) -> anyhow::Result<()> {
        while self.lab.twin().look(|state| self.demo.ended(state, run)).is_none() {
            let sight = self.watch.next().await?;
            self.print(&sight, out)?;
            self.demo.act(&sight, self.lab).await?;
        }
        Ok(())
    }

    /// Prints what is seen until nothing is left.
    async fn until_settled(&mut self, out: &mut impl Write) -> anyhow::Result<Leftovers> {
        let lab = self.lab;
        let mut settled = std::pin::pin!(async {
            let left = lab.settled(SETTLED_WITHIN).await;
            // Logs are a moment behind.
            tokio::time::sleep(LAST_WORDS).await;
            left
        });
        loop {
            tokio::select! {
                biased;
                sight = self.watch.next() => self.print(&sight?, out)?,
                left = &mut settled => return left,
            }
        }
    }

    fn print(&mut self, sight: &Sight, out: &mut impl Write) -> anyhow::Result<()> {
        if let Sight::Launch(launch) = sight {
            self.launches.push(launch.clone());
        }
        self.watch.print(sight, out)?;
        Ok(())
    }

    async fn table(&self, left: &Leftovers, out: &mut impl Write) -> anyhow::Result<()> {
        let states: BTreeMap<String, String> = self
            .lab
            .cloud()
            .instances()
            .await?
            .into_iter()
            .map(|instance| (instance.id, instance.state))
            .collect();
        let hosted = self.lab.host().instances();
        let mut table = Table::new();
        table.set_header(["instance", "type", "zone", "$/h", "at EC2", "how it ended"]);
        for launch in &self.launches {
            let ending = hosted
                .iter()
                .find(|instance| instance.id == launch.instance)
                .and_then(|instance| instance.ending);
            table.add_row([
                &*launch.instance,
                &*launch.pool.instance_type,
                &*launch.pool.zone,
                launch.price.trim_end_matches('0'),
                // EC2 forgets ended instances after a while.
                states.get(&launch.instance).map_or("terminated", String::as_str),
                ending.map_or("runs still", why_gone),
            ]);
        }
        let schedule = if left.minute_schedule { "enabled" } else { "disabled" };
        writeln!(out, "\n{table}")?;
        writeln!(out, "runners on GitHub: {}", listed(&left.runners))?;
        writeln!(out, "live records:      {}", listed(&left.live_records))?;
        writeln!(out, "minute schedule:   {schedule}")?;
        Ok(())
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
