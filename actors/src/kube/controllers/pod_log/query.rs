//! What a reader of a log asks for: `core/v1 PodLogOptions`, as parameters of the query (kubernetes: `pkg/apis/core/validation`,
//! `ValidatePodLogOptions`).

use chrono::{DateTime, Utc};

use crate::kube::status::{FieldError, Named, Status, quote};

/// What of a log is wanted, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogQuery {
    /// `container`; empty = the only one.
    pub container: String,
    /// `follow`: stay for what is still to come.
    pub follow: bool,
    /// `previous`: of the run before.
    pub previous: bool,
    /// `timestamps`: each line after its time.
    pub timestamps: bool,
    /// `sinceSeconds`: nothing that is older.
    pub since_seconds: Option<i64>,
    /// `sinceTime`: nothing from before.
    pub since_time: Option<DateTime<Utc>>,
    /// `tailLines`: so many of the last lines.
    pub tail_lines: Option<u64>,
    /// `limitBytes`: not more than this.
    pub limit_bytes: Option<usize>,
}

/// A flag in a query: everything but `false` and `0` sets it (apimachinery: `pkg/runtime/converter.go`).
fn flag(value: &str) -> bool {
    !(value == "0" || value.eq_ignore_ascii_case("false"))
}

fn number(value: &str) -> Result<i64, Status> {
    value.parse().map_err(|_| {
        Status::bad_request(format!(
            "strconv.ParseInt: parsing {}: invalid syntax",
            quote(value)
        ))
    })
}

impl LogQuery {
    /// Reads the parameters of a query, decoded; `pod` is for the message of a refusal. Unknown ones do not matter.
    ///
    /// # Errors
    /// 400 for what is no number or no time, 422 for values that are not allowed.
    pub fn parse<'a>(pod: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Status> {
        let mut query = Self::default();
        let mut errors = Vec::new();
        let mut positive = |field: &str, value: i64| {
            if value < 1 {
                errors.push(FieldError::invalid(field, value, "must be greater than 0"));
            }
        };
        let mut tail = None;
        for (key, value) in pairs {
            match key {
                "container" => value.clone_into(&mut query.container),
                "follow" => query.follow = flag(value),
                "previous" => query.previous = flag(value),
                "timestamps" => query.timestamps = flag(value),
                "tailLines" => tail = Some(number(value)?),
                "limitBytes" => {
                    let limit = number(value)?;
                    positive(key, limit);
                    query.limit_bytes = Some(usize::try_from(limit).unwrap_or(usize::MAX));
                }
                "sinceSeconds" => {
                    let seconds = number(value)?;
                    positive(key, seconds);
                    query.since_seconds = Some(seconds);
                }
                "sinceTime" => {
                    let time = DateTime::parse_from_rfc3339(value).map_err(|error| {
                        Status::bad_request(format!("sinceTime: {}: {error}", quote(value)))
                    })?;
                    query.since_time = Some(time.to_utc());
                }
                _ => {}
            }
        }
        if let Some(lines) = tail {
            match u64::try_from(lines) {
                Ok(lines) => query.tail_lines = Some(lines),
                Err(_) => errors.push(FieldError::invalid(
                    "tailLines",
                    lines,
                    "must be greater than or equal to 0",
                )),
            }
        }
        if query.since_seconds.is_some() && query.since_time.is_some() {
            errors.push(FieldError::forbidden(
                "",
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        if errors.is_empty() {
            return Ok(query);
        }
        let of = Named {
            group: "",
            resource: "PodLogOptions",
        };
        Err(Status::invalid(of, pod, &errors))
    }
}
