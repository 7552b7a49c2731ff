//! What records look like as JSON.

use prost::Message;

use super::*;
use crate::proto::descriptors::{GOOGLE_PROTOBUF_STRUCT, GOOGLE_PROTOBUF_VALUE, TENSORBOARD_EVENT};
use crate::proto::tensorboard::{Event, Summary, TensorProto, event, summary};
use crate::proto::wandb_internal::record::RecordType;
use crate::proto::wandb_internal::{
    DiskInfo, EnvironmentRecord, HistoryItem, HistoryRecord, HistoryStep, MetricRecord,
    OutputRawRecord, Record, RunExitRecord, RunRecord, StatsRecord, history_item,
};
use crate::wire::{put_bytes, put_uint};

#[track_caller]
fn json(payload: &[u8]) -> String {
    let mut out = String::new();
    record_json(payload, &mut out).unwrap();
    serde_json::from_str::<serde_json::Value>(&out).expect(&out);
    out
}

fn json_of(body: RecordType) -> String {
    json(&Record { num: 1, record_type: Some(body), ..Default::default() }.encode_to_vec())
}

/// A record with `body` in field `number`.
fn framed(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, number, body);
    out
}

#[test]
fn a_history_row_keeps_its_json_as_text() {
    let payload = b"\x08\x01\x12\x10\x0a\x0c\x12\x04loss\x82\x01\x031.5\x12\x00";
    assert_eq!(
        json(payload),
        r#"{"num":1,"history":{"item":[{"nested_key":["loss"],"value_json":"1.5"}],"step":{}}}"#
    );
    assert_eq!(json(b""), "{}");
}

#[test]
fn typed_values_look_like_what_they_are() {
    use history_item::Value::{Boolean, Integer, Json, None, Number, Text};
    let values = [
        (None(0), r#""none":null"#),
        (Boolean(false), r#""boolean":false"#),
        (Integer(i64::MIN), r#""integer":-9223372036854775808"#),
        (Integer(-1), r#""integer":-1"#),
        (Number(1.0), r#""number":1.0"#),
        (Number(1e-7), r#""number":1e-7"#),
        (Number(-0.0), r#""number":-0.0"#),
        (Number(f64::NAN), r#""number":"NaN""#),
        (Number(f64::INFINITY), r#""number":"Infinity""#),
        (Number(f64::NEG_INFINITY), r#""number":"-Infinity""#),
        (Text("a\"\\\n\u{1b}\u{7f}\u{9b}é".into()), r#""text":"a\"\\\n\u001b\u007f\u009bé""#),
        (Json("[1]".into()), r#""json":"[1]""#),
    ];
    for (value, want) in values {
        let item = vec![HistoryItem { value: Some(value), ..Default::default() }];
        let row = HistoryRecord { item, ..Default::default() };
        let want = format!(r#"{{"num":1,"history":{{"item":[{{{want}}}]}}}}"#);
        assert_eq!(json_of(RecordType::History(row)), want);
    }
}

#[test]
fn integers_keep_sign_and_width() {
    let exit = RunExitRecord { exit_code: -1, runtime: i32::MAX, ..Default::default() };
    assert_eq!(
        json_of(RecordType::Exit(exit)),
        r#"{"num":1,"exit":{"exit_code":-1,"runtime":2147483647}}"#
    );
    let step = Some(HistoryStep { num: i64::MIN });
    assert_eq!(
        json_of(RecordType::History(HistoryRecord { step, ..Default::default() })),
        r#"{"num":1,"history":{"step":{"num":-9223372036854775808}}}"#
    );
    let disk = [("/".to_owned(), DiskInfo { total: u64::MAX, used: 0 })].into();
    assert_eq!(
        json_of(RecordType::Environment(EnvironmentRecord { disk, ..Default::default() })),
        r#"{"num":1,"environment":{"disk":{"/":{"total":18446744073709551615}}}}"#
    );
}

#[test]
fn enums_go_by_name_and_new_ones_by_number() {
    for (output_type, want) in [(1, r#""STDOUT""#), (7, "7"), (-1, "-1")] {
        let output = OutputRawRecord { output_type, line: "x".into(), ..Default::default() };
        let want = format!(r#"{{"num":1,"output_raw":{{"output_type":{want},"line":"x"}}}}"#);
        assert_eq!(json_of(RecordType::OutputRaw(output)), want);
    }
    let metric = MetricRecord { goal: 2, ..Default::default() };
    assert!(json_of(RecordType::Metric(metric)).contains(r#""goal":"GOAL_MAXIMIZE""#));
}

#[test]
fn timestamps_are_text_as_far_as_the_form_goes() {
    let cases = [
        (0, 0, r#""1970-01-01T00:00:00Z""#),
        (1_795_486_108, 322_816_000, r#""2026-11-24T02:08:28.322816Z""#),
        (951_782_400, 500_000_000, r#""2000-02-29T00:00:00.500Z""#),
        (-1, 1, r#""1969-12-31T23:59:59.000000001Z""#),
        (-62_135_596_800, 0, r#""0001-01-01T00:00:00Z""#),
        (-62_135_596_801, 0, r#"{"seconds":-62135596801}"#),
        (253_402_300_799, 0, r#""9999-12-31T23:59:59Z""#),
        (253_402_300_800, 0, r#"{"seconds":253402300800}"#),
        (i64::MAX, 0, r#"{"seconds":9223372036854775807}"#),
        (1, 1_000_000_000, r#"{"seconds":1,"nanos":1000000000}"#),
        (1, -1, r#"{"seconds":1,"nanos":-1}"#),
    ];
    for (seconds, nanos, want) in cases {
        let timestamp = Some(prost_types::Timestamp { seconds, nanos });
        let stats = StatsRecord { timestamp, ..Default::default() };
        let want = format!(r#"{{"num":1,"stats":{{"timestamp":{want}}}}}"#);
        assert_eq!(json_of(RecordType::Stats(stats)), want);
    }
}

#[test]
fn what_the_schema_lacks_is_shown() {
    let mut payload = vec![];
    put_uint(&mut payload, 31, 5);
    put_bytes(&mut payload, 31, &[0, 1]);
    payload.extend([0x0d, 1, 0, 0, 0]); // num, with a wire type that is not its own
    payload.extend([0xf9, 1, 2, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend([0xfb, 1, 0x08, 0x01, 0xfc, 1]);
    put_uint(&mut payload, 1, 9);
    let want = [
        r#"{"num":9,"@unknown":[{"field":1,"wire":"fixed32","value":1},"#,
        r#"{"field":31,"wire":"varint","value":5},{"field":31,"wire":"bytes","value":"AAE="},"#,
        r#"{"field":31,"wire":"fixed64","value":2},{"field":31,"wire":"group","value":"CAE="}]}"#,
    ];
    assert_eq!(json(&payload), want.concat());

    // A map entry with a third field, and a timestamp with one.
    let entry = b"\xa2\x01\x05\x0a\x01/\x18\x07";
    let shown = r#"{"environment":{"@unknown":[{"field":20,"wire":"bytes","value":"CgEvGAc="}]}}"#;
    assert_eq!(json(&framed(26, entry)), shown);
    let stats = b"\x12\x04\x08\x01\x18\x02";
    let shown = r#"{"stats":{"timestamp":{"seconds":1,"@unknown":[{"field":3,"wire":"varint","value":2}]}}}"#;
    assert_eq!(json(&framed(7, stats)), shown);
}

#[test]
fn what_comes_twice_is_joined_as_a_decoder_would() {
    // Two halves of a history record around a num, the first num lost to the second.
    let mut payload = vec![0x08, 1];
    put_bytes(&mut payload, 2, b"\x0a\x03\x0a\x01a\x12\x02\x08\x04");
    payload.extend([0x08, 2]);
    put_bytes(&mut payload, 2, b"\x0a\x03\x0a\x01b\x12\x00");
    let want = r#"{"num":2,"history":{"item":[{"key":"a"},{"key":"b"}],"step":{"num":4}}}"#;
    assert_eq!(json(&payload), want);
    let decoded = Record::decode(&payload[..]).unwrap();
    assert_eq!(json(&decoded.encode_to_vec()), want);

    // Another member of the oneof between them clears the first.
    let mut payload = framed(2, b"\x12\x02\x08\x04");
    put_bytes(&mut payload, 18, b"");
    assert_eq!(json(&payload), r#"{"exit":{}}"#);
    put_bytes(&mut payload, 2, b"\x0a\x00");
    assert_eq!(json(&payload), r#"{"history":{"item":[{}]}}"#);
    let decoded = Record::decode(&payload[..]).unwrap();
    assert_eq!(json(&decoded.encode_to_vec()), r#"{"history":{"item":[{}]}}"#);
}

#[test]
fn the_last_of_equal_map_keys_counts_and_missing_parts_are_defaults() {
    let mut body = Vec::new();
    for entry in [&b"\x0a\x01b\x12\x01x"[..], b"\x0a\x01a\x12\x01y", b"\x0a\x01b\x12\x01z", b""] {
        put_bytes(&mut body, 27, entry);
    }
    put_bytes(&mut body, 20, b"\x0a\x01/");
    let want = r#"{"environment":{"disk":{"/":{}},"slurm":{"":"","a":"y","b":"z"}}}"#;
    assert_eq!(json(&framed(26, &body)), want);
}

#[test]
fn text_that_is_not_utf_8_gets_replacement_characters() {
    assert_eq!(
        json(&framed(19, b"a\xff\xfeb\xe2\x82")),
        "{\"uuid\":\"a\u{fffd}\u{fffd}b\u{fffd}\"}"
    );
}

#[test]
fn packed_and_single_elements_make_one_list() {
    let tensor = TensorProto {
        dtype: 1,
        float_val: vec![0.1, f32::NAN],
        int_val: vec![-1, 300],
        bool_val: vec![true],
        tensor_content: vec![0xff; 4],
        ..Default::default()
    };
    let value = summary::Value {
        tag: "t".into(),
        value: Some(summary::value::Value::Tensor(tensor)),
        ..Default::default()
    };
    let what = Some(event::What::Summary(Summary { value: vec![value] }));
    let mut payload = Event { wall_time: 0.5, what, ..Default::default() }.encode_to_vec();
    // One more value: a tensor with one number alone, then a packed one.
    put_bytes(&mut payload, 5, b"\x0a\x09\x42\x07\x38\x05\x3a\x01\x06\x38\x07");
    let mut out = String::new();
    message_json(&TENSORBOARD_EVENT, &payload, &mut out).unwrap();
    let want = [
        r#"{"wall_time":0.5,"summary":{"value":[{"tag":"t","tensor":{"dtype":"DT_FLOAT","#,
        r#""tensor_content":"/////w==","float_val":[0.1,"NaN"],"int_val":[-1,300],"#,
        r#""bool_val":[true]}},{"tensor":{"int_val":[5,6,7]}}]}}"#,
    ];
    assert_eq!(out, want.concat());

    let mut out = String::from("kept");
    let cut = framed(5, b"\x0a\x05\x42\x03\x3a\x01\x80");
    assert_eq!(message_json(&TENSORBOARD_EVENT, &cut, &mut out), Err(Malformed { at: 8 }));
    assert_eq!(out, "kept");
}

#[test]
fn errors_name_the_place_in_the_payload() {
    let mut out = String::new();
    assert_eq!(record_json(&[0x08], &mut out), Err(Malformed { at: 0 }));
    assert_eq!(record_json(&[0x08, 1, 0x12, 2, 0x0a, 5], &mut out), Err(Malformed { at: 4 }));
    // In the second half of a message in two parts.
    let halves = [0x12, 2, 0x12, 0, 0x12, 4, 0x12, 2, 0x08, 0x80];
    assert_eq!(record_json(&halves, &mut out), Err(Malformed { at: 8 }));
    assert_eq!(out, "");
}

#[test]
fn a_message_that_nests_without_end_is_an_error() {
    let mut bytes = Vec::new();
    for _ in 0..200 {
        bytes = framed(5, &framed(1, &framed(2, &bytes))); // Value, Struct, entry
    }
    let mut out = String::new();
    assert!(message_json(&GOOGLE_PROTOBUF_VALUE, &bytes, &mut out).is_err());
    assert_eq!(out, "");
    let shallow = framed(1, &framed(2, &framed(2, &1f64.to_le_bytes())));
    assert!(message_json(&GOOGLE_PROTOBUF_STRUCT, &shallow, &mut out).is_ok());
}

#[test]
fn prost_accepts_no_cut_or_changed_record_that_this_refuses() {
    let run = RunRecord {
        run_id: "r".into(),
        tags: vec!["a".into(), "b".into()],
        start_time: Some(prost_types::Timestamp { seconds: 7, nanos: 8 }),
        ..Default::default()
    };
    let record = Record { num: 3, record_type: Some(RecordType::Run(run)), ..Default::default() };
    let payload = record.encode_to_vec();
    for i in 0..payload.len() {
        for flip in 0..=255 {
            let mut bytes = payload.clone();
            bytes[i] ^= flip;
            let mut out = String::new();
            let shown = record_json(&bytes, &mut out);
            if Record::decode(&bytes[..]).is_ok() {
                assert_eq!(shown, Ok(()), "{bytes:02x?}");
            }
            let mut out = String::new();
            let _ = record_json(bytes.get(..i).unwrap(), &mut out);
        }
    }
}

#[test]
fn base64_pads_to_four() {
    let cases: [(&[u8], &str); 4] =
        [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foobar", "Zm9vYmFy")];
    for (bytes, want) in cases {
        let mut out = String::new();
        Renderer { out: &mut out }.base64(bytes);
        assert_eq!(out, format!("\"{want}\""));
    }
}
