//! Text in UTF-16, as some programs write it on Windows: told by the mark it begins with.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// A text that was in UTF-16.
#[derive(Clone, Debug)]
pub(super) struct Utf16 {
    pub(super) text: String,
    big_endian: bool,
}

/// The text of a file, if that is UTF-16 throughout and of a `length` that can be walked whole.
pub(super) fn read(path: &Path, length: u64) -> io::Result<Option<Utf16>> {
    if length > LARGEST {
        return Ok(None);
    }
    let mut file = File::open(path)?.take(LARGEST);
    let mut bytes = Vec::new();
    file.by_ref().take(MARK_LEN).read_to_end(&mut bytes)?;
    let big_endian = match *bytes.as_slice() {
        [0xff, 0xfe] => false,
        [0xfe, 0xff] => true,
        _ => return Ok(None),
    };
    bytes.clear();
    file.read_to_end(&mut bytes)?;
    let (units, rest) = bytes.as_chunks::<2>();
    let unit = |unit: &[u8; 2]| match big_endian {
        true => u16::from_be_bytes(*unit),
        false => u16::from_le_bytes(*unit),
    };
    let text = char::decode_utf16(units.iter().map(unit)).collect::<Result<String, _>>().ok();
    Ok(text.filter(|_| rest.is_empty()).map(|text| Utf16 { text, big_endian }))
}

impl Utf16 {
    /// Another text in the same form.
    pub(super) fn with(&self, text: &str) -> Self {
        Self { text: text.to_owned(), big_endian: self.big_endian }
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mark = std::iter::once(0xfeff);
        mark.chain(self.text.encode_utf16()).try_for_each(|unit| {
            out.write_all(&if self.big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
        })
    }
}

/// A larger one is not looked into.
const LARGEST: u64 = 16 << 20;

const MARK_LEN: u64 = 2;
