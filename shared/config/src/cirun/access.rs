//! Reads `.access.yml` of an organisation's repository `.cirun`: from which repositories and by which users the
//! runners of `.cirun.global.yml` may be used.
//!
//! A policy names a repository and who may use a runner from there: members of teams, users, or everyone with
//! write access. If it names several, all must hold. A runner may be used if one of its policies allows it; a
//! runner without a rule may not be used at all.
//!
//! <https://docs.cirun.io/reference/access-control>, and for what is missing there its heaviest user's file,
//! <https://github.com/conda-forge/.cirun/blob/master/.access.yml>.

use std::collections::{HashMap, HashSet};

use dayfly_types::ids::Repository;

use crate::checks::names;
use crate::spelling;
use crate::values::Name;
use crate::yaml::{self, At, ConfigError, Fields, Finding, Findings, List, Node, OneOrMore, Read, excerpt};

/// The file's path in the repository `.cirun`.
pub const PATH: &str = ".access.yml";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// For each runner, by name, the rules of which one must hold.
    pub rules: HashMap<String, Vec<Rule>>,
}

/// A policy: a repository, and who may use a runner from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: String,
    /// The repository's name, without its owner.
    pub repository: String,
    /// Slugs of teams: the user must be a member of one.
    pub teams: Option<Vec<String>>,
    /// Logins: the user must be one of them.
    pub users: Option<Vec<String>>,
    /// Whether the user must have write access to the repository.
    pub writers: bool,
    /// Whether the rule holds for runs of pull requests too.
    pub pull_requests: bool,
    /// The key that dayfly cannot check, because of which the rule allows nobody.
    pub unsupported: Option<&'static str>,
}

impl Rule {
    /// Returns whether the rule is about this repository of the organisation.
    #[must_use]
    pub fn is_for(&self, repository: &Repository) -> bool {
        self.repository.eq_ignore_ascii_case(repository.name())
    }

    /// Returns whom the rule allows, as the end of a sentence about it.
    #[must_use]
    pub fn describe(&self) -> String {
        if let Some(key) = self.unsupported {
            return format!("allows nobody, because dayfly cannot check its `{key}`");
        }
        let quoted = |names: &[String]| format!("`{}`", names.join("`, `"));
        let users = self.users.as_deref().map(quoted);
        let teams = self.teams.as_deref().map(quoted);
        let must = [
            users.map(|users| format!("is one of {users}")),
            self.writers.then(|| "has write access to the repository".to_owned()),
            teams.map(|teams| format!("is in one of the teams {teams}")),
        ];
        let must: Vec<String> = must.into_iter().flatten().collect();
        let where_not = if self.pull_requests {
            ""
        } else {
            ", and not for pull requests"
        };
        format!("is for everyone who {}{where_not}", must.join(" and "))
    }
}

/// Reads a file, or returns `None` if it has an error: permissions are not guessed.
#[must_use]
pub fn read(path: &str, text: &str) -> (Option<Access>, Vec<Finding>) {
    let mut findings = Findings::new(path);
    let access = match yaml::parse(text) {
        Ok(root) => check(&root, &mut findings),
        Err(errors) => {
            findings.syntax_errors(errors);
            None
        }
    };
    (access, findings.finish())
}

/// Reads a file.
///
/// # Errors
/// All errors, each with its line.
pub fn of_file(path: &str, text: &str) -> Result<Access, ConfigError> {
    let (access, findings) = read(path, text);
    access.ok_or_else(|| ConfigError::new(findings, text))
}

/// Returns what a file means, or `None` if it has an error.
pub(crate) fn check(root: &Node, findings: &mut Findings<'_>) -> Option<Access> {
    let access = File::read(root, findings).map(|file| file.meaning(findings));
    access.filter(|_| findings.error_count() == 0)
}

const POLICY_KEYS: [&str; 7] = ["id", "repo", "teams", "users", USERS_AT_URL, "roles", "pull_request"];

/// The key for a list of users at a URL.
const USERS_AT_URL: &str = "users_from_json";

/// Keys that restrict a policy: without one of them, `teams` is required.
const RESTRICTIONS: [&str; 3] = ["users", USERS_AT_URL, "roles"];

/// The roles with write access to a repository.
///
/// <https://docs.github.com/en/organizations/managing-user-access-to-your-organizations-repositories/managing-repository-roles/repository-roles-for-an-organization>
const WRITE_ROLES: [&str; 3] = ["admin", "maintain", "write"];

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
        let fields = Fields::read(node, &["version", "policies", "access_control"], findings)?;
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
        let fields = Fields::read(node, &POLICY_KEYS, findings)?;
        let id: Option<At<Name>> = fields.take("id", true, findings);
        let repo: Option<At<Name>> = fields.take("repo", true, findings);
        let is_restricted = RESTRICTIONS.iter().any(|key| fields.has(key));
        let teams = fields.take("teams", !is_restricted, findings);
        let users: Option<At<OneOrMore<Name>>> = fields.take("users", false, findings);
        let roles: Option<At<OneOrMore<Name>>> = fields.take("roles", false, findings);
        let pull_requests: Option<At<bool>> = fields.take("pull_request", false, findings);
        let mut unsupported = None;
        if let Some(roles) = &roles
            && !WRITE_ROLES
                .iter()
                .all(|role| roles.value.0.iter().any(|one| one.value.0 == *role))
        {
            let message =
                "`roles` is supported only with all roles that have write access, so this policy allows nobody";
            let hint = format!(
                "write `roles: [{}]`, or name `users` or `teams`",
                WRITE_ROLES.join(", ")
            );
            findings.within("roles", |findings| findings.warning(roles.span, message, Some(hint)));
            unsupported = Some("roles");
        }
        if let Some(span) = fields.key_span(USERS_AT_URL)
            && users.is_none()
        {
            let message = format!("`{USERS_AT_URL}` is not fetched, so this policy allows nobody");
            let hint = Some("name them under `users`".to_owned());
            findings.within(USERS_AT_URL, |findings| findings.warning(span, message, hint));
            unsupported = Some(USERS_AT_URL);
        }
        let (id, repo) = (id?, repo?);
        let rule = Rule {
            id: id.value.0.clone(),
            repository: repo.value.0,
            teams: teams.map(names),
            users: users.map(names),
            writers: roles.is_some(),
            pull_requests: pull_requests.is_none_or(|at| at.value),
            unsupported,
        };
        Some(Self { id, rule })
    }
}

impl Read for Grant {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::read(node, &["resource", "policies"], findings)?;
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
                let message = format!("another policy is called `{}`", excerpt(&policy.id.value.0));
                findings.within("policies", |findings| findings.error(policy.id.span, message, None));
            }
        }
        let mut access = Access::default();
        let mut named = HashSet::new();
        for At { value: grant, .. } in self.control.0 {
            let name = grant.resource.value.0;
            if !named.insert(name.clone()) {
                let message = format!("`{}` has another rule, and the policies of both count", excerpt(&name));
                let hint = Some("name all its policies in one rule".to_owned());
                findings.within("access_control", |findings| {
                    findings.warning(grant.resource.span, message, hint);
                });
            }
            let rules = access.rules.entry(name).or_default();
            for At { value: id, span } in grant.policies.0 {
                let Some(rule) = policies.get(&id.0) else {
                    let nearest = spelling::nearest(&id.0, policies.keys().map(String::as_str));
                    let hint = nearest.map(|nearest| format!("did you mean `{nearest}`?"));
                    let message = format!("there is no policy `{}`", excerpt(&id.0));
                    findings.within("access_control", |findings| findings.error(span, message, hint));
                    continue;
                };
                rules.push(rule.clone());
            }
        }
        access
    }
}
