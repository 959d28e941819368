//! Metrics of the events themselves.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::metrics::Metrics;
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
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = [
            ("events", "Events published", &self.published),
            (
                "events_missed",
                "Events lost to subscribers that were too slow",
                &self.missed,
            ),
            (
                "events_unwritten",
                "Events that are not in the file",
                &self.unwritten,
            ),
        ];
        for (name, help, count) in counts {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, f64>(&count.get(), None)?;
        }
        encoder
            .encode_descriptor(
                "event_subscribers",
                "Readers of the events",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&self.subscribers.get())
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
