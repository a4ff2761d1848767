//! The users and teams whose jobs a file takes.

use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actors {
    /// Logins on GitHub.
    pub users: Vec<String>,
    /// Slugs of teams in the repository's organisation, whose members are allowed.
    pub teams: Vec<String>,
}

impl Actors {
    pub(crate) fn of(users: Option<Vec<String>>, teams: Option<Vec<String>>) -> Option<Self> {
        (users.is_some() || teams.is_some()).then(|| Self {
            users: users.unwrap_or_default(),
            teams: teams.unwrap_or_default(),
        })
    }

    /// Returns whether a user is named, compared as GitHub does.
    #[must_use]
    pub fn has(&self, user: &str) -> bool {
        self.users.iter().any(|one| one.eq_ignore_ascii_case(user))
    }
}

impl fmt::Display for Actors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.users.iter().map(|user| format!("`{user}`"));
        let teams = self.teams.iter().map(|team| format!("the team `{team}`"));
        f.write_str(&users.chain(teams).collect::<Vec<_>>().join(", "))
    }
}
