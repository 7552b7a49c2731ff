//! Images and animations.

use super::image::Image;
use super::media::Stored;
use super::{Reason, Rendered, STRING, Stop, Target, put_list};
use crate::event::TensorView;
use crate::json::{put_str, put_u64};
use crate::wire::Fields;

/// One image of the older form.
pub(super) fn older(message: &[u8], to: &mut Target<'_>) -> Rendered {
    let fields = Fields::new(message).map_while(Result::ok).filter(|field| field.number == 4);
    let encoded = fields.filter_map(|field| field.value.bytes()).last().unwrap_or(&[]);
    render(&[encoded], to)
}

/// Width, height, and then all images of the step.
pub(super) fn newer(tensor: &TensorView<'_>, to: &mut Target<'_>) -> Rendered {
    if tensor.dtype_number() != STRING {
        return Err(Stop::malformed("image"));
    }
    let images: Vec<&[u8]> = tensor.strings().skip(2).collect();
    if images.is_empty() {
        return Err(Stop::Skip(Reason::Empty, "images"));
    }
    render(&images, to)
}

/// Width and height come from the files themselves. What is no image is left out and noted; the others
/// are not to be missed for it.
fn render(encoded: &[&[u8]], to: &mut Target<'_>) -> Rendered {
    let read = encoded.iter().map(|bytes| Image::read(bytes).map(|image| (*bytes, image)));
    let images: Vec<(&[u8], Image)> = read.flatten().collect();
    let Some((_, first)) = images.first() else { return Err(Stop::malformed("image")) };
    (images.len()..encoded.len()).for_each(|_| to.notes.skip(Reason::Malformed, "image"));
    if images.iter().all(|(_, image)| image.format == "gif") {
        return videos(&images, to);
    }
    let mut paths = Vec::new();
    for (bytes, image) in &images {
        paths.push(to.store("images", extension(image), bytes)?.path);
    }
    let items = &mut *to.items;
    items.text("_type", "images/separated");
    items.number("count", paths.len() as u64);
    items.number("width", first.width);
    items.number("height", first.height);
    items.text("format", first.format);
    items.put("filenames", |text| put_list(text, &paths, |text, path| put_str(text, path)));
    Ok(())
}

fn videos(images: &[(&[u8], Image)], to: &mut Target<'_>) -> Rendered {
    let mut files = Vec::new();
    for (bytes, image) in images {
        files.push((to.store("videos", ".gif", bytes)?, image));
    }
    let items = &mut *to.items;
    if let [(file, image)] = files.as_slice() {
        items.file("video-file", file);
        items.number("width", image.width);
        items.number("height", image.height);
        return Ok(());
    }
    items.text("_type", "videos");
    items.number("count", files.len() as u64);
    items.put("videos", |text| {
        put_list(text, &files, |text, (file, image)| put_video(text, file, image));
    });
    items.put("captions", |text| text.extend_from_slice(b"false"));
    Ok(())
}

fn put_video(text: &mut Vec<u8>, file: &Stored, image: &Image) {
    put_file(text, "video-file", file);
    text.extend_from_slice(b",\"width\":");
    put_u64(text, image.width.into());
    text.extend_from_slice(b",\"height\":");
    put_u64(text, image.height.into());
    text.push(b'}');
}

/// The beginning of an object that describes a file; its end is up to the caller.
pub(super) fn put_file(text: &mut Vec<u8>, kind: &str, file: &Stored) {
    text.extend_from_slice(b"{\"_type\":");
    put_str(text, kind);
    text.extend_from_slice(b",\"sha256\":");
    put_str(text, &file.sha256);
    text.extend_from_slice(b",\"size\":");
    put_u64(text, file.size);
    text.extend_from_slice(b",\"path\":");
    put_str(text, &file.path);
}

const fn extension(image: &Image) -> &'static str {
    match image.format.as_bytes() {
        b"jpeg" => ".jpeg",
        b"gif" => ".gif",
        b"bmp" => ".bmp",
        b"webp" => ".webp",
        _ => ".png",
    }
}
