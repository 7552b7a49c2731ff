//! Runs of several logs.

use super::{Scene, only};
use std::path::Path;
use wandb_offline::Reader;
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::sync::RunStatus;

#[test]
fn the_parts_of_a_run_go_one_after_another_and_their_steps_go_on() {
    let scene = Scene::new();
    resumed(&scene.run("r1", 3));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    resumed(&scene.run("r1", 4));
    let report = scene.sync();
    assert!(report.runs.iter().all(|run| run.status == RunStatus::Synced), "{report:?}");
    scene.has_rows(7);
    assert_eq!(scene.server.state().run().summary()["_step"], 6);
}

#[test]
fn a_part_that_comes_later_goes_on_where_the_server_is() {
    let scene = Scene::new();
    resumed(&scene.run("r1", 3));
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    resumed(&scene.run("r1", 4));
    let report = scene.sync();
    assert!(report.is_complete(), "{report:?}");
    scene.has_rows(7);
    let report = scene.sync_again();
    assert!(report.runs.iter().all(|run| run.status == RunStatus::Already), "{report:?}");
    scene.has_rows(7);
}

/// Makes the log that of a run started with `resume="allow"`, which the writer here has no word for.
fn resumed(log: &Path) {
    let mut reader = Reader::open(log).unwrap();
    let mut records = Vec::new();
    while let Some(raw) = reader.next_record().unwrap() {
        let mut record = raw.decode().unwrap();
        if let Some(RecordType::Run(run)) = &mut record.record_type {
            run.resume = true;
        }
        record.num = 0;
        records.push(prost::Message::encode_to_vec(&record));
    }
    std::fs::remove_file(log).unwrap();
    let mut writer = LogWriter::create(log).unwrap();
    for record in &records {
        writer.fields(record).unwrap();
    }
    writer.flush().unwrap();
}
