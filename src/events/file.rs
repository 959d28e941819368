//! The file of events: a line of JSON each, written by a thread of its own.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::event::{Event, Happening};
use super::log::EventLog;

/// Events that are written at once.
const BATCH: usize = 1024;
/// Longest time for the rest to be written when the program stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// The file that is written.
pub struct EventFile {
    done: oneshot::Receiver<()>,
    path: PathBuf,
}

impl EventFile {
    /// Creates the file anew, and writes to it all events from the first one on until the stream is over.
    ///
    /// What the thread has not written yet is what the stream keeps, so a disk that is too slow costs no more memory; what is
    /// lost by it is told in the file. If the disk is full, what cannot be written is counted, and the run goes on.
    ///
    /// # Errors
    /// If the file cannot be created, or the thread cannot be started.
    pub fn start(log: &Arc<EventLog>, path: &Path) -> io::Result<Self> {
        let file = File::create(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let (ended, done) = oneshot::channel();
        let mut writer = Writer {
            log: Arc::clone(log),
            file,
            path: path.to_owned(),
            good: 0,
            unwritten: 0,
            complained: false,
        };
        std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                writer.run();
                // Nobody waits if the program does not.
                ended.send(()).ok();
            })?;
        Ok(Self {
            done,
            path: path.to_owned(),
        })
    }

    /// Waits until all events are written, after the stream is over. A disk that hangs is not waited for.
    pub async fn finished(self) {
        if tokio::time::timeout(PATIENCE, self.done).await.is_err() {
            tracing::error!(file = %self.path.display(), "the last events are not written: the disk does not answer");
        }
    }
}

struct Writer {
    log: Arc<EventLog>,
    file: File,
    path: PathBuf,
    /// Length of what is written, whole lines.
    good: u64,
    /// Events since then that could not be written.
    unwritten: u64,
    complained: bool,
}

impl Writer {
    fn run(&mut self) {
        let mut after = 0;
        loop {
            let batch = self.log.wait(after, BATCH);
            let Some(last) = batch.events.last() else {
                return;
            };
            after = last.sequence;
            self.write(&batch.events);
        }
    }

    fn write(&mut self, events: &[Arc<Event>]) {
        let mut lines = Vec::with_capacity(events.len().saturating_mul(160));
        let mut own = 0;
        if let Some(first) = events.first()
            && self.unwritten > 0
        {
            let mut lost = Event::clone(first);
            lost.sequence = lost.sequence.saturating_sub(1);
            lost.happening = Happening::Lagged {
                missed: self.unwritten,
            };
            line(&mut lines, &lost);
        }
        for event in events {
            if let Happening::Lagged { missed } = event.happening {
                self.log.observer().unwritten(missed);
            } else {
                own += 1;
            }
            line(&mut lines, event);
        }
        match self.file.write_all(&lines) {
            Ok(()) => {
                self.good = self.good.saturating_add(lines.len() as u64);
                self.unwritten = 0;
            }
            Err(error) => {
                self.unwritten = self.unwritten.saturating_add(own);
                self.log.observer().unwritten(own);
                if !self.complained {
                    self.complained = true;
                    tracing::error!(file = %self.path.display(), %error, "events cannot be written; the run goes on");
                }
                // A part may be there: only whole lines stay. What is no regular file has no end to go back to.
                let _cut = self
                    .file
                    .set_len(self.good)
                    .and_then(|()| self.file.seek(SeekFrom::Start(self.good)));
            }
        }
    }
}

fn line(lines: &mut Vec<u8>, event: &Event) {
    // Writing to memory cannot fail, and the type has no map with keys other than texts.
    if serde_json::to_writer(&mut *lines, event).is_ok() {
        lines.push(b'\n');
    }
}
