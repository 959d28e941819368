//! Nodes by phase over time: areas on top of each other, those that have arrived at the bottom.

use metalsim_actors::phase::Phase;

use super::chart::{Shown, TEXT, TIME_AXIS, Timeline, Unit, stages_height};
use super::scale::{Linear, marks};
use super::svg::{Anchor, Path, Svg};
use super::{Figure, Key, phase_class, text};
use crate::report::model::Report;

const HEIGHT: f64 = 320.0;

/// From bottom to top: where nodes are meant to get to lies on the ground, what should not be is on top.
pub(super) const ORDER: [Phase; 16] = [
    Phase::OsRunning,
    Phase::Bootstrapping,
    Phase::CloudInit,
    Phase::LiveSystem,
    Phase::AgentReady,
    Phase::AgentBusy,
    Phase::LookingUp,
    Phase::Inspecting,
    Phase::Booting,
    Phase::Post,
    Phase::PoweringOn,
    Phase::PoweringOff,
    Phase::Off,
    Phase::AgentSilent,
    Phase::NoBootDevice,
    Phase::Parked,
];

pub(super) fn draw(report: &Report) -> Option<Figure> {
    let line = Timeline::new(report, 1080.0, 132.0);
    let layers: Vec<(Phase, &[f64])> = ORDER
        .into_iter()
        .filter_map(|phase| {
            let nodes = report.phases.iter().find(|nodes| nodes.phase == phase)?;
            Some((phase, nodes.per_bucket.as_slice()))
        })
        .collect();
    let buckets = layers.first()?.1.len();
    let totals = (0..buckets).map(|index| layers.iter().map(|(_, values)| values[index]).sum::<f64>());
    let most = totals.fold(report.run.nodes as f64, f64::max);
    let top = stages_height(&report.stages) + 4.0;
    let bottom = top + HEIGHT;
    let marks = marks(most, true);
    let axis = Linear::new(
        (0.0, bottom),
        (marks.last().copied().unwrap_or(1.0).max(most), top),
    );

    let mut svg = line.begin(
        "nodes",
        bottom + TIME_AXIS,
        "Nodes by phase over time",
        &about(report),
    );
    define_hatch(&mut svg);
    line.time_axis(&mut svg, top, bottom);
    line.value_axis(&mut svg, &axis, &marks, text::value);
    let mut base = vec![0.0; buckets];
    let mut labels = Vec::new();
    for (phase, values) in &layers {
        let upper: Vec<f64> = base
            .iter()
            .zip(*values)
            .map(|(base, value)| base + value)
            .collect();
        let above = line.points(&upper, |value| axis.place(value));
        let below = line.points(&base, |value| axis.place(value));
        let outline = Path::through(above.iter().chain(below.iter().rev()).copied()).close();
        svg.path(&format!("area {}", phase_class(*phase)), &outline);
        if is_trouble(*phase) {
            svg.path("hatch", &outline);
        }
        labels.extend(place_for(&text::words(phase.as_str()), &above, &below));
        base = upper;
    }
    line.stages(&mut svg, &report.stages, bottom);
    for (name, x, y) in &labels {
        svg.label("on-area", *x, *y, Anchor::Middle, name);
    }
    svg.label("panel", 0.0, top + 4.0, Anchor::Start, "Nodes");
    let shown: Vec<Shown<'_>> = layers
        .iter()
        .rev()
        .map(|(phase, values)| Shown {
            name: text::words(phase.as_str()),
            class: phase_class(*phase),
            unit: Unit::Plain,
            values: values.iter().map(|value| Some(*value)).collect(),
        })
        .collect();
    let keys = shown
        .iter()
        .zip(layers.iter().rev())
        .map(|(one, (phase, _))| {
            let form = if is_trouble(*phase) { "box hatched" } else { "box" };
            Key::new(&one.name, one.class, form)
        })
        .collect();
    Some(Figure {
        svg: line.finish(svg, top, bottom),
        keys,
        data: line.data(&shown),
    })
}

/// Where no node should be for long. Hatched, so that it is told apart by more than its colour.
fn is_trouble(phase: Phase) -> bool {
    matches!(phase, Phase::AgentSilent | Phase::NoBootDevice | Phase::Parked)
}

/// The pattern of hatched areas.
fn define_hatch(svg: &mut Svg) {
    svg.open("defs", &[]);
    svg.open(
        "pattern",
        &[
            ("id", "hatch".into()),
            ("width", 5.0.into()),
            ("height", 5.0.into()),
            ("patternUnits", "userSpaceOnUse".into()),
            ("patternTransform", "rotate(45)".into()),
        ],
    );
    svg.line("hatching", (0.0, 0.0), (0.0, 5.0));
    svg.close("pattern");
    svg.close("defs");
}

fn about(report: &Report) -> String {
    let at_end: Vec<String> = report
        .phases
        .iter()
        .filter(|nodes| nodes.at_end > 0)
        .map(|nodes| {
            format!(
                "{} {}",
                text::count(nodes.at_end),
                text::words(nodes.phase.as_str())
            )
        })
        .collect();
    format!("At the end: {}.", at_end.join(", "))
}

/// The roomiest place for a name within an area between two lines, if it fits at all.
fn place_for(name: &str, above: &[(f64, f64)], below: &[(f64, f64)]) -> Option<(String, f64, f64)> {
    let width = text::width(name, TEXT) + 10.0;
    let mut best: Option<(f64, f64, f64)> = None;
    for (start, (left, _)) in above.iter().enumerate() {
        let inside = |points: &[(f64, f64)]| -> Option<(f64, f64)> {
            let mut range = (f64::INFINITY, f64::NEG_INFINITY);
            for (x, y) in points.get(start..)? {
                range = (range.0.min(*y), range.1.max(*y));
                if *x >= left + width {
                    return Some(range);
                }
            }
            None
        };
        // Height is counted from above.
        let (Some((_, ceiling)), Some((floor, _))) = (inside(above), inside(below)) else {
            break;
        };
        let room = floor - ceiling;
        if room >= TEXT + 6.0 && best.is_none_or(|(most, ..)| room > most + 0.5) {
            best = Some((
                room,
                left + width / 2.0,
                f64::midpoint(floor, ceiling) + TEXT * 0.36,
            ));
        }
    }
    best.map(|(_, x, y)| (name.to_owned(), x, y))
}
