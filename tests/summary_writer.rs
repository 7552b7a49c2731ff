//! Event files written here, read back by the reader of this crate and by prost.

use prost::Message;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;
use wandb_offline::event::{SessionStatus, ValueKind, What};
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::proto::tensorboard::event::What as PbWhat;
use wandb_offline::proto::tensorboard::summary::value::Value;
use wandb_offline::tfevents::{
    At, Counts, EventReader, HParams, Histogram, Image, Mesh, Outcome, PrCurve, Scalars,
    SummaryWriter, is_event_file,
};

/// The events of what `write` writes, all of them sound for this crate's reader.
fn written(write: impl FnOnce(&mut SummaryWriter)) -> Vec<tb::Event> {
    let dir = tempfile::tempdir().unwrap();
    let mut run = SummaryWriter::options().start(1.7e9).create(dir.path()).unwrap();
    write(&mut run);
    let path = run.path().to_owned();
    run.finish().unwrap();
    let mut reader = EventReader::open(path).unwrap();
    let mut events = Vec::new();
    while let Some(raw) = reader.next_event().unwrap() {
        let (view, event) = (raw.view().unwrap(), raw.decode().unwrap());
        assert_eq!((view.wall_time, view.step), (event.wall_time, event.step));
        assert_eq!(event.encode_to_vec(), raw.payload, "prost would write the same bytes");
        events.push(event);
    }
    assert!(reader.tail().unwrap().is_clean());
    events
}

/// The values of events, without the version event in front.
fn values(events: &[tb::Event]) -> Vec<&tb::summary::Value> {
    let summaries = events.iter().skip(1).map(|event| match &event.what {
        Some(PbWhat::Summary(summary)) => &summary.value,
        other => panic!("{other:?}"),
    });
    summaries.flatten().collect()
}

fn tensor(value: &tb::summary::Value) -> (&tb::TensorProto, Vec<i64>) {
    let Some(Value::Tensor(tensor)) = &value.value else { panic!("{value:?}") };
    let shape = tensor.tensor_shape.as_ref().unwrap().dim.iter().map(|dim| dim.size).collect();
    (tensor, shape)
}

fn plugin(value: &tb::summary::Value) -> (&str, &[u8], tb::DataClass) {
    let metadata = value.metadata.as_ref().unwrap();
    let data = metadata.plugin_data.as_ref().unwrap();
    (&data.plugin_name, &data.content, metadata.data_class())
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn a_file_begins_with_its_version_and_source() {
    let events = written(|_| {});
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].what, Some(PbWhat::FileVersion("brain.Event:2".into())));
    assert_eq!((events[0].wall_time, events[0].step), (1.7e9, 0));
    assert!(events[0].source_metadata.as_ref().unwrap().writer.starts_with("wandb-offline/"));
}

#[test]
fn scalars_are_the_bytes_that_prost_would_write() {
    let tags = ["loss", "", "ä/b", &"long".repeat(100)];
    let numbers = [0.0, -0.0, 0.1, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let steps = [0, 1, 127, 128, 1 << 40, i64::MAX, -1];
    let mut want = Vec::new();
    let events = written(|run| {
        for (i, step) in steps.into_iter().enumerate() {
            for tag in tags {
                let wall_time = [0.0, 1.7e9 + 1e-6, -5.5][i % 3];
                run.scalar(tag, (step, wall_time), numbers[i]).unwrap();
                want.push((tag, step, wall_time.to_bits(), numbers[i].to_bits()));
            }
        }
    });
    let got: Vec<_> = events[1..]
        .iter()
        .map(|event| {
            let Some(PbWhat::Summary(summary)) = &event.what else { panic!() };
            let [value] = &summary.value[..] else { panic!() };
            let Some(Value::SimpleValue(number)) = value.value else { panic!() };
            (value.tag.as_str(), event.step, event.wall_time.to_bits(), number.to_bits())
        })
        .collect();
    assert_eq!(got, want);
}

#[test]
fn numbers_of_one_step_share_an_event() {
    let events = written(|run| {
        run.scalars(3, &[("a", 1.0), ("b", 2.0)]).unwrap();
        run.scalars::<&str>(4, &[]).unwrap();
        run.scalars(5u64, &[("a".to_owned(), 3.0)]).unwrap();
    });
    assert_eq!(events.len(), 3);
    let found: Vec<_> = values(&events).iter().map(|v| (v.tag.as_str(), v.value.clone())).collect();
    let number = |number| Some(Value::SimpleValue(number));
    assert_eq!(found, [("a", number(1.0)), ("b", number(2.0)), ("a", number(3.0))]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((events[1].wall_time - now.as_secs_f64()).abs() < 60.0, "now unless told otherwise");
}

#[test]
fn only_the_first_value_of_a_tag_has_metadata() {
    let events = written(|run| {
        let histogram = Histogram::from_buckets(&[0.0, 1.0, 3.0], &[5.0, 6.0]).unwrap();
        run.histogram("h", (0, 1.0), &histogram).unwrap();
        run.histogram("h", (1, 2.0), &Histogram::default()).unwrap();
        assert!(run.text("h", 2, "x").unwrap_err().to_string().contains("histograms"));
        run.histogram("i", 1, &histogram).unwrap();
    });
    let values = values(&events);
    assert_eq!(plugin(values[0]), ("histograms", &[][..], tb::DataClass::Tensor));
    assert_eq!(
        values.iter().map(|v| v.metadata.is_some()).collect::<Vec<_>>(),
        [true, false, true]
    );
    let (tensor_0, shape) = tensor(values[0]);
    assert_eq!((tensor_0.dtype(), &shape[..]), (tb::DataType::DtDouble, &[2, 3][..]));
    assert_eq!(doubles(&tensor_0.tensor_content), [0.0, 1.0, 5.0, 1.0, 3.0, 6.0]);
    assert_eq!(tensor(values[1]).1, [0, 3]);
}

#[test]
fn a_tag_has_values_of_one_kind() {
    let events = written(|run| {
        run.scalar("x", 0, 1.0).unwrap();
        let error = run.text("x", 0, "x").unwrap_err().to_string();
        assert!(error.starts_with(r#"tag "x" has values for scalars, so it takes none for text"#));
        run.text("t", 0, "x").unwrap();
        assert!(run.scalar("t", 1, 1.0).is_err());
        assert!(run.scalars(1, &[("y", 1.0), ("t", 2.0)]).is_err());
        run.histogram("y", 1, &Histogram::default()).unwrap();
        run.scalar("m_COLOR", 1, 1.0).unwrap();
        let (vertices, colors) = (&[[0.0; 3]], &[[0; 3]]);
        let mesh = Mesh { vertices, colors, ..Mesh::default() };
        assert!(run.mesh("m", 1, &mesh).is_err());
        run.custom_scalars(&tb::Layout::default()).unwrap();
        assert!(run.scalar("custom_scalars__config__", 1, 1.0).is_err());
        run.scalar("x", 1, 2.0).unwrap();
    });
    let tags: Vec<&str> = values(&events).iter().map(|value| value.tag.as_str()).collect();
    let want = ["x", "t", "y", "m_COLOR", "custom_scalars__config__", "x"];
    assert_eq!(tags, want, "nothing of what was refused is written");
}

#[test]
fn files_and_text_are_strings() {
    let image = Image::rgb8(2, 1, &[1, 2, 3, 4, 5, 6]).unwrap();
    let wav = b"RIFF\x24\0\0\0WAVEfmt ";
    let events = written(|run| {
        run.images("i", 0, &[image.clone(), image.clone()]).unwrap();
        run.audio("a", 0, &[wav, wav]).unwrap();
        assert!(run.audio("a", 1, &[b"ID3"]).is_err());
        run.text("t", 0, "**x**").unwrap();
        run.table("u", 0, &[&["x", "y"][..], &["1"], &["2", "3", "4"]]).unwrap();
    });
    let [images, audio, text, table] = &values(&events)[..] else { panic!() };
    assert_eq!(plugin(images), ("images", &[][..], tb::DataClass::BlobSequence));
    assert_eq!(plugin(audio), ("audio", &[0x10, 0x0b][..], tb::DataClass::Unknown));
    assert_eq!(plugin(text), ("text", &[][..], tb::DataClass::Tensor));
    let strings = |value| {
        let (tensor, shape) = tensor(value);
        (tensor.string_val.clone(), shape)
    };
    let (found, shape) = strings(images);
    assert_eq!((&found[0][..], &found[1][..], &shape[..]), (&b"2"[..], &b"1"[..], &[4][..]));
    assert_eq!(Image::encoded(found[3].clone()).unwrap(), image);
    let (found, shape) = strings(audio);
    assert_eq!((&found[0][..], found[1].len(), &shape[..]), (&wav[..], 0, &[2, 2][..]));
    assert_eq!(strings(text), (vec![b"**x**".to_vec()], vec![]));
    let cells = ["x", "y", "1", "", "2", "3"].map(|cell| cell.as_bytes().to_vec());
    assert_eq!(strings(table), (cells.to_vec(), vec![3, 2]));
}

#[test]
fn curves_meshes_and_hparams_carry_what_their_dashboards_read() {
    let curve = PrCurve::of([(true, 0.9), (false, 0.6), (true, 0.1)], 3);
    let mesh = Mesh {
        vertices: &[[0.0; 3], [1.0; 3], [2.0; 3]],
        faces: &[[0, 1, 2]],
        colors: &[[1, 2, 255]; 3],
        ..Mesh::default()
    };
    let hparams = HParams::default().with("lr", 0.5).with("n", 3).with("b", true).with("s", "x");
    let events = written(|run| {
        run.hparams_at(&hparams, 5.0).unwrap();
        assert!(run.hparams(&hparams).is_err(), "comes once");
        run.pr_curve("c", 0, &curve).unwrap();
        run.mesh("m", 0, &mesh).unwrap();
        run.hparams_end_at(Outcome::Failure, 9.0).unwrap();
    });
    let [start, pr, vertices, faces, colors, end] = &values(&events)[..] else { panic!() };
    let numbers: Vec<f32> = tensor(pr)
        .0
        .tensor_content
        .chunks(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(tensor(pr).1, [6, 3]);
    assert_eq!(numbers[..12], [2.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 2.0]);
    assert_eq!(numbers[12..], [2.0 / 3.0, 0.5, 0.0, 1.0, 0.5, 0.0]);
    assert_eq!(plugin(pr), ("pr_curves", &[0x10, 3][..], tb::DataClass::Tensor));
    let tags = [vertices, faces, colors].map(|value| value.tag.as_str());
    assert_eq!(tags, ["m_VERTEX", "m_FACE", "m_COLOR"]);
    for (value, kind) in [(vertices, 1), (faces, 2), (colors, 3)] {
        let content = tb::mesh::MeshPluginData::decode(plugin(value).1).unwrap();
        assert_eq!((content.content_type, content.components), (kind, 0b1110));
        assert_eq!(
            content.shape.iter().map(|&n| i64::from(n)).collect::<Vec<_>>(),
            tensor(value).1
        );
    }
    let content = |value| tb::hparams::HParamsPluginData::decode(plugin(value).1).unwrap().data;
    let Some(tb::hparams::h_params_plugin_data::Data::SessionStartInfo(info)) = content(start)
    else {
        panic!()
    };
    assert_eq!((info.hparams.len(), info.start_time_secs), (4, 5.0));
    assert_eq!((start.tag.as_str(), tensor(start).1), ("_hparams_/session_start_info", vec![0]));
    let Some(tb::hparams::h_params_plugin_data::Data::SessionEndInfo(info)) = content(end) else {
        panic!()
    };
    assert_eq!((info.status(), info.end_time_secs), (tb::hparams::Status::Failure, 9.0));
}

#[test]
fn counts_can_be_given() {
    let point = Counts { true_positives: 3.0, false_negatives: 1.0, ..Counts::default() };
    let events = written(|run| {
        run.pr_curve("c", 0, &PrCurve::from_counts(vec![point; 2])).unwrap();
    });
    let bytes = &tensor(values(&events)[0]).0.tensor_content;
    assert_eq!(bytes[4 * 10..], 0.75f32.to_le_bytes().repeat(2), "recall");
}

#[test]
fn a_resumed_training_says_what_no_longer_counts() {
    let dir = tempfile::tempdir().unwrap();
    SummaryWriter::create(dir.path()).unwrap().finish().unwrap();
    let run = SummaryWriter::options().purge_step(40).create(dir.path()).unwrap();
    let mut reader = EventReader::open(run.path()).unwrap();
    let mut found = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        let event = event.view().unwrap();
        let started = matches!(&event.what,
            What::SessionLog(log) if log.status() == SessionStatus::Start);
        found.push((event.step, matches!(event.what, What::FileVersion(_)), started));
    }
    assert_eq!(found, [(0, true, false), (40, true, false), (40, false, true)]);
}

#[test]
fn writers_of_one_second_and_directory_have_files_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let make = || {
        let mut run =
            SummaryWriter::options().start(1.7e9).host("a b/c").create(dir.path()).unwrap();
        run.scalar("x", 1, 1.0).unwrap();
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| make()));
        }
    });
    let entries = std::fs::read_dir(dir.path()).unwrap();
    let paths: BTreeSet<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(paths.len(), 80);
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("events.out.tfevents.1700000000.a_b_c."), "{name}");
        assert!(is_event_file(name.as_ref()));
        let mut scalars = Scalars::default();
        scalars.read_file(&path).unwrap();
        assert_eq!(scalars.series().count(), 1, "a writer that is dropped writes what it has");
    }
}

#[test]
fn a_file_is_read_after_those_that_were_there_before() {
    let dir = tempfile::tempdir().unwrap();
    let name = |run: &SummaryWriter| run.path().file_name().unwrap().to_owned();
    let options = || SummaryWriter::options().start(1.7e9).host("m");
    // Of a process with a higher number, and of a host whose name sorts behind.
    let others = ["events.out.tfevents.1700000000.m.9999999.0", "events.out.tfevents.1700000001.z"];
    for other in others {
        std::fs::write(dir.path().join(other), "").unwrap();
    }
    let names: Vec<_> = (0..25).map(|_| name(&options().create(dir.path()).unwrap())).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(names[0].to_str().unwrap() > others[1]);
    let seconds = |name: &std::ffi::OsStr| name.to_str().unwrap()[20..30].to_owned();
    assert_eq!(seconds(&names[24]), "1700000002", "not later than it has to be");
    // The clock of another machine may be ahead; who says when a file begins knows better.
    std::fs::write(dir.path().join("events.out.tfevents.4000000000.m"), "").unwrap();
    assert_eq!(seconds(&name(&options().create(dir.path()).unwrap())), "1700000002");
    let now = SummaryWriter::options().host("a").create(dir.path()).unwrap();
    assert_eq!(seconds(&name(&now)), "4000000001");
}

#[test]
fn every_restart_of_one_second_purges_what_came_before() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..12 {
        let options = SummaryWriter::options().start(1.7e9).purge_step(start);
        let mut run = options.create(dir.path()).unwrap();
        (start..20).for_each(|step| run.scalar("x", step, start as f32).unwrap());
        run.finish().unwrap();
    }
    let mut scalars = Scalars::default();
    let found = wandb_offline::tfevents::discover(dir.path()).unwrap();
    let [run] = &found.runs[..] else { panic!("{found:?}") };
    let mut by_name = run.clone();
    by_name.sort(wandb_offline::tfevents::FileOrder::Name);
    assert_eq!(by_name.files, run.files);
    run.files.iter().for_each(|file| scalars.read_file(file).unwrap());
    let series = scalars.series().next().unwrap();
    let starts = (0..12i64).flat_map(|start| (start..20).map(move |step| (step, start as f64)));
    let values = (0..series.steps.len()).map(|i| series.values.get(i).unwrap().as_f64());
    let got: Vec<_> = series.steps.iter().copied().zip(values).collect();
    assert_eq!(got, starts.collect::<Vec<_>>(), "read in the order of the restarts");
}

#[test]
fn values_wait_no_longer_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    let size = |run: &SummaryWriter| std::fs::metadata(run.path()).unwrap().len();
    let mut run = SummaryWriter::options().flush_every(Duration::ZERO).create(dir.path()).unwrap();
    let before = size(&run);
    run.scalar("x", 1, 1.0).unwrap();
    assert!(size(&run) > before);
    let hour = Duration::from_secs(3600);
    let mut run = SummaryWriter::options().flush_every(hour).create(dir.path()).unwrap();
    let before = size(&run);
    run.scalar("x", 1, 1.0).unwrap();
    assert_eq!(size(&run), before);
    run.flush().unwrap();
    assert!(size(&run) > before);
}

#[test]
fn wall_times_that_stop_a_reader_are_refused() {
    let events = written(|run| {
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(run.scalar("x", (1, bad), 1.0).is_err());
            assert!(run.text("x", At { step: 1, wall_time: Some(bad) }, "x").is_err());
        }
        run.scalar("x", 1, 1.0).unwrap();
    });
    assert_eq!(events.len(), 2);
    assert!(SummaryWriter::options().start(f64::NAN).write_to(Vec::new()).is_err());
}

/// Takes some bytes, then no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::Error::other("disk full")) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let mut run = SummaryWriter::options().write_to(Full(150)).unwrap();
    run.scalar("x", 1, 1.0).unwrap();
    run.text("t", 1, &"x".repeat(200)).unwrap();
    assert!(run.flush().unwrap_err().to_string().contains("disk full"));
    for failed in [run.scalar("x", 2, 1.0), run.text("t", 2, ""), run.flush()] {
        assert!(failed.unwrap_err().to_string().contains("earlier write failed (disk full)"));
    }
    assert!(run.finish().is_err());
}

#[test]
fn readers_see_the_kinds_that_were_written() {
    let events = written(|run| run.scalar("x", 1, 2.0).unwrap());
    let bytes = events[1].encode_to_vec();
    let view = wandb_offline::event::EventView::read(&bytes).unwrap();
    let What::Summary(summary) = view.what else { panic!() };
    assert_eq!(summary.values().next().unwrap().kind, ValueKind::Simple(2.0));
}
