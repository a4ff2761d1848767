//! `dayfly-lab demo`: one scenario, live, with a table of what is left at the end.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use comfy_table::Table;

use crate::keep::keep;
use crate::lab::{Lab, Leftovers};
use crate::progress::Progress;
use crate::scenario::{Demo, Story};
use crate::stop::Stop;
use crate::timeline::{Observation, why_gone};
use crate::watch::Watch;

/// How long the last logs may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often counts are printed.
const COUNT: Duration = Duration::from_secs(2);

/// The width of the output without a terminal.
const COLUMNS: u16 = 120;

const REPOSITORY: &str = "octo-org/demo";

/// Shows `demo` on `out` and ends the lab, whatever the result. Its logs stay in the folder `kept`, if
/// given.
///
/// # Errors
/// If the lab does not start, the run ends differently than it must, or something is left.
pub async fn show(demo: Demo, kept: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let config = demo.lab()?;
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
        shown = play(&lab, demo, out) => shown,
        () = stop.asked() => Err(anyhow::anyhow!("stopped")),
    };
    let kept = match kept {
        Some(folder) => keep(&lab, folder).await,
        None => Ok(()),
    };
    lab.shutdown().await?;
    shown.and(kept)
}

async fn play(lab: &Lab, demo: Demo, out: &mut impl Write) -> anyhow::Result<()> {
    let watch = if demo.is_counted() {
        Watch::without_logs(lab)
    } else {
        Watch::new(lab)
    };
    demo.prepare(lab).await?;
    let run = demo.begin(lab, lab.twin().create_repo(REPOSITORY))?;
    let show = Show {
        story: Story::new(lab, run),
        demo,
        watch,
        progress: Progress::default(),
    };
    show.run(out).await
}

struct Show<'a> {
    story: Story<'a>,
    demo: Demo,
    watch: Watch,
    progress: Progress,
}

impl Show<'_> {
    async fn run(mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let within = self.demo.within();
        let ended = tokio::time::timeout(within, self.until_over(out)).await;
        let left = if ended.is_ok() {
            self.until_settled(out).await?
        } else {
            self.story.lab.leftovers().await?
        };
        let reported = match ended {
            Ok(Ok(())) => self.demo.report(&self.story, out).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow::anyhow!("the run is not over after {within:?}")),
        };
        self.summary(&left, out).await?;
        reported?;
        self.check(&left)?;
        writeln!(out, "Nothing is left.")?;
        self.job_stories(out).await
    }

    /// Prints what the command reports about the demo's jobs.
    async fn job_stories(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (attempt, name) in self.demo.is_about() {
            let job = self.story.job(*attempt, name)?.id.to_string();
            let output = self.story.lab.dayfly(&["job", &job], Some(columns())).await?;
            ensure!(output.status == Some(0), "`dayfly job {job}` failed: {}", output.stderr);
            write!(out, "\n$ dayfly job {job}\n{}", output.stdout)?;
        }
        Ok(())
    }

    /// Checks that everything is as it must be at the end.
    fn check(&self, left: &Leftovers) -> anyhow::Result<()> {
        let twin = self.story.lab.twin();
        let (attempt, conclusion) = self.demo.end();
        let seen = twin.inspect(|state| self.demo.ended(state, self.story.run));
        if seen != Some((attempt, Some(conclusion))) {
            bail!("the run should have ended with {conclusion:?} in attempt {attempt}, and is {seen:?}");
        }
        if !left.is_empty() {
            bail!("something is left: {left:?}");
        }
        if let Some(missing) = self.demo.shows().iter().find(|stage| !self.watch.has_shown(stage)) {
            bail!("the timeline should have shown `{missing}`");
        }
        let violations = twin.violations();
        if !violations.is_empty() {
            bail!("GitHub's descriptions were broken:\n{}", violations.join("\n"));
        }
        Ok(())
    }

    /// Prints what happens until the run is over.
    async fn until_over(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut count = tokio::time::interval(COUNT);
        let run = self.story.run;
        let lab = self.story.lab;
        while lab.twin().inspect(|state| self.demo.ended(state, run)).is_none() {
            tokio::select! {
                observation = self.watch.next() => {
                    let observation = observation?;
                    self.print(&observation, out)?;
                    self.demo.act(&observation, &self.story).await?;
                }
                _ = count.tick() => self.count(out)?,
            }
        }
        Ok(())
    }

    /// Prints what happens until nothing is left.
    async fn until_settled(&mut self, out: &mut impl Write) -> anyhow::Result<Leftovers> {
        let lab = self.story.lab;
        let mut count = tokio::time::interval(COUNT);
        let within = self.demo.settled_within();
        let mut settled = std::pin::pin!(async {
            let left = lab.settled(within).await;
            // Logs are a moment behind.
            tokio::time::sleep(LAST_WORDS).await;
            left
        });
        loop {
            tokio::select! {
                biased;
                left = &mut settled => return left,
                observation = self.watch.next() => self.print(&observation?, out)?,
                _ = count.tick() => self.count(out)?,
            }
        }
    }

    fn print(&mut self, observation: &Observation, out: &mut impl Write) -> anyhow::Result<()> {
        self.story.note(observation);
        if !self.demo.is_counted() {
            self.watch.print(observation, out)?;
        }
        Ok(())
    }

    /// Prints the counts, if the demo only counts.
    fn count(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        if self.demo.is_counted() {
            self.progress.print(&self.story, out)?;
        }
        Ok(())
    }

    async fn summary(&self, left: &Leftovers, out: &mut impl Write) -> anyhow::Result<()> {
        let lab = self.story.lab;
        if !self.demo.is_counted() {
            writeln!(out, "\n{}", self.table().await?)?;
        }
        let schedule = if left.minute_schedule { "enabled" } else { "disabled" };
        writeln!(out, "instances:         {}", counted(self.story.launches.len(), lab))?;
        writeln!(out, "runners on GitHub: {}", listed(&left.runners))?;
        writeln!(out, "live records:      {}", listed(&left.live_records))?;
        writeln!(out, "minute schedule:   {schedule}")?;
        Ok(())
    }

    async fn table(&self) -> anyhow::Result<Table> {
        let lab = self.story.lab;
        let states: BTreeMap<String, String> = lab
            .cloud()
            .instances()
            .await?
            .into_iter()
            .map(|instance| (instance.id, instance.state))
            .collect();
        let hosted = lab.host().instances();
        let mut table = Table::new();
        table.set_header(["instance", "type", "zone", "$/h", "at EC2", "how it ended"]);
        for (launch, _) in &self.story.launches {
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
        Ok(table)
    }
}

/// Returns the width of the terminal.
fn columns() -> u16 {
    let out = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&out).ok().filter(|_| out.is_terminal());
    size.map_or(COLUMNS, |size| size.ws_col)
}

/// Returns the number of instances and how they ended.
fn counted(launched: usize, lab: &Lab) -> String {
    let mut endings: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in lab.host().instances() {
        *endings
            .entry(instance.ending.map_or("run still", why_gone))
            .or_default() += 1;
    }
    let endings = endings.iter().map(|(why, count)| format!("{count} {why}"));
    format!("{launched} launched: {}", endings.collect::<Vec<_>>().join(", "))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
