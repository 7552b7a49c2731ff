//! Small files that are read whole: settings, credentials, marks beside a log.

use crate::limits::SMALL_FILE;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The text of a small file. One that is larger than [`SMALL_FILE`], such as a device that never ends, is none.
pub(crate) fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SMALL_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SMALL_FILE {
        let reason = format!("larger than {SMALL_FILE} bytes, so not what it should be");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_largest_size_is_read_and_a_larger_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netrc");
        std::fs::write(&path, "x".repeat(SMALL_FILE as usize)).unwrap();
        assert_eq!(read_small(&path).unwrap().len() as u64, SMALL_FILE);
        std::fs::write(&path, "x".repeat(SMALL_FILE as usize + 1)).unwrap();
        let error = read_small(&path).unwrap_err().to_string();
        assert_eq!(error, "larger than 1048576 bytes, so not what it should be");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_that_never_ends_does() {
        assert!(read_small(Path::new("/dev/zero")).is_err());
    }
}
