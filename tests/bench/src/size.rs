//! The size of a binary, plain and packaged.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// The overhead of a zip archive of one file called `bootstrap`: the local header, the entry in the
/// directory and the directory's end (PKWARE's application note, 4.3).
const ARCHIVE_BYTES: u64 = 30 + 46 + 22 + 2 * 9;

#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// In bytes.
    pub binary: u64,
    /// Bytes of a deployment package of it: a zip archive with deflate at its usual level.
    pub zip: u64,
}

impl Size {
    /// Measures the binary at this path.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let binary = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
        deflated.write_all(&binary)?;
        let deflated = deflated.finish()?;
        Ok(Self {
            binary: binary.len() as u64,
            zip: deflated.len() as u64 + ARCHIVE_BYTES,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_repetition_is_small_but_never_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 100_000]).unwrap();
        let size = Size::of(file.path()).unwrap();
        assert_eq!(size.binary, 100_000);
        assert!((ARCHIVE_BYTES + 1..2_000).contains(&size.zip), "{}", size.zip);
    }
}
