//! Logs and event files that someone compressed: read like plain ones, and as far as they go when damaged.

use std::io::Write;
use std::path::{Path, PathBuf};
use wandb_offline::framing::TailKind;
use wandb_offline::io::Source;
use wandb_offline::recover::{Options, recover};
use wandb_offline::{Reader, log, run};

#[test]
fn compressed_logs_are_read_like_plain_ones() {
    let plain = records(Reader::open(plain_log()).unwrap());
    for path in compressed_logs() {
        assert_eq!(records(Reader::open(&path).unwrap()), plain, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        let crumbs = Reader::options().read_from(Crumbs(&bytes));
        assert_eq!(records(crumbs), plain, "{} byte by byte", path.display());
    }
}

#[test]
fn a_run_whose_log_was_compressed_is_found_and_synced_marks_are_those_of_the_log() {
    for compressed in compressed_logs() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("offline-run-20260102_030405-killed01");
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join(compressed.file_name().unwrap());
        std::fs::copy(&compressed, &path).unwrap();
        std::fs::write(dir.join("run-killed01.wandb.synced"), "").unwrap();
        let (found, errors) = log::find(root.path());
        assert!(errors.is_empty() && found.len() == 1 && found[0].synced, "{found:?}");
        assert_eq!(log::locate(&dir).unwrap().path, path);
        let (state, report) = run::load(&path, false).unwrap();
        assert_eq!((state.history().rows(), report.is_lossy()), (304, false));
        // The log itself goes first.
        std::fs::copy(plain_log(), dir.join("run-killed01.wandb")).unwrap();
        assert_eq!(log::find(root.path()).0.len(), 1);
        assert_eq!(log::locate(&dir).unwrap().path, dir.join("run-killed01.wandb"));
    }
}

#[test]
fn what_comes_before_a_cut_or_damage_is_read_and_the_rest_told() {
    let whole = records(Reader::open(plain_log()).unwrap());
    for (name, bytes) in streams() {
        let mut best = 0;
        for cut in (20..bytes.len() - 1).step_by(bytes.len() / 50) {
            let got = lenient(&bytes[..cut]);
            assert!(whole.starts_with(&got.0), "{name} cut at {cut}");
            assert_eq!(got.2, Some(TailKind::Compressed), "{name} cut at {cut}");
            assert_eq!(got.1, 0, "a cut is no damage");
            assert!(got.0.len() >= best, "{name}: more bytes give more records");
            best = got.0.len();
        }
        assert!(best > 500, "{name}: {best}");
        for at in (30..bytes.len()).step_by(bytes.len() / 50) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            let (got, gaps, tail) = lenient(&damaged);
            // The damage may come out as a few wrong bytes, up to where it is noticed.
            let sound = got.iter().filter(|record| whole.contains(record)).count();
            assert_eq!(sound, got.len(), "{name} damaged at {at}: nothing that was not there");
            let told = gaps > 0 || tail == Some(TailKind::Compressed);
            assert!(told || got == whole, "{name} damaged at {at}: {tail:?}");
        }
    }
}

#[test]
fn compressed_files_are_recovered_into_plain_ones() {
    let root = tempfile::tempdir().unwrap();
    for compressed in compressed_logs() {
        let path = root.path().join(compressed.file_name().unwrap());
        std::fs::copy(&compressed, &path).unwrap();
        let report = recover(&path, &Options::default()).unwrap();
        assert_eq!(report.output, root.path().join("run-killed01.recovered.wandb"));
        let plain = std::fs::read(plain_log()).unwrap();
        let recovered = std::fs::read(&report.output).unwrap();
        assert!(plain.starts_with(&recovered), "but for the half record at its end");
        std::fs::remove_file(report.output).unwrap();
    }
    let (name, mut bytes) = streams().remove(0);
    bytes.truncate(bytes.len() * 2 / 3);
    let path = root.path().join(format!("run-cut.wandb.{name}"));
    std::fs::write(&path, &bytes).unwrap();
    let report = recover(&path, &Options::default()).unwrap();
    assert!(report.recovered.is_lossy());
    let loss = report.recovered.losses.last().unwrap();
    assert!(loss.cause.contains("cut inside the compressed stream"), "{loss:?}");
    assert!(records(Reader::open(report.output).unwrap()).len() > 300);
}

#[cfg(feature = "zstd")]
mod zstd {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use wandb_offline::tfevents::EventReader;

    #[test]
    fn frames_may_follow_each_other_with_skippable_ones_between() {
        let plain = std::fs::read(plain_log()).unwrap();
        let mut bytes = vec![0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        for part in plain.chunks(10_000) {
            bytes.extend(compress_to_vec(part, CompressionLevel::Fastest));
            bytes.extend([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9]);
        }
        let got = records(Reader::options().read_from(&bytes[..]));
        assert_eq!(got, records(Reader::open(plain_log()).unwrap()));
    }

    #[test]
    fn a_window_that_is_too_large_is_damage_and_one_that_is_forged_costs_nothing() {
        // A frame with a window of 2^(10 + n) bytes, and a raw block of one byte.
        let frame = |n: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, n << 3, 9, 0, 0, b':'];
        for (n, damaged) in [(17, false), (18, true), (31, true)] {
            let (got, gaps, tail) = lenient(&frame(n));
            assert_eq!((got.len(), gaps > 0), (0, damaged), "window of 2^{}: {tail:?}", 10 + n);
        }
    }

    #[test]
    fn event_files_in_zstd_are_read() {
        let path = "fixtures/tensorboard/tensorboardX/scalars/events.out.tfevents.1795486703.vm";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let bytes = compress_to_vec(&std::fs::read(path).unwrap()[..], CompressionLevel::Fastest);
        let mut reader = EventReader::options().read_from(&bytes[..]);
        let mut events = 0;
        while reader.next_event().unwrap().is_some() {
            events += 1;
        }
        assert_eq!(events, 46);
    }
}

#[cfg(not(feature = "zstd"))]
#[test]
fn without_the_feature_the_error_says_what_to_do() {
    let path = fixture("compressed/run-killed01.wandb.zst");
    let error = Reader::open(path).unwrap().next_record().expect_err("no decoder").to_string();
    assert!(error.contains("feature `zstd`") && error.ends_with(".zst"), "{error}");
}

#[cfg(feature = "cli")]
#[test]
fn every_command_reads_them() {
    let path = fixture("compressed/run-killed01.wandb.zst").display().to_string();
    for command in ["cat", "info", "export", "tail", "verify"] {
        let run = |path: &str| {
            let program = env!("CARGO_BIN_EXE_wandb-offline");
            std::process::Command::new(program).args([command, path]).output().unwrap()
        };
        let (got, want) = (run(&path), run(&plain_log().display().to_string()));
        assert_eq!(got.status.code(), want.status.code(), "{command}");
        let name = |text: Vec<u8>| String::from_utf8(text).unwrap().replace(".zst", "");
        let lines = |text: Vec<u8>| name(text).lines().count();
        assert_eq!(lines(got.stdout), lines(want.stdout), "{command}");
    }
}

/// A log in each form of compression, of several blocks each.
fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let plain = std::fs::read(plain_log()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    #[allow(unused_mut, reason = "there is more with the feature zstd")]
    let mut streams = vec![("gz", gzip.finish().unwrap())];
    #[cfg(feature = "zstd")]
    {
        // Frames of a tenth of the log each: it is too short for two blocks.
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let parts = plain.chunks(10_000);
        let frames = parts.flat_map(|part| ruzstd::encoding::compress_to_vec(part, level));
        streams.push(("zst", frames.collect()));
    }
    streams
}

fn compressed_logs() -> Vec<PathBuf> {
    let all = ["compressed/run-killed01.wandb.gz", "compressed/run-killed01.wandb.zst"];
    let readable = if cfg!(feature = "zstd") { 2 } else { 1 };
    all[..readable].iter().map(|name| fixture(name)).collect()
}

fn plain_log() -> PathBuf {
    fixture("wandb/0.31.0/killed/run-killed01.wandb")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn records<S: Source>(mut reader: Reader<S>) -> Vec<(u64, Vec<u8>)> {
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().expect("sound") {
        records.push((record.span.offset, record.payload.to_vec()));
    }
    records
}

/// Records: where each begins, and what it holds.
type Payloads = Vec<(u64, Vec<u8>)>;

/// The records that a lenient reader finds, how many gaps, and how the log ends.
fn lenient(bytes: &[u8]) -> (Payloads, u64, Option<TailKind>) {
    let mut reader = Reader::options().lenient(true).read_from(bytes);
    let mut found = Vec::new();
    while let Ok(Some(record)) = reader.next_record() {
        found.push((record.span.offset, record.payload.to_vec()));
    }
    (found, reader.gaps().count(), reader.tail().map(|tail| tail.kind))
}

/// Hands out a byte at a time.
struct Crumbs<'a>(&'a [u8]);

impl std::io::Read for Crumbs<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len().min(1);
        std::io::Read::read(&mut self.0, &mut buffer[..n])
    }
}
