//! What `dayfly plan` tells.

use comfy_table::{CellAlignment, ContentArrangement, Table as Lines, presets::NOTHING};
use dayfly_config::labels::Label;
use dayfly_config::machines::Table;
use dayfly_engine::fallback_chain::{Attempt, FallbackChain};
use dayfly_policy::{Policy, Refused, whom};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Serialize;

use crate::error::Error;
use crate::output::Output;

/// What would be launched.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The attempts, in their order.
    attempts: Vec<Row>,
    /// What the policy does not allow, with the rule.
    forbidden: Vec<Forbidden>,
    /// Entries that have the labels and cannot be launched.
    passed_over: Vec<String>,
    /// How many attempts are left out, as there are too many.
    left_out: usize,
    /// Rules that hold for the labels, and who may use them.
    rules: Vec<String>,
    /// Why nothing is launched.
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing: Option<String>,
    /// Where and when the prices are from.
    prices: String,
}

/// One attempt.
#[derive(Debug, Serialize)]
struct Row {
    runner: String,
    lifecycle: InstanceLifecycle,
    /// The cheapest first, as far as prices are known.
    instance_types: Vec<Priced>,
    /// What an hour may cost at most, in micro-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_price: Option<MicroDollars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lifetime_seconds: Option<u64>,
    image: String,
}

/// An instance type, and what an hour costs on demand, in micro-dollars.
#[derive(Debug, Serialize)]
struct Priced {
    name: InstanceType,
    on_demand: Option<MicroDollars>,
}

/// What the policy does not allow.
#[derive(Debug, Serialize)]
struct Forbidden {
    runner: String,
    lifecycle: InstanceLifecycle,
    /// One type; nothing if it is the whole attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<InstanceType>,
    rule: String,
    why: String,
}

impl Forbidden {
    fn new(runner: &str, lifecycle: InstanceLifecycle, instance_type: Option<InstanceType>, refused: &Refused) -> Self {
        Self {
            runner: runner.to_owned(),
            lifecycle,
            instance_type,
            rule: refused.rule.clone(),
            why: refused.to_string(),
        }
    }
}

impl Row {
    fn new(attempt: Attempt, table: &Table) -> Self {
        let Attempt { spec, lifecycle, .. } = attempt;
        let mut instance_types: Vec<Priced> = spec
            .instance_types
            .into_iter()
            .map(|name| Priced {
                on_demand: table.get(&name).and_then(|machine| machine.price),
                name,
            })
            .collect();
        instance_types.sort_by_key(|one| one.on_demand.map_or(u64::MAX, |price| price.0));
        Self {
            runner: spec.name,
            lifecycle,
            instance_types,
            max_price: spec.max_price,
            max_lifetime_seconds: spec.max_lifetime.map(|most| most.as_secs()),
            image: spec.image.written(),
        }
    }
}

impl Report {
    pub(super) fn of(
        fallback_chain: FallbackChain,
        passed_over: Vec<String>,
        policy: &Policy,
        labels: &[Label],
        table: &Table,
    ) -> Self {
        let whole = fallback_chain
            .forbidden
            .iter()
            .map(|one| Forbidden::new(&one.entry, one.lifecycle, None, &one.refused));
        let types = fallback_chain.attempts.iter().flat_map(|attempt| {
            attempt.without.iter().map(|(name, refused)| {
                Forbidden::new(&attempt.spec.name, attempt.lifecycle, Some(name.clone()), refused)
            })
        });
        let forbidden: Vec<Forbidden> = whole.chain(types).collect();
        let attempts: Vec<Row> = fallback_chain
            .attempts
            .into_iter()
            .map(|one| Row::new(one, table))
            .collect();
        let nothing = attempts.is_empty().then(|| {
            let why = forbidden.first().map(|one| one.why.clone());
            why.unwrap_or_else(|| "nothing is left to be tried".to_owned())
        });
        let rules = policy.rules_for(labels).map(|(label, rules)| {
            format!(
                "policy rule `labels`: only {} may use the label `{label}`",
                whom(&rules)
            )
        });
        Self {
            attempts,
            forbidden,
            passed_over,
            left_out: fallback_chain.left_out,
            rules: rules.collect(),
            nothing,
            prices: prices(table),
        }
    }

    /// Nothing is launched, for this reason.
    pub(super) fn nothing(why: String, table: &Table) -> Self {
        Self {
            attempts: Vec::new(),
            forbidden: Vec::new(),
            passed_over: Vec::new(),
            left_out: 0,
            rules: Vec::new(),
            nothing: Some(why),
            prices: prices(table),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Tells it to a person.
    pub(super) fn tell(&self, output: &mut Output<'_>) -> Result<(), Error> {
        if !self.attempts.is_empty() {
            output.result(self.table())?;
        }
        for one in &self.forbidden {
            let what = one
                .instance_type
                .as_ref()
                .map(|name| format!(" on {name}"))
                .unwrap_or_default();
            output.result(format_args!(
                "not `{}` {}{what}: {}",
                one.runner, one.lifecycle, one.why
            ))?;
        }
        for why in &self.passed_over {
            output.result(format_args!("passed over: {why}"))?;
        }
        for rule in &self.rules {
            output.result(rule)?;
        }
        if self.left_out > 0 {
            output.result(format_args!(
                "{} more attempts are left out: there are too many",
                self.left_out
            ))?;
        }
        match &self.nothing {
            Some(why) => output.result(format_args!("nothing is launched: {why}"))?,
            None => output.note(&self.prices)?,
        }
        Ok(())
    }

    fn table(&self) -> Lines {
        let mut lines = Lines::new();
        lines
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        lines.set_header([
            "",
            "runner",
            "bought",
            "instance types, $/h on demand",
            "at most",
            "image",
        ]);
        for (number, row) in self.attempts.iter().enumerate() {
            let types = row.instance_types.iter().map(|one| match one.on_demand {
                Some(price) => format!("{} {price}", one.name),
                None => format!("{} ?", one.name),
            });
            lines.add_row([
                (number + 1).to_string(),
                row.runner.clone(),
                row.lifecycle.to_string(),
                types.collect::<Vec<_>>().join(", "),
                row.max_price.map_or_else(|| "-".to_owned(), |most| format!("{most}/h")),
                row.image.clone(),
            ]);
        }
        if let Some(column) = lines.column_mut(0) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        lines
    }
}

fn prices(table: &Table) -> String {
    format!(
        "prices on demand of {} in {}; what spot costs is asked of EC2 at each launch",
        table.prices_at, table.region
    )
}
