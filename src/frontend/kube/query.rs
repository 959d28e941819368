//! Parameters of a request (kubernetes: `apimachinery/pkg/apis/meta/v1`, `ListOptions`, `CreateOptions`, `PatchOptions` ...).

use std::borrow::Cow;

use metalsim_actors::kube::status::{FieldError, FieldFault, Named, Status};
use serde_json::{Value, json};

/// The parameters, decoded. What a request does not need is ignored, as a real server does.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// `fieldValidation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FieldValidation {
    /// Unknown fields are dropped without a word.
    Ignore,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They are refused.
    Strict,
}

impl<'a> Query<'a> {
    /// Reads a query string.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        Self {
            pairs: url::form_urlencoded::parse(text.as_bytes()).collect(),
        }
    }

    /// The value of a parameter, empty if it is missing.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// All parameters with their values, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Every value of a parameter.
    pub fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.pairs
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// A flag: missing, `0` and `false` are off, everything else (also no value) is on, as in Kubernetes' conversion.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.text(name).to_ascii_lowercase().as_str(), "0" | "false")
    }

    /// A flag that may be missing.
    #[must_use]
    pub fn maybe_flag(&self, name: &str) -> Option<bool> {
        self.has(name).then(|| self.flag(name))
    }

    /// A number; missing = `None`.
    ///
    /// # Errors
    /// 400.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!(
                    "strconv.ParseInt: parsing {}: invalid syntax",
                    metalsim_actors::kube::status::quote(text)
                ))
            }),
        }
    }

    /// `dryRun`: only `All` is allowed.
    ///
    /// # Errors
    /// 422 for another word; `options` is the kind of the options (`PatchOptions`).
    pub fn dry_run(&self, options: &str) -> Result<bool, Status> {
        let words: Vec<&str> = self.all("dryRun").filter(|word| !word.is_empty()).collect();
        if let Some(wrong) = words.iter().find(|word| **word != "All") {
            return Err(unsupported(options, "dryRun", wrong, "\"All\""));
        }
        Ok(!words.is_empty())
    }

    /// `fieldValidation`.
    ///
    /// # Errors
    /// 422 for another word.
    pub fn field_validation(&self, options: &str) -> Result<FieldValidation, Status> {
        match self.text("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => Err(unsupported(
                options,
                "fieldValidation",
                other,
                "\"Ignore\", \"Strict\", \"Warn\"",
            )),
        }
    }

    /// `fieldManager`, or the first word of the user agent (apiserver: `handlers/create.go`, `managerOrUserAgent`).
    ///
    /// # Errors
    /// 422 when it is too long or not printable.
    pub fn manager(&self, options: &str, user_agent: &str) -> Result<String, Status> {
        let given = self.text("fieldManager");
        if given.chars().count() > MANAGER_MAX {
            let error = FieldError::too_long("fieldManager", MANAGER_MAX);
            return Err(Status::invalid(of(options), "", &[error]));
        }
        if let Some(at) = given.chars().position(char::is_control) {
            let error = FieldError::invalid(
                "fieldManager",
                given,
                format!("should only contain printable characters (invalid at position {at})"),
            );
            return Err(Status::invalid(of(options), "", &[error]));
        }
        if !given.is_empty() {
            return Ok(given.to_owned());
        }
        let word = user_agent.split('/').next().unwrap_or_default();
        Ok(word
            .chars()
            .filter(|letter| !letter.is_control())
            .take(MANAGER_MAX)
            .collect())
    }

    /// The parameters of a deletion in the form of its body.
    #[must_use]
    pub fn delete_options(&self) -> Value {
        let mut options = json!({});
        if let Ok(Some(seconds)) = self.number("gracePeriodSeconds") {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if self.has("propagationPolicy") {
            options["propagationPolicy"] = self.text("propagationPolicy").into();
        }
        if let Some(orphan) = self.maybe_flag("orphanDependents") {
            options["orphanDependents"] = orphan.into();
        }
        if self.has("dryRun") {
            options["dryRun"] = self.all("dryRun").collect();
        }
        options
    }
}

/// Longest name of a field manager (apimachinery: `apis/meta/v1/validation`).
const MANAGER_MAX: usize = 128;

fn of(options: &str) -> Named<'_> {
    Named {
        group: "meta.k8s.io",
        resource: options,
    }
}

fn unsupported(options: &str, field: &str, value: &str, allowed: &str) -> Status {
    let error = FieldError {
        fault: FieldFault::NotSupported,
        field: field.to_owned(),
        value: Some(value.into()),
        detail: format!("supported values: {allowed}"),
    };
    Status::invalid(of(options), "", &[error])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_words() {
        let query = Query::parse("watch&follow=0&pretty=true&dryRun=All&limit=5&x=a%20b");
        assert!(query.flag("watch") && !query.flag("follow") && query.flag("pretty") && !query.flag("other"));
        assert_eq!(query.dry_run("PatchOptions"), Ok(true));
        assert_eq!(query.number("limit"), Ok(Some(5)));
        assert_eq!(query.text("x"), "a b");
        assert_eq!(
            Query::parse("dryRun=Some")
                .dry_run("PatchOptions")
                .unwrap_err()
                .code,
            422
        );
        assert_eq!(Query::parse("limit=x").number("limit").unwrap_err().code, 400);
    }

    #[test]
    fn managers() {
        let none = Query::parse("");
        assert_eq!(
            none.manager("PatchOptions", "kubectl/v1.32.4 (linux)").unwrap(),
            "kubectl"
        );
        let long = format!("fieldManager={}", "x".repeat(200));
        assert_eq!(
            Query::parse(&long).manager("PatchOptions", "").unwrap_err().code,
            422
        );
    }
}
