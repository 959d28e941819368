//! What the plots have in common: a time axis, axes of values, the scenario's stages, and what the script needs for showing values.

use serde_json::json;

use super::scale::{self, Linear};
use super::svg::{Anchor, Path, Svg};
use super::text;
use crate::report::model::{Report, Stage};

/// Size of most texts in a plot; the style says the same.
pub(super) const TEXT: f64 = 12.0;
/// Height of a row of stages.
const STAGE: f64 = 20.0;
/// Rows of stages at most; stages that overlap lie in rows below each other.
const MOST_STAGE_ROWS: usize = 3;
/// Stages that are drawn at most.
const MOST_STAGES: usize = 200;
/// Place for the time axis' texts below a plot.
pub(super) const TIME_AXIS: f64 = 40.0;
/// Characters of a foreign name that get onto the page.
pub(super) const MOST_NAME: usize = 120;

/// Where things lie along the time axis.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// Width of the drawing.
    pub(super) width: f64,
    /// Left end of the plots.
    pub(super) left: f64,
    /// Right end of the plots.
    pub(super) right: f64,
    /// End of the run in milliseconds.
    pub(super) end: f64,
    /// Length of a bucket in milliseconds.
    length: f64,
    count: usize,
    axis: Linear,
}

impl Timeline {
    pub(super) fn new(report: &Report, width: f64, left: f64) -> Self {
        let right = width - 24.0;
        let end = (report.run.simulated_ms as f64).max(1.0);
        Self {
            width,
            left,
            right,
            end,
            length: report.buckets.length_ms as f64,
            count: usize::try_from(report.buckets.count).unwrap_or_default(),
            axis: Linear::new((0.0, left), (end, right)),
        }
    }

    /// The place of a time in milliseconds.
    pub(super) fn place(&self, millis: f64) -> f64 {
        self.axis.place(millis)
    }

    /// Beginning and end of a bucket.
    pub(super) fn bucket(&self, index: usize) -> (f64, f64) {
        let from = self.length * index as f64;
        (from.min(self.end), (from + self.length).min(self.end))
    }

    /// Points of a line with one value a bucket: through the buckets' middles, level at both ends.
    pub(super) fn points(&self, values: &[f64], place: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let mut points = Vec::with_capacity(values.len() + 2);
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            return points;
        };
        points.push((self.left, place(*first)));
        for (index, value) in values.iter().enumerate() {
            let (from, until) = self.bucket(index);
            points.push((self.place(f64::midpoint(from, until)), place(*value)));
        }
        points.push((self.right, place(*last)));
        points
    }

    /// How many a millisecond there were in each bucket. A short rest at the end is joined with the bucket before it: few things
    /// in a short time make a large rate.
    pub(super) fn rates(&self, counts: &[u64]) -> Vec<f64> {
        let mut rates: Vec<f64> = Vec::with_capacity(counts.len());
        for (index, count) in counts.iter().enumerate() {
            let (from, until) = self.bucket(index);
            let covered = until - from;
            if covered >= self.length / 2.0 || index == 0 {
                rates.push(*count as f64 / covered.max(1.0));
            } else if let (Some(last), Some(before)) = (rates.last_mut(), counts.get(index - 1)) {
                let (earlier, _) = self.bucket(index - 1);
                *last = (*before as f64 + *count as f64) / (until - earlier).max(1.0);
                let rate = *last;
                rates.push(rate);
            }
        }
        rates
    }

    /// Begins a drawing. `about` tells those who do not see it what it shows.
    pub(super) fn begin(&self, id: &str, height: f64, title: &str, about: &str) -> Svg {
        let mut svg = Svg::default();
        let names = format!("{id}-title {id}-about");
        svg.open(
            "svg",
            &[
                ("xmlns", "http://www.w3.org/2000/svg".into()),
                ("viewBox", (&format!("0 0 {} {height}", self.width)).into()),
                ("role", "img".into()),
                ("aria-labelledby", (&names).into()),
                ("class", "plot".into()),
                ("id", id.into()),
            ],
        );
        svg.with_text("title", &[("id", (&format!("{id}-title")).into())], title);
        svg.with_text("desc", &[("id", (&format!("{id}-about")).into())], about);
        svg
    }

    /// The time axis at `y`, below the plots, with lines through them.
    pub(super) fn time_axis(&self, svg: &mut Svg, plots: &[(f64, f64)], y: f64) {
        let mut free = f64::NEG_INFINITY;
        for (at, label) in scale::times(self.end, ((self.right - self.left) / 72.0).floor()) {
            let x = self.place(at);
            for (top, bottom) in plots {
                svg.line("grid", (x, *top), (x, *bottom));
            }
            svg.line("axis", (x, y), (x, y + 4.0));
            let half = text::width(&label, TEXT) / 2.0;
            if x - half > free && x + half <= self.width {
                svg.label("tick", x, y + 17.0, Anchor::Middle, &label);
                free = x + half + 4.0;
            }
        }
        svg.line("axis", (self.left, y), (self.right, y));
        let middle = f64::midpoint(self.left, self.right);
        svg.label("unit", middle, y + 34.0, Anchor::Middle, "simulated time");
    }

    /// The stages above the plots, and their ends through them.
    pub(super) fn stages(&self, svg: &mut Svg, stages: &[Stage], plots: &[(f64, f64)]) {
        for (row, stage) in stage_rows(stages) {
            let y = row as f64 * STAGE;
            let from = self.place(stage.stretch.from_ms as f64);
            let until = self.place(stage.stretch.until_ms as f64);
            svg.rect("stage", from + 0.5, y + 0.5, until - from - 1.0, STAGE - 3.0);
            let full = text::shortened(&stage.name, MOST_NAME);
            let name = text::fitting(&full, TEXT, until - from - 8.0);
            if name.chars().count() > 1 {
                let middle = f64::midpoint(from, until);
                svg.label_of("tick", middle, y + 13.0, Anchor::Middle, &name, &full);
            }
            if until < self.right - 1.0 {
                for (top, bottom) in plots {
                    svg.line("stage-end", (until, *top), (until, *bottom));
                }
            }
        }
    }

    /// An axis of values for a plot between `top` and `bottom`.
    pub(super) fn value_axis(
        &self,
        svg: &mut Svg,
        axis: &Linear,
        marks: &[f64],
        label: impl Fn(f64) -> String,
    ) {
        for mark in marks {
            let y = axis.place(*mark);
            let class = if *mark == 0.0 { "axis" } else { "grid" };
            svg.line(class, (self.left, y), (self.right, y));
            svg.label("tick", self.left - 8.0, y + 4.0, Anchor::End, &label(*mark));
        }
    }

    /// A line that the script moves to where somebody points, and the end of the drawing.
    pub(super) fn finish(&self, mut svg: Svg, top: f64, bottom: f64) -> String {
        svg.line("cross", (-9.0, top), (-9.0, bottom));
        svg.close("svg");
        svg.finish()
    }

    /// What the script needs to tell the values at a place.
    pub(super) fn data(&self, series: &[Shown<'_>]) -> String {
        let series: Vec<_> = series
            .iter()
            .map(|one| {
                let values: Vec<_> = one
                    .values
                    .iter()
                    .map(|value| value.map(|value| (value * 100.0).round() / 100.0))
                    .collect();
                json!({"name": one.name, "class": one.class, "unit": one.unit.word(), "values": values})
            })
            .collect();
        let data = json!({
            "end": self.end, "length": self.length, "count": self.count,
            "width": self.width, "left": self.left, "right": self.right, "series": series,
        });
        // In a script element nothing is escaped; so nothing must look like an end of it.
        data.to_string()
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
    }
}

/// In which unit the script shows a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Plain,
    Bytes,
    Millis,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Bytes => "bytes",
            Self::Millis => "millis",
        }
    }
}

/// Values that the script shows.
#[derive(Clone, Debug)]
pub(super) struct Shown<'a> {
    pub(super) name: String,
    pub(super) class: &'a str,
    pub(super) unit: Unit,
    pub(super) values: Vec<Option<f64>>,
}

/// The height of the stages.
pub(super) fn stages_height(stages: &[Stage]) -> f64 {
    stage_rows(stages)
        .map(|(row, _)| row + 1)
        .max()
        .map_or(6.0, |rows| rows as f64 * STAGE + 4.0)
}

/// The stages with their rows.
fn stage_rows(stages: &[Stage]) -> impl Iterator<Item = (usize, &Stage)> {
    let mut ends: Vec<u64> = Vec::new();
    stages.iter().take(MOST_STAGES).filter_map(move |stage| {
        let row = ends.iter().position(|end| *end <= stage.stretch.from_ms);
        let row = row.unwrap_or(ends.len());
        if row >= MOST_STAGE_ROWS {
            return None;
        }
        if row == ends.len() {
            ends.push(0);
        }
        ends[row] = stage.stretch.until_ms;
        Some((row, stage))
    })
}

/// The area between a line and its base.
pub(super) fn area(points: &[(f64, f64)], base: f64) -> Path {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Path::default();
    };
    let ends = [(last.0, base), (first.0, base)];
    Path::through(points.iter().copied().chain(ends)).close()
}
