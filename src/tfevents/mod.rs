//! TensorBoard event files: found under a directory, read, followed while they grow, gathered into
//! series of scalars, and written.

mod discover;
mod follow;
mod reader;
mod scalars;
mod series;
mod summary;
mod writer;

pub(crate) use discover::discover_through;
pub use discover::{Beside, FileOrder, LogDir, RunFiles, SkipReason, Skipped, discover};
pub use discover::{event_file_host, is_event_file};
pub use follow::EventFollower;
pub use reader::{EventReader, EventReaderOptions, RawEvent};
pub(crate) use reader::{RECORD_LEN, compression};
pub use scalars::{ScalarColumn, ScalarSeries, Scalars};
pub use series::{Sample, Series, SeriesTable};
pub use summary::{At, Counts, HParam, HParams, Histogram, Image, Mesh, Outcome, PrCurve};
pub(crate) use summary::{Flattened, OWN_TAGS};
pub use summary::{SummaryWriter, SummaryWriterOptions};
pub use writer::EventWriter;
