//! Bounds on a number: at least, at most, exactly, between.

use serde::{Deserialize, Serialize};

use super::{ComputeCapability, MiB};

/// A bound on a number, whose meaning and unit depend on the requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bound {
    /// The minimum; 0 for none.
    least: u32,
    /// The maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    most: Option<u32>,
}

/// How the numbers of a bound are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Whole numbers: one alone is exact.
    Exact,
    /// Whole numbers: one alone is the minimum.
    Count,
    /// Compute capabilities: `8.9` is 809.
    Capability,
    /// Memory, in MiB.
    Memory,
}

impl Bound {
    #[must_use]
    pub fn at_least(number: u32) -> Self {
        Self {
            least: number,
            most: None,
        }
    }

    #[must_use]
    pub fn at_most(number: u32) -> Self {
        Self::between(0, number)
    }

    #[must_use]
    pub fn exactly(number: u32) -> Self {
        Self::between(number, number)
    }

    /// Returns the bound from `least` to `most`, both included.
    #[must_use]
    pub fn between(least: u32, most: u32) -> Self {
        Self {
            least,
            most: Some(most),
        }
    }

    /// Returns whether a number is within the bound.
    #[must_use]
    pub fn holds(self, number: u32) -> bool {
        number >= self.least && self.most.is_none_or(|most| number <= most)
    }

    /// Returns whether an amount of memory is within the bound, where 24 GB counts as 24 GiB.
    ///
    /// EC2 reports the memory of an A10G, which is sold as 24 GB or 24 GiB, as 22888 MiB, and that of a T4 as
    /// 16384 MiB, which is 16 GiB. So 24 means everything from 24 GB to 24 GiB.
    #[must_use]
    pub fn holds_as_sold(self, memory: MiB) -> bool {
        // `memory` is rounded down to whole MiB.
        let bytes = (u64::from(memory.0) + 1) << 20;
        let gb_of_least = u64::from(self.least) * 1_000_000_000 / 1024;
        bytes > gb_of_least && self.most.is_none_or(|most| memory.0 <= most)
    }

    /// Reads a bound: `24GiB`, `>=24GiB`, `<=48GiB`, `=24GiB`, `24-48GiB`.
    pub(super) fn read(text: &str, measure: Measure) -> Option<Self> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(">=") {
            return Some(Self::at_least(measure.number(rest)?));
        }
        if let Some(rest) = text.strip_prefix("<=") {
            return Some(Self::at_most(measure.number(rest)?));
        }
        if let Some(rest) = text.strip_prefix('=') {
            return Some(Self::exactly(measure.number(rest.strip_prefix('=').unwrap_or(rest))?));
        }
        if let Some((least, most)) = text.split_once('-') {
            let (least, most) = measure.range(least, most)?;
            return (least <= most).then(|| Self::between(least, most));
        }
        let number = measure.number(text)?;
        Some(match measure {
            Measure::Exact => Self::exactly(number),
            _ => Self::at_least(number),
        })
    }

    /// Writes the bound as [`Bound::read`] reads it, as short as possible.
    pub(super) fn written(self, measure: Measure) -> String {
        let number = |number| measure.written(number);
        match (self.least, self.most) {
            (least, Some(most)) if least == most && measure == Measure::Exact => number(least),
            (least, Some(most)) if least == most => format!("={}", number(least)),
            (0, Some(most)) => format!("<={}", number(most)),
            (least, Some(most)) => format!("{}-{}", number(least), number(most)),
            (least, None) if measure == Measure::Exact => format!(">={}", number(least)),
            (least, None) => number(least),
        }
    }
}

impl Measure {
    fn number(self, text: &str) -> Option<u32> {
        let text = text.trim();
        match self {
            Self::Exact | Self::Count => {
                let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| text.parse().ok()).flatten()
            }
            Self::Capability => {
                let ComputeCapability(major, minor) = text.parse().ok()?;
                Some(u32::from(major) * 100 + u32::from(minor))
            }
            Self::Memory => MiB::parse(text).map(|memory| memory.0),
        }
    }

    /// Reads both ends of a range. The unit may be at the end alone: `24-48GiB`.
    fn range(self, least: &str, most: &str) -> Option<(u32, u32)> {
        let unit = most.trim().trim_start_matches(|c: char| c.is_ascii_digit());
        let bare = least.trim().bytes().all(|b| b.is_ascii_digit());
        let least = if self == Self::Memory && bare && !least.trim().is_empty() {
            self.number(&format!("{least}{unit}"))
        } else {
            self.number(least)
        };
        Some((least?, self.number(most)?))
    }

    pub(super) fn written(self, number: u32) -> String {
        match self {
            Self::Exact | Self::Count => number.to_string(),
            Self::Capability => format!("{}.{}", number / 100, number % 100),
            Self::Memory => MiB(number).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn number_alone_is_the_minimum_or_exact() {
        for (text, measure, expected) in [
            ("4", Measure::Exact, Some(Bound::exactly(4))),
            ("4", Measure::Count, Some(Bound::at_least(4))),
            ("8.0", Measure::Capability, Some(Bound::at_least(800))),
            ("9", Measure::Capability, Some(Bound::at_least(900))),
            ("24GiB", Measure::Memory, Some(Bound::at_least(24 * 1024))),
            ("24", Measure::Memory, Some(Bound::at_least(24 * 1024))),
        ] {
            assert_eq!(Bound::read(text, measure), expected, "{text}");
        }
    }

    #[test]
    fn bounds_have_an_operator_or_two_ends() {
        let gib = |number: u32| number * 1024;
        for (text, expected) in [
            (">=24GiB", Some(Bound::at_least(gib(24)))),
            (">= 24 gb", Some(Bound::at_least(gib(24)))),
            ("<=48", Some(Bound::at_most(gib(48)))),
            ("=24GiB", Some(Bound::exactly(gib(24)))),
            ("==24GiB", Some(Bound::exactly(gib(24)))),
            ("24-48", Some(Bound::between(gib(24), gib(48)))),
            ("24GiB-48GiB", Some(Bound::between(gib(24), gib(48)))),
            ("24-48GiB", Some(Bound::between(gib(24), gib(48)))),
            ("512-1024MiB", Some(Bound::between(512, 1024))),
            ("512MiB-1TiB", Some(Bound::between(512, 1024 * 1024))),
            ("48-24GiB", None),
            ("-24GiB", None),
            ("24GiB-", None),
            (">24GiB", None),
            ("24KiB", None),
            ("lots", None),
            ("", None),
            (">=", None),
            ("99999999999999999999TiB", None),
        ] {
            assert_eq!(Bound::read(text, Measure::Memory), expected, "{text}");
        }
    }

    #[test]
    fn memory_as_sold_includes_what_ec2_reports() {
        let gib = |number: u32| number * 1024;
        // EC2's MiB of: A10G and L4, L40S, T4, V100, A100, H100, H200, B200, B300.
        for (mib, sold) in [
            (22888, 24),
            (45776, 48),
            (16384, 16),
            (32768, 32),
            (40960, 40),
            (81920, 80),
            (144_384, 141),
            (183_359, 192),
            (275_040, 288),
        ] {
            assert!(Bound::at_least(gib(sold)).holds_as_sold(MiB(mib)), "{mib} of {sold}");
            assert!(Bound::exactly(gib(sold)).holds_as_sold(MiB(mib)), "{mib} of {sold}");
            assert!(Bound::at_most(gib(sold)).holds_as_sold(MiB(mib)), "{mib} of {sold}");
            assert!(
                !Bound::at_least(gib(sold) * 11 / 10).holds_as_sold(MiB(mib)),
                "{mib} of {sold}"
            );
            assert!(
                !Bound::at_most(gib(sold) * 9 / 10).holds_as_sold(MiB(mib)),
                "{mib} of {sold}"
            );
        }
    }

    fn any_bound() -> impl Strategy<Value = Bound> {
        let number = 0..99_u32;
        prop_oneof![
            number.clone().prop_map(Bound::at_least),
            number.clone().prop_map(Bound::exactly),
            (number.clone(), number).prop_map(|(a, b)| Bound::between(a.min(b), a.max(b))),
        ]
    }

    proptest! {
        #[test]
        fn bounds_are_written_as_they_are_read(bound in any_bound()) {
            for measure in [Measure::Exact, Measure::Count, Measure::Capability, Measure::Memory] {
                prop_assert_eq!(Bound::read(&bound.written(measure), measure), Some(bound));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            for measure in [Measure::Exact, Measure::Count, Measure::Capability, Measure::Memory] {
                let _ = Bound::read(&text, measure);
            }
        }
    }
}
