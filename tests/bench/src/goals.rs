//! The figures to compare with: dayfly's own goals and the strongest peer's figures.

use serde::Serialize;

/// A range, in the unit of its field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Span {
    pub from: f64,
    /// The upper end; the same for a single figure.
    pub to: f64,
}

/// Figures to compare a function with; unknown or undefined ones are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Spawn to answer, in milliseconds.
    pub cold_ms: Option<Span>,
    /// Median of warm invocations, in milliseconds.
    pub warm_median_ms: Option<Span>,
    /// 99th percentile of warm invocations, in milliseconds.
    pub warm_p99_ms: Option<Span>,
    /// Peak of resident memory, in MiB.
    pub peak_rss_mib: Option<Span>,
    /// Deployment package, in MB.
    pub zip_mb: Option<Span>,
}

/// The source of the peer's figures.
pub const PEER: &str = "terraform-aws-github-runner 7.11 on Node 20";

/// Returns dayfly's goals, on 2 vCPUs against loopback.
#[must_use]
pub fn goal(function: &str) -> Figures {
    let every = Figures {
        zip_mb: Some(up_to(4.0)),
        ..Figures::default()
    };
    match function {
        "webhook" => Figures {
            cold_ms: Some(up_to(20.0)),
            warm_median_ms: Some(up_to(1.0)),
            warm_p99_ms: Some(up_to(3.0)),
            peak_rss_mib: Some(up_to(15.0)),
            ..every
        },
        "launch" => Figures {
            cold_ms: Some(up_to(40.0)),
            peak_rss_mib: Some(up_to(25.0)),
            ..every
        },
        "hello" => Figures::default(),
        _ => every,
    }
}

/// Returns the figures of [`PEER`]'s function with the same task, measured in the same way: under a
/// Runtime API emulator, against AWS and GitHub on loopback, on 2 vCPUs.
#[must_use]
pub fn peer(function: &str) -> Option<Figures> {
    match function {
        "webhook" => Some(Figures {
            cold_ms: Some(between(182.0, 223.0)),
            warm_median_ms: Some(between(2.4, 3.7)),
            warm_p99_ms: Some(between(8.0, 15.0)),
            peak_rss_mib: Some(between(60.0, 60.0)),
            zip_mb: None,
        }),
        // Its scale-up function.
        "launch" => Some(Figures {
            cold_ms: Some(between(541.0, 541.0)),
            peak_rss_mib: Some(between(133.0, 133.0)),
            ..Figures::default()
        }),
        _ => None,
    }
}

/// The duration of [`PEER`]'s scale-up for 10 jobs at once if GitHub accepts one write a second, in
/// milliseconds: it registers each of them before it launches it.
pub const PEER_LAUNCH_OF_10_MS: f64 = 9_995.0;

const fn between(from: f64, to: f64) -> Span {
    Span { from, to }
}

const fn up_to(to: f64) -> Span {
    between(0.0, to)
}
