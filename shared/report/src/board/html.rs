//! HTML whose markup comes from this program only: all other text is escaped.

use std::fmt::{self, Display, Write};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Appends markup, which only this program can contain.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends escaped text, which can end neither an element nor a quoted attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a `String` does not fail; a failing `Display` has written what it could.
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    pub(super) fn span(&mut self, class: &'static str, text: impl Display) -> &mut Self {
        self.raw("<span class=\"")
            .raw(class)
            .raw("\">")
            .text(text)
            .raw("</span>")
    }

    /// Appends a link, or only its text if the URL is not on the web.
    pub(super) fn link(&mut self, url: &Url, text: impl Display) -> &mut Self {
        if !url.is_on_the_web() {
            return self.text(text);
        }
        self.raw("<a target=\"_blank\" rel=\"noopener noreferrer\" href=\"")
            .text(&url.0)
            .raw("\">")
            .text(text)
            .raw("</a>")
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url(pub(super) String);

impl Url {
    /// Whether the URL is neither a script nor anything similar.
    fn is_on_the_web(&self) -> bool {
        self.0.starts_with("https://") || self.0.starts_with("http://")
    }
}

struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if c.is_control() => self.0.push(' '),
                // These would reverse the text next to them.
                '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    self.0.push('\u{fffd}');
                }
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn foreign_text_ends_neither_element_nor_attribute() {
        for (text, shown) in [
            ("train (3.12, cuda)", "train (3.12, cuda)"),
            ("</td><script>", "&lt;/td&gt;&lt;script&gt;"),
            ("\" onclick='x", "&quot; onclick=&#39;x"),
            ("&lt;", "&amp;lt;"),
            ("a\u{0}b\nc", "a b c"),
            ("evil\u{202e}txt.exe", "evil\u{fffd}txt.exe"),
        ] {
            let mut html = Html::new();
            html.text(text);
            assert_eq!(html.into_string(), shown);
        }
    }

    #[test]
    fn only_web_urls_become_links() {
        for (url, is_link) in [
            ("https://github.com/octo/gpu", true),
            ("http://127.0.0.1:4000/octo/gpu", true),
            ("javascript:alert(1)", false),
            ("//evil.example", false),
            ("", false),
        ] {
            let mut html = Html::new();
            html.link(&Url(url.to_owned()), "a job");
            let html = html.into_string();
            assert_eq!(html.contains("<a "), is_link, "{html}");
            assert!(html.contains("a job"));
        }
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_markup(text in any::<String>()) {
            let mut html = Html::new();
            html.text(&text);
            let html = html.into_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']) && !html.contains(char::is_control), "{}", html);
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            let unknown = html.match_indices('&').any(|(at, _)| !entities.iter().any(|it| html[at..].starts_with(it)));
            prop_assert!(!unknown, "{}", html);
        }
    }
}
