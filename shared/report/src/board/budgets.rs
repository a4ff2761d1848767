//! What is spent and reserved of each budget, with and without a cap.

use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;

use crate::board::html::Html;
use crate::board::view::{Gauge, View};
use crate::format::{amount, counted};

const MOST_WITH_CAP: usize = 24;
const MOST_WITHOUT_CAP: usize = 12;

/// Thousandths of a cap from which a gauge warns.
const WARN_FROM: u64 = 800;

pub(super) fn write(view: &View, html: &mut Html) {
    html.raw("<h2>Money in ")
        .text(view.month)
        .raw(" <small>UTC</small></h2>");
    if view.budgets.is_empty() {
        html.raw("<p class=\"empty\">Nothing has been spent or reserved this month.</p>");
        return;
    }
    let (capped, others): (Vec<&Gauge>, Vec<&Gauge>) = view.budgets.iter().partition(|gauge| gauge.cap.is_some());
    if capped.is_empty() {
        html.raw("<p class=\"empty\">There are no caps: the stack policy can set them.</p>");
    } else {
        html.raw("<div class=\"gauges\">");
        for gauge in capped.iter().take(MOST_WITH_CAP) {
            write_gauge(gauge, html);
        }
        html.raw("</div>");
        left_out(capped.len(), MOST_WITH_CAP, html);
    }
    if !others.is_empty() {
        without_cap(&others, html);
    }
}

fn write_gauge(gauge: &Gauge, html: &mut Html) {
    let Some(cap) = gauge.cap else { return };
    let spent = thousandths(gauge.spent, cap).min(1000);
    let committed = thousandths(gauge.spent + gauge.reserved, cap);
    let reserved = committed.min(1000) - spent;
    html.raw("<div class=\"gauge\"><div class=\"top\"><bdi class=\"who\"><b>");
    budget(gauge, html);
    html.raw("</b></bdi><div class=\"num\">")
        .text(committed / 10)
        .raw(" %</div></div><div class=\"track\"><i class=\"")
        .raw(match (spent, committed) {
            (1000.., _) => "full",
            (_, WARN_FROM..) => "high",
            _ => "spent",
        })
        .raw("\" style=\"width:");
    percent(spent, html);
    html.raw("\"></i><i class=\"reserved\" style=\"width:");
    percent(reserved, html);
    html.raw("\"></i><u style=\"left:50%\"></u><u style=\"left:80%\"></u></div><div class=\"soft\">")
        .text(amount(gauge.spent))
        .raw(" spent");
    if gauge.reserved > MicroDollars::default() {
        html.raw(", ").text(amount(gauge.reserved)).raw(" reserved");
    }
    html.raw(" of ").text(amount(cap)).raw("</div></div>");
}

/// Writes the budgets without a cap as a list.
fn without_cap(gauges: &[&Gauge], html: &mut Html) {
    html.raw("<div class=\"without\">");
    for gauge in gauges.iter().take(MOST_WITHOUT_CAP) {
        html.raw("<div class=\"top\"><bdi class=\"who\">");
        budget(gauge, html);
        html.raw(" <span class=\"soft\">no cap</span></bdi><div class=\"num\">")
            .text(amount(gauge.spent));
        if gauge.reserved > MicroDollars::default() {
            html.span("soft", format_args!(" + {}", amount(gauge.reserved)));
        }
        html.raw("</div></div>");
    }
    html.raw("</div>");
    left_out(gauges.len(), MOST_WITHOUT_CAP, html);
}

fn budget(gauge: &Gauge, html: &mut Html) {
    match &gauge.budget {
        Budget::Stack => html.raw("The stack"),
        other => html.text(other),
    };
}

fn left_out(all: usize, shown: usize, html: &mut Html) {
    if all > shown {
        html.raw("<p class=\"soft\">and ")
            .text(counted(all - shown, "other"))
            .raw("</p>");
    }
}

/// Returns the share of a cap, rounded down. Anything is all of a cap of zero.
fn thousandths(amount: MicroDollars, cap: MicroDollars) -> u64 {
    let of = u128::from(amount.0) * 1000;
    of.checked_div(u128::from(cap.0))
        .map_or(1000, |it| u64::try_from(it).unwrap_or(u64::MAX))
}

fn percent(thousandths: u64, html: &mut Html) {
    html.text(format_args!("{}.{}%", thousandths / 10, thousandths % 10));
}
