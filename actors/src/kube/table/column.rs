//! Columns of tables.

use serde::Serialize;

/// `TableColumnDefinition` of `meta.k8s.io` (apimachinery: `pkg/apis/meta/v1/types.go`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ColumnDefinition<'a> {
    /// Heading; kubectl shows it in capitals.
    pub name: &'a str,
    /// OpenAPI type of the cells: `string`, `integer`, `number`, `boolean`, or `date`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// OpenAPI format; `name` marks the name of the object.
    pub format: &'a str,
    /// For people.
    pub description: &'a str,
    /// 0 = always shown; more = only in wide output.
    pub priority: i32,
}

const fn column(
    name: &'static str,
    kind: &'static str,
    description: &'static str,
) -> ColumnDefinition<'static> {
    ColumnDefinition {
        name,
        kind,
        format: "",
        description,
        priority: 0,
    }
}

/// A column of texts.
pub(super) const fn text(name: &'static str, description: &'static str) -> ColumnDefinition<'static> {
    column(name, "string", description)
}

/// A column of whole numbers.
pub(super) const fn integer(name: &'static str, description: &'static str) -> ColumnDefinition<'static> {
    column(name, "integer", description)
}

/// A column of booleans.
pub(super) const fn boolean(name: &'static str, description: &'static str) -> ColumnDefinition<'static> {
    column(name, "boolean", description)
}

/// A column of times.
pub(super) const fn date(name: &'static str, description: &'static str) -> ColumnDefinition<'static> {
    column(name, "date", description)
}

impl ColumnDefinition<'_> {
    /// Shown in wide output only.
    pub(super) const fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

/// What `Name` columns tell.
pub(super) const NAME_TEXT: &str = "Name of the object, unique among its kind in its namespace.";
/// What `Age` columns tell.
pub(super) const AGE_TEXT: &str = "Time since the object was created.";

/// The first column of nearly every kind.
pub(super) const NAME: ColumnDefinition<'static> = naming("Name", NAME_TEXT);
/// The age of the object.
pub(super) const AGE: ColumnDefinition<'static> = text("Age", AGE_TEXT);

/// A column that is marked as the name of the object.
pub(super) const fn naming(name: &'static str, description: &'static str) -> ColumnDefinition<'static> {
    ColumnDefinition {
        name,
        kind: "string",
        format: "name",
        description,
        priority: 0,
    }
}
