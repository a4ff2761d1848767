//! Where GitHub shows people what its API tells programs.

/// Where GitHub's pages are: beside its API, or above it on a server of one's own.
#[must_use]
pub fn pages_of(api_url: &str) -> String {
    match api_url.strip_prefix("https://api.") {
        // `github.com`, and a `ghe.com` of one's own.
        Some(host) => format!("https://{host}"),
        None => api_url.trim_end_matches("/api/v3").to_owned(),
    }
}
