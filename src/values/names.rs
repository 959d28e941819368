//! Names of clusters that are registered by a call.

use std::fmt;

/// Longest name of a namespace (RFC 1123 label).
const MOST_LABEL: usize = 63;
/// Longest name of an object (RFC 1123 subdomain; kubernetes: `apimachinery/pkg/util/validation`).
const MOST_SUBDOMAIN: usize = 253;

/// A Cluster object of the management cluster.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClusterName {
    namespace: Box<str>,
    name: Box<str>,
}

/// A text that names no Cluster object.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{what} {text:?}: lower-case letters, digits, dashes{more} are possible, letters or digits at the ends"
)]
pub struct InvalidName {
    what: &'static str,
    more: &'static str,
    text: Box<str>,
}

impl ClusterName {
    /// A name in a namespace.
    ///
    /// # Errors
    /// See [`InvalidName`].
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidName> {
        let invalid = |what, more, text: &str| InvalidName {
            what,
            more,
            text: text.chars().take(MOST_SUBDOMAIN).collect(),
        };
        if !is_label(namespace) {
            return Err(invalid("namespace", "", namespace));
        }
        if !is_subdomain(name) {
            return Err(invalid("cluster", " and dots", name));
        }
        Ok(Self {
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn is_label(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= MOST_LABEL
        && text.bytes().all(|byte| inside(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inside)
        && text.bytes().next_back().is_some_and(inside)
}

/// Whether a text can be the name of most objects, and a DNS name.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= MOST_SUBDOMAIN && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_objects() {
        let name = ClusterName::new("ns1", "c1.prod").unwrap();
        assert_eq!(name.to_string(), "ns1/c1.prod");
        for (namespace, cluster) in [
            ("", "c"),
            ("n", ""),
            ("n.s", "c"),
            ("n", "C"),
            ("n", "-c"),
            ("n", "c..d"),
            ("n/m", "c"),
            (&"n".repeat(64), "c"),
        ] {
            assert!(
                ClusterName::new(namespace, cluster).is_err(),
                "{namespace}/{cluster}"
            );
        }
    }
}
