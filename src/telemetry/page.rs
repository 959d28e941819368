//! Writes series of defined metrics: names and labels come from the definition alone.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::definitions::{self, Definition, Kind};
use super::primitives::Distribution;

/// A page that is being written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

/// A metric of which series are being written.
pub(super) struct Family<'a> {
    encoder: MetricEncoder<'a>,
    definition: &'static Definition,
}

impl Page<'_> {
    /// Begins a metric.
    pub(super) fn family(&mut self, definition: &'static Definition) -> Result<Family<'_>, fmt::Error> {
        let kind = match definition.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let encoder = self
            .0
            .encode_descriptor(definition.name, definition.help, None, kind)?;
        Ok(Family { encoder, definition })
    }

    /// A counter without labels.
    pub(super) fn count(&mut self, definition: &'static Definition, value: u64) -> fmt::Result {
        self.family(definition)?.count(&[], value)
    }

    /// A gauge without labels.
    pub(super) fn level(&mut self, definition: &'static Definition, value: i64) -> fmt::Result {
        self.family(definition)?.level(&[], value)
    }

    /// A gauge without labels that is not negative.
    pub(super) fn amount(&mut self, definition: &'static Definition, value: u64) -> fmt::Result {
        self.level(definition, i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// Counter or gauge without labels, with a fraction.
    pub(super) fn number(&mut self, definition: &'static Definition, value: f64) -> fmt::Result {
        let mut family = self.family(definition)?;
        match definition.kind {
            Kind::Counter => family.encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
            Kind::Gauge | Kind::Histogram => family.encoder.encode_gauge(&value),
        }
    }
}

impl Family<'_> {
    fn labels<'l>(&self, values: &[&'l str]) -> Vec<(&'static str, &'l str)> {
        debug_assert_eq!(
            values.len(),
            self.definition.labels.len(),
            "{}",
            self.definition.name
        );
        let names = self.definition.labels.iter().map(|label| label.name);
        names.zip(values.iter().copied()).collect()
    }

    /// A counter's series.
    pub(super) fn count(&mut self, labels: &[&str], value: u64) -> fmt::Result {
        let labels = self.labels(labels);
        if labels.is_empty() {
            return self.encoder.encode_counter::<NoLabelSet, _, f64>(&value, None);
        }
        self.encoder
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// A gauge's series.
    pub(super) fn level(&mut self, labels: &[&str], value: i64) -> fmt::Result {
        let labels = self.labels(labels);
        if labels.is_empty() {
            return self.encoder.encode_gauge(&value);
        }
        self.encoder.encode_family(&labels)?.encode_gauge(&value)
    }

    /// A gauge's series that is not negative.
    pub(super) fn amount(&mut self, labels: &[&str], value: u64) -> fmt::Result {
        self.level(labels, i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// A histogram's series.
    pub(super) fn distribution(&mut self, labels: &[&str], distribution: &Distribution) -> fmt::Result {
        let labels = self.labels(labels);
        let (sum, count, buckets) = distribution.read();
        if labels.is_empty() {
            return self
                .encoder
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
        }
        self.encoder
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

/// An `OpenMetrics` page in Prometheus' older text format (prometheus: `docs/instrumenting/exposition_formats`): there a
/// counter's family has the name of its series, and nothing marks the end.
pub(super) fn plain(page: &str) -> String {
    let mut plain = String::with_capacity(page.len());
    for line in page.lines() {
        let comment = ["# HELP ", "# TYPE "]
            .into_iter()
            .find_map(|start| Some((start, line.strip_prefix(start)?.split_once(' ')?)));
        match comment {
            Some((start, (name, rest))) => {
                plain.push_str(start);
                plain.push_str(name);
                if definitions::find(name).is_some_and(|definition| definition.kind == Kind::Counter) {
                    plain.push_str("_total");
                }
                plain.push(' ');
                plain.push_str(rest);
            }
            None if line == "# EOF" => continue,
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}
