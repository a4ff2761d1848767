//! What CloudWatch sends to a custom widget's function.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html>

use dayfly_report::board::{Look, Theme};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// The most jobs that are shown.
const MOST_JOBS: usize = 50;

/// A widget that is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Whether the widget's documentation is asked for in its place.
    pub describe: bool,
    /// The widget's parameter: how many of the last jobs to show.
    #[serde(deserialize_with = "number")]
    pub jobs: Option<f64>,
    /// Where it is shown.
    #[serde(rename = "widgetContext")]
    pub context: Context,
}

/// Where a widget is shown. Whoever calls the function by hand leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Context {
    /// `light` or `dark`.
    pub theme: Option<String>,
    /// In pixels, of which a browser's zoom may make parts.
    pub width: Option<f64>,
}

impl Request {
    /// How it is to look.
    #[must_use]
    pub fn look(&self) -> Look {
        Look {
            theme: match self.context.theme.as_deref() {
                Some("light") => Some(Theme::Light),
                Some("dark") => Some(Theme::Dark),
                // A word that we do not know yet: the reader's system decides.
                _ => None,
            },
            width: self.context.width.map(whole),
        }
    }

    /// How many of the last jobs it shows.
    #[must_use]
    pub fn jobs(&self) -> usize {
        let asked = self
            .jobs
            .map_or(MOST_JOBS, |jobs| usize::try_from(whole(jobs)).unwrap_or(MOST_JOBS));
        asked.clamp(1, MOST_JOBS)
    }
}

/// A number, as one or as a text: people write parameters. What is none is as if it were left out.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(f64),
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Number(number) => Some(number),
        Given::Text(text) => text.trim().parse().ok(),
        Given::Other(IgnoredAny) => None,
    })
}

/// Without what is behind the point. More than there are is as much as there are.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what does not fit is as wide as can be, or as narrow"
)]
fn whole(pixels: f64) -> u32 {
    pixels as u32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cloudwatch_sends_is_read_and_what_it_leaves_out_has_a_default() {
        // As in CloudWatch's documentation.
        let sent = json!({
            "jobs": 20,
            "widgetContext": {
                "dashboardName": "Name-of-current-dashboard", "widgetId": "widget-16", "accountId": "012345678901",
                "locale": "en", "timezone": { "label": "UTC", "offsetISO": "+00:00", "offsetInMinutes": 0 },
                "period": 300, "isAutoPeriod": true,
                "timeRange": { "mode": "relative", "start": 1_627_236_199_729_u64, "end": 1_627_322_599_729_u64 },
                "theme": "dark", "linkCharts": true, "title": "Runners", "forms": { "all": {} },
                "params": { "jobs": 20 }, "width": 588, "height": 369
            }
        });
        let request: Request = serde_json::from_value(sent).unwrap();
        let look = Look {
            theme: Some(Theme::Dark),
            width: Some(588),
        };
        assert_eq!((request.look(), request.jobs()), (look, 20));

        let request: Request = serde_json::from_value(json!({})).unwrap();
        assert_eq!((request.look(), request.jobs()), (Look::default(), 50));
    }

    #[test]
    fn a_width_is_one_whatever_the_browser_makes_of_it() {
        for (sent, width) in [
            (json!(588), Some(588)),
            (json!(588.75), Some(588)),
            (json!(-1), Some(0)),
            (json!(1e12), Some(u32::MAX)),
            (json!(null), None),
        ] {
            let request: Request = serde_json::from_value(json!({ "widgetContext": { "width": sent } })).unwrap();
            assert_eq!(request.look().width, width);
        }
    }

    #[test]
    fn no_more_jobs_are_shown_than_can_be_loaded_in_time() {
        for (asked, shown) in [
            (json!(0), 1),
            (json!(1), 1),
            (json!(50), 50),
            (json!(9_999), 50),
            (json!(-1), 1),
            (json!(20.5), 20),
            (json!("20"), 20),
            (json!(" -3 "), 1),
            (json!("NaN"), 1),
            (json!("many"), 50),
            (json!(["20"]), 50),
            (json!(null), 50),
        ] {
            let request: Request = serde_json::from_value(json!({ "jobs": asked })).unwrap();
            assert_eq!(request.jobs(), shown);
        }
    }
}
