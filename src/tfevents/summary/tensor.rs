//! Values other than scalars: a tensor, and the metadata that says whose it is.

use crate::proto::tensorboard as tb;
use crate::proto::tensorboard::summary::value::Value;
use crate::proto::tensorboard::summary_metadata::PluginData;
use crate::proto::tensorboard::tensor_shape_proto::Dim;

/// A dashboard, and how readers store its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plugin {
    pub(super) name: &'static str,
    class: tb::DataClass,
}

impl Plugin {
    pub(super) const SCALARS: Self = Self { name: "scalars", class: tb::DataClass::Scalar };
    pub(super) const HISTOGRAMS: Self = Self::tensors("histograms");
    pub(super) const TEXT: Self = Self::tensors("text");
    pub(super) const PR_CURVES: Self = Self::tensors("pr_curves");
    pub(super) const CUSTOM_SCALARS: Self = Self::tensors("custom_scalars");
    pub(super) const HPARAMS: Self = Self::tensors("hparams");
    pub(super) const MESH: Self = Self::tensors("mesh");
    pub(super) const IMAGES: Self = Self { name: "images", class: tb::DataClass::BlobSequence };
    /// Not said to be files: TensorBoard's Python reader would take that for a list of them, without the
    /// labels. By the plugin's name all readers know.
    pub(super) const AUDIO: Self = Self { name: "audio", class: tb::DataClass::Unknown };

    const fn tensors(name: &'static str) -> Self {
        Self { name, class: tb::DataClass::Tensor }
    }

    pub(super) fn metadata(self, content: Vec<u8>) -> tb::SummaryMetadata {
        tb::SummaryMetadata {
            plugin_data: Some(PluginData { plugin_name: self.name.into(), content }),
            data_class: self.class as i32,
            ..Default::default()
        }
    }
}

fn tensor(dtype: tb::DataType, shape: &[usize]) -> tb::TensorProto {
    let dim = shape
        .iter()
        .map(|&size| Dim { size: i64::try_from(size).unwrap_or(i64::MAX), ..Default::default() });
    tb::TensorProto {
        dtype: dtype as i32,
        tensor_shape: Some(tb::TensorShapeProto { dim: dim.collect(), ..Default::default() }),
        ..Default::default()
    }
}

/// A tensor of text or files.
pub(super) fn strings(shape: &[usize], strings: Vec<Vec<u8>>) -> Value {
    let tensor = tb::TensorProto { string_val: strings, ..tensor(tb::DataType::DtString, shape) };
    Value::Tensor(tensor)
}

/// A tensor of numbers, given by their bytes.
fn numbers(dtype: tb::DataType, shape: &[usize], content: Vec<u8>) -> Value {
    Value::Tensor(tb::TensorProto { tensor_content: content, ..tensor(dtype, shape) })
}

pub(super) fn doubles(shape: &[usize], values: impl Iterator<Item = f64>) -> Value {
    numbers(tb::DataType::DtDouble, shape, values.flat_map(f64::to_le_bytes).collect())
}

pub(super) fn floats(shape: &[usize], values: impl Iterator<Item = f32>) -> Value {
    numbers(tb::DataType::DtFloat, shape, values.flat_map(f32::to_le_bytes).collect())
}

pub(super) fn ints(shape: &[usize], values: impl Iterator<Item = i32>) -> Value {
    numbers(tb::DataType::DtInt32, shape, values.flat_map(i32::to_le_bytes).collect())
}

/// What hparams have for a value: all of them is in the metadata.
pub(super) fn nothing() -> Value {
    Value::Tensor(tensor(tb::DataType::DtFloat, &[0]))
}
