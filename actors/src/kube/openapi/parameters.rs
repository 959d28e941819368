//! Parameters of operations (apimachinery: `pkg/apis/meta/v1/types.go`, the `*Options`).

use std::borrow::Cow;

use super::operations::GroupVersionKind;
use crate::kube::schema::{Kind, Scalar, Schema as Wire};

/// A parameter in the query or the path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parameter {
    pub(super) name: Cow<'static, str>,
    /// `string`, `integer` or `boolean`.
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
    pub(super) in_path: bool,
}

const fn query(name: &'static str, kind: &'static str, description: &'static str) -> Parameter {
    Parameter {
        name: Cow::Borrowed(name),
        kind,
        description,
        in_path: false,
    }
}

const fn in_path(name: &'static str, description: &'static str) -> Parameter {
    Parameter {
        name: Cow::Borrowed(name),
        kind: "string",
        description,
        in_path: true,
    }
}

pub(super) const NAME: Parameter = in_path("name", "Name of the object.");
pub(super) const NAMESPACE: Parameter = in_path("namespace", "Namespace of the object.");
pub(super) const REST: Parameter = in_path("path", "Path that the request is handed on to.");
pub(super) const PRETTY: Parameter = query("pretty", "string", "Whether the answer is laid out for people.");
pub(super) const DRY_RUN: Parameter = query("dryRun", "string", "All: nothing is kept.");

pub(super) static WRITE: [Parameter; 3] = [
    DRY_RUN,
    query("fieldManager", "string", "Who owns the fields that change."),
    query(
        "fieldValidation",
        "string",
        "What unknown and duplicate fields lead to: Ignore, Warn or Strict.",
    ),
];
pub(super) const FORCE: Parameter = query("force", "boolean", "For apply: takes fields that others own.");

pub(super) static LIST: [Parameter; 10] = [
    query(
        "allowWatchBookmarks",
        "boolean",
        "Whether a watch may send bookmarks.",
    ),
    query(
        "continue",
        "string",
        "Token of the part of the list to go on with.",
    ),
    query("fieldSelector", "string", "Values that fields must have."),
    query("labelSelector", "string", "Labels that objects must have."),
    query("limit", "integer", "Most objects in one answer."),
    query(
        "resourceVersion",
        "string",
        "Version of the store to read at, or to watch from.",
    ),
    query("resourceVersionMatch", "string", "Exact or NotOlderThan."),
    query(
        "sendInitialEvents",
        "boolean",
        "Whether a watch begins with what is there.",
    ),
    query("timeoutSeconds", "integer", "Seconds after which the call ends."),
    query("watch", "boolean", "Whether to watch instead of list."),
];

pub(super) static DELETE: [Parameter; 5] = [
    DRY_RUN,
    query(
        "gracePeriodSeconds",
        "integer",
        "Seconds that the object may take to end.",
    ),
    query(
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Whether what cannot be read is deleted too.",
    ),
    query(
        "orphanDependents",
        "boolean",
        "Older form of propagationPolicy=Orphan.",
    ),
    query(
        "propagationPolicy",
        "string",
        "What becomes of dependents: Orphan, Background or Foreground.",
    ),
];

/// Parameters of deleting many: those of both, by name.
pub(super) fn delete_collection() -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = LIST
        .iter()
        .filter(|parameter| !["allowWatchBookmarks", "watch"].contains(&&*parameter.name))
        .chain(&DELETE)
        .cloned()
        .collect();
    parameters.sort_by(|one, other| one.name.cmp(&other.name));
    parameters
}

/// The options of a connection are the fields of the kind that stands for them.
pub(super) fn options(kind: Option<&GroupVersionKind>) -> Vec<Parameter> {
    let wire = Wire::built_in();
    let message = kind
        .and_then(|of| wire.kind_of(&of.group, &of.version, &of.kind))
        .and_then(|id| wire.message(id));
    let mut parameters: Vec<Parameter> = message
        .into_iter()
        .flat_map(|message| &message.fields)
        .filter_map(|field| {
            let of = match &field.of.kind {
                Kind::List { item, .. } => &item.kind,
                other => other,
            };
            let Kind::Scalar(scalar) = of else { return None };
            Some(Parameter {
                name: Cow::Borrowed(&field.name),
                kind: match scalar {
                    Scalar::Bool => "boolean",
                    Scalar::Int32 | Scalar::Int64 => "integer",
                    Scalar::Float64 => "number",
                    Scalar::String | Scalar::Bytes => "string",
                },
                description: "Option of the connection.",
                in_path: false,
            })
        })
        .collect();
    parameters.sort_by(|one, other| one.name.cmp(&other.name));
    parameters
}
