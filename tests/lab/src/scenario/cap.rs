//! A cap on a repository's monthly spending: a job that could exceed it is refused, with the amounts in
//! its log, until the month is over.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use comfy_table::Table;
use dayfly_twin::{Conclusion, Rerun, Status};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::{Story, capacity, workflow};
use crate::lab::Lab;
use crate::page;
use crate::timeline::Observation;

/// The repository's cap. $0.251695 are reserved for the large machine: five minutes, and ten to handle
/// its end. Two finished jobs, each billed for at least a minute, leave less than that.
const CAP: &str = "$0.256";

/// The cap of all repositories together, which is never reached.
const STACK_CAP: &str = "$1.00";

/// The user who re-runs the job next month.
const PERSON: &str = "octocat";

const CONFIG: &str = "\
runners:
  - name: small
    labels: [dayfly-gpu]
    instance_type: g4dn.xlarge
    machine_image: ami-0123456789abcdef0
    max_price: $0.20/h
    disk_size: 8GB
  - name: large
    labels: [dayfly-large]
    instance_type: g5.xlarge
    machine_image: ami-0123456789abcdef0
    max_price: $1.00/h
    disk_size: 8GB
";

/// How long it may take until all reservations are released.
const RETURNED_WITHIN: Duration = Duration::from_secs(60);

/// Caps the repository.
pub(super) async fn prepare(lab: &Lab) -> anyhow::Result<()> {
    let policy = format!("version: 1\ncaps:\n  repository: {CAP}\n  stack: {STACK_CAP}\n");
    Ok(lab.aws().put_parameter("/dayfly/policy", "String", &policy).await?)
}

/// Three jobs, the third more expensive than the others and after them.
pub(super) fn files() -> Vec<(&'static str, String)> {
    let jobs = "\
name: train
on: push
jobs:
  train:
    strategy:
      matrix:
        seed: [1, 2]
    runs-on: dayfly-gpu
    steps:
      - run: echo \"seed ${{ matrix.seed }}\"
  evaluate:
    needs: train
    runs-on: dayfly-large
    steps:
      - run: echo 'accuracy 0.97'
";
    vec![(workflow::PATH, jobs.to_owned()), (".dayfly.yml", CONFIG.to_owned())]
}

/// Once the third job is refused and nothing is reserved any more, the month turns, and a user re-runs
/// the job.
pub(super) async fn act(_: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
    let twin = story.lab.twin();
    let over = twin.inspect(|state| {
        let run = state.run(story.run)?;
        (run.attempt == 1 && run.status == Status::Completed).then_some(())
    });
    if over.is_none() || story.let_go.replace(true) {
        return Ok(());
    }
    let begun = Instant::now();
    while reserved(story.lab).await? > 0 {
        ensure!(
            begun.elapsed() < RETURNED_WITHIN,
            "what was set aside is not given back"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    turn_the_month(story.lab).await?;
    twin.rerun_by(PERSON, story.run, Rerun::Failed)?;
    Ok(())
}

/// Returns the ledgers of the table.
async fn ledgers(lab: &Lab) -> anyhow::Result<Vec<Value>> {
    let mut items = lab.cloud().table_items().await?;
    items.retain(|item| item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("LEDGER#")));
    Ok(items)
}

async fn reserved(lab: &Lab) -> anyhow::Result<u64> {
    let amounts = ledgers(lab).await?;
    let amount = |item: &Value| item["reserved"]["N"].as_str().and_then(|text| text.parse::<u64>().ok());
    amounts
        .iter()
        .map(|item| amount(item).context("a ledger without an amount"))
        .sum()
}

/// Turns this month's ledgers into last month's, as at the end of a month.
async fn turn_the_month(lab: &Lab) -> anyhow::Result<()> {
    let table = lab.cloud().deployment().output("TableName")?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let last = today.checked_sub(1.month())?.strftime("%Y-%m").to_string();
    for mut item in ledgers(lab).await? {
        let key = json!({"pk": item["pk"], "sk": item["sk"]});
        item["pk"] = json!({"S": format!("LEDGER#{last}")});
        item["month"] = json!({"S": last});
        lab.aws().put_item(table, &item).await?;
        lab.aws().delete_item(table, &key).await?;
    }
    Ok(())
}

/// Prints what the author of the third job sees, and all costs.
pub(super) async fn report(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let refused = story.job(1, "evaluate")?;
    capacity::show(story, &refused, out)?;
    let log = page::log_of(&refused).join("\n");
    for words in [
        "rule `caps.repository`",
        "octo-org/demo may spend $0.256 in",
        "are spent and",
        "00:00 UTC",
    ] {
        ensure!(log.contains(words), "the job's log should say `{words}`");
    }
    let ran = story.job(2, "evaluate")?;
    let (launch, _) = story.launch_of(&ran)?;
    ensure!(
        ran.conclusion == Some(Conclusion::Success),
        "the job is {:?}",
        ran.conclusion
    );
    writeln!(
        out,
        "\nThe month turned, and {PERSON} ran the job again: it ran on {} in {}.\n",
        launch.pool.instance_type, launch.pool.zone
    )?;
    let mut table = Table::new();
    table.set_header(["month", "whose", "spent", "reserved"]);
    for item in ledgers(story.lab).await? {
        let amount = |name: &str| dollars(item[name]["N"].as_str().unwrap_or_default());
        let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        table.add_row([text("month"), text("sk"), amount("spent"), amount("reserved")]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// Formats micro-dollars as dollars.
fn dollars(micro: &str) -> String {
    let padded = format!("{micro:0>7}");
    let (whole, part) = padded.split_at(padded.len() - 6);
    format!("${whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_dollars_are_shown_to_the_last() {
        for (micro, shown) in [("0", "$0.000000"), ("5680", "$0.005680"), ("12345678", "$12.345678")] {
            assert_eq!(dollars(micro), shown);
        }
    }
}
