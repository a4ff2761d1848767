//! Addresses of GitHub's web pages.

/// Returns the root of GitHub's web pages for the root of its API.
#[must_use]
pub fn web_url(api_url: &str) -> String {
    match api_url.strip_prefix("https://api.") {
        // `github.com`, or an enterprise's `ghe.com`.
        Some(host) => format!("https://{host}"),
        // A GitHub Enterprise Server.
        None => api_url.trim_end_matches("/api/v3").to_owned(),
    }
}
