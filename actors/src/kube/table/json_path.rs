//! Paths into objects, as columns of custom resources have them (client-go: `util/jsonpath`).
//!
//! Read are fields, quoted keys, indexes, slices, unions, wildcards, descents and filters, each as client-go reads it; ranges and
//! texts between paths are not, they make no sense in a column.

mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// Values that one step may find: unions and descents multiply.
const MOST: usize = 10_000;

/// A path.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Path {
    steps: Vec<Step>,
}

/// A step from values to other values.
#[derive(Clone, PartialEq, Debug)]
enum Step {
    /// The value of a key.
    Field(String),
    /// The values of all keys, or all elements.
    Wildcard,
    /// The value and everything in it that has something in it.
    Descent,
    /// Elements by their places.
    Slice(Slice),
    /// What each of several paths finds.
    Union(Vec<Path>),
    /// The elements for which the test holds.
    Filter(Box<Filter>),
    /// A fixed value in place of each value.
    Literal(Value),
    /// A word that means nothing: such paths can be read, but fit no object.
    Unknown,
}

/// Places of elements; negative ones count from the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    /// A single place: `end` follows from `start`.
    single: bool,
}

#[derive(Clone, PartialEq, Debug)]
struct Filter {
    left: Path,
    /// The comparison; without one it is enough that `left` finds something.
    compare: Option<(Operator, Path)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Less,
    Greater,
    Equal,
    NotEqual,
    LessEqual,
    GreaterEqual,
    /// Other signs: such tests can be read, but not made.
    Unknown,
}

/// The path does not fit the object: an index beyond the end, a filter on what is no list, a comparison of different types, or far
/// too much to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Misfit;

impl Path {
    /// Reads a path without its braces; `None` if it is malformed or too long.
    pub(super) fn parse(text: &str) -> Option<Self> {
        parse::path(text)
    }

    /// The top-level field that the path begins with, if it is one.
    pub(super) fn first_field(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Field(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether the path is just these fields.
    pub(super) fn is(&self, fields: &[&str]) -> bool {
        self.steps.len() == fields.len()
            && self
                .steps
                .iter()
                .zip(fields)
                .all(|(step, field)| matches!(step, Step::Field(name) if name == field))
    }

    /// The first value that the path finds.
    ///
    /// # Errors
    /// When the path does not fit.
    pub(super) fn first<'a>(&'a self, root: &'a Value) -> Result<Option<&'a Value>, Misfit> {
        Ok(self.find(vec![root])?.first().copied())
    }

    fn find<'a>(&'a self, mut values: Vec<&'a Value>) -> Result<Vec<&'a Value>, Misfit> {
        for step in &self.steps {
            values = step.walk(&values)?;
        }
        Ok(values)
    }
}

/// The values in a map or list.
fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    }
}

impl Step {
    fn walk<'a>(&'a self, values: &[&'a Value]) -> Result<Vec<&'a Value>, Misfit> {
        let mut found = Vec::new();
        match self {
            Self::Field(name) => found.extend(values.iter().filter_map(|value| value.as_object()?.get(name))),
            Self::Wildcard => {
                for value in values {
                    found.extend(children(value));
                    bound(&found)?;
                }
            }
            Self::Descent => {
                for value in values {
                    descend(value, &mut found)?;
                }
            }
            Self::Slice(slice) => {
                for value in values.iter().filter(|value| !value.is_null()) {
                    slice.take(value.as_array().ok_or(Misfit)?, &mut found)?;
                    bound(&found)?;
                }
            }
            Self::Union(paths) => {
                for path in paths {
                    found.append(&mut path.find(values.to_vec())?);
                    bound(&found)?;
                }
            }
            Self::Filter(filter) => {
                for value in values {
                    for element in value.as_array().ok_or(Misfit)? {
                        if filter.holds(element)? {
                            found.push(element);
                            bound(&found)?;
                        }
                    }
                }
            }
            Self::Literal(literal) => found.extend(values.iter().map(|_| literal)),
            Self::Unknown => return Err(Misfit),
        }
        Ok(found)
    }
}

const fn bound(found: &[&Value]) -> Result<(), Misfit> {
    if found.len() > MOST { Err(Misfit) } else { Ok(()) }
}

/// Depth is that of the object, which its reader has bounded.
fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>) -> Result<(), Misfit> {
    let inside = children(value);
    if inside.is_empty() {
        return Ok(());
    }
    found.push(value);
    bound(found)?;
    inside.into_iter().try_for_each(|child| descend(child, found))
}

impl Slice {
    fn take<'a>(self, list: &'a [Value], found: &mut Vec<&'a Value>) -> Result<(), Misfit> {
        let length = i64::try_from(list.len()).map_err(|_| Misfit)?;
        let from_end = |place: i64| {
            if place < 0 {
                place.saturating_add(length)
            } else {
                place
            }
        };
        let start = from_end(self.start.unwrap_or(0));
        let end = match self.end {
            // The last element: one after -1 is 0, which here means the end.
            Some(0) if self.single => length,
            Some(end) => from_end(end),
            None => length,
        };
        if start == end {
            return Ok(());
        }
        if start < 0 || start >= length || end > length || start > end {
            return Err(Misfit);
        }
        let step = self.step.unwrap_or(1);
        if step <= 0 {
            return Err(Misfit);
        }
        let (start, end, step) = match (start.try_into(), end.try_into(), step.try_into()) {
            (Ok(start), Ok(end), Ok(step)) => (start, end, step),
            _ => return Err(Misfit),
        };
        let part: &[Value] = list.get::<std::ops::Range<usize>>(start..end).ok_or(Misfit)?;
        found.extend(part.iter().step_by(step));
        Ok(())
    }
}

impl Filter {
    fn holds(&self, element: &Value) -> Result<bool, Misfit> {
        let left = self.left.find(vec![element]);
        let Some((operator, right)) = &self.compare else {
            return Ok(left.is_ok_and(|found| !found.is_empty()));
        };
        let right = right.find(vec![element]);
        match (left?.as_slice(), right?.as_slice()) {
            ([], _) | (_, []) => Ok(false),
            ([left], [right]) => operator.compare(left, right),
            _ => Err(Misfit),
        }
    }
}

impl Operator {
    /// Compares values of one type (text/template's rules).
    fn compare(self, left: &Value, right: &Value) -> Result<bool, Misfit> {
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => left.partial_cmp(right),
            (Value::Bool(left), Value::Bool(right)) if matches!(self, Self::Equal | Self::NotEqual) => {
                left.partial_cmp(right)
            }
            (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
                (Some(left), Some(right)) => left.partial_cmp(&right),
                (None, None) => left.as_f64().partial_cmp(&right.as_f64()),
                // A whole number and a fraction are of different types.
                _ => return Err(Misfit),
            },
            _ => return Err(Misfit),
        };
        let order = order.ok_or(Misfit)?;
        Ok(match self {
            Self::Less => order.is_lt(),
            Self::Greater => order.is_gt(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::LessEqual => order.is_le(),
            Self::GreaterEqual => order.is_ge(),
            Self::Unknown => return Err(Misfit),
        })
    }
}
