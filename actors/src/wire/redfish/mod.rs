//! What a Redfish service and its clients say to each other: payloads of the DMTF schemas (DSP8010) and messages of
//! the Base registry (DSP8011).
//!
//! Properties are named as in the schemas, where their meaning stands. What a payload does not know it leaves out;
//! null is written only where the schema wants it.

pub mod chassis;
pub mod hardware;
pub mod log;
pub mod manager;
pub mod message;
pub mod service;
pub mod storage;
pub mod system;
pub mod update;
pub mod vocabulary;

use std::fmt;

use serde::{Serialize, Serializer};

/// A URI in three parts, joined when it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uri<'a>(pub &'a str, pub &'a str, pub &'a str);

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        f.write_str(self.1)?;
        f.write_str(self.2)
    }
}

impl Serialize for Uri<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A reference to a resource.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Link<'a> {
    /// Where the resource is.
    #[serde(rename = "@odata.id")]
    pub odata_id: Uri<'a>,
}

impl<'a> Link<'a> {
    /// To `base` followed by `tail`.
    #[must_use]
    pub fn new(base: &'a str, tail: &'a str) -> Self {
        Self {
            odata_id: Uri(base, tail, ""),
        }
    }
}

/// An entity tag: the revision of what it tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityTag {
    /// The payload is the same byte for byte as long as the tag is.
    Strong(u32),
    /// The payload shows values that move by themselves.
    Weak(u32),
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strong(revision) => write!(f, "\"{revision}\""),
            Self::Weak(revision) => write!(f, "W/\"{revision}\""),
        }
    }
}

impl Serialize for EntityTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `Resource.Status`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Status {
    /// `Enabled`, `StandbyOffline`, ...
    pub state: &'static str,
    /// `OK`, `Warning` or `Critical`.
    pub health: &'static str,
}

impl Status {
    /// In use and well.
    pub const OK: Self = Self {
        state: "Enabled",
        health: "OK",
    };
    /// Without power, and well.
    pub const STANDBY: Self = Self {
        state: "StandbyOffline",
        health: "OK",
    };
}

/// `Status` with the state of the parts.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RollupStatus {
    /// `Enabled`, `StandbyOffline`, ...
    pub state: &'static str,
    /// Health of the resource.
    pub health: &'static str,
    /// Worst health of its parts.
    pub health_rollup: &'static str,
}

impl From<Status> for RollupStatus {
    fn from(Status { state, health }: Status) -> Self {
        Self {
            state,
            health,
            health_rollup: health,
        }
    }
}

/// A collection; its members are links or whole resources.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Collection<'a, M> {
    /// Its own URI.
    #[serde(rename = "@odata.id")]
    pub odata_id: Uri<'a>,
    /// Schema.
    #[serde(rename = "@odata.type")]
    pub odata_type: &'static str,
    /// For people.
    pub name: &'static str,
    /// Number of members.
    #[serde(rename = "Members@odata.count")]
    pub count: usize,
    /// The members.
    pub members: Vec<M>,
}

/// A payload that says which schema it follows.
pub trait Typed: Serialize {
    /// `@odata.type`.
    fn odata_type(&self) -> &'static str;
}

impl<M: Serialize> Typed for Collection<'_, M> {
    fn odata_type(&self) -> &'static str {
        self.odata_type
    }
}

/// Declares a resource's payload: the four properties that every resource has, then its own.
macro_rules! resource {
    ($(#[$meta:meta])* $name:ident<$life:lifetime> = $odata_type:literal {
        $($(#[$field_meta:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Serialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name<$life> {
            #[serde(rename = "@odata.id")]
            pub odata_id: $crate::wire::redfish::Uri<$life>,
            #[serde(rename = "@odata.type")]
            pub odata_type: &'static str,
            pub id: &$life str,
            pub name: &$life str,
            $($(#[$field_meta])* pub $field: $kind,)*
        }

        impl $name<'_> {
            /// Schema and version.
            pub const TYPE: &'static str = $odata_type;
        }

        impl $crate::wire::redfish::Typed for $name<'_> {
            fn odata_type(&self) -> &'static str {
                self.odata_type
            }
        }
    };
}
pub(crate) use resource;
