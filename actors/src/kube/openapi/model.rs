//! A schema, as OpenAPI 2.0 and 3.0 write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A schema. Keywords that are only handed on are in `rest`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Schema {
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) all_of: Vec<Self>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) one_of: Vec<Self>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) any_of: Vec<Self>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not: Option<Box<Self>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) items: Option<Box<Self>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) additional_properties: Option<Additional>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) properties: BTreeMap<String, Self>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) required: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) nullable: bool,
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, Value>,
}

/// `additionalProperties`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(untagged)]
pub(super) enum Additional {
    /// Whether there may be any.
    Any(bool),
    /// What they look like.
    Of(Box<Schema>),
}

impl Schema {
    /// A value of that type.
    pub(super) fn of(kind: &str) -> Self {
        Self {
            kind: Some(kind.to_owned()),
            ..Self::default()
        }
    }

    /// A value of that type and format.
    pub(super) fn formatted(kind: &str, format: &str) -> Self {
        Self {
            format: Some(format.to_owned()),
            ..Self::of(kind)
        }
    }

    /// Whether the keyword is there and true.
    pub(super) fn flag(&self, keyword: &str) -> bool {
        self.rest.get(keyword) == Some(&Value::Bool(true))
    }

    /// Every reference in it.
    pub(super) fn references(&self, found: &mut dyn FnMut(&str)) {
        if let Some(reference) = &self.reference {
            found(reference);
        }
        let parts = [&self.all_of, &self.one_of, &self.any_of];
        for part in parts.into_iter().flatten() {
            part.references(found);
        }
        for part in self.not.iter().chain(&self.items) {
            part.references(found);
        }
        if let Some(Additional::Of(part)) = &self.additional_properties {
            part.references(found);
        }
        for part in self.properties.values() {
            part.references(found);
        }
    }
}

/// The two editions of the specification that are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edition {
    /// Swagger 2.0.
    V2,
    /// `OpenAPI` 3.0.
    V3,
}

impl Edition {
    /// What stands before the name of a definition in a reference.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }

    /// A bare reference.
    pub(super) fn reference(self, name: &str) -> Schema {
        Schema {
            reference: Some(format!("{}{name}", self.prefix())),
            ..Schema::default()
        }
    }

    /// A reference that other keywords may stand beside: in 3.0 they would not count next to `$ref`.
    pub(super) fn property(self, name: &str) -> Schema {
        match self {
            Self::V2 => self.reference(name),
            Self::V3 => Schema {
                all_of: vec![self.reference(name)],
                ..Schema::default()
            },
        }
    }
}
