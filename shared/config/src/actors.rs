//! Whose jobs a file takes.

use std::fmt;

/// Those whose jobs a file takes: any of these users, and the members of any of these teams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actors {
    /// GitHub users, by their logins.
    pub users: Vec<String>,
    /// Teams of the organisation that the repository belongs to, by their slugs.
    pub teams: Vec<String>,
}

impl Actors {
    /// Those that a file names, if it names any.
    pub(super) fn of(users: Option<Vec<String>>, teams: Option<Vec<String>>) -> Option<Self> {
        (users.is_some() || teams.is_some()).then(|| Self {
            users: users.unwrap_or_default(),
            teams: teams.unwrap_or_default(),
        })
    }

    /// Whether a user is named, compared as GitHub does.
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
