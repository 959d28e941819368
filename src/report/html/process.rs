//! What the simulator's process used, in small plots.

use super::chart::{Shown, TIME_AXIS, Timeline, Unit};
use super::scale::{Linear, byte_marks, marks};
use super::svg::{Path, Svg};
use super::{Figure, text};
use crate::report::model::Report;

const PANEL: f64 = 120.0;
const TOP: f64 = 10.0;

/// A value over time.
struct Curve {
    id: &'static str,
    name: &'static str,
    unit: Unit,
    values: Vec<Option<f64>>,
}

/// The plots with their titles; none of what was never looked at.
pub(super) fn draw(report: &Report) -> Vec<(&'static str, Figure)> {
    let Some(process) = &report.process else {
        return Vec::new();
    };
    let whole = |values: &[Option<u64>]| -> Vec<Option<f64>> {
        values
            .iter()
            .map(|value| value.map(|value| value as f64))
            .collect()
    };
    let curves = [
        Curve {
            id: "memory",
            name: "Resident memory",
            unit: Unit::Bytes,
            values: whole(&process.resident_bytes),
        },
        Curve {
            id: "lateness",
            name: "Lateness of heartbeats at worst",
            unit: Unit::Millis,
            values: whole(&process.heartbeats_late_ms),
        },
        Curve {
            id: "processors",
            name: "Processors in use",
            unit: Unit::Plain,
            values: process.processors.clone(),
        },
        Curve {
            id: "handles",
            name: "Open files and sockets",
            unit: Unit::Plain,
            values: whole(&process.handles),
        },
    ];
    curves
        .into_iter()
        .filter(|curve| curve.values.iter().any(Option::is_some))
        .map(|curve| (curve.name, plot(report, curve)))
        .collect()
}

fn plot(report: &Report, curve: Curve) -> Figure {
    let line = Timeline::new(report, 520.0, 78.0);
    let bottom = TOP + PANEL;
    let most = curve.values.iter().flatten().copied().fold(0.0, f64::max);
    let marks = match curve.unit {
        Unit::Bytes => byte_marks(most),
        Unit::Plain | Unit::Millis => marks(most, false),
    };
    let top_value = marks.last().copied().unwrap_or(1.0);
    let axis = Linear::new((0.0, bottom), (top_value, TOP));
    let label = |value: f64| match curve.unit {
        Unit::Bytes => text::bytes(value),
        Unit::Millis => text::duration(value),
        Unit::Plain => text::value(value),
    };
    let about = format!("At most {}.", label(most));
    let mut svg = line.begin(curve.id, bottom + TIME_AXIS, curve.name, &about);
    line.time_axis(&mut svg, &[(TOP, bottom)], bottom);
    line.value_axis(&mut svg, &axis, &marks, label);
    course(&mut svg, &line, &axis, &curve.values);
    let data = line.data(&[Shown {
        name: curve.name.to_owned(),
        class: "neutral",
        unit: curve.unit,
        values: curve.values.clone(),
    }]);
    Figure {
        svg: line.finish(svg, TOP, bottom),
        keys: Vec::new(),
        data,
    }
}

/// A line through what is known; what is known alone is a point.
fn course(svg: &mut Svg, line: &Timeline, axis: &Linear, values: &[Option<f64>]) {
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| {
            let (from, until) = line.bucket(index);
            Some((line.place(f64::midpoint(from, until)), axis.place((*value)?)))
        })
        .collect();
    if let [(x, y)] = points[..] {
        svg.leaf(
            "circle",
            &[
                ("class", "dot".into()),
                ("cx", x.into()),
                ("cy", y.into()),
                ("r", 3.0.into()),
            ],
        );
    } else {
        svg.path("wash neutral", &super::chart::area(&points, axis.place(0.0)));
        svg.path("line neutral", &Path::through(points));
    }
}
