//! What must hold for any bytes that may be event files.

use super::{Crumbs, Growing};
use prost::Message;
use wandb_offline::Limits;
use wandb_offline::event::{EventView, ValueKind, ValueView, What};
use wandb_offline::framing::{Gap, Span, Tail, tfrecord};
use wandb_offline::io::Source;
use wandb_offline::proto::tensorboard::{Event, event, summary};
use wandb_offline::tfevents::{EventReader, EventReaderOptions};

/// An event file: every driver sees the same records, every byte is accounted for, and what was read from
/// a growing file is a beginning of what is read from the whole one.
pub fn tfrecord(bytes: &[u8]) {
    let whole = read(options().read_slice(bytes));
    let mut at = 0;
    let spans = whole.records.iter().map(|(span, _)| (span.offset, span.length));
    let gaps = whole.gaps.iter().map(|gap| (gap.offset, gap.length));
    let tail = whole.tail.expect("a reader that ended has a tail");
    let mut parts: Vec<_> = spans.chain(gaps).chain([(tail.offset, tail.length)]).collect();
    parts.sort_unstable();
    for (offset, length) in parts {
        assert_eq!(offset, at, "bytes are accounted for once");
        at = offset + length;
    }
    assert_eq!(at, bytes.len() as u64);

    let strict = read(options().lenient(false).read_slice(bytes));
    assert!(whole.records.starts_with(&strict.records));
    let cut = bytes.len() / 2;
    let beginning = read(options().lenient(false).read_slice(&bytes[..cut]));
    assert!(strict.records.starts_with(&beginning.records), "a prefix gives a prefix");
    // Streams may be taken for compressed ones where slices are not.
    if strict.records.is_empty() {
        return;
    }
    let size = 1 + usize::from(bytes[0]) * 7 % 100;
    let crumbs = read(options().read_from(Crumbs { bytes, size }));
    assert_eq!(whole, crumbs, "slice and crumbs");
    let growing = Growing { parts: vec![&bytes[..cut], &bytes[cut..]] };
    let mut followed = Vec::new();
    let mut reader = options().following(true).read_from(growing);
    for last in [false, false, true] {
        reader.set_following(!last);
        while let Ok(Some(event)) = reader.next_event() {
            followed.push((event.span, event.payload.to_vec()));
        }
    }
    assert_eq!(whole.records, followed, "followed");
}

/// Records framed from the input and then damaged in one place: all others are read.
pub fn tfrecord_damaged(input: &[u8]) {
    let [place, flip, input @ ..] = input else { return };
    let mut file = Vec::new();
    let payloads: Vec<&[u8]> = input.chunks(37).collect();
    payloads.iter().for_each(|payload| tfrecord::encode(payload, &mut file));
    let sound = read(options().lenient(false).read_slice(&file));
    assert_eq!(payloads, sound.records.iter().map(|(_, p)| &p[..]).collect::<Vec<_>>());
    if file.is_empty() {
        return;
    }
    let at = usize::from(*place) * file.len() / 256;
    file[at] ^= (*flip).max(1);
    let read = read(options().read_slice(&file));
    for record in &sound.records {
        let end = record.0.offset + record.0.length;
        let hit = (record.0.offset..end).contains(&(at as u64));
        assert!(hit || read.records.contains(record), "record at {} is gone", record.0.offset);
    }
    tfrecord(&file);
}

/// An event: the view and prost agree on whether these bytes are one, and on all of it.
pub fn event(bytes: &[u8]) {
    let (view, message) = (EventView::read(bytes), Event::decode(bytes));
    let (Ok(view), Ok(message)) = (&view, &message) else {
        assert_eq!(view.is_ok(), message.is_ok(), "{view:?} {message:?} {bytes:02x?}");
        return;
    };
    assert_eq!(view.wall_time.to_bits(), message.wall_time.to_bits());
    assert_eq!(view.step, message.step);
    match (&view.what, &message.what) {
        (What::None, None) => {}
        (What::FileVersion(a), Some(event::What::FileVersion(b))) => assert_eq!(a, b),
        (What::GraphDef(a), Some(event::What::GraphDef(b))) => assert_eq!(a, b),
        (What::MetaGraphDef(a), Some(event::What::MetaGraphDef(b))) => assert_eq!(a, b),
        (What::LogMessage(a), Some(event::What::LogMessage(b))) => assert_is(a, b),
        (What::TaggedRunMetadata(a), Some(event::What::TaggedRunMetadata(b))) => assert_is(a, b),
        (What::SessionLog(a), Some(event::What::SessionLog(b))) => {
            assert_eq!(a.status() as i32, if (0..4).contains(&b.status) { b.status } else { 0 });
        }
        (What::Summary(a), Some(event::What::Summary(b))) => {
            assert_eq!(a.values().count(), b.value.len());
            for (a, b) in a.values().zip(&b.value) {
                assert_same_value(&a, b);
            }
        }
        (a, b) => panic!("{a:?} {b:?} {bytes:02x?}"),
    }
}

fn assert_same_value(view: &ValueView<'_>, message: &summary::Value) {
    use summary::value::Value;
    assert_eq!((view.tag, view.node_name), (message.tag.as_str(), message.node_name.as_str()));
    match (&view.metadata, &message.metadata) {
        (Some(a), Some(b)) => {
            let data = b.plugin_data.clone().unwrap_or_default();
            assert_eq!((a.plugin_name(), a.plugin_content()), (&*data.plugin_name, &*data.content));
            assert_eq!(a.display_name(), b.display_name);
            assert_eq!(a.description(), b.summary_description);
            let class = if (0..4).contains(&b.data_class) { b.data_class } else { 0 };
            assert_eq!(a.data_class() as i32, class);
        }
        (a, b) => assert_eq!(a.is_some(), b.is_some()),
    }
    match (&view.kind, &message.value) {
        (ValueKind::None, None) => {}
        (ValueKind::Simple(a), Some(Value::SimpleValue(b))) => assert_eq!(a.to_bits(), b.to_bits()),
        (ValueKind::OldHistogram(a), Some(Value::ObsoleteOldStyleHistogram(b))) => assert_eq!(a, b),
        (ValueKind::Image(a), Some(Value::Image(b))) => assert_is(a, b),
        (ValueKind::Histogram(a), Some(Value::Histo(b))) => assert_is(a, b),
        (ValueKind::Audio(a), Some(Value::Audio(b))) => assert_is(a, b),
        (ValueKind::Tensor(a), Some(Value::Tensor(b))) => {
            assert_is(a.message(), b);
            assert_eq!(a.dtype_number(), b.dtype);
            assert_eq!(a.content(), b.tensor_content);
        }
        (a, b) => panic!("{a:?} {b:?}"),
    }
}

/// Compares encodings, since a NaN is not equal to itself.
fn assert_is<M: Message + Default>(bytes: &[u8], message: &M) {
    assert_eq!(M::decode(bytes).unwrap().encode_to_vec(), message.encode_to_vec());
}

#[derive(Debug, PartialEq)]
struct Outcome {
    records: Vec<(Span, Vec<u8>)>,
    gaps: Vec<Gap>,
    tail: Option<Tail>,
}

fn options() -> EventReaderOptions {
    let mut limits = Limits::DEFAULT;
    limits.gaps_kept = usize::MAX;
    limits.record_len = 1 << 20;
    EventReaderOptions::default().lenient(true).limits(limits)
}

fn read<S: Source>(mut reader: EventReader<S>) -> Outcome {
    let mut records = Vec::new();
    while let Ok(Some(event)) = reader.next_event() {
        records.push((event.span, event.payload.to_vec()));
    }
    Outcome { records, gaps: reader.gaps().gaps().to_vec(), tail: reader.tail() }
}
