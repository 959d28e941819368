//! Faults: typed rules that say which nodes or clusters, when, and what goes wrong there.
//!
//! Pure: a [`FaultSet`] is an immutable snapshot that all nodes share; it is asked at each *site*, the place at which
//! something can go wrong. What it answers depends on the seed, the subject's name, the fault's name and a count
//! alone, so the same settings give the same history whatever else happens. A change at run time makes a new
//! snapshot with the next version.
//!
//! | part | file |
//! | --- | --- |
//! | what goes wrong | [`what`], with the words in [`words`] |
//! | which nodes and clusters | [`selector`] |
//! | when | [`when`] |
//! | where it is asked for | [`site`] |
//! | a fault as files hold it | [`form`] |
//! | the snapshot and its queries | [`set`] |
//! | how often a subject met a fault | [`memory`] |
//! | a fault that struck | [`struck`] |

pub mod form;
pub mod memory;
pub mod nature;
pub mod selector;
pub mod set;
pub mod site;
pub mod struck;
#[cfg(test)]
mod tests;
pub mod value;
pub mod what;
pub mod when;
pub mod words;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

pub use self::form::{FaultForm, Stretch, WhenForm};
pub use self::memory::Occasions;
pub use self::nature::{Mode, Subject};
pub use self::selector::{Fleet, NodeIndex, NodeSet, Selector};
pub use self::set::{Change, ClusterFacts, FaultSet, Hit, NodeFacts, NotChanged, Who};
pub use self::site::{Site, SiteKind};
pub use self::struck::Struck;
pub use self::value::{Chance, Glob, HttpStatus};
pub use self::what::What;
pub use self::when::{Occasion, When, Window};

/// Longest name of a fault in bytes.
const LONGEST_NAME: usize = 63;

/// Name of a fault, unique among those of a run: letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultName(Box<str>);

impl FaultName {
    /// Stands in for a name that is missing.
    fn nameless() -> Self {
        Self("nameless".into())
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FaultName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for FaultName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(allowed) {
            return Err(format!(
                "{text:?} is no name: use up to {LONGEST_NAME} letters, digits, dashes, underscores and dots"
            ));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FaultName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FaultName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for FaultName {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,63}$"})
    }
}

/// A fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Its name. Draws depend on it, so a fault that is renamed has another history.
    pub name: FaultName,
    /// Which nodes or clusters.
    pub which: Selector,
    /// When.
    pub when: When,
    /// What.
    pub what: What,
}

/// Something that is wrong with a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", key.join("."))]
pub struct Complaint {
    /// Path of the member, such as `when`, `repeats`.
    pub key: Vec<&'static str>,
    /// Why it is refused.
    pub reason: Cow<'static, str>,
}

impl Fault {
    /// Everything that is wrong with it beyond the types of its members.
    #[must_use]
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |key: &[&'static str], reason: Cow<'static, str>| {
            complaints.push(Complaint {
                key: key.to_vec(),
                reason,
            });
        };
        if let Some((member, reason)) = self.what.complaint() {
            complain(&["what", self.what.word(), member], reason.into());
        }
        if let Some((member, reason)) = self.when.complaint() {
            complain(&["when", member], reason.into());
        }
        if self.which.fraction.is_some() && self.which.count.is_some() {
            complain(
                &["which", "count"],
                "contradicts fraction: give one or the other".into(),
            );
        }
        if self.what.subject() == Subject::Cluster {
            let of_nodes = [
                ("names", !self.which.names.is_empty()),
                ("labels", !self.which.labels.is_empty()),
                ("count", self.which.count.is_some()),
                ("role", self.which.role.is_some()),
            ];
            for (member, given) in of_nodes {
                if given {
                    let reason = format!(
                        "selects nodes, but {} befalls whole clusters: use clusters or fraction",
                        self.what.word()
                    );
                    complain(&["which", member], reason.into());
                }
            }
            if !self.when.phases.is_empty() {
                let reason = format!(
                    "are those of a node, but {} befalls whole clusters",
                    self.what.word()
                );
                complain(&["when", "node_phases"], reason.into());
            }
        }
        complaints
    }
}
