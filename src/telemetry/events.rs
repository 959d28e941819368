//! Metrics of the events themselves.

use std::fmt;

use super::definitions as metric;
use super::metrics::Metrics;
use super::page::Page;
use super::primitives::{Count, Level};
use crate::observer::EventObserver;

/// Counts of events.
#[derive(Debug, Default)]
pub(super) struct EventCounts {
    published: Count,
    missed: Count,
    unwritten: Count,
    subscribers: Level,
}

impl EventCounts {
    pub(super) fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.count(&metric::EVENTS, self.published.get())?;
        page.count(&metric::EVENTS_MISSED, self.missed.get())?;
        page.count(&metric::EVENTS_UNWRITTEN, self.unwritten.get())?;
        page.level(&metric::EVENT_SUBSCRIBERS, self.subscribers.get())
    }
}

impl EventObserver for Metrics {
    fn published(&self) {
        self.events().published.one();
    }

    fn subscribed(&self, came: bool) {
        self.events().subscribers.add(if came { 1 } else { -1 });
    }

    fn missed(&self, events: u64) {
        self.events().missed.add(events);
    }

    fn unwritten(&self, events: u64) {
        self.events().unwritten.add(events);
    }
}
