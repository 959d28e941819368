//! The events: what happened in a run, in one ordered stream.
//!
//! Whatever tells of something publishes it in the [`EventLog`], which numbers it, keeps the newest ones in bounded memory
//! and never waits for a reader. A reader has a place in the stream and goes as fast as it can: the control API's
//! server-sent events, and the file with a line of JSON an event. One that falls out of what is kept is told how many it
//! has missed.
//!
//! | part | file |
//! | --- | --- |
//! | what an event holds | [`event`] |
//! | the stream and its readers | [`log`] |
//! | the file | [`file`] |
//! | what nodes and clusters tell, as events | [`recorder`] |
//! | the table in `docs/events.md` | [`describe`] |

pub mod describe;
pub mod event;
pub mod file;
pub mod log;
pub mod recorder;

use std::path::Path;
use std::sync::Arc;

use metalsim_actors::ports::Recorder;
use metalsim_actors::time::Clock;

pub use self::event::{Event, Happening};
pub use self::file::EventFile;
pub use self::log::{EventLog, Limits, Subscription};
pub use self::recorder::EventRecorder;
use crate::observer::EventObserver;

/// The events of a run, with all that feeds them and is fed by them.
pub struct Stream {
    /// The stream itself.
    pub log: Arc<EventLog>,
    /// To be told what happens.
    pub recorder: Arc<EventRecorder>,
    file: Option<EventFile>,
}

impl Stream {
    /// An empty stream, written to `file`. What is recorded is handed on to `metrics`.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn start<M: Recorder + EventObserver>(
        limits: Limits,
        file: Option<&Path>,
        clock: Arc<dyn Clock>,
        metrics: &Arc<M>,
    ) -> std::io::Result<Self> {
        let log = EventLog::new(limits, clock, Arc::<M>::clone(metrics));
        let file = file.map(|path| EventFile::start(&log, path)).transpose()?;
        Ok(Self {
            recorder: Arc::new(EventRecorder::new(Arc::<M>::clone(metrics), Arc::clone(&log))),
            log,
            file,
        })
    }

    /// Waits until the file holds all events, after the stream is over.
    pub async fn written(self) {
        if let Some(file) = self.file {
            file.finished().await;
        }
    }
}
