//! The generated prost code against an independent implementation of protobuf, generated from the same
//! schemas by `protobuf-codegen`.
//!
//! Only one direction is sound: what prost accepts, rust-protobuf must accept and agree on. The other way
//! round rust-protobuf takes a nested message that is cut off between two fields for a complete one. And
//! where a sub-message comes in two parts, which protobuf defines to be merged, rust-protobuf keeps only
//! the last part, so such input is left out.

#![no_main]

use protobuf::reflect::{
    MessageDescriptor, ReflectFieldRef, ReflectValueBox, ReflectValueRef, RuntimeFieldType,
    RuntimeType,
};
use wandb_offline::wire::Fields;

#[allow(warnings, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/protos/mod.rs"));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    agree::<wandb_offline::proto::wandb_internal::Record, generated::wandb_internal::Record>(bytes);
    agree::<wandb_offline::proto::tensorboard::Event, generated::tensorboard_event::Event>(bytes);
});

fn agree<Prost: prost::Message + Default, Other: protobuf::MessageFull>(bytes: &[u8]) {
    let Ok(decoded) = Prost::decode(bytes) else { return };
    if comes_in_parts(&Other::descriptor(), bytes) {
        return;
    }
    let ours = Other::parse_from_bytes(&decoded.encode_to_vec()).expect("our encoding is read");
    let theirs = match Other::parse_from_bytes(bytes) {
        Ok(theirs) => theirs,
        Err(error) => {
            // A varint of more bytes than its type needs: prost cuts it down, rust-protobuf refuses.
            let error = format!("{error:?}");
            let long_varint =
                ["IncorrectVarint", "Overflow"].iter().any(|kind| error.contains(kind));
            assert!(long_varint, "prost accepts what rust-protobuf does not: {error}");
            return;
        }
    };
    assert_eq!(known_fields(&ours), known_fields(&theirs));
}

/// Whether a sub-message that may come once comes more than once. Oneof members count as one.
fn comes_in_parts(message: &MessageDescriptor, bytes: &[u8]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    Fields::new(bytes).filter_map(Result::ok).any(|found| {
        let Some(field) = message.field_by_number(found.number) else { return false };
        let (inner, once) = match field.runtime_field_type() {
            RuntimeFieldType::Singular(RuntimeType::Message(inner)) => (inner, true),
            RuntimeFieldType::Repeated(RuntimeType::Message(inner)) => (inner, false),
            RuntimeFieldType::Map(..) => return field_is_map_in_parts(found.value.bytes()),
            _ => return false,
        };
        let twice = once && !seen.insert(found.number);
        twice || found.value.bytes().is_some_and(|bytes| comes_in_parts(&inner, bytes))
    })
}

/// A map entry whose value comes twice.
fn field_is_map_in_parts(entry: Option<&[u8]>) -> bool {
    let values = Fields::new(entry.unwrap_or_default()).filter_map(Result::ok);
    values.filter(|field| field.number == 2).count() > 1
}

/// The message as text without unknown fields, which prost drops. NaN equals itself in text.
fn known_fields(message: &impl protobuf::MessageFull) -> String {
    let mut message = message.clone();
    clear_unknown(&mut message);
    protobuf::text_format::print_to_string(&message)
}

fn clear_unknown(message: &mut dyn protobuf::MessageDyn) {
    message.mut_unknown_fields_dyn().clear();
    for field in message.descriptor_dyn().fields() {
        match field.get_reflect(message) {
            ReflectFieldRef::Optional(value) => {
                let Some(ReflectValueRef::Message(inner)) = value.value() else { continue };
                let inner = cleared(inner.clone_box());
                field.set_singular_field(message, inner);
            }
            ReflectFieldRef::Repeated(values) => {
                let inner: Vec<_> = values.into_iter().filter_map(message_in).collect();
                if !inner.is_empty() {
                    let mut values = field.mut_repeated(message);
                    values.clear();
                    inner.into_iter().for_each(|inner| values.push(inner));
                }
            }
            ReflectFieldRef::Map(map) => {
                let pairs: Vec<_> = map
                    .into_iter()
                    .filter_map(|(key, value)| Some((key.to_box(), message_in(value)?)))
                    .collect();
                let mut map = field.mut_map(message);
                pairs.into_iter().for_each(|(key, value)| map.insert(key, value));
            }
        }
    }
}

fn message_in(value: ReflectValueRef<'_>) -> Option<ReflectValueBox> {
    match value {
        ReflectValueRef::Message(inner) => Some(cleared(inner.clone_box())),
        _ => None,
    }
}

fn cleared(mut message: Box<dyn protobuf::MessageDyn>) -> ReflectValueBox {
    clear_unknown(&mut *message);
    ReflectValueBox::Message(message)
}
