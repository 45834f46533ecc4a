//! The boot module `manifest`: magic and version, then postcard.

use alloc::vec::Vec;
use core::fmt;

use crate::{Invalid, Manifest};

/// What the module begins with. The last byte is the version: postcard does not describe itself, so a manifest of another
/// version must not be read at all.
pub const MAGIC: [u8; 8] = *b"TOCSINM\x05";

/// Why a module is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// It does not begin with [`MAGIC`].
    NotManifest,
    /// Its content cannot be decoded.
    Malformed,
    /// There is something behind the manifest.
    TrailingBytes {
        /// How much.
        bytes: usize,
    },
    /// It can be decoded, but breaks the rules.
    Invalid(Invalid),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::NotManifest => f.write_str("manifest: wrong magic or version"),
            WireError::Malformed => f.write_str("manifest: cannot be decoded"),
            WireError::TrailingBytes { bytes } => {
                write!(f, "manifest: {bytes} bytes too many")
            }
            WireError::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl core::error::Error for WireError {}

impl Manifest {
    /// The boot module for this manifest. `Err` when it breaks a rule: an image is never made from such a one.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Invalid> {
        self.check()?;
        let bytes = MAGIC.to_vec();
        // All types here are plain data that postcard can always write, and a `Vec` does not run full.
        Ok(postcard::to_extend(self, bytes).expect("plain data into a Vec"))
    }

    /// Reads a boot module: magic, content, nothing behind it, rules.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let content = bytes.strip_prefix(&MAGIC).ok_or(WireError::NotManifest)?;
        let (manifest, rest) =
            postcard::take_from_bytes::<Self>(content).map_err(|_| WireError::Malformed)?;
        if !rest.is_empty() {
            return Err(WireError::TrailingBytes { bytes: rest.len() });
        }
        manifest.check().map_err(WireError::Invalid)?;
        Ok(manifest)
    }
}
