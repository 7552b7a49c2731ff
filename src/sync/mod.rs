//! Uploading runs to a W&B server: `wandb-offline sync`.
//!
//! [`sync`] takes paths, finds the logs there and uploads them side by side; what became of each stands in a
//! [`SyncReport`]. Underneath is a [`Plan`](plan::Plan) for each log, which is pure, a [`Transport`], which
//! sends, and a [`Ledger`](ledger::Ledger), which remembers what the server has.
//!
//! ```text
//! paths ─▶ log, log, …  ─▶ Plan ─▶ Request ─▶ Transport ─▶ server
//!                           ▲  │                  │
//!                           │  └─▶ Ledger         │
//!                           └────── Answer ◀──────┘
//! ```
//!
//! # What holds
//! - A sync may be killed at any moment and run again: nothing is sent twice to different places, nothing is
//!   left out. Alerts are the exception: one whose answer was lost is sent again.
//! - Of a run without a ledger the server is asked first. Somebody else's run of the same id is not touched; rows of
//!   the log that another sync sent are found by the last of them, told, and not sent again.
//! - Of logs that are one, under several names or as copies, the one that has most is uploaded, and none if one is
//!   uploaded that has as much.
//! - A log is marked as synced (`<log>.synced`, as the official client does it) only when the server has
//!   acknowledged all of it, every file and artifact included. A mark does not count for another server or run than
//!   those in the ledgers beside it, nor for a log that has grown since. It is taken away, whoever made it, when a
//!   [repair](SyncOptions::repair) finds that something is lacking, until that is sent.
//! - Another client that marks a log without an end has ended its run, and that is told again if it is uploaded again.
//! - A receipt counts what the server has acknowledged, and nothing else; of a run that is there already it is
//!   that of the [`Ledger`](ledger::Ledger). What becomes of each file and artifact is an [`Event`] at once.
//! - Lines that were uploaded are known by a check sum of their records. If the log has others by now, because damage
//!   in it was made good, nothing more is sent: the lines after them would go to wrong places.
//! - Damage in a log is passed over and told; what is readable is uploaded.
//! - Only the run's `files/` and the staging directories of artifacts are read, links included, unless others
//!   are [allowed](SyncOptions::allow).
//! - In the run directory only the ledger, its lock and the official marks are written.
//! - A run that fails stops no other, not even by a panic of a transport or an observer.
//!
//! # Runs that go on
//! With [`SyncOptions::live`] logs are followed: lines, config and files go at the official client's
//! [pace](plan::Pace), and without news a sign of life, until the run ends, its log is [silent](Live::silence)
//! for too long, or [`Stop`] is set. With [`Live::watch`] directories are looked through again and again, all
//! runs in them sharing one connection budget, and what failed or was given up is taken up again.
//! - Files that may still change (policies *end* and *live*), and what is made of the log itself, are sent at
//!   the end.
//! - Console lines that may still change, the last 128, are sent when more follow or at the end.
//! - Nothing is different for the ledger: a run may be followed for a while, and uploaded another day.
//!
//! # Without a way to the server
//! [`pack()`] puts all that an upload reads into a directory, and [`sync_pack`] uploads it on a machine that reaches the
//! server, with the same plan and the same ledger.
//!
//! # Other than the official client
//! Compared with `wandb sync` 0.31.0, the same log gives a server the same run, with these differences, each
//! for a reason:
//!
//! | here | there | why |
//! |---|---|---|
//! | console lines carry the time they were written | the time of the sync | it is the truth, and the same each time |
//! | the program is the one that logged | the path of `wandb` | it is the truth |
//! | a log without an end leaves the run open; [`finish`](SyncOptions::finish) ends it | ends it with exit code 1 | it may still be written |
//! | artifacts go to the run's own project | to the one in the log | overrides hold for them, too |
//! | manifests have no local paths | they have | they are nobody's business |
//! | records after the exit count | are dropped | clients before 0.18 write the summary there |
//! | screens of 64 lines, and ESC `[` C, D, K with counts | 32 lines, A and B | see [`crate::run::Console`] |
//! | telemetry and writer id as in the log | its own version, a new id at each sync | a second sync sends the same |
//! | of a run and a copy that `recover` or `scrub` put beside it, the copy goes alone | both go | rows would be there twice |
//! | following ends with a log that is silent for long | waits for ever | its writer may be gone |
//! | of a run that is followed, the last 128 console lines wait for more, or for the end | they go at once, and the last 32 again when they change | each line goes once |
//! | files are made in memory | `files/` is overwritten | nothing is overwritten |

mod access;
pub mod api;
mod audit;
mod budget;
mod caught;
mod conceal;
mod copies;
mod driver;
mod event;
mod http;
pub mod ledger;
mod likeness;
mod local;
mod marks;
mod options;
mod pack;
mod paths;
pub mod plan;
mod report;
mod retry;
mod rounds;
mod sender;
mod server;
mod source;
mod transport;
mod upload;
mod yaml;

pub use access::Access;
pub use audit::Check;
pub use driver::sync;
pub use event::Event;
pub use http::HttpTransport;
pub use options::{Live, Stop, SyncOptions};
pub use pack::{PackReport, PackStatus, PackedFile, PackedRun, pack, sync_pack};
pub use report::{
    ArtifactReport, ArtifactStatus, FileReport, FileStatus, Receipt, RunReport, RunStatus,
    SyncReport,
};
pub use retry::Patience;
pub use server::{Credentials, Proxies, Secret, Server};
pub use transport::{Transport, TransportError};
