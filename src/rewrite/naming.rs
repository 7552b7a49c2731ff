//! What a run directory is called.

use crate::log::LogFile;
use crate::run::RunInfo;
use jiff::Timestamp;

/// The name of a directory for the run `id` made of this log: `offline-run-YYYYMMDD_HHMMSS-<id>`, where
/// `wandb sync` finds it. The time is that in the name of the directory the log is in, which is local, else
/// that of the run's start, in UTC.
pub(crate) fn directory_name(log: &LogFile, run: &RunInfo, id: &str) -> String {
    let stamp = log.stamp().filter(|stamp| is_stamp(stamp)).unwrap_or_else(|| {
        let start = run.start_time().unwrap_or_default();
        let start = Timestamp::new(start.seconds, start.nanos).unwrap_or_default();
        start.strftime("%Y%m%d_%H%M%S").to_string()
    });
    format!("offline-run-{stamp}-{}", file_name(id))
}

/// An id as part of a file name. Ids come from logs, and must not lead elsewhere, on Windows neither, where a
/// colon names a stream and dots and spaces at the end are dropped.
pub(crate) fn file_name(id: &str) -> String {
    let is_bad = |c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c);
    let name = id.replace(is_bad, "_");
    let kept = name.trim_end_matches(['.', ' ']).len();
    format!("{}{}", name.get(..kept).unwrap_or_default(), "_".repeat(name.len() - kept))
}

fn is_stamp(text: &str) -> bool {
    text.bytes()
        .enumerate()
        .all(|(at, byte)| if at == 8 { byte == b'_' } else { byte.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_leads_elsewhere_on_any_system() {
        for (id, name) in [
            ("a1b2c3d4", "a1b2c3d4"),
            ("../x", ".._x"),
            ("C:\\x", "C__x"),
            ("x:stream", "x_stream"),
            ("a\0b\nc", "a_b_c"),
            ("dots.. ", "dots___"),
            ("é*?\"<>|", "é______"),
        ] {
            assert_eq!(file_name(id), name, "{id:?}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_directory_or_of_the_start() {
        let root = tempfile::tempdir().unwrap();
        let name = |dir: &str| {
            let dir = root.path().join(dir);
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("run-x.wandb"), "").unwrap();
            directory_name(
                &LogFile::at(dir.join("run-x.wandb")).unwrap(),
                &RunInfo::default(),
                "a/b",
            )
        };
        assert_eq!(name("run-20260102_030405-x"), "offline-run-20260102_030405-a_b");
        assert_eq!(name("offline-run-20260102_030406-x-y"), "offline-run-20260102_030406-a_b");
        assert_eq!(name("run-2026-is-no-time"), "offline-run-19700101_000000-a_b");
    }
}
