//! The report of `dayfly plan`.

use comfy_table::{CellAlignment, ContentArrangement, Table as Lines, presets::NOTHING};
use dayfly_config::labels::Label;
use dayfly_config::machines::Table;
use dayfly_engine::launch::fallback_chain::{ChainOption, FallbackChain};
use dayfly_policy::{Policy, Refused, allowed_users};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Serialize;

use crate::error::Error;
use crate::output::Output;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The launch options, in order.
    options: Vec<Row>,
    /// What the policy denies, with the rule.
    denied: Vec<DeniedOption>,
    /// Entries with the labels that cannot be launched.
    passed_over: Vec<String>,
    /// How many launch options are left out because there are too many.
    left_out: usize,
    /// The policy's rules for the labels.
    rules: Vec<String>,
    /// Why nothing is launched.
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing: Option<String>,
    /// The source of the prices.
    prices: String,
}

/// A launch option.
#[derive(Debug, Serialize)]
struct Row {
    runner: String,
    lifecycle: InstanceLifecycle,
    /// The cheapest first; unknown prices last.
    instance_types: Vec<Priced>,
    /// The maximum price per hour, in micro-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_price: Option<MicroDollars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lifetime_seconds: Option<u64>,
    image: String,
}

/// An instance type with its on-demand price per hour, in micro-dollars.
#[derive(Debug, Serialize)]
struct Priced {
    name: InstanceType,
    on_demand: Option<MicroDollars>,
}

/// What the policy denies.
#[derive(Debug, Serialize)]
struct DeniedOption {
    runner: String,
    lifecycle: InstanceLifecycle,
    /// One type; the whole launch option if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<InstanceType>,
    rule: String,
    why: String,
}

impl DeniedOption {
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
    fn new(option: ChainOption, table: &Table) -> Self {
        let ChainOption { spec, lifecycle, .. } = option;
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
            max_lifetime_seconds: spec.max_lifetime.map(|lifetime| lifetime.as_secs()),
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
            .map(|one| DeniedOption::new(&one.entry, one.lifecycle, None, &one.refused));
        let types = fallback_chain.options.iter().flat_map(|option| {
            option.excluded.iter().map(|(name, refused)| {
                DeniedOption::new(&option.spec.name, option.lifecycle, Some(name.clone()), refused)
            })
        });
        let denied: Vec<DeniedOption> = whole.chain(types).collect();
        let options: Vec<Row> = fallback_chain
            .options
            .into_iter()
            .map(|one| Row::new(one, table))
            .collect();
        let nothing = options.is_empty().then(|| {
            let why = denied.first().map(|one| one.why.clone());
            why.unwrap_or_else(|| "no launch option is left".to_owned())
        });
        let rules = policy.rules_for(labels).map(|(label, rules)| {
            format!(
                "policy rule `labels`: only {} may use the label `{label}`",
                allowed_users(&rules)
            )
        });
        Self {
            options,
            denied,
            passed_over,
            left_out: fallback_chain.left_out,
            rules: rules.collect(),
            nothing,
            prices: prices(table),
        }
    }

    /// The report if nothing is launched, for this reason.
    pub(super) fn nothing(why: String, table: &Table) -> Self {
        Self {
            options: Vec::new(),
            denied: Vec::new(),
            passed_over: Vec::new(),
            left_out: 0,
            rules: Vec::new(),
            nothing: Some(why),
            prices: prices(table),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.options.is_empty()
    }

    /// Prints the report as text.
    pub(super) fn print(&self, output: &mut Output<'_>) -> Result<(), Error> {
        if !self.options.is_empty() {
            output.result(self.table())?;
        }
        for one in &self.denied {
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
                "{} more launch options are left out: there are too many",
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
            "capacity",
            "instance types, on-demand $/h",
            "max price",
            "image",
        ]);
        for (number, row) in self.options.iter().enumerate() {
            let types = row.instance_types.iter().map(|one| match one.on_demand {
                Some(price) => format!("{} {price}", one.name),
                None => format!("{} ?", one.name),
            });
            lines.add_row([
                (number + 1).to_string(),
                row.runner.clone(),
                row.lifecycle.to_string(),
                types.collect::<Vec<_>>().join(", "),
                row.max_price
                    .map_or_else(|| "-".to_owned(), |price| format!("{price}/h")),
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
        "on-demand prices of {} in {}; EC2 is asked for spot prices at each launch",
        table.prices_at, table.region
    )
}
