//! The kinds of records.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// What a record is about: the member of `Record.record_type` that is set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum RecordKind {
            $($(#[$doc])* $variant,)*
        }

        impl RecordKind {
            /// Every kind, by field number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind whose body is field `number` of `Record`.
            #[inline]
            pub const fn from_field(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The field number of the body in `Record`.
            pub const fn field(self) -> u32 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            /// The name of that field, which is how W&B's own tools call the kind.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The kind of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A row of metrics.
    History = 2, "history";
    /// Changes to the run's summary.
    Summary = 3, "summary";
    /// Console text, already emulated (0.12 and older).
    Output = 4, "output";
    /// Changes to the run's config.
    Config = 5, "config";
    /// Files under the run's `files/` to be uploaded.
    Files = 6, "files";
    /// A sample of system metrics.
    Stats = 7, "stats";
    /// An artifact that was logged.
    Artifact = 8, "artifact";
    /// A TensorBoard directory that was watched.
    Tbrecord = 9, "tbrecord";
    /// An alert.
    Alert = 10, "alert";
    /// Which features and libraries the client used.
    Telemetry = 11, "telemetry";
    /// The definition of a metric.
    Metric = 12, "metric";
    /// A fragment of console text.
    OutputRaw = 13, "output_raw";
    /// The run: id, project, name, first config. Comes again when one of them changes.
    Run = 17, "run";
    /// The end of the run.
    Exit = 18, "exit";
    /// Marks the end of the body (0.17 and older).
    Final = 20, "final";
    /// Who wrote the file.
    Header = 21, "header";
    /// Marks the end of the file (0.17 and older).
    Footer = 22, "footer";
    /// The run is about to be preempted.
    Preempting = 23, "preempting";
    /// Of no meaning since artifacts are linked otherwise.
    NoopLinkArtifact = 24, "noop_link_artifact";
    /// An artifact that was used.
    UseArtifact = 25, "use_artifact";
    /// The machine and the program.
    Environment = 26, "environment";
    /// A line from a logger.
    OutputLogger = 27, "output_logger";
    /// A request to the service; never stored by the official client.
    Request = 100, "request";
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
