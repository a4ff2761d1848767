//! `.access.yml` of an organisation's repository `.cirun`: which runners of `.cirun.global.yml` may be
//! used from where, and by whom.
//!
//! A policy is a repository with teams. A runner may be used by a job of that repository which a member of
//! one of those teams triggered, if one of its policies says so. A runner that no rule names is for nobody.
//!
//! <https://docs.cirun.io/reference/access-control>

use std::collections::{HashMap, HashSet};

use crate::config::finding::{Finding, Findings};
use crate::config::node::{At, Fields, List, OneOrMore, Read};
use crate::config::words::Name;
use crate::config::yaml::{self, Node, shown};
use crate::spelling;

/// Where it lies in the repository `.cirun`.
pub const PATH: &str = ".access.yml";

/// Who may use which runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// For each runner by its name, the rules of which one must hold.
    pub rules: HashMap<String, Vec<Rule>>,
}

/// A repository, and the teams of its organisation that count there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the file calls it.
    pub id: String,
    /// The repository's name, without its owner.
    pub repository: String,
    /// The teams, by their slugs.
    pub teams: Vec<String>,
}

impl Access {
    /// The rule that lets a member of these teams use a runner from a repository of the organisation, if
    /// one does.
    #[must_use]
    pub fn allows(&self, runner: &str, repository: &str, teams: &[&str]) -> Option<&Rule> {
        let mut rules = self.rules.get(runner)?.iter();
        rules.find(|rule| {
            rule.repository.eq_ignore_ascii_case(repository)
                && teams
                    .iter()
                    .any(|team| rule.teams.iter().any(|one| one.eq_ignore_ascii_case(team)))
        })
    }
}

/// Reads a file. Nothing if there is an error: who may do what is not guessed.
#[must_use]
pub fn read(path: &str, text: &str) -> (Option<Access>, Vec<Finding>) {
    let mut findings = Findings::new(path);
    let access = match yaml::tree(text) {
        Ok(root) => File::read(&root, &mut findings).map(|file| file.meaning(&mut findings)),
        Err(errors) => {
            findings.unreadable(errors);
            None
        }
    };
    let access = access.filter(|_| findings.errors() == 0);
    (access, findings.finish())
}

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
        let fields = Fields::of(node, &["id", "repo", "teams"], findings)?;
        let id: Option<At<Name>> = fields.take("id", true, findings);
        let repo: Option<At<Name>> = fields.take("repo", true, findings);
        let teams: Option<At<OneOrMore<Name>>> = fields.take("teams", true, findings);
        let (id, repo, teams) = (id?, repo?, teams?);
        let rule = Rule {
            id: id.value.0.clone(),
            repository: repo.value.0,
            teams: teams.value.values().into_iter().map(|team| team.0).collect(),
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
                let message = format!("`{}` has a rule already", shown(&name));
                let hint = Some("name all its policies in one".to_owned());
                findings.within("access_control", |findings| {
                    findings.error(grant.resource.span, message, hint);
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
