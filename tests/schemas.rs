//! The generated code is what the schemas say, and the schemas say what is in the logs.

use std::fs;
use std::path::Path;

use prost::Message;
use wandb_offline::proto::tensorboard::hparams::{HParamsPluginData, h_params_plugin_data};
use wandb_offline::proto::tensorboard::{
    AudioPluginData, Event, audio_plugin_data, event, summary,
};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::proto::wandb_internal::{
    ConfigItem, ConfigRecord, HistoryItem, HistoryRecord, HistoryStep, OutputRawRecord, Record,
    RecordInfo, RunExitRecord, RunRecord, TbRecord, history_item,
};

/// See `proto/generate/src/main.rs`, which writes the sums.
#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut schemas: Vec<_> = fs::read_dir(root.join("proto"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    schemas.sort();
    let mut sum = crc32fast::Hasher::new();
    for path in schemas {
        sum.update(fs::read_to_string(path).unwrap().replace('\r', "").as_bytes());
    }
    let sources = sum.finalize();

    let mut stale = Vec::new();
    for name in ["wandb_internal.rs", "tensorboard.rs", "descriptors.rs"] {
        let file = fs::read_to_string(root.join("src/proto").join(name)).unwrap().replace('\r', "");
        let (first, text) = file.split_once('\n').unwrap();
        let text = crc32fast::hash(text.as_bytes());
        if !first.ends_with(&format!("sources {sources:08x} text {text:08x}")) {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "stale in src/proto: {stale:?}; run: cargo run --manifest-path proto/generate/Cargo.toml"
    );
}

/// Decodes `bytes` and encodes the result, which must give `bytes` again.
#[track_caller]
fn decoded<M: Message + Default>(bytes: &[u8]) -> M {
    let message = M::decode(bytes).unwrap();
    assert_eq!(message.encode_to_vec(), bytes);
    message
}

fn record(body: RecordType) -> Record {
    Record { record_type: Some(body), ..Default::default() }
}

#[test]
fn known_records_decode() {
    assert_eq!(decoded::<Record>(&[0x08, 0x0d]), Record { num: 13, ..Default::default() });

    let item = HistoryItem {
        nested_key: vec!["loss".into()],
        value_json: "1.5".into(),
        ..Default::default()
    };
    let step = Some(HistoryStep { num: 0 });
    let row = HistoryRecord { item: vec![item], step, ..Default::default() };
    let want = Record { num: 1, ..record(RecordType::History(row)) };
    let bytes = b"\x08\x01\x12\x10\x0a\x0c\x12\x04loss\x82\x01\x031.5\x12\x00";
    assert_eq!(decoded::<Record>(bytes), want);
}

#[test]
fn the_header_of_old_releases_is_empty() {
    let Some(RecordType::Header(header)) = decoded::<Record>(&[0xaa, 0x01, 0x00]).record_type
    else {
        panic!("not a header");
    };
    assert_eq!(header.version_info, None);
}

#[test]
fn exit_code_zero_is_absent_from_the_wire() {
    let clean = record(RecordType::Exit(RunExitRecord { runtime: 5, ..Default::default() }));
    assert_eq!(clean.encode_to_vec(), [0x92, 0x01, 0x02, 0x10, 0x05]);
    let failed = record(RecordType::Exit(RunExitRecord { exit_code: 1, ..Default::default() }));
    assert_eq!(failed.encode_to_vec(), [0x92, 0x01, 0x02, 0x08, 0x01]);
}

#[test]
fn stderr_is_absent_from_the_wire() {
    let line = || "x".to_owned();
    let stderr = OutputRawRecord { output_type: 0, line: line(), ..Default::default() };
    assert_eq!(record(RecordType::OutputRaw(stderr)).encode_to_vec(), b"\x6a\x03\x1a\x01x");
    let stdout = OutputRawRecord { output_type: 1, line: line(), ..Default::default() };
    assert_eq!(record(RecordType::OutputRaw(stdout)).encode_to_vec(), b"\x6a\x05\x08\x01\x1a\x01x");
}

#[test]
fn step_zero_differs_from_no_step() {
    let with = HistoryRecord { step: Some(HistoryStep::default()), ..Default::default() };
    assert_eq!(with.encode_to_vec(), [0x12, 0x00]);
    assert_eq!(HistoryRecord::decode(&[][..]).unwrap().step, None);
}

#[test]
fn typed_integers_are_zigzag() {
    let item = |value| HistoryItem { value: Some(value), ..Default::default() }.encode_to_vec();
    assert_eq!(item(history_item::Value::Integer(-1)), [0x28, 0x01]);
    assert_eq!(item(history_item::Value::Integer(1)), [0x28, 0x02]);
    assert_eq!(item(history_item::Value::None(0)), [0x18, 0x00], "a member shows even when zero");
    assert_eq!(item(history_item::Value::Text(String::new())), [0x3a, 0x00]);
}

#[test]
fn critical_numbers_are_in_place() {
    // The start of a real log: the key of `_info` (200) takes two bytes.
    let info = Some(RecordInfo { stream_id: "minimal1".into(), ..Default::default() });
    let bytes = Record { info, ..Default::default() }.encode_to_vec();
    assert_eq!(bytes, b"\xc2\x0c\x0a\x0a\x08minimal1");

    let config = ConfigItem { key: "k".into(), value_json: "1".into(), ..Default::default() };
    let config = ConfigRecord { update: vec![config], ..Default::default() };
    let run = RunRecord {
        run_id: "r".into(),
        project: "p".into(),
        config: Some(config),
        start_time: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
        ..Default::default()
    };
    assert_eq!(
        record(RecordType::Run(run)).encode_to_vec(),
        b"\x8a\x01\x18\x0a\x01r\x1a\x01p\x22\x09\x0a\x07\x0a\x01k\x82\x01\x011\x8a\x01\x04\x08\x01\x10\x02"
    );

    let empty = Some(String::new());
    let tb = TbRecord { namespace: empty, ..Default::default() };
    assert_eq!(tb.encode_to_vec(), [0x22, 0x00], "an empty namespace is not the same as none");
}

#[test]
fn tensorboard_events_decode() {
    let version = b"\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x1a\x0dbrain.Event:2";
    let event = decoded::<Event>(version);
    assert_eq!(event.what, Some(event::What::FileVersion("brain.Event:2".into())));
    assert_eq!((event.wall_time, event.step), (1.0, 0));

    let scalar = b"\x10\x05\x2a\x0a\x0a\x08\x0a\x01t\x15\x00\x00\x00\x3f";
    let Some(event::What::Summary(summary)) = decoded::<Event>(scalar).what else {
        panic!("not a summary");
    };
    assert_eq!(summary.value[0].value, Some(summary::value::Value::SimpleValue(0.5)));

    let audio = decoded::<AudioPluginData>(&[0x10, 0x0b]);
    assert_eq!(audio.encoding(), audio_plugin_data::Encoding::Wav);

    // Session start with the hyperparameter lr = 0.5.
    let start = b"\x1a\x11\x0a\x0f\x0a\x02lr\x12\x09\x11\x00\x00\x00\x00\x00\x00\xe0\x3f";
    let Some(h_params_plugin_data::Data::SessionStartInfo(start)) =
        decoded::<HParamsPluginData>(start).data
    else {
        panic!("not a session start");
    };
    let half = prost_types::value::Kind::NumberValue(0.5);
    assert_eq!(start.hparams["lr"].kind, Some(half));
}
