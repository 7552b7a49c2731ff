//! Files that become others while they are uploaded.

use super::{Scene, is_marked, only};
use std::path::Path;
use wandb_offline::sync::api::{Answer, Request};
use wandb_offline::sync::{
    HttpTransport, RunReport, RunStatus, Stop, SyncOptions, Transport, TransportError, sync,
};

/// Changes a file once it is known what it holds: when the server is asked where it goes.
struct Changing<'a> {
    way: HttpTransport,
    image: &'a Path,
    change: fn(&Path),
}

impl Transport for Changing<'_> {
    fn send(&self, request: &Request) -> Result<Answer, TransportError> {
        if request.kind.name() == "CreateRunFiles" {
            (self.change)(self.image);
        }
        self.way.send(request)
    }
}

/// What becomes of a run with an image that changes, now and when it is synced again.
fn synced(change: fn(&Path)) -> [RunReport; 2] {
    let scene = Scene::new();
    let log = scene.fixture("media");
    let images = log.parent().unwrap().join("files/media/images");
    let image = std::fs::read_dir(images).unwrap().next().unwrap().unwrap().path();
    let (to, way) = scene.connection();
    let changing = Changing { way, image: &image, change };
    let (options, paths) = (SyncOptions::default(), [scene.root()]);
    let report = sync(&paths, &to, &changing, &options, &Stop::new(), &|_| {});
    assert!(!is_marked(&log));
    let state = scene.server.state();
    assert!(state.run().files.values().all(|file| file.stored.as_deref() != Some(b"the secret")));
    [only(&report).clone(), only(&scene.sync()).clone()]
}

#[test]
fn a_file_that_changes_while_it_is_uploaded_is_no_stored_one_and_goes_next_time() {
    let longer = |image: &Path| {
        let mut text = std::fs::read(image).unwrap();
        text.extend_from_slice(b", and more");
        std::fs::write(image, text).unwrap();
    };
    let other = |image: &Path| {
        let then = std::fs::metadata(image).unwrap().modified().unwrap();
        std::fs::write(image, std::fs::read(image).unwrap().to_ascii_uppercase()).unwrap();
        let file = std::fs::File::options().write(true).open(image).unwrap();
        file.set_modified(then + std::time::Duration::from_secs(1)).unwrap();
    };
    let shorter = |image: &Path| std::fs::write(image, b"cut").unwrap();
    for change in [longer, other, shorter] {
        let [first, second] = synced(change);
        assert_eq!(first.status, RunStatus::Partly);
        assert!(first.problems[0].contains("was changed while it was uploaded"), "{first:?}");
        // The second time it is what it is.
        let mut files = second.receipt.files.iter();
        assert!(files.all(|file| file.problem().is_none()), "{second:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_in_whose_place_a_link_comes_is_not_read() {
    let [first, second] = synced(|image| {
        let secret = image.ancestors().nth(6).unwrap().join("secret");
        std::fs::write(&secret, b"the secret").unwrap();
        let _ = std::fs::remove_file(image);
        std::os::unix::fs::symlink(secret, image).unwrap();
    });
    for report in [first, second] {
        assert_eq!(report.status, RunStatus::Partly, "{report:?}");
    }
}
