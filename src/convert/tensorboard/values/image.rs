//! Images, animations and sounds: what the first bytes of their files say.

use crate::cursor::Cursor;

/// What an encoded image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// The name of the format, which is the extension too.
    pub format: &'static str,
    pub width: u32,
    pub height: u32,
}

impl Image {
    /// Reads the header; `None` if it is none of PNG, JPEG, GIF, WebP and BMP.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let image = |format, (width, height)| Self { format, width, height };
        if let Some(rest) = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n") {
            return png(rest).map(|size| image("png", size));
        }
        if let Some(rest) = bytes.strip_prefix(b"GIF87a").or_else(|| bytes.strip_prefix(b"GIF89a"))
        {
            let mut cursor = Cursor::new(rest);
            let size = (cursor.u16_le()?.into(), cursor.u16_le()?.into());
            return Some(image("gif", size));
        }
        if let Some(rest) = bytes.strip_prefix(b"\xff\xd8") {
            return jpeg(rest).map(|size| image("jpeg", size));
        }
        if let Some(rest) = bytes.strip_prefix(b"RIFF") {
            return webp(rest).map(|size| image("webp", size));
        }
        bytes.strip_prefix(b"BM").and_then(bmp).map(|size| image("bmp", size))
    }
}

/// The first chunk of a PNG file is always IHDR.
fn png(rest: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(rest);
    cursor.take(4)?;
    (cursor.take(4)? == b"IHDR").then_some(())?;
    Some((u32::from_be_bytes(cursor.take_array()?), u32::from_be_bytes(cursor.take_array()?)))
}

/// Walks the segments up to the frame header.
fn jpeg(rest: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(rest);
    loop {
        (cursor.u8()? == 0xff).then_some(())?;
        let marker = loop {
            match cursor.u8()? {
                0xff => {}
                marker => break marker,
            }
        };
        // Markers without a segment.
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        let length = u16::from_be_bytes(cursor.take_array()?);
        let mut segment = Cursor::new(cursor.take(usize::from(length).checked_sub(2)?)?);
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            segment.u8()?;
            let height = u16::from_be_bytes(segment.take_array()?);
            return Some((u16::from_be_bytes(segment.take_array()?).into(), height.into()));
        }
        // The image data begins; the header should have come before.
        (marker != 0xda).then_some(())?;
    }
}

/// The first chunk tells the form: lossy, lossless, or extended (RFC 9649).
fn webp(rest: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(rest);
    cursor.take(4)?;
    (cursor.take(4)? == b"WEBP").then_some(())?;
    let form = cursor.take(4)?;
    cursor.take(4)?;
    match form {
        b"VP8 " => {
            cursor.take(3)?;
            (cursor.take(3)? == b"\x9d\x01\x2a").then_some(())?;
            // The upper two bits of each say how to scale.
            let (width, height) = (cursor.u16_le()?, cursor.u16_le()?);
            Some(((width & 0x3fff).into(), (height & 0x3fff).into()))
        }
        b"VP8L" => {
            (cursor.u8()? == 0x2f).then_some(())?;
            let bits = cursor.u32_le()?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            cursor.take(4)?;
            let mut size = || {
                let [a, b, c] = cursor.take_array()?;
                Some(u32::from_le_bytes([a, b, c, 0]) + 1)
            };
            Some((size()?, size()?))
        }
        _ => None,
    }
}

fn bmp(rest: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(rest);
    cursor.take(12)?;
    if cursor.u32_le()? == 12 {
        return Some((cursor.u16_le()?.into(), cursor.u16_le()?.into()));
    }
    let (width, height) = (cursor.u32_le()? as i32, cursor.u32_le()? as i32);
    // Rows from the top down have a negative height.
    Some((width.unsigned_abs(), height.unsigned_abs()))
}

/// What an encoded sound is, as far as that can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sound {
    pub extension: &'static str,
    pub sample_rate: Option<u32>,
    pub seconds: Option<f64>,
}

impl Sound {
    /// Reads the header. What is unknown is taken for a WAV file, as TensorBoard's writers make them.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let of = |extension| Self { extension, ..Self::default() };
        match bytes {
            [b'f', b'L', b'a', b'C', ..] => of(".flac"),
            [b'O', b'g', b'g', b'S', ..] => of(".ogg"),
            [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => of(".mp3"),
            _ => match wav(bytes) {
                Some((rate, seconds)) => {
                    Self { extension: ".wav", sample_rate: Some(rate), seconds }
                }
                None => of(".wav"),
            },
        }
    }
}

/// The sample rate of a WAV file, and how long it plays.
fn wav(bytes: &[u8]) -> Option<(u32, Option<f64>)> {
    let mut cursor = Cursor::new(bytes);
    (cursor.take(4)? == b"RIFF").then_some(())?;
    cursor.take(4)?;
    (cursor.take(4)? == b"WAVE").then_some(())?;
    let (mut rate, mut per_second) = (None, 0);
    while let (Some(name), Some(length)) = (cursor.take(4), cursor.u32_le()) {
        if name == b"fmt " {
            let mut format = cursor;
            format.take(4)?;
            rate = Some(format.u32_le()?);
            per_second = format.u32_le()?;
        } else if name == b"data" {
            let seconds = f64::from(length) / f64::from(per_second);
            return Some((rate?, Some(seconds).filter(|seconds| seconds.is_finite())));
        }
        // Chunks begin at even places.
        let padded = length.checked_add(length & 1).and_then(|padded| usize::try_from(padded).ok());
        if padded.and_then(|padded| cursor.take(padded)).is_none() {
            break;
        }
    }
    Some((rate?, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_headers() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\0\x07\x08";
        assert_eq!(Image::read(png), Some(Image { format: "png", width: 256, height: 7 }));
        let gif = b"GIF89a\x10\0\x20\0";
        assert_eq!(Image::read(gif), Some(Image { format: "gif", width: 16, height: 32 }));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x09\x08\0\x03\x01\0\x03xx";
        assert_eq!(Image::read(jpeg), Some(Image { format: "jpeg", width: 256, height: 3 }));
        let mut bmp = b"BM".to_vec();
        bmp.extend([0; 12]);
        bmp.extend(40u32.to_le_bytes());
        bmp.extend(5i32.to_le_bytes());
        bmp.extend((-6i32).to_le_bytes());
        assert_eq!(Image::read(&bmp), Some(Image { format: "bmp", width: 5, height: 6 }));
        let webp =
            |form: &[u8], rest: &[u8]| [b"RIFF\x20\0\0\0WEBP", form, b"\x10\0\0\0", rest].concat();
        let lossy = webp(b"VP8 ", b"\x30\x01\0\x9d\x01\x2a\x05\0\x06\0");
        let lossless = webp(b"VP8L", b"\x2f\x04\x40\x01\0");
        let extended = webp(b"VP8X", b"\0\0\0\0\x04\0\0\x05\0\0");
        for file in [&lossy, &lossless, &extended] {
            let image = Image { format: "webp", width: 5, height: 6 };
            assert_eq!(Image::read(file), Some(image));
        }
        for whole in [&png[..], gif, jpeg, &bmp, &lossy, &lossless, &extended] {
            for cut in 0..whole.len() {
                let _ = Image::read(&whole[..cut]);
            }
        }
        assert_eq!(Image::read(b"\xff\xd8\xff\xda\0\x02"), None);
        assert_eq!(Image::read(b"<svg/>"), None);
    }

    #[test]
    fn wav_headers_tell_rate_and_length() {
        let mut wav = b"RIFF\0\0\0\0WAVEjunk\x01\0\0\0xxfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(8000u32.to_le_bytes());
        wav.extend(16000u32.to_le_bytes());
        wav.extend([2, 0, 16, 0]);
        wav.extend(b"data");
        wav.extend(800u32.to_le_bytes());
        let sound = Sound { extension: ".wav", sample_rate: Some(8000), seconds: Some(0.05) };
        assert_eq!(Sound::read(&wav), sound);
        assert_eq!(Sound::read(b"fLaC").extension, ".flac");
        assert!((0..44).all(|cut| Sound::read(&wav[..cut]).seconds.is_none()));
    }
}
