//! Lists what GitHub knows, so that the patrol can replace lost webhooks.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_ports::{FailedDelivery, JobView, Parameters, RunnerView, Scope};
use dayfly_types::ids::{InstallationId, Repository, RunId};
use dayfly_types::time::Timestamp;
use http::header::LINK;

use crate::answers::{Delivery, Installation, Jobs, ListedRepository, Repositories, Runners, Runs, timestamp};
use crate::call::Call;
use crate::calls::path;
use crate::failure::Failure;
use crate::limits::Identity;
use crate::{GitHubApp, MAX_PAGES, PER_PAGE, since_1970};

/// How long GitHub keeps a delivery for redelivery.
const REDELIVERABLE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

impl<P: Parameters> GitHubApp<P> {
    pub(crate) async fn read_installations(&self) -> Result<Vec<InstallationId>, Failure> {
        let path = "/app/installations";
        let all = self
            .pages::<Vec<Installation>>(Identity::App, "list the installations", path)
            .await?;
        let active = all.into_iter().filter(|one| one.suspended_at.is_none());
        Ok(active.map(|one| one.id).collect())
    }

    pub(crate) async fn read_repositories(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<Vec<Repository>, Failure> {
        let path = "/installation/repositories";
        let all = self
            .pages::<Repositories>(installation, "list the repositories", path)
            .await?;
        Ok(pushed_since(all, since))
    }

    pub(crate) async fn read_open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, Failure> {
        // A set, because a run may move from one list to the other between the calls.
        let mut open = BTreeSet::new();
        for status in ["queued", "in_progress"] {
            let query = format!("actions/runs?status={status}&per_page={PER_PAGE}");
            let call = Call::get("list the open runs", path(scope, &query)).reusable();
            let answer: Runs = self.read(scope, call).await?;
            open.extend(answer.runs.into_iter().map(|run| run.id));
        }
        Ok(open.into_iter().collect())
    }

    pub(crate) async fn read_jobs(&self, scope: &Scope, run: RunId) -> Result<Vec<JobView>, Failure> {
        let path = path(scope, &format!("actions/runs/{run}/jobs?filter=latest"));
        let jobs = self.pages::<Jobs>(scope, "list a run's jobs", &path).await?;
        Ok(jobs.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn read_runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, Failure> {
        let path = path(scope, "actions/runners");
        let runners = self.pages::<Runners>(scope, "list the runners", &path).await?;
        Ok(runners.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn read_failed_deliveries(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FailedDelivery>, Failure> {
        const WHAT: &str = "list the failed deliveries";
        let oldest = oldest_redeliverable(since_1970());
        let first = format!("/app/hook/deliveries?status=failure&per_page={PER_PAGE}");
        let mut path = first.clone();
        let mut failed = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self.call(Identity::App, Call::get(WHAT, path)).await?;
            let page: Vec<Delivery> = answer.json(WHAT)?;
            let more = collect(page, after, oldest, limit, &mut failed);
            let Some(cursor) = answer.header(LINK).and_then(next_cursor).filter(|_| more) else {
                return Ok(failed);
            };
            path = format!("{first}&cursor={cursor}");
        }
        tracing::warn!(MAX_PAGES, "not all failed deliveries were read");
        Ok(failed)
    }
}

/// Returns the repositories pushed to since then, the latest first.
fn pushed_since(all: Vec<ListedRepository>, since: Timestamp) -> Vec<Repository> {
    let mut pushed: Vec<(Timestamp, Repository)> = all
        .into_iter()
        .filter_map(|one| {
            let at = timestamp(one.pushed_at?);
            if at < since {
                return None;
            }
            match one.full_name.parse() {
                Ok(repository) => Some((at, repository)),
                Err(error) => {
                    tracing::warn!(%error, "skipping a repository that GitHub lists under an invalid name");
                    None
                }
            }
        })
        .collect();
    pushed.sort_by_key(|(at, _)| Reverse(*at));
    pushed.into_iter().map(|(_, repository)| repository).collect()
}

fn oldest_redeliverable(now: Duration) -> Timestamp {
    let oldest = now.saturating_sub(REDELIVERABLE);
    Timestamp::from_millis(i64::try_from(oldest.as_millis()).unwrap_or(i64::MAX))
}

/// Collects the failed deliveries of a page, the latest first. Returns `false` once later pages have none
/// to add.
fn collect(page: Vec<Delivery>, after: u64, oldest: Timestamp, limit: usize, failed: &mut Vec<FailedDelivery>) -> bool {
    for delivery in page {
        let has_failed = delivery.has_failed();
        let delivery = FailedDelivery::from(delivery);
        if delivery.number <= after || delivery.at < oldest || failed.len() >= limit {
            return false;
        }
        if has_failed {
            failed.push(delivery);
        }
    }
    failed.len() < limit
}

/// Returns the cursor of the next page from a `Link` header. The rest of the URL is ignored, because the
/// token is sent wherever the call goes.
///
/// <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api#using-link-headers>
fn next_cursor(links: &str) -> Option<String> {
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url = next.trim().strip_prefix('<')?.split_once('>')?.0;
    let query = url.split_once('?')?.1;
    // Kept as GitHub escaped it.
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("cursor="))
        .filter(|cursor| !cursor.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_cursor_comes_from_the_link_header() {
        for (links, expected) in [
            (
                r#"<https://api.github.com/app/hook/deliveries?per_page=100&cursor=v1_9>; rel="next""#,
                Some("v1_9"),
            ),
            (
                r#"<https://x/y?cursor=p>; rel="prev", <https://x/y?cursor=a%3D&status=failure>; rel="next""#,
                Some("a%3D"),
            ),
            (r#"<https://x/y?cursor=p>; rel="prev""#, None),
            (r#"<https://x/y?page=2>; rel="next""#, None),
            (r#"<https://x/y?cursor=>; rel="next""#, None),
            ("", None),
        ] {
            assert_eq!(next_cursor(links).as_deref(), expected, "{links}");
        }
    }

    #[test]
    fn a_delivery_can_be_redelivered_for_three_days() {
        let day = 24 * 60 * 60;
        let now = Duration::from_secs(10 * day);
        assert_eq!(oldest_redeliverable(now), Timestamp::from_seconds(7 * 24 * 60 * 60));
    }
}
