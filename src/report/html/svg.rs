//! Writes SVG. Text and attributes are escaped here and nowhere else; a number that is none is written as 0.

use std::fmt::Write as _;

/// An attribute's value.
pub(super) enum Value<'a> {
    Number(f64),
    Text(&'a str),
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

/// Names and values of an element.
pub(super) type Attributes<'a> = [(&'a str, Value<'a>)];

/// Where a text stands beside its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing.
#[derive(Debug, Default)]
pub(super) struct Svg {
    text: String,
}

/// A coordinate: one place is enough for any screen.
pub(super) fn number(text: &mut String, value: f64) {
    let value = if value.is_finite() { value } else { 0.0 };
    let tenths = (value.clamp(-1e6, 1e6) * 10.0).round() as i64;
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, part) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    // Writing to a text cannot fail.
    let _ = match part {
        0 => write!(text, "{sign}{whole}"),
        _ => write!(text, "{sign}{whole}.{part}"),
    };
}

/// Text between tags or in an attribute. What XML cannot hold is left out.
pub(super) fn escape(text: &mut String, foreign: &str) {
    for character in foreign.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            '\t' | '\n' => text.push(' '),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {}
            other => text.push(other),
        }
    }
}

impl Svg {
    fn begin(&mut self, name: &str, attributes: &Attributes<'_>) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            match value {
                Value::Number(value) => number(&mut self.text, *value),
                Value::Text(value) => escape(&mut self.text, value),
            }
            self.text.push('"');
        }
    }

    /// An element without content.
    pub(super) fn leaf(&mut self, name: &str, attributes: &Attributes<'_>) {
        self.begin(name, attributes);
        self.text.push_str("/>");
    }

    /// An element whose content follows.
    pub(super) fn open(&mut self, name: &str, attributes: &Attributes<'_>) {
        self.begin(name, attributes);
        self.text.push('>');
    }

    /// Ends an element.
    pub(super) fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// An element that holds text.
    pub(super) fn with_text(&mut self, name: &str, attributes: &Attributes<'_>, text: &str) {
        self.open(name, attributes);
        escape(&mut self.text, text);
        self.close(name);
    }

    /// A text whose base line is at `y`.
    pub(super) fn label(&mut self, class: &str, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.label_of(class, x, y, anchor, text, text);
    }

    /// A text that stands for a longer one, which is shown when asked for.
    pub(super) fn label_of(&mut self, class: &str, x: f64, y: f64, anchor: Anchor, text: &str, full: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.open(
            "text",
            &[
                ("class", class.into()),
                ("x", x.into()),
                ("y", y.into()),
                ("text-anchor", anchor.into()),
            ],
        );
        escape(&mut self.text, text);
        if text != full {
            self.with_text("title", &[], full);
        }
        self.close("text");
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.leaf(
            "line",
            &[
                ("class", class.into()),
                ("x1", x1.into()),
                ("y1", y1.into()),
                ("x2", x2.into()),
                ("y2", y2.into()),
            ],
        );
    }

    /// A rectangle.
    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.leaf(
            "rect",
            &[
                ("class", class.into()),
                ("x", x.into()),
                ("y", y.into()),
                ("width", width.max(0.0).into()),
                ("height", height.max(0.0).into()),
            ],
        );
    }

    /// A path.
    pub(super) fn path(&mut self, class: &str, path: &Path) {
        self.leaf("path", &[("class", class.into()), ("d", (&path.0).into())]);
    }

    /// Puts another drawing on top.
    pub(super) fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
    }

    /// The drawing as text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// The course of a line.
#[derive(Debug, Default)]
pub(super) struct Path(String);

impl Path {
    fn step(&mut self, letter: char, x: f64, y: f64) {
        self.0.push(letter);
        number(&mut self.0, x);
        self.0.push(' ');
        number(&mut self.0, y);
    }

    /// Through the points, in order.
    pub(super) fn through(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut path = Self::default();
        path.add(points);
        path
    }

    /// One more stretch, apart from what is there.
    pub(super) fn add(&mut self, points: impl IntoIterator<Item = (f64, f64)>) {
        let mut letter = 'M';
        for (x, y) in points {
            self.step(letter, x, y);
            letter = 'L';
        }
    }

    /// Back to where the stretch began.
    pub(super) fn close(mut self) -> Self {
        if !self.0.is_empty() {
            self.0.push('Z');
        }
        self
    }

    /// One more box.
    pub(super) fn add_box(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.step('M', x, y);
        for (letter, by) in [('h', width), ('v', height), ('h', -width)] {
            self.0.push(letter);
            number(&mut self.0, by);
        }
        self.0.push('Z');
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let mut svg = Svg::default();
        svg.label("a", 1.25, f64::NAN, Anchor::End, "<b>&\"'\0");
        let text = svg.finish();
        assert_eq!(
            text,
            "<text class=\"a\" x=\"1.3\" y=\"0\" text-anchor=\"end\">&lt;b&gt;&amp;&quot;&#39;</text>"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.04, "0"),
            (-0.06, "-0.1"),
            (12.0, "12"),
            (1e300, "1000000"),
            (f64::INFINITY, "0"),
        ] {
            let mut text = String::new();
            number(&mut text, value);
            assert_eq!(text, expected);
        }
    }
}
