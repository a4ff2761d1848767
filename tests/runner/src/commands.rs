//! The workflow commands in a script's output that the lab needs.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

/// A processed line of output.
#[derive(Debug, PartialEq, Eq)]
pub struct ProcessedLine {
    /// The line for the log, if there is one.
    pub line: Option<String>,
    /// An error for the job's page.
    pub error: Option<String>,
}

/// The state that commands of a job set for later lines.
#[derive(Debug, Default)]
pub struct Commands {
    /// Commands are ignored until this token.
    stopped_until: Option<String>,
    masked: Vec<String>,
}

impl Commands {
    /// Processes the next line of a script.
    pub fn process(&mut self, line: &str) -> ProcessedLine {
        let plain = |commands: &Self| ProcessedLine {
            line: Some(commands.mask(line)),
            error: None,
        };
        let Some((command, data)) = parse(line) else {
            return plain(self);
        };
        if let Some(token) = &self.stopped_until {
            if command.eq_ignore_ascii_case(token) {
                self.stopped_until = None;
            }
            return plain(self);
        }
        let data = unescaped(data);
        match command {
            "stop-commands" => {
                self.stopped_until = Some(data);
                plain(self)
            }
            "add-mask" => {
                self.masked.push(data);
                ProcessedLine {
                    line: None,
                    error: None,
                }
            }
            "error" => {
                let data = self.mask(&data);
                ProcessedLine {
                    line: Some(format!("##[error]{data}")),
                    error: Some(data),
                }
            }
            "warning" | "notice" => ProcessedLine {
                line: Some(self.mask(&format!("##[{command}]{data}"))),
                error: None,
            },
            // Other commands have no counterpart here and are shown as they are.
            _ => plain(self),
        }
    }

    fn mask(&self, text: &str) -> String {
        let masked = self.masked.iter().filter(|it| !it.is_empty());
        masked.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// Reads `::name properties::data`, with leading white space allowed.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let name = head.split(' ').next()?;
    (!name.is_empty()).then_some((name, data))
}

fn unescaped(data: &str) -> String {
    data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(commands: &mut Commands, line: &str) -> (Option<String>, Option<String>) {
        let ProcessedLine { line, error } = commands.process(line);
        (line, error)
    }

    #[test]
    fn error_is_shown_on_the_jobs_page_too() {
        let mut commands = Commands::default();
        for (line, words) in [("::error::a 100%25", "a 100%"), ("  ::error file=x::b", "b")] {
            let (line, error) = shown(&mut commands, line);
            assert_eq!(
                (line, error),
                (Some(format!("##[error]{words}")), Some(words.to_owned()))
            );
        }
    }

    #[test]
    fn masked_text_is_not_shown() {
        let mut commands = Commands::default();
        assert_eq!(shown(&mut commands, "::add-mask::hush"), (None, None));
        assert_eq!(shown(&mut commands, "so hush"), (Some("so ***".to_owned()), None));
    }

    #[test]
    fn commands_are_ignored_between_stop_and_its_token() {
        let mut commands = Commands::default();
        for line in [
            "::stop-commands::t0ken",
            "::error::x",
            "::add-mask::x",
            "::other::",
            "::stop-commands::other",
            "x",
            "::T0KEN::",
        ] {
            assert_eq!(shown(&mut commands, line), (Some(line.to_owned()), None));
        }
        assert_eq!(shown(&mut commands, "::error::y").1, Some("y".to_owned()));
    }
}
