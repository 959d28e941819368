//! The stream: one order for everything, the newest events in memory, and places of readers in it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use metalsim_actors::time::{Clock, SimInstant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::event::{Event, Happening};
use crate::clock;
use crate::observer::EventObserver;

/// Bounds of an [`EventLog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Newest events that are kept; at least one.
    pub keep: usize,
    /// Most subscribers at once.
    pub subscribers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keep: 100_000,
            subscribers: 64,
        }
    }
}

/// The ordered stream of events.
pub struct EventLog {
    kept: Mutex<Kept>,
    /// Wakes the thread that writes the file.
    more: Condvar,
    /// Wakes the subscribers.
    told: watch::Sender<()>,
    places: Arc<Semaphore>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn EventObserver>,
}

#[derive(Default)]
struct Kept {
    /// The newest events, in order and without gaps.
    events: VecDeque<Arc<Event>>,
    /// Sequence of the newest; 0: there was none.
    newest: u64,
    /// No event will follow.
    over: bool,
    /// The writer of the file sleeps.
    writer_waits: bool,
}

/// What a reader finds at its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Events in order. If some are lost, the first one says so.
    pub events: Vec<Arc<Event>>,
    /// There will be no more, now or later.
    pub over: bool,
}

impl EventLog {
    /// An empty stream.
    #[must_use]
    pub fn new(limits: Limits, clock: Arc<dyn Clock>, observer: Arc<dyn EventObserver>) -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            more: Condvar::new(),
            told: watch::Sender::new(()),
            places: Arc::new(Semaphore::new(limits.subscribers.min(Semaphore::MAX_PERMITS))),
            limits,
            clock,
            observer,
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here panics half way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what happens now. After [`Happening::RunEnded`] nothing is added any more. Never waits for readers.
    pub fn publish(&self, happening: Happening) {
        self.publish_at(self.clock.now(), happening);
    }

    /// Adds what happened at `at`, in simulated time. The order of the stream is that of the calls.
    pub fn publish_at(&self, at: SimInstant, happening: Happening) {
        let over = matches!(happening, Happening::RunEnded { .. });
        let (forgotten, wake) = {
            let mut kept = self.kept();
            if kept.over {
                return;
            }
            kept.newest += 1;
            let event = Event {
                sequence: kept.newest,
                time: clock::wall(),
                at,
                happening,
            };
            let full = kept.events.len() >= self.limits.keep.max(1);
            let forgotten = full.then(|| kept.events.pop_front());
            kept.events.push_back(Arc::new(event));
            kept.over = over;
            (forgotten, std::mem::take(&mut kept.writer_waits))
        };
        // Freed where nobody waits for it.
        drop(forgotten);
        self.observer.published();
        if wake {
            self.more.notify_one();
        }
        if self.told.receiver_count() > 0 {
            self.told.send_replace(());
        }
    }

    /// Sequence of the newest event; 0: there was none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.kept().newest
    }

    /// At most `most` events behind the one with the sequence `after`.
    #[must_use]
    pub fn read(&self, after: u64, most: usize) -> Batch {
        self.kept().read(after, most)
    }

    /// As [`Self::read`], but waits until there are events, or there will be none. For one thread at a time.
    pub(super) fn wait(&self, after: u64, most: usize) -> Batch {
        let mut kept = self.kept();
        loop {
            let batch = kept.read(after, most);
            if batch.over || !batch.events.is_empty() {
                return batch;
            }
            kept.writer_waits = true;
            kept = self.more.wait(kept).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A reader whose place is behind the event with the sequence `after`; without it, behind the newest. A sequence that has
    /// not been given yet is one of an earlier run: then the place is the beginning. `None`: there are too many readers.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, after: Option<u64>) -> Option<Subscription> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        self.observer.subscribed(true);
        let wake = self.told.subscribe();
        let newest = self.newest();
        let after = match after {
            None => newest,
            Some(after) if after > newest => 0,
            Some(after) => after,
        };
        Some(Subscription {
            log: Arc::clone(self),
            after,
            wake,
            _permit: permit,
        })
    }

    /// Counts what readers lose.
    pub(super) fn observer(&self) -> &dyn EventObserver {
        &*self.observer
    }
}

impl Kept {
    fn read(&self, after: u64, most: usize) -> Batch {
        let mut events = Vec::new();
        let length = self.events.len() as u64;
        // Sequence of the newest one that is kept no more.
        let gone = self.newest.saturating_sub(length);
        if after < gone
            && let Some(first) = self.events.front()
        {
            events.push(Arc::new(Event {
                sequence: gone,
                time: first.time,
                at: first.at,
                happening: Happening::Lagged { missed: gone - after },
            }));
        }
        let skip = usize::try_from(after.saturating_sub(gone)).unwrap_or(usize::MAX);
        if skip < self.events.len() {
            let wanted = self.events.range(skip..).take(most);
            events.extend(wanted.cloned());
        }
        let last = events.last().map_or(after, |event| event.sequence);
        Batch {
            over: self.over && last >= self.newest && events.is_empty(),
            events,
        }
    }
}

/// A reader of the stream.
pub struct Subscription {
    log: Arc<EventLog>,
    after: u64,
    wake: watch::Receiver<()>,
    _permit: OwnedSemaphorePermit,
}

impl Subscription {
    /// The next events in order, at most `most` and a notice of what was lost; waits for them. None: the stream is over. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self, most: usize) -> Vec<Arc<Event>> {
        loop {
            // From here on an event wakes, so none is missed.
            self.wake.mark_unchanged();
            let batch = self.log.read(self.after, most);
            if let Some(last) = batch.events.last() {
                self.after = last.sequence;
                if let Some(Happening::Lagged { missed }) = batch.events.first().map(|event| &event.happening)
                {
                    self.log.observer.missed(*missed);
                }
                return batch.events;
            }
            // The sender lives in the log, which this keeps.
            if batch.over || self.wake.changed().await.is_err() {
                return Vec::new();
            }
        }
    }

    /// Sequence of the last event that was given.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.after
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.log.observer.subscribed(false);
    }
}
