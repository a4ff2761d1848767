//! The board on localhost: the dashboard function's answer, requested as CloudWatch does and shown as a
//! page.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::function_url::Outgoing;
use crate::http::{Handler, Received, Reply, Server};

/// The maximum size of a browser's request.
const BODY_LIMIT: usize = 64 * 1024;

/// Seconds between two refreshes of an open page.
const REFRESH_SECONDS: u32 = 5;

#[derive(Debug)]
pub struct Board {
    server: Server,
}

impl Board {
    /// Serves the board of the function.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(aws: &Aws, function: &str) -> anyhow::Result<Self> {
        let page = Page {
            aws: aws.clone(),
            function: function.to_owned(),
        };
        let server = Server::start(Arc::new(page), BODY_LIMIT).await?;
        Ok(Self { server })
    }

    /// Returns its URL: `http://127.0.0.1:<port>`. The query may set a `theme` and a `width`, as a
    /// widget does.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

struct Page {
    aws: Aws,
    function: String,
}

impl Handler for Page {
    async fn handle(&self, request: Received) -> Reply {
        if request.method != Method::GET.as_str() || request.path != "/" {
            return Reply::Whole(Outgoing::json(404, r#"{"Message":"The board is at /"}"#));
        }
        let theme = query_parameter(&request, "theme");
        let event = json!({"widgetContext": {
            "theme": theme,
            "width": query_parameter(&request, "width").and_then(|width| width.parse::<u32>().ok()),
        }});
        let answer = match self.aws.invoke(&self.function, &event).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!("the board's function cannot be invoked: {error}");
                return Reply::Whole(Outgoing::json(502, r#"{"Message":"The function cannot be invoked"}"#));
            }
        };
        Reply::Whole(match (&answer.error, &answer.payload) {
            (None, Value::String(board)) => Outgoing {
                status: 200,
                headers: vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())],
                body: document(board, theme.as_deref()).into_bytes(),
            },
            (_, payload) => {
                tracing::error!("the board's function failed: {payload}");
                Outgoing::json(502, r#"{"Message":"The function failed: see its log"}"#)
            }
        })
    }
}

/// Returns a parameter of the query.
fn query_parameter(request: &Received, name: &str) -> Option<String> {
    let mut all = form_urlencoded::parse(request.query.as_bytes());
    all.find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// Returns a page with only a background, which refreshes itself.
fn document(board: &str, theme: Option<&str>) -> String {
    let background = match theme {
        Some("light") => "background:#fff",
        Some("dark") => "background:#161d26",
        _ => "background:Canvas;color-scheme:light dark",
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">\
         <title>dayfly</title></head><body style=\"margin:12px 0;{background}\">{board}</body></html>"
    )
}
