//! Sounds.

use super::image::Sound;
use super::images::put_file;
use super::{Rendered, STRING, Stop, Target, put_list, put_lossy};
use crate::event::TensorView;
use crate::json::{put_f64, put_u64};
use crate::wire::Fields;

/// One sound of the older form.
pub(super) fn older(message: &[u8], to: &mut Target<'_>) -> Rendered {
    let fields = Fields::new(message).map_while(Result::ok).filter(|field| field.number == 4);
    let encoded = fields.filter_map(|field| field.value.bytes()).last().unwrap_or(&[]);
    render(&[(encoded, &[])], to)
}

/// Rows of a sound and its label, or, from some writers, sounds alone.
pub(super) fn newer(tensor: &TensorView<'_>, to: &mut Target<'_>) -> Rendered {
    if tensor.dtype_number() != STRING {
        return Err(Stop::malformed("sound"));
    }
    let labelled = tensor.shape().is_some_and(|shape| matches!(shape[..], [_, 2]));
    let strings: Vec<&[u8]> = tensor.strings().collect();
    let sounds: Vec<(&[u8], &[u8])> = strings
        .chunks(if labelled { 2 } else { 1 })
        .filter_map(|row| Some((*row.first()?, row.get(1).copied().unwrap_or(&[]))))
        .collect();
    render(&sounds, to)
}

fn render(sounds: &[(&[u8], &[u8])], to: &mut Target<'_>) -> Rendered {
    let mut files = Vec::new();
    for &(bytes, label) in sounds {
        let sound = Sound::read(bytes);
        files.push((to.store("audio", sound.extension, bytes)?, sound, label));
    }
    let items = &mut *to.items;
    if let [(file, _, label)] = files.as_slice() {
        items.file("audio-file", file);
        if !label.is_empty() {
            items.put("caption", |text| put_lossy(text, label));
        }
        return Ok(());
    }
    if files.is_empty() {
        return Err(Stop::Skip(super::Reason::Empty, "audio"));
    }
    items.text("_type", "audio");
    items.number("count", files.len() as u64);
    items.put("audio", |text| {
        put_list(text, &files, |text, (file, _, _)| {
            put_file(text, "audio-file", file);
            text.push(b'}');
        });
    });
    items.put("sampleRates", |text| {
        put_list(text, &files, |text, (_, sound, _)| match sound.sample_rate {
            Some(rate) => put_u64(text, rate.into()),
            None => text.extend_from_slice(b"null"),
        });
    });
    items.put("durations", |text| {
        put_list(text, &files, |text, (_, sound, _)| match sound.seconds {
            Some(seconds) => put_f64(text, seconds),
            None => text.extend_from_slice(b"null"),
        });
    });
    if files.iter().any(|(_, _, label)| !label.is_empty()) {
        items.put("captions", |text| {
            put_list(text, &files, |text, (_, _, label)| put_lossy(text, label));
        });
    }
    Ok(())
}
