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
    // Means are rounded, so that their sum may be a little more than all.
    let nodes = report.run.nodes as f64;
    let most = totals.fold(0.0, f64::max);
    let most = if most <= nodes * 1.001 { nodes } else { most };
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
    line.time_axis(&mut svg, &[(top, bottom)], bottom);
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
        let outline = outline(&above, &below);
        svg.path(&format!("area {}", phase_class(*phase)), &outline);
        if is_trouble(*phase) {
            svg.path("hatch", &outline);
        }
        labels.extend(place_for(&text::words(phase.as_str()), &above, &below));
        base = upper;
    }
    line.stages(&mut svg, &report.stages, &[(top, bottom)]);
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

/// The area between two lines, in pieces: where there is nothing between them there is no edge either.
fn outline(above: &[(f64, f64)], below: &[(f64, f64)]) -> Path {
    let mut path = Path::default();
    let open =
        |place: usize| matches!((above.get(place), below.get(place)), (Some(a), Some(b)) if b.1 - a.1 > 0.02);
    let mut begin = None;
    for place in 0..=above.len() {
        match (begin, open(place)) {
            (None, true) => begin = Some(place),
            (Some(from), false) => {
                // The lines meet at the points beside the piece.
                let piece = usize::saturating_sub(from, 1)..(place + 1).min(above.len());
                let edge = above[piece.clone()].iter().chain(below[piece].iter().rev());
                path.add(edge.copied());
                path = path.close();
                begin = None;
            }
            _ => {}
        }
    }
    path
}

/// The roomiest place for a name within an area between two lines, if it fits at all; the middle of all that are nearly as
/// roomy.
fn place_for(name: &str, above: &[(f64, f64)], below: &[(f64, f64)]) -> Option<(String, f64, f64)> {
    let width = text::width(name, TEXT) + 10.0;
    // Room in height, and the middle.
    let mut places: Vec<(f64, f64, f64)> = Vec::new();
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
        places.push((floor - ceiling, left + width / 2.0, f64::midpoint(floor, ceiling)));
    }
    let most = places.iter().map(|(room, ..)| *room).fold(0.0, f64::max);
    if most < TEXT + 6.0 {
        return None;
    }
    places.retain(|(room, ..)| *room > most * 0.8 && *room >= TEXT + 6.0);
    let (_, x, y) = places.get(places.len() / 2)?;
    Some((name.to_owned(), *x, y + TEXT * 0.36))
}
