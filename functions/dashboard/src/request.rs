//! The request of a CloudWatch custom widget.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html>

use dayfly_report::board::{Appearance, Theme};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// Jobs shown at most.
const MOST_JOBS: usize = 50;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Whether to return the widget's documentation instead.
    pub describe: bool,
    /// How many of the last jobs to show, a parameter of the widget.
    #[serde(deserialize_with = "number")]
    pub jobs: Option<f64>,
    #[serde(rename = "widgetContext")]
    pub context: Context,
}

/// Where the widget is shown. It is missing when the function is called by hand.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Context {
    /// `light` or `dark`.
    pub theme: Option<String>,
    /// Pixels, fractional in a zoomed browser.
    pub width: Option<f64>,
}

impl Request {
    #[must_use]
    pub fn appearance(&self) -> Appearance {
        Appearance {
            theme: match self.context.theme.as_deref() {
                Some("light") => Some(Theme::Light),
                Some("dark") => Some(Theme::Dark),
                // An unknown theme: the reader's system decides.
                _ => None,
            },
            width: self.context.width.map(whole),
        }
    }

    /// Returns how many of the last jobs to show.
    #[must_use]
    pub fn jobs(&self) -> usize {
        let asked = self
            .jobs
            .map_or(MOST_JOBS, |jobs| usize::try_from(whole(jobs)).unwrap_or(MOST_JOBS));
        asked.clamp(1, MOST_JOBS)
    }
}

/// Accepts a number or a numeric text, as people write parameters. Anything else counts as missing.
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

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast drops the fraction and saturates"
)]
fn whole(pixels: f64) -> u32 {
    pixels as u32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cloudwatchs_request_is_read_and_missing_fields_have_defaults() {
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
        let appearance = Appearance {
            theme: Some(Theme::Dark),
            width: Some(588),
        };
        assert_eq!((request.appearance(), request.jobs()), (appearance, 20));

        let request: Request = serde_json::from_value(json!({})).unwrap();
        assert_eq!((request.appearance(), request.jobs()), (Appearance::default(), 50));
    }

    #[test]
    fn any_width_of_a_browser_is_accepted() {
        for (sent, width) in [
            (json!(588), Some(588)),
            (json!(588.75), Some(588)),
            (json!(-1), Some(0)),
            (json!(1e12), Some(u32::MAX)),
            (json!(null), None),
        ] {
            let request: Request = serde_json::from_value(json!({ "widgetContext": { "width": sent } })).unwrap();
            assert_eq!(request.appearance().width, width);
        }
    }

    #[test]
    fn number_of_jobs_is_limited_to_what_loads_in_time() {
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
