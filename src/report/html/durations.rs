//! How long stays in each phase took: for each a histogram on a common logarithmic axis, with a box below it.

use super::chart::{TEXT, Timeline};
use super::nodes::ORDER;
use super::scale::Logarithmic;
use super::svg::{Anchor, Path, Svg};
use super::{Figure, Key, phase_class, text};
use crate::report::model::{Report, Spread};

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 132.0;
const RIGHT: f64 = 716.0;
const ROW: f64 = 44.0;
/// Height of a histogram.
const BARS: f64 = 24.0;
/// Columns of a histogram.
const COLUMNS: usize = 195;
/// Right ends of the columns of numbers.
const NUMBERS: [(f64, &str); 4] = [
    (790.0, "stays"),
    (886.0, "median"),
    (983.0, "95%"),
    (1080.0, "longest"),
];

pub(super) fn draw(report: &Report) -> Option<Figure> {
    let mut rows: Vec<(String, &str, &Spread)> = Vec::new();
    if report.journeys.spread.count > 0 {
        rows.push(("whole journey".to_owned(), "journey", &report.journeys.spread));
    }
    // In the order of a node's life.
    for phase in ORDER.into_iter().rev() {
        let found = report.durations.iter().find(|durations| durations.phase == phase);
        if let Some(durations) = found {
            rows.push((text::words(phase.as_str()), phase_class(phase), &durations.spread));
        }
    }
    let shortest = rows.iter().map(|(_, _, spread)| spread.min_ms).min()? as f64;
    let longest = rows.iter().map(|(_, _, spread)| spread.max_ms).max()? as f64;
    let (axis, marks) = Logarithmic::new(shortest, longest, LEFT, RIGHT);

    let top = 22.0;
    let bottom = top + rows.len() as f64 * ROW;
    let line = Timeline::new(report, WIDTH, LEFT);
    let about: Vec<String> = rows
        .iter()
        .map(|(name, _, spread)| format!("{name}: median {}", text::duration(spread.p50_ms)))
        .collect();
    let mut svg = line.begin(
        "durations",
        bottom + 40.0,
        "Distribution of each phase's duration",
        &about.join(", "),
    );
    let mut free = f64::NEG_INFINITY;
    for (at, label) in &marks {
        let x = axis.place(*at);
        svg.line("grid", (x, top), (x, bottom));
        let half = text::width(label, TEXT) / 2.0;
        if x - half > free {
            svg.label("tick", x, bottom + 17.0, Anchor::Middle, label);
            free = x + half + 4.0;
        }
    }
    for (x, name) in NUMBERS {
        svg.label("tick", x, 12.0, Anchor::End, name);
    }
    svg.label(
        "unit",
        f64::midpoint(LEFT, RIGHT),
        bottom + 34.0,
        Anchor::Middle,
        "simulated duration, logarithmic",
    );
    for (number, (name, class, spread)) in rows.iter().enumerate() {
        row(&mut svg, &axis, top + number as f64 * ROW, name, class, spread);
    }
    svg.close("svg");
    Some(Figure {
        svg: svg.finish(),
        keys: vec![
            Key::new("histogram", "neutral", "box"),
            Key::new("middle half", "neutral", "half"),
            Key::new("5% to 95%", "neutral", "thin"),
            Key::new("median", "neutral", "tick"),
        ],
        data: String::new(),
    })
}

fn row(svg: &mut Svg, axis: &Logarithmic, top: f64, name: &str, class: &str, spread: &Spread) {
    let base = top + 4.0 + BARS;
    let middle = base + 7.0;
    svg.open("g", &[("class", class.into())]);
    svg.with_text("title", &[], &summary(name, spread));
    svg.line("axis", (LEFT, base), (RIGHT, base));
    svg.label("name", LEFT - 12.0, base - 2.0, Anchor::End, name);
    svg.path("bars", &histogram(axis, base, spread));
    let at = |millis: f64| axis.place(millis);
    svg.line("whisker", (at(spread.p5_ms), middle), (at(spread.p95_ms), middle));
    // A box that is thinner than a line would not be seen.
    let (from, until) = (at(spread.p25_ms), at(spread.p75_ms));
    svg.rect("middle", from, middle - 3.0, (until - from).max(2.0), 6.0);
    let median = at(spread.p50_ms);
    svg.line("median", (median, middle - 5.0), (median, middle + 5.0));
    let numbers = [
        text::count(spread.count),
        text::duration(spread.p50_ms),
        text::duration(spread.p95_ms),
        text::duration(spread.max_ms as f64),
    ];
    for ((x, _), number) in NUMBERS.into_iter().zip(numbers) {
        svg.label("number", x, base - 2.0, Anchor::End, &number);
    }
    svg.close("g");
}

fn summary(name: &str, spread: &Spread) -> String {
    format!(
        "{name}: {} stays from {} to {}; mean {}, median {}, 75% {}, 95% {}, 99% {}",
        text::count(spread.count),
        text::duration(spread.min_ms as f64),
        text::duration(spread.max_ms as f64),
        text::duration(spread.mean_ms),
        text::duration(spread.p50_ms),
        text::duration(spread.p75_ms),
        text::duration(spread.p95_ms),
        text::duration(spread.p99_ms),
    )
}

/// Columns of one width: what a bar of the histogram counts is divided among those that it lies over.
fn histogram(axis: &Logarithmic, base: f64, spread: &Spread) -> Path {
    let width = (RIGHT - LEFT) / COLUMNS as f64;
    let mut columns = [0.0_f64; COLUMNS];
    for bar in &spread.histogram {
        // What was seen bounds the bars at the ends.
        let from = axis.place(bar.from_ms.max(spread.min_ms) as f64) - LEFT;
        let until = axis.place(bar.below_ms.min(spread.max_ms.saturating_add(1)) as f64) - LEFT;
        let first = ((from / width).floor().max(0.0) as usize).min(COLUMNS - 1);
        let last = (((until / width).ceil() as usize).max(1) - 1).clamp(first, COLUMNS - 1);
        let length = (until - from).max(f64::MIN_POSITIVE);
        for (index, column) in columns.iter_mut().enumerate().take(last + 1).skip(first) {
            let (left, right) = (index as f64 * width, (index + 1) as f64 * width);
            let over = (until.min(right) - from.max(left)).max(0.0);
            let part = if first == last { 1.0 } else { over / length };
            *column += bar.count as f64 * part;
        }
    }
    let most = columns.iter().copied().fold(0.0, f64::max);
    let mut path = Path::default();
    for (index, column) in columns
        .into_iter()
        .enumerate()
        .filter(|(_, column)| *column > 0.0)
    {
        // What is there is seen, however little.
        let height = (column / most * BARS).max(1.5);
        path.add_box(LEFT + index as f64 * width, base - height, width, height);
    }
    path
}
