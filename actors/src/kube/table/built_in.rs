//! The printers of built-in kinds, by family (kubernetes: `pkg/printers/internalversion/printers.go`; the server always
//! gives the wide columns, clients leave them out by their priority).

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::column::{AGE_TEXT, ColumnDefinition, NAME, date};
use super::{access, age, autoscaling, cluster, nodes, pods, services, storage, workloads};
use crate::kube::object::Object;

/// How objects of a kind become rows.
pub(super) struct Kind {
    /// Group; empty for the core group.
    pub group: &'static str,
    /// Resource.
    pub plural: &'static str,
    /// The columns.
    pub columns: &'static [ColumnDefinition<'static>],
    /// The cells of one row.
    pub cells: fn(&Row<'_>) -> Vec<Value>,
    /// What this printer does otherwise than most.
    pub quirk: Quirk,
}

/// What a printer does otherwise than most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Quirk {
    /// Nothing.
    None,
    /// Rows of finished pods are marked.
    Completed,
    /// The columns stand in every event of a watch, not only in the first.
    Headings,
    /// A list without objects has `null` for rows.
    NullRows,
}

/// A printer without a quirk.
pub(super) const fn kind(
    group: &'static str,
    plural: &'static str,
    columns: &'static [ColumnDefinition<'static>],
    cells: fn(&Row<'_>) -> Vec<Value>,
) -> Kind {
    Kind {
        group,
        plural,
        columns,
        cells,
        quirk: Quirk::None,
    }
}

impl Kind {
    /// With a quirk.
    pub(super) const fn quirk(mut self, quirk: Quirk) -> Self {
        self.quirk = quirk;
        self
    }
}

/// An object that becomes a row.
pub(super) struct Row<'a> {
    /// The object.
    pub object: &'a Object,
    /// The time that ages are told by.
    pub now: DateTime<Utc>,
    /// Whether it is the empty object of a bookmark, which was never created.
    pub empty: bool,
}

impl Row<'_> {
    /// The cell with the name.
    pub(super) fn name(&self) -> Value {
        self.object.name().into()
    }

    /// The cell with the age.
    pub(super) fn age(&self) -> Value {
        if self.empty {
            return age::UNKNOWN.into();
        }
        age::since_second(self.object.created, self.now).into()
    }

    /// How long ago the time in a field is.
    pub(super) fn since(&self, value: Option<&Value>) -> String {
        age::since(age::read(value), self.now)
    }

    /// `spec`, or `null`.
    pub(super) fn spec(&self) -> Value {
        self.section("spec")
    }

    /// `status`, or `null`.
    pub(super) fn status(&self) -> Value {
        self.section("status")
    }

    /// A top-level field, or `null`.
    pub(super) fn section(&self, name: &str) -> Value {
        self.object.section(name).unwrap_or_default()
    }
}

/// The printer of a built-in kind.
pub(super) fn find(group: &str, plural: &str) -> &'static Kind {
    FAMILIES
        .iter()
        .flat_map(|family| family.iter())
        .find(|kind| kind.group == group && kind.plural == plural)
        .unwrap_or(&DEFAULT)
}

const FAMILIES: &[&[Kind]] = &[
    pods::KINDS,
    nodes::KINDS,
    services::KINDS,
    workloads::KINDS,
    cluster::KINDS,
    storage::KINDS,
    access::KINDS,
    autoscaling::KINDS,
];

/// What kinds have that have no printer of their own (apiserver: `pkg/registry/rest/table.go`).
static DEFAULT: Kind =
    kind("", "", &[NAME, date("Created At", AGE_TEXT)], default_cells).quirk(Quirk::NullRows);

fn default_cells(row: &Row<'_>) -> Vec<Value> {
    let created = if row.empty {
        // Go's zero time.
        "0001-01-01T00:00:00Z".to_owned()
    } else {
        row.object.created.text()
    };
    vec![row.name(), created.into()]
}
