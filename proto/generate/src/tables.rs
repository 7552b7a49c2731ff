//! The field tables: what a program needs to know about a message to show its bytes.

use std::fmt::Write;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// One static for each message and enum; they refer to each other.
pub fn render(files: &FileDescriptorSet) -> String {
    let mut out = String::from("use super::schema::*;\n");
    for file in &files.file {
        for ty in &file.enum_type {
            enumeration(&mut out, ty, file.package());
        }
        for ty in &file.message_type {
            message(&mut out, ty, file.package());
        }
    }
    out
}

fn message(out: &mut String, ty: &DescriptorProto, scope: &str) {
    let name = format!("{scope}.{}", ty.name());
    let mut fields: Vec<_> = ty.field.iter().collect();
    fields.sort_by_key(|field| field.number());

    let mut oneofs: Vec<_> = fields.iter().filter_map(|field| oneof(field)).collect();
    oneofs.dedup();
    assert!(oneofs.len() <= 1, "{name}: `Shape::OneOf` must learn to tell oneofs apart");

    writeln!(out, "\npub(crate) static {}: MessageType = MessageType {{", constant(&name)).unwrap();
    writeln!(out, "    name: \"{name}\",\n    fields: &[").unwrap();
    for field in fields {
        let (number, kind) = (field.number(), kind(field));
        let shape = shape(ty, field);
        writeln!(out, "        {shape}({number}, \"{}\", {kind}),", field.name()).unwrap();
    }
    out.push_str("    ],\n};\n");

    for inner in &ty.enum_type {
        enumeration(out, inner, &name);
    }
    for inner in &ty.nested_type {
        message(out, inner, &name);
    }
}

fn enumeration(out: &mut String, ty: &EnumDescriptorProto, scope: &str) {
    let name = format!("{scope}.{}", ty.name());
    let mut values: Vec<_> = ty.value.iter().map(|v| (v.number(), v.name())).collect();
    values.sort();
    writeln!(out, "\npub(crate) static {}: EnumType = EnumType {{", constant(&name)).unwrap();
    writeln!(out, "    name: \"{name}\",\n    values: &[").unwrap();
    for (number, value) in values {
        writeln!(out, "        ({number}, \"{value}\"),").unwrap();
    }
    out.push_str("    ],\n};\n");
}

/// The constructor in `schema.rs`.
fn shape(ty: &DescriptorProto, field: &FieldDescriptorProto) -> &'static str {
    let entry = ty.nested_type.iter().find(|inner| {
        inner.options.as_ref().is_some_and(|options| options.map_entry())
            && field.type_name().ends_with(&format!(".{}.{}", ty.name(), inner.name()))
    });
    if let Some(entry) = entry {
        let string_key = entry.field.iter().any(|f| f.number() == 1 && f.r#type() == Type::String);
        assert!(string_key, "{}: the renderer knows string keys only", field.name());
        "map"
    } else if field.label() == Label::Repeated {
        "many"
    } else if oneof(field).is_some() {
        "member"
    } else {
        "one"
    }
}

/// The oneof of a field; not the one that stands for `optional`.
fn oneof(field: &FieldDescriptorProto) -> Option<i32> {
    field.oneof_index.filter(|_| !field.proto3_optional())
}

fn kind(field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::Bool => "Bool",
        Type::Bytes => "Bytes",
        Type::Double => "Double",
        Type::Float => "Float",
        Type::Int32 => "Int32",
        Type::Int64 => "Int64",
        Type::Sint64 => "Sint64",
        Type::String => "String",
        Type::Uint32 => "Uint32",
        Type::Uint64 => "Uint64",
        Type::Enum => return format!("Kind::Enum(&{})", constant(field.type_name())),
        Type::Message => return format!("Kind::Message(&{})", constant(field.type_name())),
        other => panic!("{}: give {other:?} a `Kind` in src/proto/schema.rs", field.name()),
    };
    format!("Kind::{kind}")
}

/// `.wandb_internal.HistoryItem` becomes `WANDB_INTERNAL_HISTORY_ITEM`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if (c == '.' || c == '_' || (c.is_uppercase() && after_lower))
            && !out.is_empty()
            && !out.ends_with('_')
        {
            out.push('_');
        }
        if c.is_alphanumeric() {
            out.push(c.to_ascii_uppercase());
        }
        after_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    out
}
