//! SHA-256 of what is read, and digests as text.

use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// Copies bytes and digests them on the way. How many.
pub(crate) fn copy_digested(
    from: &mut impl Read,
    to: &mut impl Write,
    hash: &mut Sha256,
) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(copied);
        }
        hash.update(bytes);
        to.write_all(bytes)?;
        copied += count as u64;
    }
}

/// The SHA-256 of all that is left to be read, in hex.
pub(crate) fn sha256(mut from: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    copy_digested(&mut from, &mut io::sink(), &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const BUFFER: usize = 256 << 10;
