//! Heartbeats, requests and errors over time, and below them when which fault is there and strikes. A fault's windows
//! go through all plots.

use super::chart::{MOST_NAME, Shown, TEXT, TIME_AXIS, Timeline, Unit, area, stages_height};
use super::scale::{Linear, marks};
use super::svg::{Anchor, Path, Svg};
use super::{Figure, Key, fault_class, text, traffic_class};
use crate::report::model::{FaultCount, Report, Traffic};

const LEFT: f64 = 132.0;
/// Height of a plot.
const PANEL: f64 = 104.0;
/// Between plots: room for the title of the next one.
const GAP: f64 = 34.0;
/// Height of a fault's lane.
const LANE: f64 = 24.0;
/// Faults that get a lane: those that struck most often. All are in the table.
const MOST_LANES: usize = 24;
/// A window that covers more of the run than this is no band through the plots: it would say nothing.
const WHOLE: f64 = 0.95;

/// A rate that can be read: a second's, or a minute's if it is low.
struct Rate {
    factor: f64,
    word: &'static str,
}

impl Rate {
    fn of(most_per_ms: f64) -> Self {
        if most_per_ms * 1000.0 >= 20.0 {
            Self {
                factor: 1000.0,
                word: "second",
            }
        } else {
            Self {
                factor: 60_000.0,
                word: "minute",
            }
        }
    }
}

/// A kind's rates.
struct Course {
    kind: Traffic,
    rates: Vec<f64>,
}

/// What a panel shows.
enum Panel {
    Lines(Vec<Course>),
    Stacked(Vec<Course>),
}

impl Panel {
    fn courses(&self) -> &[Course] {
        match self {
            Self::Lines(courses) | Self::Stacked(courses) => courses,
        }
    }

    fn most(&self) -> f64 {
        let highest = |courses: &[Course]| {
            let all = courses.iter().flat_map(|course| course.rates.iter().copied());
            all.fold(0.0, f64::max)
        };
        match self {
            Self::Lines(courses) => highest(courses),
            Self::Stacked(courses) => {
                let buckets = courses.first().map_or(0, |course| course.rates.len());
                (0..buckets)
                    .map(|index| courses.iter().map(|course| course.rates[index]).sum())
                    .fold(0.0, f64::max)
            }
        }
    }
}

pub(super) fn draw(report: &Report) -> Option<Figure> {
    if report.traffic.is_empty() && report.faults.is_empty() {
        return None;
    }
    let line = Timeline::new(report, 1080.0, LEFT);
    let panels = panels(report, &line);
    let lanes = lanes(&report.faults);
    let top = stages_height(&report.stages);
    let panels_height = panels.len() as f64 * (PANEL + GAP);
    let lanes_top = top + panels_height + if lanes.is_empty() { 0.0 } else { GAP };
    let bottom = lanes_top + lanes.len() as f64 * LANE + if lanes.is_empty() { 0.0 } else { 4.0 };
    let mut svg = line.begin(
        "traffic",
        bottom + TIME_AXIS,
        "Heartbeats, requests, errors and faults over time",
        &about(report),
    );
    let tops = (0..panels.len()).map(|number| top + GAP + number as f64 * (PANEL + GAP));
    let mut plots: Vec<(f64, f64)> = tops.map(|top| (top, top + PANEL)).collect();
    bands(&mut svg, &line, &lanes, &plots);
    let mut shown = Vec::new();
    let mut drawn = Svg::default();
    for ((top, _), (title, panel)) in plots.iter().zip(&panels) {
        draw_panel(&mut drawn, &line, *top, title, panel, &mut shown);
    }
    plots.extend((!lanes.is_empty()).then_some((lanes_top - 2.0, bottom)));
    line.time_axis(&mut svg, &plots, bottom);
    line.stages(&mut svg, &report.stages, &plots);
    svg.append(drawn);
    if !lanes.is_empty() {
        svg.label(
            "panel",
            0.0,
            lanes_top - 10.0,
            Anchor::Start,
            &lanes_title(report),
        );
    }
    for (number, (place, fault)) in lanes.iter().enumerate() {
        lane(
            &mut svg,
            &line,
            lanes_top + number as f64 * LANE,
            fault,
            fault_class(*place),
        );
        shown.push(Shown {
            name: format!("{} hits", text::shortened(&fault.name, MOST_NAME)),
            class: fault_class(*place),
            unit: Unit::Plain,
            values: fault.per_bucket.iter().map(|hits| Some(*hits as f64)).collect(),
        });
    }
    let keys = report
        .traffic
        .iter()
        .map(|count| Key::new(&kind_words(count.kind), traffic_class(count.kind), "line"))
        .collect();
    Some(Figure {
        svg: line.finish(svg, top + GAP, bottom),
        keys,
        data: line.data(&shown),
    })
}

pub(super) fn kind_words(kind: Traffic) -> String {
    match kind {
        Traffic::Heartbeat => "heartbeats".to_owned(),
        Traffic::Redfish => "Redfish".to_owned(),
        Traffic::Agent => "agent API".to_owned(),
        Traffic::Ironic => "Ironic".to_owned(),
        Traffic::Kubernetes => "Kubernetes API".to_owned(),
        Traffic::BootMedia | Traffic::Etcd => text::words(kind.as_str()),
    }
}

fn about(report: &Report) -> String {
    let counts: Vec<String> = report
        .traffic
        .iter()
        .map(|count| {
            format!(
                "{}: {} with {} errors",
                kind_words(count.kind),
                text::count(count.requests),
                text::count(count.errors)
            )
        })
        .collect();
    let hits = report
        .faults
        .iter()
        .fold(0_u64, |sum, fault| sum.saturating_add(fault.hits));
    format!(
        "{}. {} faults with {} hits.",
        counts.join(", "),
        report.faults.len(),
        text::count(hits)
    )
}

fn panels(report: &Report, line: &Timeline) -> Vec<(String, Panel)> {
    let mut panels = Vec::new();
    let courses = |heartbeats: bool| -> Vec<Course> {
        let fitting = report
            .traffic
            .iter()
            .filter(|count| (count.kind == Traffic::Heartbeat) == heartbeats);
        fitting
            .map(|count| Course {
                kind: count.kind,
                rates: line.rates(&count.requests_per_bucket),
            })
            .collect()
    };
    for (name, courses) in [("Heartbeats", courses(true)), ("Requests", courses(false))] {
        if !courses.is_empty() {
            panels.push((name.to_owned(), Panel::Lines(courses)));
        }
    }
    if !report.traffic.is_empty() {
        let failing = report.traffic.iter().filter(|count| count.errors > 0);
        let errors = failing
            .map(|count| Course {
                kind: count.kind,
                rates: line.rates(&count.errors_per_bucket),
            })
            .collect();
        panels.push(("Errors".to_owned(), Panel::Stacked(errors)));
    }
    panels
}

fn draw_panel<'a>(
    svg: &mut Svg,
    line: &Timeline,
    top: f64,
    title: &str,
    panel: &Panel,
    shown: &mut Vec<Shown<'a>>,
) {
    let bottom = top + PANEL;
    let Rate { factor, word } = Rate::of(panel.most());
    let marks = marks(panel.most() * factor, false);
    let axis = Linear::new((0.0, bottom), (marks.last().copied().unwrap_or(1.0), top));
    svg.label(
        "panel",
        0.0,
        top - 10.0,
        Anchor::Start,
        &format!("{title} per simulated {word}"),
    );
    if panel.courses().is_empty() {
        svg.line("axis", (line.left, bottom), (line.right, bottom));
        let middle = (f64::midpoint(line.left, line.right), f64::midpoint(top, bottom));
        svg.label("none", middle.0, middle.1, Anchor::Middle, "none");
        return;
    }
    line.value_axis(svg, &axis, &marks, text::value);
    let place = |rate: f64| axis.place(rate * factor);
    match panel {
        Panel::Lines(courses) => {
            for course in courses {
                let class = traffic_class(course.kind);
                let points = line.points(&course.rates, place);
                if courses.len() == 1 {
                    svg.path(&format!("wash {class}"), &area(&points, bottom));
                }
                svg.path(&format!("line {class}"), &Path::through(points));
            }
        }
        Panel::Stacked(courses) => {
            let buckets = courses.first().map_or(0, |course| course.rates.len());
            let mut base = vec![0.0; buckets];
            for course in courses {
                let mut path = Path::default();
                for (index, (base, rate)) in base.iter_mut().zip(&course.rates).enumerate() {
                    if *rate <= 0.0 {
                        continue;
                    }
                    let (from, until) = line.bucket(index);
                    let (from, until) = (line.place(from), line.place(until));
                    let (low, high) = (place(*base), place(*base + rate));
                    let width = (until - from - 0.4).max(0.8);
                    path.add_box(from, high, width, (low - high).max(0.8));
                    *base += rate;
                }
                svg.path(&format!("bar {}", traffic_class(course.kind)), &path);
            }
        }
    }
    let errors = if matches!(panel, Panel::Stacked(_)) {
        " errors"
    } else {
        ""
    };
    for course in panel.courses() {
        shown.push(Shown {
            name: format!("{}{errors} per {word}", kind_words(course.kind)),
            class: traffic_class(course.kind),
            unit: Unit::Plain,
            values: course.rates.iter().map(|rate| Some(rate * factor)).collect(),
        });
    }
}

/// The faults that are drawn, with their places in the report, in the report's order.
fn lanes(faults: &[FaultCount]) -> Vec<(usize, &FaultCount)> {
    let mut chosen: Vec<(usize, &FaultCount)> = faults.iter().enumerate().collect();
    if chosen.len() > MOST_LANES {
        chosen.sort_by_key(|(place, fault)| (std::cmp::Reverse(fault.hits), *place));
        chosen.truncate(MOST_LANES);
        chosen.sort_by_key(|(place, _)| *place);
    }
    chosen
}

fn lanes_title(report: &Report) -> String {
    let all = report.faults.len();
    let which = if all > MOST_LANES {
        format!("The {MOST_LANES} of {all} faults that struck most often")
    } else {
        "Faults".to_owned()
    };
    format!("{which}: windows as frames, hits as bars")
}

/// The windows through the plots: the more faults there are at a time, the darker.
fn bands(svg: &mut Svg, line: &Timeline, lanes: &[(usize, &FaultCount)], plots: &[(f64, f64)]) {
    for (_, fault) in lanes {
        let mut path = Path::default();
        for window in &fault.windows {
            let (from, until) = (window.from_ms as f64, window.until_ms as f64);
            if (until - from) < line.end * WHOLE && from < line.end {
                let (left, right) = (line.place(from), line.place(until));
                for (top, bottom) in plots {
                    path.add_box(left, *top, (right - left).max(1.0), bottom - top);
                }
            }
        }
        if !path.is_empty() {
            svg.path("band", &path);
        }
    }
}

fn lane(svg: &mut Svg, line: &Timeline, top: f64, fault: &FaultCount, class: &str) {
    let (height, bottom) = (LANE - 6.0, top + LANE - 6.0);
    svg.open("g", &[("class", class.into())]);
    let name = text::shortened(&fault.name, MOST_NAME);
    svg.with_text(
        "title",
        &[],
        &format!(
            "{name} ({}): {} hits",
            text::words(&text::shortened(&fault.what, MOST_NAME)),
            text::count(fault.hits)
        ),
    );
    svg.label_of(
        "name",
        LEFT - 12.0,
        top + 13.0,
        Anchor::End,
        &text::fitting(&name, TEXT, LEFT - 14.0),
        &name,
    );
    svg.line("grid", (line.left, bottom), (line.right, bottom));
    for window in &fault.windows {
        let (from, until) = (
            line.place(window.from_ms as f64),
            line.place(window.until_ms as f64),
        );
        if (window.from_ms as f64) < line.end {
            svg.rect("window", from, top, (until - from).max(1.5), height);
        }
    }
    let most = fault.per_bucket.iter().copied().max().unwrap_or_default() as f64;
    let mut path = Path::default();
    for (index, hits) in fault.per_bucket.iter().enumerate().filter(|(_, hits)| **hits > 0) {
        let (from, until) = line.bucket(index);
        let (from, until) = (line.place(from), line.place(until));
        // A root, so that one hit beside a thousand is seen.
        let tall = (*hits as f64 / most).sqrt() * (height - 2.0);
        let tall = tall.max(3.0);
        path.add_box(from, bottom - tall, (until - from - 0.4).max(1.2), tall);
    }
    if !path.is_empty() {
        svg.path("hits", &path);
    }
    svg.close("g");
}
