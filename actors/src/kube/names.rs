//! Syntax of names, labels and annotations, and the words in which a real server refuses them
//! (kubernetes: `apimachinery/pkg/util/validation/validation.go`, `apimachinery/pkg/api/validate/content`).

/// Longest DNS label.
const LABEL_MAX: usize = 63;
/// Longest DNS sub-domain.
const SUBDOMAIN_MAX: usize = 253;
const DNS1123: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Which names a kind may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NameRule {
    /// RFC 1123 sub-domain: most kinds.
    #[default]
    Subdomain,
    /// RFC 1123 label: namespaces, and Services since Kubernetes 1.34 (relaxed from RFC 1035).
    Label,
    /// RFC 1035 label: the older rule for Services.
    Label1035,
    /// Whatever fits into a path: RBAC.
    PathSegment,
}

impl NameRule {
    /// What is wrong with `name`, in the server's words; empty when nothing is. A `prefix` gets a suffix later and may end in a dash.
    #[must_use]
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        let masked = if prefix && name.len() > 1 {
            name.strip_suffix('-').map(|rest| {
                // The server looks at the name as if an "a" stood in place of its last two characters.
                let mut text = rest.to_owned();
                if text.pop().is_some_and(|last| last.is_ascii()) {
                    text.push('a');
                } else {
                    text = rest.to_owned();
                }
                text
            })
        } else {
            None
        };
        let name = masked.as_deref().unwrap_or(name);
        match self {
            Self::Subdomain => subdomain(name),
            Self::Label => label(name),
            Self::Label1035 => label_1035(name),
            Self::PathSegment => path_segment(name, prefix),
        }
    }
}

/// A pattern fault in the server's words: message, an example or several, the pattern.
fn pattern(message: &str, regex: &str, examples: &[&str]) -> String {
    let mut text = format!("{message} (e.g. ");
    for (index, example) in examples.iter().enumerate() {
        if index > 0 {
            text.push_str(" or ");
        }
        text.push_str(&format!("'{example}', "));
    }
    text.push_str(&format!("regex used for validation is '{regex}')"));
    text
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if inner(first) && inner(last))
        && bytes.iter().all(|&byte| inner(byte) || byte == b'-')
}

fn is_qualified_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Faults of `text` as an RFC 1123 label.
#[must_use]
pub fn label(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_MAX {
        faults.push(too_long(LABEL_MAX));
    }
    if !is_label(text) {
        let subdomain = text.split('.').all(is_label);
        faults.push(if subdomain {
            "must not contain dots".to_owned()
        } else {
            pattern(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                DNS1123,
                &["my-name", "123-abc"],
            )
        });
    }
    faults
}

fn label_1035(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_MAX {
        faults.push(too_long(LABEL_MAX));
    }
    if !is_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        faults.push(pattern(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    faults
}

/// Faults of `text` as an RFC 1123 sub-domain.
#[must_use]
pub fn subdomain(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        faults.push(too_long(SUBDOMAIN_MAX));
    }
    if !text.split('.').all(is_label) {
        faults.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            &format!("{DNS1123}(\\.{DNS1123})*"),
            &["example.com"],
        ));
    }
    faults
}

/// Faults of `text` as a path segment (kubernetes: `apimachinery/pkg/api/validation/path`).
fn path_segment(text: &str, prefix: bool) -> Vec<String> {
    if !prefix && (text == "." || text == "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .into_iter()
        .filter(|illegal| text.contains(illegal))
        .map(|illegal| format!("may not contain '{illegal}'"))
        .collect()
}

/// Faults of `text` as a label key, annotation key or finalizer: `[prefix/]name`.
#[must_use]
pub fn qualified(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let examples = ["MyName", "my.name", "123-abc"];
    let mut parts = text.split('/');
    let (first, second, rest) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    let name = match (second, rest) {
        (None, _) => first,
        (Some(name), None) => {
            if first.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(
                    subdomain(first)
                        .into_iter()
                        .map(|fault| format!("prefix part {fault}")),
                );
            }
            name
        }
        (Some(_), Some(_)) => {
            return vec![
                pattern(
                    &format!("a valid label key {QUALIFIED_WORDS}"),
                    QUALIFIED,
                    &examples,
                ) + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            ];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        faults.push(format!("name part {}", too_long(LABEL_MAX)));
    }
    if !is_qualified_part(name) {
        faults.push(pattern(
            &format!("name part {QUALIFIED_WORDS}"),
            QUALIFIED,
            &examples,
        ));
    }
    faults
}

/// Faults of `text` as the value of a label.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_MAX {
        faults.push(too_long(LABEL_MAX));
    }
    if !text.is_empty() && !is_qualified_part(text) {
        faults.push(pattern(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &format!("({QUALIFIED})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_rule() {
        let long = "a".repeat(64);
        let cases = [
            (NameRule::Subdomain, "a.b-c.1", false, true),
            (NameRule::Subdomain, "A", false, false),
            (NameRule::Subdomain, "a..b", false, false),
            (NameRule::Subdomain, "", false, false),
            (NameRule::Subdomain, "a-", false, false),
            (NameRule::Subdomain, "a-", true, true),
            (NameRule::Subdomain, "ä-", true, false),
            (NameRule::Label, "a.b", false, false),
            (NameRule::Label, "1a", false, true),
            (NameRule::Label, &long, false, false),
            (NameRule::Label1035, "1a", false, false),
            (NameRule::Label1035, "a1", false, true),
            (NameRule::PathSegment, "system:node", false, true),
            (NameRule::PathSegment, "a/b", false, false),
            (NameRule::PathSegment, "..", false, false),
        ];
        for (rule, name, prefix, fine) in cases {
            assert_eq!(rule.check(name, prefix).is_empty(), fine, "{rule:?} {name:?}");
        }
    }

    #[test]
    fn the_words_are_those_of_a_real_server() {
        assert_eq!(
            subdomain("Bad_Name"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            label_value("-"),
            [
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ]
        );
    }

    #[test]
    fn keys() {
        for (key, fine) in [
            ("app", true),
            ("example.com/App_1", true),
            ("/a", false),
            ("a/", false),
            ("a/b/c", false),
            ("Ex.com/a", false),
            ("_a", false),
        ] {
            assert_eq!(qualified(key).is_empty(), fine, "{key}");
        }
    }
}
