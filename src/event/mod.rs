//! The events of a TensorBoard file as borrowed views over their bytes.
//!
//! Each record of an event file is one protobuf message `tensorboard.Event`. prost allocates every tag
//! and every list of it; [`EventView`] walks the bytes instead, and accepts, rejects and reads exactly
//! what prost does (a test holds the two together). A scalar may stand in a file in a dozen forms, which
//! [`TensorView::scalar`] and [`ValueView::scalar`] bring to one exact [`ScalarValue`].
//!
//! ```text
//! Event    1 wall_time  2 step  3 file_version | 4 graph_def | 5 summary | 6 log_message
//!                               | 7 session_log | 8 tagged_run_metadata | 9 meta_graph_def
//! Summary  1 value*
//! Value    1 tag  7 node_name  9 metadata
//!          2 simple_value | 3 old histogram | 4 image | 5 histo | 6 audio | 8 tensor
//! ```

mod dtype;
mod elements;
mod float;
mod scalar;
mod tensor;
mod value;
mod view;

/// The levels (summary, value, its member) that are walked before a table of fields is asked.
const WALKED: u32 = 3;

pub use dtype::DataType;
pub use elements::Elements;
pub use scalar::{NotScalar, ScalarValue};
pub use tensor::TensorView;
pub use value::{DataClass, MetadataView, ValueKind, ValueView};
pub use view::{EventView, LocatedValue, SessionLogView, SessionStatus, SummaryView, What};
