//! The report as comma-separated values (RFC 4180).

use std::fmt::Write as _;

use dayfly_types::money::MicroDollars;

use super::Report;

const HEADER: &str = "name,runs,jobs,instances,minutes,compute,disk,address,total,saved,interrupted,wasted,\
                      by_shipped_prices\n";

pub(super) fn render(report: &Report) -> String {
    let mut text = HEADER.to_owned();
    for row in &report.rows {
        let sums = &row.sums;
        let amounts = [
            sums.amounts.compute,
            sums.amounts.disk,
            sums.amounts.address,
            sums.total,
            sums.saved,
        ];
        let amounts: Vec<String> = amounts.into_iter().map(dollars).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{}",
            field(row.name.as_deref().unwrap_or_default()),
            sums.runs,
            sums.jobs,
            sums.instances,
            sums.minutes,
            amounts.join(","),
            sums.interrupted,
            dollars(sums.wasted),
            sums.by_shipped_prices,
        );
    }
    text
}

fn dollars(amount: MicroDollars) -> String {
    amount.to_string().trim_start_matches('$').to_owned()
}

/// Quotes untrusted text if necessary, and keeps spreadsheets from evaluating it as a formula.
///
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let safe = if formula { format!("'{text}") } else { text.to_owned() };
    if safe.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_quoted_if_necessary_and_is_never_a_formula() {
        for (text, expected) in [
            ("octo/gpu", "octo/gpu"),
            ("octo/gpu a, b", "\"octo/gpu a, b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("@mona,", "\"'@mona,\""),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
