//! How segments are placed on the step axis and which of them has a step.

/// How to merge.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of the runs that are found, the one to merge. Without it all segments must be of one run.
    pub run_id: Option<String>,
    /// The id of the merged run; segments may be of several runs then. By default that of the segments.
    pub new_id: Option<String>,
    /// Where the steps of a segment go.
    pub steps: Steps,
    /// Which segment has a step that several could have.
    pub overlap: Overlap,
    /// Makes hard links to the files of the segments instead of copies, where the file system can.
    pub hard_links: bool,
}

/// Where the steps of a segment go on the step axis of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Steps {
    /// Where they were recorded, unless the segment counts from where the run began, as a resumed run does
    /// offline: such a segment is placed where `wandb sync` placed it (`starting_step` of the `.syncstate`
    /// beside the log), else behind the segments before it. No row is lost by that.
    #[default]
    Auto,
    /// Where they were recorded.
    Recorded,
    /// Behind the segments before, if they would overlap with them.
    Shift,
}

/// Which segment has the steps that several could have. A segment's steps are all from its first to its
/// last, whether it has a row there or not: rows of two attempts are not shuffled into each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overlap {
    /// The newest. Behind its last step the older ones have theirs again.
    #[default]
    Newest,
    /// The oldest.
    Oldest,
    /// Each segment ends before the step that the next one begins with: so many steps as there are
    /// segments, less one.
    Cut(Vec<i64>),
    /// None: that steps overlap is an error.
    Refuse,
}
