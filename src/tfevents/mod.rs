//! TensorBoard event files: found under a directory, read, followed while they grow, and gathered into
//! series of scalars.

mod compressed;
mod discover;
mod inflate;
mod reader;
mod scalars;
mod series;

pub use compressed::EventSource;
pub use discover::{FileOrder, LogDir, RunFiles, SkipReason, Skipped, discover};
pub use discover::{event_file_host, is_event_file};
pub use reader::{EventReader, EventReaderOptions, RawEvent};
pub use scalars::{ScalarColumn, ScalarSeries, Scalars};
pub use series::{Sample, Series, SeriesTable};
