//! What is spent and reserved against each cap, and by those who have none.

use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;

use crate::board::html::Html;
use crate::board::view::{Gauge, View};
use crate::board::words;

/// The most that are shown with a cap, and without one.
const MOST: usize = 24;
const MOST_WITHOUT: usize = 12;

/// In a thousand, from where a gauge warns.
const WARNS: u64 = 800;

pub(super) fn write(view: &View, html: &mut Html) {
    html.raw("<h2>Money in ")
        .text(view.month)
        .raw(" <small>UTC</small></h2>");
    if view.budgets.is_empty() {
        html.raw("<p class=\"empty\">Nothing is spent or reserved this month.</p>");
        return;
    }
    let (capped, others): (Vec<&Gauge>, Vec<&Gauge>) = view.budgets.iter().partition(|gauge| gauge.cap.is_some());
    if capped.is_empty() {
        html.raw("<p class=\"empty\">Nobody has a cap: the stack policy can set one.</p>");
    } else {
        html.raw("<div class=\"gauges\">");
        for gauge in capped.iter().take(MOST) {
            write_gauge(gauge, html);
        }
        html.raw("</div>");
        besides(capped.len(), MOST, html);
    }
    if !others.is_empty() {
        without(&others, html);
    }
}

fn write_gauge(gauge: &Gauge, html: &mut Html) {
    let Some(cap) = gauge.cap else { return };
    let spent = in_a_thousand(gauge.spent, cap).min(1000);
    let committed = in_a_thousand(gauge.spent + gauge.reserved, cap);
    let reserved = committed.min(1000) - spent;
    html.raw("<div class=\"gauge\"><div class=\"top\"><bdi class=\"who\"><b>");
    budget(gauge, html);
    html.raw("</b></bdi><div class=\"num\">")
        .text(committed / 10)
        .raw(" %</div></div><div class=\"track\"><i class=\"")
        .raw(match (spent, committed) {
            (1000.., _) => "full",
            (_, WARNS..) => "high",
            _ => "spent",
        })
        .raw("\" style=\"width:");
    percent(spent, html);
    html.raw("\"></i><i class=\"reserved\" style=\"width:");
    percent(reserved, html);
    html.raw("\"></i><u style=\"left:50%\"></u><u style=\"left:80%\"></u></div><div class=\"soft\">")
        .text(words::amount(gauge.spent))
        .raw(" spent");
    if gauge.reserved > MicroDollars::default() {
        html.raw(", ").text(words::amount(gauge.reserved)).raw(" reserved");
    }
    html.raw(" of ").text(words::amount(cap)).raw("</div></div>");
}

/// Who has no cap, in a list.
fn without(gauges: &[&Gauge], html: &mut Html) {
    html.raw("<div class=\"without\">");
    for gauge in gauges.iter().take(MOST_WITHOUT) {
        html.raw("<div class=\"top\"><bdi class=\"who\">");
        budget(gauge, html);
        html.raw(" <span class=\"soft\">no cap</span></bdi><div class=\"num\">")
            .text(words::amount(gauge.spent));
        if gauge.reserved > MicroDollars::default() {
            html.span("soft", format_args!(" + {}", words::amount(gauge.reserved)));
        }
        html.raw("</div></div>");
    }
    html.raw("</div>");
    besides(gauges.len(), MOST_WITHOUT, html);
}

fn budget(gauge: &Gauge, html: &mut Html) {
    match &gauge.budget {
        Budget::Stack => html.raw("The stack"),
        other => html.text(other),
    };
}

fn besides(all: usize, shown: usize, html: &mut Html) {
    if all > shown {
        html.raw("<p class=\"soft\">and ")
            .text(words::counted(all - shown, "other"))
            .raw("</p>");
    }
}

/// How much of a cap an amount is, rounded down; of a cap of nothing, all of it.
fn in_a_thousand(amount: MicroDollars, cap: MicroDollars) -> u64 {
    let of = u128::from(amount.0) * 1000;
    of.checked_div(u128::from(cap.0))
        .map_or(1000, |it| u64::try_from(it).unwrap_or(u64::MAX))
}

fn percent(in_a_thousand: u64, html: &mut Html) {
    html.text(format_args!("{}.{}%", in_a_thousand / 10, in_a_thousand % 10));
}
