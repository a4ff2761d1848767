//! Declares mappings: their keys with types, defaults, examples and docs.

/// A key of a mapping, besides its type.
#[derive(Debug)]
#[cfg_attr(
    not(any(test, feature = "schema")),
    allow(dead_code, reason = "the rest is for the schema")
)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Lines of documentation.
    pub(crate) doc: &'static [&'static str],
    pub(crate) required: bool,
    /// The default, as a value in YAML.
    pub(crate) default: Option<&'static str>,
    /// What holds without the key, in words.
    pub(crate) without: Option<&'static str>,
    /// An example, as a value in YAML.
    pub(crate) example: &'static str,
}

/// A mapping with declared keys.
pub(crate) trait Keys {
    const KEYS: &'static [Key];
}

/// Declares a mapping of the file: for each key its type, what holds without it (`required`,
/// `default` and a value, or `without` and words), and an example.
macro_rules! keys {
    (
        $(#[doc = $about:literal])* $name:ident
        $( $(#[doc = $doc:literal])* $key:ident: $type:ty, $how:ident $($what:literal)?, example $example:literal; )+
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        #[allow(dead_code, reason = "not every mapping is asked for its place")]
        pub(crate) struct $name {
            pub(crate) span: Span,
            given: Vec<&'static str>,
            $( pub(crate) $key: Option<At<$type>>, )+
        }

        impl Keys for $name {
            const KEYS: &'static [Key] = &[ $( Key {
                name: plain(stringify!($key)),
                doc: &[$($doc),*],
                required: keys!(@required $how),
                default: keys!(@default $how $($what)?),
                without: keys!(@without $how $($what)?),
                example: $example,
            }, )+ ];
        }

        impl Read for $name {
            fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
                let names: Vec<&str> = Self::KEYS.iter().map(|key| key.name).collect();
                let fields = Fields::read(node, &names, findings)?;
                $( let $key = fields.take(plain(stringify!($key)), keys!(@required $how), findings); )+
                let given = Self::KEYS.iter().map(|key| key.name).filter(|name| fields.has(name)).collect();
                Some(Self { span: node.span, given, $($key),+ })
            }
        }

        impl $name {
            /// Returns whether a key has a value, be it unreadable.
            #[allow(dead_code, reason = "not every mapping is asked")]
            pub(crate) fn has(&self, key: &str) -> bool {
                self.given.contains(&key)
            }
        }

        #[cfg(any(test, feature = "schema"))]
        impl crate::schema_types::Described for $name {
            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        #[cfg(any(test, feature = "schema"))]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let about = [$($about),*];
                let types = vec![ $( <$type as crate::schema_types::Described>::schema(generator) ),+ ];
                crate::mapping::schema(&about, Self::KEYS, types)
            }
        }
    };
    (@required required) => { true };
    (@required $how:ident) => { false };
    (@default default $value:literal) => { Some($value) };
    (@default $how:ident $($value:literal)?) => { None };
    (@without without $value:literal) => { Some($value) };
    (@without $how:ident $($value:literal)?) => { None };
}

pub(crate) use keys;

/// Returns a key's name without the `r#` of a Rust keyword.
pub(crate) const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Returns the schema of a mapping with these keys.
#[cfg(any(test, feature = "schema"))]
pub(crate) fn schema(about: &[&str], keys: &[Key], types: Vec<schemars::Schema>) -> schemars::Schema {
    use serde_json::json;

    let mut properties = serde_json::Map::new();
    for (key, of) in keys.iter().zip(types) {
        let mut property = of;
        property.insert("description".to_owned(), json!(joined(key.doc)));
        if let Err(error) = crate::machines::Requirements::default().set(key.name, "?") {
            // What a requirement takes depends on its key, not on its type.
            if !matches!(error, crate::machines::RequirementError::UnknownKey { .. }) {
                property.insert("title".to_owned(), json!(error.allowed()));
            }
        }
        if let Some(default) = key.default.and_then(crate::schema_types::yaml_to_json) {
            property.insert("default".to_owned(), default);
        }
        if let Some(without) = key.without {
            property.insert("x-without".to_owned(), json!(without));
        }
        if let Some(example) = crate::schema_types::yaml_to_json(key.example) {
            property.insert("examples".to_owned(), json!([example]));
        }
        property.insert("x-example".to_owned(), json!(key.example));
        properties.insert(key.name.to_owned(), property.to_value());
    }
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    schemars::json_schema!({
        "type": "object",
        "description": joined(about),
        "properties": properties,
        "patternProperties": {"^x-": true},
        "additionalProperties": false,
        "required": required,
    })
}

#[cfg(any(test, feature = "schema"))]
fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
