//! `.access.yml` of an organisation's repository `.cirun`: which runners of `.cirun.global.yml` may be
//! used from where, and by whom.
//!
//! A policy is a repository, and who may use a runner from there: members of teams, users, or whoever may
//! write to it. Where it says several, each must hold. A runner may be used if one of its policies says so,
//! and one that no rule names is for nobody.
//!
//! <https://docs.cirun.io/reference/access-control>, and for what is not written there the file of those
//! who use it most, <https://github.com/conda-forge/.cirun/blob/master/.access.yml>.

use std::collections::{HashMap, HashSet};

use dayfly_types::ids::Repository;

use crate::finding::{ConfigError, Finding, Findings};
use crate::node::{At, Fields, List, OneOrMore, Read};
use crate::read::names;
use crate::spelling;
use crate::words::Name;
use crate::yaml::{self, Node, shown};

/// Where it lies in the repository `.cirun`.
pub const PATH: &str = ".access.yml";

/// Who may use which runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// For each runner by its name, the rules of which one must hold.
    pub rules: HashMap<String, Vec<Rule>>,
}

/// A repository, and who counts there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the file calls it.
    pub id: String,
    /// The repository's name, without its owner.
    pub repository: String,
    /// The teams, by their slugs, of one of which the user must be.
    pub teams: Option<Vec<String>>,
    /// The users, of whom it must be one.
    pub users: Option<Vec<String>>,
    /// Whether the user must be one who may write to the repository.
    pub writers: bool,
    /// Whether it holds for runs of pull requests too.
    pub pull_requests: bool,
    /// What it asks for and cannot be told, so that it lets nobody through.
    pub unkept: Option<&'static str>,
}

impl Rule {
    /// Whether it is about a repository of the organisation.
    #[must_use]
    pub fn is_for(&self, repository: &Repository) -> bool {
        self.repository.eq_ignore_ascii_case(repository.name())
    }

    /// Whom it lets through, in words.
    #[must_use]
    pub fn whom(&self) -> String {
        if let Some(key) = self.unkept {
            return format!("lets nobody through, because its `{key}` cannot be kept");
        }
        let quoted = |names: &[String]| format!("`{}`", names.join("`, `"));
        let users = self.users.as_deref().map(quoted);
        let teams = self.teams.as_deref().map(quoted);
        let must = [
            users.map(|users| format!("is one of {users}")),
            self.writers.then(|| "may write to the repository".to_owned()),
            teams.map(|teams| format!("is in a team of {teams}")),
        ];
        let must: Vec<String> = must.into_iter().flatten().collect();
        let where_not = if self.pull_requests {
            ""
        } else {
            ", and not for pull requests"
        };
        format!("is for whoever {}{where_not}", must.join(" and "))
    }
}

/// Reads a file. Nothing if there is an error: who may do what is not guessed.
#[must_use]
pub fn read(path: &str, text: &str) -> (Option<Access>, Vec<Finding>) {
    let mut findings = Findings::new(path);
    let access = match yaml::tree(text) {
        Ok(root) => look_at(&root, &mut findings),
        Err(errors) => {
            findings.unreadable(errors);
            None
        }
    };
    (access, findings.finish())
}

/// Reads a file that is to count.
///
/// # Errors
/// If it cannot be used; the text has all errors, each with its line.
pub fn of_file(path: &str, text: &str) -> Result<Access, ConfigError> {
    let (access, findings) = read(path, text);
    access.ok_or_else(|| ConfigError::new(findings, text))
}

/// What a file means. Nothing if there is an error.
pub(crate) fn look_at(root: &Node, findings: &mut Findings<'_>) -> Option<Access> {
    let access = File::read(root, findings).map(|file| file.meaning(findings));
    access.filter(|_| findings.errors() == 0)
}

/// What may stand in a policy.
const POLICY: [&str; 7] = ["id", "repo", "teams", "users", ELSEWHERE, "roles", "pull_request"];

/// Users whose names lie at a URL.
const ELSEWHERE: &str = "users_from_json";

/// The keys of which one must say whom a policy lets through.
const WHOM: [&str; 3] = ["users", ELSEWHERE, "roles"];

/// The roles of a repository that may write to it.
///
/// <https://docs.github.com/en/organizations/managing-user-access-to-your-organizations-repositories/managing-repository-roles/repository-roles-for-an-organization>
const WRITERS: [&str; 3] = ["admin", "maintain", "write"];

struct File {
    policies: List<Policy>,
    control: List<Grant>,
}

struct Policy {
    id: At<Name>,
    rule: Rule,
}

struct Grant {
    resource: At<Name>,
    policies: OneOrMore<Name>,
}

impl Read for File {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &["version", "policies", "access_control"], findings)?;
        let version: Option<At<u32>> = fields.take("version", true, findings);
        if let Some(version) = version.filter(|version| version.value != 1) {
            let message = format!("`version` is `{}`, expected `1`", version.value);
            findings.within("version", |findings| findings.error(version.span, message, None));
        }
        let policies = fields.take("policies", true, findings);
        let control = fields.take("access_control", true, findings);
        Some(Self {
            policies: policies?.value,
            control: control?.value,
        })
    }
}

impl Read for Policy {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &POLICY, findings)?;
        let id: Option<At<Name>> = fields.take("id", true, findings);
        let repo: Option<At<Name>> = fields.take("repo", true, findings);
        let is_named = WHOM.iter().any(|key| fields.has(key));
        let teams = fields.take("teams", !is_named, findings);
        let users: Option<At<OneOrMore<Name>>> = fields.take("users", false, findings);
        let roles: Option<At<OneOrMore<Name>>> = fields.take("roles", false, findings);
        let pull_requests: Option<At<bool>> = fields.take("pull_request", false, findings);
        let mut unkept = None;
        if let Some(roles) = &roles
            && !WRITERS
                .iter()
                .all(|role| roles.value.0.iter().any(|one| one.value.0 == *role))
        {
            let message = "`roles` is kept for all who may write only, so this policy lets nobody through";
            let hint = format!("say `roles: [{}]`, or name `users` or `teams`", WRITERS.join(", "));
            findings.within("roles", |findings| findings.warning(roles.span, message, Some(hint)));
            unkept = Some("roles");
        }
        if let Some(place) = fields.place(ELSEWHERE)
            && users.is_none()
        {
            let message = format!("`{ELSEWHERE}` is a list that is not fetched, so this policy lets nobody through");
            let hint = Some("name them under `users`".to_owned());
            findings.within(ELSEWHERE, |findings| findings.warning(place, message, hint));
            unkept = Some(ELSEWHERE);
        }
        let (id, repo) = (id?, repo?);
        let rule = Rule {
            id: id.value.0.clone(),
            repository: repo.value.0,
            teams: teams.map(names),
            users: users.map(names),
            writers: roles.is_some(),
            pull_requests: pull_requests.is_none_or(|at| at.value),
            unkept,
        };
        Some(Self { id, rule })
    }
}

impl Read for Grant {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &["resource", "policies"], findings)?;
        let resource = fields.take("resource", true, findings);
        let policies: Option<At<OneOrMore<Name>>> = fields.take("policies", true, findings);
        Some(Self {
            resource: resource?,
            policies: policies?.value,
        })
    }
}

impl File {
    fn meaning(self, findings: &mut Findings<'_>) -> Access {
        let mut policies: HashMap<String, Rule> = HashMap::new();
        for At { value: policy, .. } in self.policies.0 {
            if policies.insert(policy.id.value.0.clone(), policy.rule).is_some() {
                let message = format!("a policy is called `{}` already", shown(&policy.id.value.0));
                findings.within("policies", |findings| findings.error(policy.id.span, message, None));
            }
        }
        let mut access = Access::default();
        let mut seen = HashSet::new();
        for At { value: grant, .. } in self.control.0 {
            let name = grant.resource.value.0;
            if !seen.insert(name.clone()) {
                let message = format!("`{}` has a rule already, and the policies of both count", shown(&name));
                let hint = Some("name all its policies in one".to_owned());
                findings.within("access_control", |findings| {
                    findings.warning(grant.resource.span, message, hint);
                });
            }
            let rules = access.rules.entry(name).or_default();
            for At { value: id, span } in grant.policies.0 {
                let Some(rule) = policies.get(&id.0) else {
                    let nearest = spelling::nearest(&id.0, policies.keys().map(String::as_str));
                    let hint = nearest.map(|nearest| format!("did you mean `{nearest}`?"));
                    let message = format!("there is no policy `{}`", shown(&id.0));
                    findings.within("access_control", |findings| findings.error(span, message, hint));
                    continue;
                };
                rules.push(rule.clone());
            }
        }
        access
    }
}
