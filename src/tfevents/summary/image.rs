//! Images, as files of a format that browsers show.

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::borrow::Cow;
use std::io::Write;

/// An image as a PNG, JPEG, GIF or BMP file, the formats TensorBoard shows. A GIF may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) file: Cow<'a, [u8]>,
}

impl<'a> Image<'a> {
    /// The image that these bytes of a file hold.
    ///
    /// # Errors
    /// When they are no PNG, JPEG, GIF or BMP, by the look of their header.
    pub fn encoded(file: impl Into<Cow<'a, [u8]>>) -> Result<Self> {
        let file = file.into();
        let size = png(&file).or_else(|| gif(&file)).or_else(|| bmp(&file)).or_else(|| jpeg(&file));
        let Some((width, height)) = size else {
            return Err(bad("want the bytes of a PNG, JPEG, GIF or BMP file"));
        };
        Ok(Self { width, height, file })
    }

    /// The width in pixels.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// The height in pixels.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The bytes of the file.
    pub fn file(&self) -> &[u8] {
        &self.file
    }
}

impl Image<'static> {
    /// An image of these pixels, row by row from the top, three bytes each: red, green, blue. It becomes
    /// a PNG file.
    ///
    /// ```
    /// use wandb_offline::tfevents::Image;
    ///
    /// let red = Image::rgb8(2, 1, &[255, 0, 0, 128, 0, 0]).unwrap();
    /// assert_eq!((red.width(), red.height()), (2, 1));
    /// assert!(Image::rgb8(2, 2, &[255, 0, 0]).is_err());
    /// ```
    ///
    /// # Errors
    /// When there are not `3 * width * height` bytes, or none.
    pub fn rgb8(width: u32, height: u32, pixels: &[u8]) -> Result<Self> {
        let row = u64::from(width) * 3;
        if row.checked_mul(height.into()) != Some(pixels.len() as u64) || pixels.is_empty() {
            return Err(bad("want three bytes for each pixel, and at least one pixel"));
        }
        let rows = pixels.chunks_exact(usize::try_from(row).unwrap_or(usize::MAX));
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        let in_memory = |error| Error::new(ErrorKind::Io { action: "compress", source: error });
        for row in rows {
            packed
                .write_all(&[NO_FILTER])
                .and_then(|()| packed.write_all(row))
                .map_err(in_memory)?;
        }
        let packed = packed.finish().map_err(in_memory)?;
        let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
        header.extend_from_slice(&[8, RGB, 0, 0, 0]);
        let mut file = PNG.to_vec();
        for (kind, data) in [(b"IHDR", &header), (b"IDAT", &packed), (b"IEND", &Vec::new())] {
            put_chunk(&mut file, kind, data)?;
        }
        Ok(Self { width, height, file: file.into() })
    }
}

/// Appends a chunk of a PNG file: length, kind, data, checksum of kind and data.
fn put_chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) -> Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| bad("more than 4 GiB of pixels"))?;
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(kind);
    file.extend_from_slice(data);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(kind);
    checksum.update(data);
    file.extend_from_slice(&checksum.finalize().to_be_bytes());
    Ok(())
}

fn png(file: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(file.strip_prefix(PNG)?);
    cursor.take(4)?;
    (cursor.take(4)? == b"IHDR").then_some(())?;
    Some((u32::from_be_bytes(cursor.take_array()?), u32::from_be_bytes(cursor.take_array()?)))
}

fn gif(file: &[u8]) -> Option<(u32, u32)> {
    let rest = file.strip_prefix(b"GIF87a").or_else(|| file.strip_prefix(b"GIF89a"))?;
    let mut cursor = Cursor::new(rest);
    Some((cursor.u16_le()?.into(), cursor.u16_le()?.into()))
}

fn bmp(file: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(file.strip_prefix(b"BM")?);
    cursor.take(12)?;
    // The header of OS/2 has 12 bytes and 16-bit sizes; all later ones begin like that of Windows 3.
    if cursor.u32_le()? == 12 {
        return Some((cursor.u16_le()?.into(), cursor.u16_le()?.into()));
    }
    let width = cursor.u32_le()?;
    let height = i32::from_le_bytes(cursor.take_array()?);
    Some((width, height.unsigned_abs()))
}

/// The first frame header among the segments in front of the pixels.
fn jpeg(file: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(file.strip_prefix(&[0xff, 0xd8])?);
    loop {
        (cursor.u8()? == 0xff).then_some(())?;
        let mut marker = cursor.u8()?;
        while marker == 0xff {
            marker = cursor.u8()?;
        }
        if matches!(marker, 0x01 | 0xd0..=0xd7) {
            continue;
        }
        let length = u16::from_be_bytes(cursor.take_array()?);
        let mut segment = Cursor::new(cursor.take(usize::from(length.checked_sub(2)?))?);
        // DHT, JPG and DAC stand among the frame headers but are none.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            segment.u8()?;
            let height = u16::from_be_bytes(segment.take_array()?);
            return Some((u16::from_be_bytes(segment.take_array()?).into(), height.into()));
        }
    }
}

#[cold]
fn bad(reason: &str) -> Error {
    Error::new(ErrorKind::Value(format!("image: {reason}")))
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const RGB: u8 = 2;
const NO_FILTER: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn measures(file: &[u8], size: (u32, u32)) {
        let image = Image::encoded(file).unwrap();
        assert_eq!((image.width(), image.height()), size);
        for end in 0..file.len() {
            // However it is cut, it is no image or still has a size.
            let _ = Image::encoded(&file[..end]);
        }
    }

    #[test]
    fn sizes_stand_in_the_headers() {
        measures(&Image::rgb8(3, 2, &[7; 18]).unwrap().file, (3, 2));
        measures(b"GIF89a\x05\x00\x06\x01rest", (5, 262));
        let mut bmp = b"BM".to_vec();
        bmp.extend_from_slice(&[0; 12]);
        bmp.extend_from_slice(&40u32.to_le_bytes());
        bmp.extend_from_slice(&9u32.to_le_bytes());
        bmp.extend_from_slice(&(-4i32).to_le_bytes());
        measures(&bmp, (9, 4));
        let jpeg = [
            &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2][..],
            &[0xff, 0xff, 0xc4, 0, 3, 0],
            &[0xff, 0xc2, 0, 11, 8, 0x01, 0x00, 0x02, 0x00, 1, 1, 0x11, 0],
        ];
        measures(&jpeg.concat(), (512, 256));
    }

    #[test]
    fn what_browsers_do_not_show_is_refused() {
        for file in [&b"RIFF\0\0\0\0WEBP"[..], b"", b"BM", b"\xff\xd8\xff\xda\0\0", b"<svg/>"] {
            assert!(Image::encoded(file).is_err(), "{file:?}");
        }
    }
}
