//! Comments on pull requests, which GitHub's API treats as issues.

use dayfly_ports::{Parameters, Scope};
use dayfly_types::ids::CommentId;
use serde_json::json;

use crate::GitHubApp;
use crate::answers::Comment;
use crate::call::Call;
use crate::calls::path;
use crate::failure::Failure;

impl<P: Parameters> GitHubApp<P> {
    /// <https://docs.github.com/en/rest/issues/comments#list-issue-comments>
    pub(crate) async fn search_comment(
        &self,
        scope: &Scope,
        pull: u64,
        marker: &str,
    ) -> Result<Option<CommentId>, Failure> {
        const WHAT: &str = "look up a comment";
        let path = path(scope, &format!("issues/{pull}/comments"));
        let all = self.pages::<Vec<Comment>>(scope, WHAT, &path).await?;
        let app = self.sign_in.app_id();
        Ok(all.into_iter().find(|one| one.is_own(app, marker)).map(|one| one.id))
    }

    /// <https://docs.github.com/en/rest/issues/comments#create-an-issue-comment>
    pub(crate) async fn post_comment(&self, scope: &Scope, pull: u64, text: &str) -> Result<CommentId, Failure> {
        const WHAT: &str = "create a comment";
        let path = path(scope, &format!("issues/{pull}/comments"));
        let call = Call::post(WHAT, path, Some(json!({"body": text})));
        self.read::<Comment>(scope, call).await.map(|made| made.id)
    }

    /// <https://docs.github.com/en/rest/issues/comments#update-an-issue-comment>
    pub(crate) async fn patch_comment(&self, scope: &Scope, comment: CommentId, text: &str) -> Result<(), Failure> {
        const WHAT: &str = "update a comment";
        let path = path(scope, &format!("issues/comments/{comment}"));
        let call = Call::patch(WHAT, path, json!({"body": text}));
        self.call(scope, call).await.map(drop)
    }
}
