//! Where things are: the source tree and its target directory.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The source tree.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the tree that this xtask was built from.
    pub fn find() -> Result<Self> {
        // Cargo sets the variable for `cargo run`; the compiled-in value serves a bare call.
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = match manifest_dir.ancestors().nth(2) {
            Some(root) if root.join("tools/xtask").is_dir() => root.to_path_buf(),
            _ => bail!("the source tree is not at {}", manifest_dir.display()),
        };
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => root.join(dir),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A path below the root of the tree.
    pub fn source(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// A path below the target directory.
    pub fn target(&self, path: impl AsRef<Path>) -> PathBuf {
        self.target.join(path)
    }

    /// Makes a directory below the target directory, and names it.
    pub fn target_dir(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let dir = self.target.join(path);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// `path` as a person wants to read it: relative to the tree when it is inside.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// A remembered negative answer: that `what` could not be had from a server.
    pub fn unavailable(&self, what: &str) -> Unavailable {
        Unavailable { file: self.target.join("xtask/unavailable").join(what) }
    }
}

/// Remembers for some hours that a server did not answer, so that each command does not wait for
/// it again. Deleting the file (or `cargo clean`) forgets it.
pub struct Unavailable {
    file: PathBuf,
}

impl Unavailable {
    const KEPT: Duration = Duration::from_secs(12 * 3600);

    /// The reason that was given, if it was given not long ago.
    pub fn reason(&self) -> Option<String> {
        let written = fs::metadata(&self.file).and_then(|data| data.modified()).ok()?;
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        if age > Self::KEPT {
            return None;
        }
        fs::read_to_string(&self.file).ok()
    }

    /// Remembers `reason`. Failing to is harmless: the next command asks the server again.
    pub fn remember(&self, reason: &str) {
        if let Some(dir) = self.file.parent() {
            let _ = fs::create_dir_all(dir);
        }
        let _ = fs::write(&self.file, reason);
    }
}
