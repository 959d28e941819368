//! Reads metrics in the `OpenMetrics` text format: the series and their values, as far as expectations need them.
//!
//! Our own route templates hold braces, which the parsers on crates.io take for the end of the labels.

use std::collections::BTreeMap;

use metalsim_actors::fault::Glob;

/// A series and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// Name with its suffix.
    pub(super) name: &'a str,
    /// Labels, unescaped.
    pub(super) labels: Vec<(&'a str, String)>,
    /// Value.
    pub(super) value: f64,
}

impl Sample<'_> {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| *known == name)?;
        Some(&found.1)
    }

    fn fits(&self, labels: &BTreeMap<Box<str>, Glob>) -> bool {
        labels
            .iter()
            .all(|(name, glob)| self.label(name).is_some_and(|value| glob.matches(value)))
    }
}

/// Every series of a page. Lines that are no series are left out.
pub(super) struct Page<'a>(Vec<Sample<'a>>);

impl<'a> Page<'a> {
    /// Reads the page.
    pub(super) fn read(text: &'a str) -> Self {
        Self(text.lines().filter_map(sample).collect())
    }

    /// The series with this name, suffix included.
    pub(super) fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Sample<'a>> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The sum of the series that fit.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn sum(&self, name: &str, labels: &BTreeMap<Box<str>, Glob>) -> Result<f64, String> {
        let total = format!("{name}_total");
        let fitting = |name| {
            let mut values = self.named(name).filter(|sample| sample.fits(labels)).peekable();
            values.peek()?;
            Some(values.map(|sample| sample.value).sum())
        };
        if let Some(sum) = fitting(name).or_else(|| fitting(&total)) {
            return Ok(sum);
        }
        Err(if self.named(&format!("{name}_bucket")).next().is_some() {
            format!("{name} is a histogram: give a quantile, or name its _count or _sum")
        } else {
            format!("there is no metric {name} with such labels")
        })
    }

    /// A quantile of the histograms that fit, taken together; within a bucket values are taken to be spread evenly, as
    /// Prometheus' `histogram_quantile` does.
    ///
    /// # Errors
    /// If there is no such histogram, or it is empty.
    pub(super) fn quantile(
        &self,
        name: &str,
        labels: &BTreeMap<Box<str>, Glob>,
        quantile: f64,
    ) -> Result<f64, String> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.named(&format!("{name}_bucket")) {
            let Some(limit) = sample
                .label("le")
                .and_then(number)
                .filter(|_| sample.fits(labels))
            else {
                continue;
            };
            match buckets
                .iter_mut()
                .find(|(known, _)| known.total_cmp(&limit).is_eq())
            {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((limit, sample.value)),
            }
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let all = buckets.last().map_or(0.0, |(_, count)| *count);
        if all <= 0.0 {
            return Err(format!(
                "there is no histogram {name} with such labels and with observations"
            ));
        }
        let rank = quantile * all;
        let (mut lower, mut below) = (0.0, 0.0);
        for (limit, count) in buckets {
            let inside = count - below;
            if count >= rank && inside > 0.0 {
                return Ok(if limit.is_finite() {
                    lower + (limit - lower) * (rank - below) / inside
                } else {
                    lower
                });
            }
            (lower, below) = (limit, count);
        }
        Ok(lower)
    }
}

fn sample(line: &str) -> Option<Sample<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time stamp or an exemplar may follow.
    let value = number(rest.split_whitespace().next()?)?;
    Some(Sample { name, labels, value })
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((found, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        rest = loop {
            match characters.next()? {
                (at, '"') => break quoted.get(at + 1..)?,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        found.push((name, value));
    }
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        other => other.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# TYPE requests counter
requests_total{route="/a/{id}",status="2xx"} 3 1700000000
requests_total{route="/a/{id}",status="5xx"} 1
requests_total{route="a\"b\\,}",status="5xx"} 2
up 1
# TYPE took histogram
took_bucket{le="1.0",kind="x"} 2
took_bucket{le="2.0",kind="x"} 4
took_bucket{le="+Inf",kind="x"} 4
took_sum{kind="x"} 5.5
took_count{kind="x"} 4
# EOF
"#;

    fn with(labels: &[(&str, &str)]) -> BTreeMap<Box<str>, Glob> {
        labels
            .iter()
            .map(|(name, glob)| ((*name).into(), glob.parse().unwrap()))
            .collect()
    }

    #[test]
    fn series_that_fit_are_added_up() {
        let page = Page::read(PAGE);
        assert_eq!(page.sum("up", &with(&[])), Ok(1.0));
        assert_eq!(page.sum("requests_total", &with(&[])), Ok(6.0));
        assert_eq!(page.sum("requests", &with(&[("status", "5*")])), Ok(3.0));
        assert_eq!(page.sum("took_count", &with(&[("kind", "x")])), Ok(4.0));
        assert!(page.sum("requests", &with(&[("status", "1xx")])).is_err());
        assert!(page.sum("took", &with(&[])).unwrap_err().contains("quantile"));
        let strange = page.named("requests_total").nth(2).unwrap();
        assert_eq!(strange.label("route"), Some("a\"b\\,}"));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let page = Page::read(PAGE);
        assert_eq!(page.quantile("took", &with(&[]), 0.25), Ok(0.5));
        assert_eq!(page.quantile("took", &with(&[]), 0.75), Ok(1.5));
        assert_eq!(page.quantile("took", &with(&[]), 1.0), Ok(2.0));
        assert!(page.quantile("took", &with(&[("kind", "y")]), 0.5).is_err());
    }
}
