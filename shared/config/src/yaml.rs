//! The one reader of YAML: a tree whose nodes know their place, values read from it, and findings that name
//! the key, the line and the remedy. `.dayfly.yml`, `.cirun.yml` and the stack policy are read with it.

mod decode;
mod error;
mod findings;
mod render;
mod tree;
pub mod units;

pub use decode::{At, Fields, Keyword, List, OneOrMore, Pairs, Read, ScalarValue, report_wrong_kind};
pub use error::ConfigError;
pub use findings::{Finding, Findings, Severity};
pub use render::{RenderStyle, render_findings};
pub use tree::{Entry, MAX_BYTES, Node, Scalar, Span, SyntaxError, Value, excerpt, parse};
