//! Local export of a run's history.

mod history;

pub use history::{ExportReport, Format, HistoryExport};
