//! `dayfly-lab demo`: one scenario, live, with a table of what is left at its end.

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
use crate::timeline::{Sight, why_gone};
use crate::watch::Watch;

/// How long what was logged may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often what is only counted is told.
const COUNT: Duration = Duration::from_secs(2);

/// How wide the output may be where it goes to no terminal.
const COLUMNS: u16 = 120;

const REPOSITORY: &str = "octo-org/demo";

/// Shows `demo` on `out` and ends the lab, whatever came of it. What it logged stays in the folder `kept`, if
/// one is named.
///
/// # Errors
/// When the lab does not start, the run ends otherwise than it must, or something is left.
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

/// A demo in progress.
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
        let told = match ended {
            Ok(Ok(())) => self.demo.tell(&self.story, out).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow::anyhow!("the run is not over after {within:?}")),
        };
        self.summary(&left, out).await?;
        told?;
        self.check(&left)?;
        writeln!(out, "Nothing is left.")?;
        self.job_stories(out).await
    }

    /// What the command tells of the jobs that the demo is about.
    async fn job_stories(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (attempt, name) in self.demo.is_about() {
            let job = self.story.job(*attempt, name)?.id.to_string();
            let told = self.story.lab.dayfly(&["job", &job], Some(columns())).await?;
            ensure!(told.status == Some(0), "`dayfly job {job}` failed: {}", told.notes);
            write!(out, "\n$ dayfly job {job}\n{}", told.said)?;
        }
        Ok(())
    }

    /// Whether everything is as it has to be at the end.
    fn check(&self, left: &Leftovers) -> anyhow::Result<()> {
        let twin = self.story.lab.twin();
        let (attempt, conclusion) = self.demo.end();
        let seen = twin.look(|state| self.demo.ended(state, self.story.run));
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

    /// Prints what is seen until the run is over.
    async fn until_over(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut count = tokio::time::interval(COUNT);
        let run = self.story.run;
        let lab = self.story.lab;
        while lab.twin().look(|state| self.demo.ended(state, run)).is_none() {
            tokio::select! {
                sight = self.watch.next() => {
                    let sight = sight?;
                    self.print(&sight, out)?;
                    self.demo.act(&sight, &self.story).await?;
                }
                _ = count.tick() => self.count(out)?,
            }
        }
        Ok(())
    }

    /// Prints what is seen until nothing is left.
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
                sight = self.watch.next() => self.print(&sight?, out)?,
                _ = count.tick() => self.count(out)?,
            }
        }
    }

    fn print(&mut self, sight: &Sight, out: &mut impl Write) -> anyhow::Result<()> {
        self.story.note(sight);
        if !self.demo.is_counted() {
            self.watch.print(sight, out)?;
        }
        Ok(())
    }

    /// Where all of it stands, if it is only counted.
    fn count(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        if self.demo.is_counted() {
            self.progress.tell(&self.story, out)?;
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

/// How wide the terminal is.
fn columns() -> u16 {
    let out = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&out).ok().filter(|_| out.is_terminal());
    size.map_or(COLUMNS, |size| size.ws_col)
}

/// How many instances there were, and how they ended.
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
