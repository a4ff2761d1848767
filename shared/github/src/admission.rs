//! Reads what an admission decides on: the origin of a run, permissions, teams, reviews and labels.

use dayfly_policy::Team;
use dayfly_ports::{Parameters, Scope};
use dayfly_records::origin::{Head, LabelEvent, Origin, Pull, PullHead, Review, ReviewState};
use dayfly_types::ids::RunKey;
use http::StatusCode;
use serde::Deserialize;

use crate::answers::Page;
use crate::call::Call;
use crate::calls::{path, query_escaped};
use crate::failure::Failure;
use crate::{GitHubApp, PER_PAGE};

impl<P: Parameters> GitHubApp<P> {
    pub(crate) async fn read_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, Failure> {
        let rest = format!("actions/runs/{}/attempts/{}", run.run, run.attempt);
        let call = Call::get("look up where a run comes from", path(scope, &rest)).reusable();
        let run: RunAttempt = self.read(scope, call).await?;
        Ok(run.into())
    }

    /// A user who is no collaborator may not write. In a public repository, GitHub reports `read` for everyone.
    pub(crate) async fn read_may_write(&self, scope: &Scope, user: &str) -> Result<bool, Failure> {
        let rest = format!("collaborators/{}/permission", query_escaped(user));
        let call = Call::get("look up whether a user may write", path(scope, &rest));
        match self.read::<Permission>(scope, call).await {
            Ok(Permission { permission }) => Ok(matches!(permission.as_str(), "admin" | "write")),
            Err(refused) if refused.status == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    pub(crate) async fn read_is_member(&self, scope: &Scope, team: &Team, user: &str) -> Result<bool, Failure> {
        let (organization, slug) = (query_escaped(&team.organization), query_escaped(&team.slug));
        let path = format!("/orgs/{organization}/teams/{slug}/memberships/{}", query_escaped(user));
        match self
            .read::<Membership>(scope, Call::get("look up who is in a team", path))
            .await
        {
            // An invited user who has not accepted is no member yet.
            Ok(Membership { state }) => Ok(state == "active"),
            Err(refused) if refused.status == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    pub(crate) async fn read_pulls(&self, scope: &Scope, owner: &str, branch: &str) -> Result<Vec<Pull>, Failure> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("state", "all")
            .append_pair("head", &format!("{owner}:{branch}"))
            .append_pair("per_page", &PER_PAGE.to_string())
            .finish();
        let call = Call::get(
            "list the pull requests of a branch",
            path(scope, &format!("pulls?{query}")),
        );
        let listed: Vec<ListedPull> = self.read(scope, call).await?;
        Ok(listed.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn read_reviews(&self, scope: &Scope, pull: u64) -> Result<Vec<Review>, Failure> {
        let path = path(scope, &format!("pulls/{pull}/reviews"));
        let all = self
            .pages::<Vec<ListedReview>>(scope, "list the reviews", &path)
            .await?;
        Ok(all.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn read_label_events(&self, scope: &Scope, pull: u64) -> Result<Vec<LabelEvent>, Failure> {
        let path = path(scope, &format!("issues/{pull}/events"));
        let all = self
            .pages::<Vec<IssueEvent>>(scope, "list the label events", &path)
            .await?;
        Ok(all.into_iter().filter_map(IssueEvent::into_label_event).collect())
    }
}

#[derive(Deserialize)]
struct User {
    login: String,
}

fn login(user: Option<User>) -> Option<String> {
    user.map(|user| user.login)
}

/// <https://docs.github.com/en/rest/actions/workflow-runs#get-a-workflow-run-attempt>
#[derive(Deserialize)]
struct RunAttempt {
    event: String,
    head_sha: String,
    head_branch: Option<String>,
    repository: RepositoryId,
    head_repository: Option<HeadRepository>,
    actor: Option<User>,
    triggering_actor: Option<User>,
    pull_requests: Option<Vec<RunsPull>>,
}

#[derive(Deserialize)]
struct RepositoryId {
    id: u64,
}

#[derive(Deserialize)]
struct HeadRepository {
    id: u64,
    full_name: String,
    /// `None` once the account is deleted.
    owner: Option<User>,
}

#[derive(Deserialize)]
struct RunsPull {
    number: u64,
    head: RunsPullHead,
}

#[derive(Deserialize)]
struct RunsPullHead {
    sha: String,
    repo: RepositoryId,
}

impl From<RunAttempt> for Origin {
    fn from(run: RunAttempt) -> Self {
        let pulls = run.pull_requests.unwrap_or_default().into_iter();
        Self {
            event: run.event,
            repository: run.repository.id,
            head: run.head_repository.and_then(|head| {
                Some(Head {
                    id: head.id,
                    owner: login(head.owner)?,
                    name: head.full_name,
                })
            }),
            head_sha: run.head_sha,
            head_branch: run.head_branch,
            actor: login(run.actor),
            triggering_actor: login(run.triggering_actor),
            pulls: pulls
                .map(|pull| PullHead {
                    number: pull.number,
                    repository: pull.head.repo.id,
                    sha: pull.head.sha,
                })
                .collect(),
        }
    }
}

/// <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
#[derive(Deserialize)]
struct Permission {
    /// `maintain` is reported as `write`, `triage` as `read`.
    permission: String,
}

/// <https://docs.github.com/en/rest/teams/members#get-team-membership-for-a-user>
#[derive(Deserialize)]
struct Membership {
    state: String,
}

/// <https://docs.github.com/en/rest/pulls/pulls#list-pull-requests>
#[derive(Deserialize)]
struct ListedPull {
    number: u64,
    #[serde(default)]
    labels: Vec<NamedLabel>,
    head: PullsHead,
}

#[derive(Deserialize)]
struct PullsHead {
    repo: Option<RepositoryId>,
}

#[derive(Deserialize)]
struct NamedLabel {
    name: String,
}

impl From<ListedPull> for Pull {
    fn from(pull: ListedPull) -> Self {
        Self {
            number: pull.number,
            head: pull.head.repo.map(|repository| repository.id),
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
        }
    }
}

/// <https://docs.github.com/en/rest/pulls/reviews#list-reviews-for-a-pull-request>
#[derive(Deserialize)]
struct ListedReview {
    user: Option<User>,
    commit_id: Option<String>,
    state: ReviewState,
}

impl Page for Vec<ListedReview> {
    type Item = ListedReview;

    fn items(self) -> Self {
        self
    }
}

impl From<ListedReview> for Review {
    fn from(review: ListedReview) -> Self {
        Self {
            by: login(review.user),
            commit: review.commit_id,
            state: review.state,
        }
    }
}

/// <https://docs.github.com/en/rest/issues/events#list-issue-events>
#[derive(Deserialize)]
struct IssueEvent {
    event: String,
    actor: Option<User>,
    label: Option<NamedLabel>,
}

impl Page for Vec<IssueEvent> {
    type Item = IssueEvent;

    fn items(self) -> Self {
        self
    }
}

impl IssueEvent {
    fn into_label_event(self) -> Option<LabelEvent> {
        let added = match self.event.as_str() {
            "labeled" => true,
            "unlabeled" => false,
            _ => return None,
        };
        Some(LabelEvent {
            label: self.label?.name,
            by: login(self.actor),
            added,
        })
    }
}
