//! Just enough XML to read AWS's query answers.

use roxmltree::{Document, Node};

use super::AwsError;

/// An XML answer, kept as text and parsed when read.
#[derive(Clone, Debug)]
pub struct Xml(String);

impl Xml {
    /// Checks that the answer is XML.
    ///
    /// # Errors
    /// [`AwsError::Shape`] if it is not.
    pub fn read(action: &str, body: &[u8]) -> Result<Self, AwsError> {
        let text = String::from_utf8_lossy(body).into_owned();
        match Document::parse(&text) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(AwsError::Shape {
                action: action.to_owned(),
                missing: "XML".to_owned(),
                answer: text,
            }),
        }
    }

    /// Returns the text of the first element of this name anywhere.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let document = Document::parse(&self.0).ok()?;
        text_under(document.root(), name)
    }

    /// Reads every child of every element named `list`.
    #[must_use]
    pub fn each<T>(&self, list: &str, read: impl Fn(&Item<'_, '_>) -> Option<T>) -> Vec<T> {
        let Ok(document) = Document::parse(&self.0) else {
            return Vec::new();
        };
        document
            .descendants()
            .filter(|node| node.has_tag_name_any(list))
            .flat_map(|node| node.children().filter(Node::is_element))
            .filter_map(|node| read(&Item(node)))
            .collect()
    }

    /// Returns the texts of a list of plain elements, such as ids.
    #[must_use]
    pub fn texts(&self, list: &str) -> Vec<String> {
        self.each(list, |item| item.0.text().map(|text| text.trim().to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An entry of a list.
#[derive(Debug)]
pub struct Item<'a, 'input>(Node<'a, 'input>);

impl Item<'_, '_> {
    /// Returns the text of the first element of this name within the entry.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        text_under(self.0, name)
    }

    /// Returns the `key` and `value` pairs of `list` within the entry.
    #[must_use]
    pub fn pairs(&self, list: &str) -> Vec<(String, String)> {
        self.0
            .descendants()
            .filter(|node| node.has_tag_name_any(list))
            .flat_map(|node| node.children().filter(Node::is_element))
            .filter_map(|node| Some((text_under(node, "key")?, text_under(node, "value")?)))
            .collect()
    }
}

fn text_under(node: Node<'_, '_>, name: &str) -> Option<String> {
    node.descendants()
        .find(|node| node.has_tag_name_any(name))
        .map(|node| node.text().unwrap_or_default().trim().to_owned())
}

/// Names without their namespace, which differs between services and versions.
trait LocalName {
    fn has_tag_name_any(&self, name: &str) -> bool;
}

impl LocalName for Node<'_, '_> {
    fn has_tag_name_any(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_texts_are_read_whatever_the_namespace() {
        let xml = Xml::read(
            "x:Y",
            b"<R xmlns='http://ec2/'><set><item><id>1</id><tagSet><item><key>k</key>\
              <value>v</value></item></tagSet></item><item><id> 2 </id></item></set></R>",
        )
        .unwrap();
        assert_eq!(xml.text("id").as_deref(), Some("1"));
        assert_eq!(xml.each("set", |item| item.text("id")), ["1", "2"]);
        assert_eq!(
            xml.each("set", |item| Some(item.pairs("tagSet")))[0],
            [("k".to_owned(), "v".to_owned())]
        );
        assert!(Xml::read("x:Y", b"{}").is_err());
    }
}
