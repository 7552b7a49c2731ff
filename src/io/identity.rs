//! Which file it is, whatever its name.

use std::fs::Metadata;

/// What tells a file from all others that are there, where the system says so: its device and inode, which hard
/// links share.
pub(crate) fn identity(found: &Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = found;
        None
    }
}
