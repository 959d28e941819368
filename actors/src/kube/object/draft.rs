//! Objects as clients write them: typed metadata, the rest as a tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{OwnerReference, StringMap};
use crate::kube::status::Status;

/// `metadata` as clients write it: every field optional, `null` the same as absent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name; empty = to be generated.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Prefix for a generated name.
    #[serde(deserialize_with = "or_default")]
    pub generate_name: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// UID, decided by the server.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    /// Version that the writer saw.
    #[serde(deserialize_with = "or_default")]
    pub resource_version: String,
    /// Generation, decided by the server.
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
    /// Creation time, decided by the server.
    pub creation_timestamp: Option<String>,
    /// Time of deletion, decided by the server.
    pub deletion_timestamp: Option<String>,
    /// Grace period, decided by the server.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels.
    #[serde(deserialize_with = "strings")]
    pub labels: StringMap,
    /// Annotations.
    #[serde(deserialize_with = "strings")]
    pub annotations: StringMap,
    /// Finalizers.
    #[serde(deserialize_with = "or_default")]
    pub finalizers: Vec<String>,
    /// Owners.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
    /// Field managers; `None` = not said, which keeps them.
    pub managed_fields: Option<Vec<WireManagedEntry>>,
}

/// An entry of `metadata.managedFields` as it stands on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireManagedEntry {
    /// Who.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub manager: String,
    /// `Apply` or `Update`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// Version of the API.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Always `FieldsV1`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub fields_type: String,
    /// The field set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields_v1: Option<Value>,
    /// Subresource.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A map of strings; Go reads a `null` value as the empty string.
fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StringMap, D::Error> {
    let map = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(map
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect())
}

/// An object that is being written: typed metadata, the rest as a tree.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Draft {
    /// The metadata.
    pub meta: Metadata,
    /// All other top-level fields but `apiVersion` and `kind`.
    pub body: Map<String, Value>,
}

impl Draft {
    /// Reads a whole object. `kind` is for the message.
    ///
    /// # Errors
    /// 400 when it is no object or its metadata has fields of the wrong type.
    pub fn from_value(value: Value, kind: &str) -> Result<Self, Status> {
        let Value::Object(mut body) = value else {
            return Err(Status::bad_request(format!(
                "{kind} cannot be handled as a {kind}: json: cannot unmarshal into Go value of type {kind}: not an object"
            )));
        };
        let meta = match body.remove("metadata") {
            None | Some(Value::Null) => Metadata::default(),
            Some(meta) if !meta.is_object() => {
                return Err(Status::bad_request(format!(
                    "{kind} cannot be handled as a {kind}: metadata: not an object"
                )));
            }
            Some(meta) => Metadata::deserialize(meta).map_err(|error| {
                Status::bad_request(format!("{kind} cannot be handled as a {kind}: metadata: {error}"))
            })?,
        };
        body.remove("apiVersion");
        body.remove("kind");
        // A typed server drops nulls on decoding; they would otherwise show up as changes.
        body.retain(|_, value| !value.is_null());
        Ok(Self { meta, body })
    }

    /// A field of the body by its path, `None` if any step is missing.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.body.get(*first)?, |value, key| value.get(key))
    }
}
