//! The writer itself.

use super::at::{self, At};
use super::hparams::{HParams, Outcome};
use super::mesh::{Mesh, Part};
use super::options::SummaryWriterOptions;
use super::pr_curve::PrCurve;
use super::scalar::Scalars;
use super::tags::Tags;
use super::tensor::{self, Plugin};
use super::{Histogram, Image};
use crate::error::{Error, ErrorKind, Result};
use crate::proto::tensorboard as tb;
use crate::proto::tensorboard::audio_plugin_data::Encoding;
use crate::proto::tensorboard::event::What;
use crate::proto::tensorboard::summary::value::Value;
use crate::tfevents::EventWriter;
use prost::Message;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes an event file that TensorBoard shows: the counterpart of torch's and tensorboardX's writers.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::tfevents::{Histogram, Image, SummaryWriter};
///
/// let mut run = SummaryWriter::create(dir.path().join("run-1"))?;
/// for step in 0..3 {
///     run.scalar("loss", step, 1.0 / (step + 1) as f32)?;
///     run.scalars(step, &[("lr", 3e-4), ("grad_norm", 0.5)])?;
/// }
/// run.histogram("weights", 2, &Histogram::of([0.1, 0.2, 0.4], Histogram::BUCKETS))?;
/// run.images("samples", 2, &[Image::rgb8(1, 1, &[255, 0, 0])?])?;
/// run.text("note", (2, 1_700_000_000.5), "step *and* wall time")?;
/// run.finish()
/// # }
/// ```
///
/// # Directories
/// A directory is a run, and its name under TensorBoard's log directory is the run's. Each writer makes a
/// file of its own, also in a directory that has some: those of one run are read one after another. A
/// resumed training says from which step with [`purge_step`](SummaryWriterOptions::purge_step).
///
/// # Steps
/// The steps of a tag should rise. TensorBoard takes one that does not for a restart, and removes what
/// the tag has at that step and later.
///
/// # When it is in the file
/// Values wait in memory until the next one comes 5 seconds after the last flush
/// ([`flush_every`](SummaryWriterOptions::flush_every)), or some kilobytes have gathered, or for
/// [`flush`](Self::flush) or [`finish`](Self::finish). After a failed write the writer stays failed.
/// Dropping it writes what it holds and can report no error.
#[derive(Debug)]
pub struct SummaryWriter<W: Write = File> {
    events: EventWriter<W>,
    flush_every: Duration,
    flushed: Instant,
    tags: Tags,
}

impl SummaryWriter {
    /// Makes the directory, if it is not there, and in it a new event file.
    ///
    /// # Errors
    /// When either cannot be made.
    pub fn create(dir: impl AsRef<Path>) -> Result<Self> {
        Self::options().create(dir)
    }

    /// Options for making one another way.
    pub fn options() -> SummaryWriterOptions {
        SummaryWriterOptions::default()
    }

    /// Asks the operating system to put everything on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.events.sync()
    }
}

impl<W: Write> SummaryWriter<W> {
    pub(super) fn new(events: EventWriter<W>, flush_every: Duration) -> Self {
        Self { events, flush_every, flushed: Instant::now(), tags: Tags::default() }
    }

    /// A number. TensorBoard keeps single precision; NaN and the infinities are themselves.
    ///
    /// # Errors
    /// As for every value: when the tag has had values of another kind, when the wall time is not finite,
    /// when writing fails, or failed before.
    #[inline]
    pub fn scalar(&mut self, tag: &str, at: impl Into<At>, value: f32) -> Result<()> {
        self.scalars(at, &[(tag, value)])
    }

    /// Numbers of one step in one event, which takes less room than an event for each.
    ///
    /// This is not the `add_scalars` of torch and tensorboardX, which makes a run for each number.
    ///
    /// # Errors
    /// As [`Self::scalar`].
    #[inline]
    pub fn scalars<T: AsRef<str>>(&mut self, at: impl Into<At>, values: &[(T, f32)]) -> Result<()> {
        let at = at.into();
        let (wall_time, scalars) = (at.seconds()?, Scalars::new(values));
        if values.is_empty() {
            return self.events.check();
        }
        let mut known = true;
        for (tag, _) in values {
            let tag = tag.as_ref();
            match self.tags.next_scalar(tag) {
                None => known = false,
                Some(Plugin::SCALARS) => {}
                Some(other) => return Err(self.mixed(tag, other, Plugin::SCALARS)),
            }
        }
        self.events.event_with(scalars.len(), |out| scalars.put(out, wall_time, at.step))?;
        if !known {
            self.remember(values);
        }
        self.flush_if_due()
    }

    #[cold]
    fn remember<T: AsRef<str>>(&mut self, scalars: &[(T, f32)]) {
        scalars.iter().for_each(|(tag, _)| self.tags.insert(tag.as_ref(), Plugin::SCALARS));
    }

    /// A histogram.
    ///
    /// # Errors
    /// As [`Self::scalar`].
    pub fn histogram(&mut self, tag: &str, at: impl Into<At>, value: &Histogram) -> Result<()> {
        let numbers = value.buckets.iter().flatten().copied();
        let tensor = tensor::doubles(&[value.len(), 3], numbers);
        self.value(tag, at.into(), Plugin::HISTOGRAMS, Vec::new, tensor)
    }

    /// The images of one step.
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub fn images(&mut self, tag: &str, at: impl Into<At>, images: &[Image<'_>]) -> Result<()> {
        let Some(Image { width, height, .. }) = images.first() else {
            return self.events.check();
        };
        let size = [width, height].map(|pixels| pixels.to_string().into_bytes());
        let files = images.iter().map(|image| image.file.to_vec());
        let strings: Vec<_> = size.into_iter().chain(files).collect();
        let tensor = tensor::strings(&[strings.len()], strings);
        self.value(tag, at.into(), Plugin::IMAGES, Vec::new, tensor)
    }

    /// The sounds of one step, each as the bytes of a WAV file.
    ///
    /// # Errors
    /// As [`Self::histogram`]; and when the bytes are no WAV file.
    pub fn audio(
        &mut self,
        tag: &str,
        at: impl Into<At>,
        wav_files: &[impl AsRef<[u8]>],
    ) -> Result<()> {
        let files = wav_files.iter().map(AsRef::as_ref);
        let is_wav = |file: &[u8]| file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WAVE");
        if !files.clone().all(is_wav) {
            let reason = "audio: want the bytes of a WAV file";
            return Err(Error::new(ErrorKind::Value(reason.into())));
        }
        let content = || {
            let encoding = Encoding::Wav as i32;
            tb::AudioPluginData { encoding, ..Default::default() }.encode_to_vec()
        };
        // Each with a label, which the dashboard no longer shows.
        let strings = files.flat_map(|file| [file.to_vec(), Vec::new()]).collect();
        let tensor = tensor::strings(&[wav_files.len(), 2], strings);
        self.value(tag, at.into(), Plugin::AUDIO, content, tensor)
    }

    /// Text, as Markdown.
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub fn text(&mut self, tag: &str, at: impl Into<At>, markdown: &str) -> Result<()> {
        let tensor = tensor::strings(&[], vec![markdown.into()]);
        self.value(tag, at.into(), Plugin::TEXT, Vec::new, tensor)
    }

    /// Texts in a tensor of any shape.
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub(crate) fn texts(
        &mut self,
        tag: &str,
        at: impl Into<At>,
        shape: &[usize],
        texts: &[&str],
    ) -> Result<()> {
        let texts = texts.iter().map(|text| text.as_bytes().to_vec());
        let tensor = tensor::strings(shape, texts.collect());
        self.value(tag, at.into(), Plugin::TEXT, Vec::new, tensor)
    }

    /// A table of Markdown cells, as many in each row as in the first, which is the header. Cells that
    /// are missing are empty.
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub fn table<R: AsRef<[T]>, T: AsRef<str>>(
        &mut self,
        tag: &str,
        at: impl Into<At>,
        rows: &[R],
    ) -> Result<()> {
        let columns = rows.first().map_or(0, |row| row.as_ref().len());
        let cells = rows.iter().flat_map(|row| {
            let cells = row.as_ref().iter().map(|cell| cell.as_ref().into());
            cells.chain(std::iter::repeat_with(Vec::new)).take(columns)
        });
        let tensor = tensor::strings(&[rows.len(), columns], cells.collect());
        self.value(tag, at.into(), Plugin::TEXT, Vec::new, tensor)
    }

    /// A precision-recall curve.
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub fn pr_curve(&mut self, tag: &str, at: impl Into<At>, curve: &PrCurve) -> Result<()> {
        let thresholds = curve.points().len();
        let content = || {
            let num_thresholds = u32::try_from(thresholds).unwrap_or(u32::MAX);
            tb::PrCurvePluginData { num_thresholds, ..Default::default() }.encode_to_vec()
        };
        let tensor = tensor::floats(&[6, thresholds], curve.numbers());
        self.value(tag, at.into(), Plugin::PR_CURVES, content, tensor)
    }

    /// A mesh or a cloud of points.
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub fn mesh(&mut self, tag: &str, at: impl Into<At>, mesh: &Mesh<'_>) -> Result<()> {
        let at = at.into();
        let at = At { wall_time: Some(at.seconds()?), ..at };
        let parts = mesh.parts(tag);
        for part in &parts {
            // All of them or none.
            self.is_new(&part.tag, Plugin::MESH)?;
        }
        for Part { tag, content, tensor } in parts {
            self.value(&tag, at, Plugin::MESH, || content, tensor)?;
        }
        Ok(())
    }

    /// What the run was started with. Comes once, before anything else.
    ///
    /// # Errors
    /// As [`Self::scalar`]; and when it comes again.
    pub fn hparams(&mut self, hparams: &HParams) -> Result<()> {
        self.hparams_at(hparams, at::now())
    }

    /// What the run was started with, and when, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Self::hparams`].
    pub fn hparams_at(&mut self, hparams: &HParams, start: f64) -> Result<()> {
        let content = || hparams.start(start);
        self.once(SESSION_START, At::from((0, start)), Plugin::HPARAMS, content)
    }

    /// How the run ended, for a run that has [`Self::hparams`].
    ///
    /// # Errors
    /// As [`Self::hparams`].
    pub fn hparams_end(&mut self, outcome: Outcome) -> Result<()> {
        self.hparams_end_at(outcome, at::now())
    }

    /// How the run ended, and when, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Self::hparams`].
    pub fn hparams_end_at(&mut self, outcome: Outcome, end: f64) -> Result<()> {
        let content = || outcome.end(end);
        self.once(SESSION_END, At::from((0, end)), Plugin::HPARAMS, content)
    }

    /// Which charts the dashboard of custom scalars shows. One run of a log directory needs to have it.
    ///
    /// ```
    /// # fn main() -> wandb_offline::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mut run = wandb_offline::tfevents::SummaryWriter::create(dir.path())?;
    /// use wandb_offline::proto::tensorboard::chart::Content;
    /// use wandb_offline::proto::tensorboard::{Category, Chart, Layout, MultilineChartContent};
    ///
    /// let tag = vec!["loss/train".into(), "loss/val.*".into()];
    /// let content = Some(Content::Multiline(MultilineChartContent { tag }));
    /// let chart = vec![Chart { title: "loss".into(), content }];
    /// let category = vec![Category { title: "all".into(), chart, ..Category::default() }];
    /// run.custom_scalars(&Layout { category, ..Layout::default() })?;
    /// # run.finish()
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub fn custom_scalars(&mut self, layout: &tb::Layout) -> Result<()> {
        self.custom_scalars_at(layout, at::now())
    }

    /// The same with a wall time.
    ///
    /// # Errors
    /// As [`Self::histogram`].
    pub fn custom_scalars_at(&mut self, layout: &tb::Layout, wall_time: f64) -> Result<()> {
        let tensor = tensor::strings(&[], vec![layout.encode_to_vec()]);
        let at = At::from((0, wall_time));
        self.value(LAYOUT, at, Plugin::CUSTOM_SCALARS, Vec::new, tensor)
    }

    /// Hands everything logged so far to the operating system.
    ///
    /// # Errors
    /// When writing fails, or failed before.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.events.flush()
    }

    /// Ends the file, and says whether everything is in it.
    ///
    /// # Errors
    /// When writing fails, or failed before.
    pub fn finish(mut self) -> Result<()> {
        self.flush()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.events.path()
    }

    /// Metadata that is itself the value.
    fn once(
        &mut self,
        tag: &str,
        at: At,
        plugin: Plugin,
        content: impl FnOnce() -> Vec<u8>,
    ) -> Result<()> {
        if self.tags.get(tag).is_some() {
            return Err(Error::misuse(format!("{tag} is written already")).at(self.path()));
        }
        self.value(tag, at, plugin, content, tensor::nothing())
    }

    /// A value that is not a scalar. Readers keep the metadata of a tag's first value, so the others have
    /// none.
    fn value(
        &mut self,
        tag: &str,
        at: At,
        plugin: Plugin,
        content: impl FnOnce() -> Vec<u8>,
        value: Value,
    ) -> Result<()> {
        let wall_time = at.seconds()?;
        let first = self.is_new(tag, plugin)?;
        let metadata = first.then(|| plugin.metadata(content()));
        let value = tb::summary::Value {
            tag: tag.into(),
            metadata,
            value: Some(value),
            ..Default::default()
        };
        let what = Some(What::Summary(tb::Summary { value: vec![value] }));
        self.events.event(&tb::Event { wall_time, step: at.step, what, ..Default::default() })?;
        if first {
            self.tags.insert(tag, plugin);
        }
        self.flush_if_due()
    }

    /// Whether a tag has had no values yet; an error if it has had some for another dashboard.
    #[inline]
    fn is_new(&self, tag: &str, plugin: Plugin) -> Result<bool> {
        match self.tags.get(tag) {
            None => Ok(true),
            Some(known) if known == plugin => Ok(false),
            Some(known) => Err(self.mixed(tag, known, plugin)),
        }
    }

    #[cold]
    fn mixed(&self, tag: &str, known: Plugin, new: Plugin) -> Error {
        let (known, new) = (known.name, new.name);
        let reason = format!("tag {tag:?} has values for {known}, so it takes none for {new}");
        Error::misuse(reason).at(self.path())
    }

    #[inline]
    fn flush_if_due(&mut self) -> Result<()> {
        let due = self.events.buffered() >= FLUSH_LEN || self.flushed.elapsed() >= self.flush_every;
        if due { self.flush() } else { Ok(()) }
    }
}

impl<W: Write> Drop for SummaryWriter<W> {
    fn drop(&mut self) {
        // Nobody is left to be told; `finish` tells.
        let _ = self.events.flush();
    }
}

/// The tags that a writer has for itself, which TensorBoard finds their values by.
pub(crate) const OWN_TAGS: [&str; 3] = [SESSION_START, SESSION_END, LAYOUT];

const SESSION_START: &str = "_hparams_/session_start_info";
const SESSION_END: &str = "_hparams_/session_end_info";
const LAYOUT: &str = "custom_scalars__config__";

const FLUSH_LEN: usize = 64 << 10;
