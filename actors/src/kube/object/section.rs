//! Names of top-level fields.

use std::fmt;
use std::ops::Deref;

macro_rules! names {
    ($($name:literal)*) => {
        /// Those of the built-in kinds, sorted.
        static USUAL: &[&str] = &[$($name),*];
    };
}

names! {
    "action"
    "addressType"
    "aggregationRule"
    "allowVolumeExpansion"
    "allowedTopologies"
    "automountServiceAccountToken"
    "binaryData"
    "capacity"
    "conditions"
    "count"
    "data"
    "deleteOptions"
    "deprecatedCount"
    "deprecatedFirstTimestamp"
    "deprecatedLastTimestamp"
    "deprecatedSource"
    "description"
    "details"
    "driverName"
    "endpoints"
    "eventTime"
    "firstTimestamp"
    "globalDefault"
    "groups"
    "handler"
    "imagePullSecrets"
    "immutable"
    "involvedObject"
    "lastTimestamp"
    "maximumVolumeSize"
    "message"
    "mountOptions"
    "nodeTopology"
    "note"
    "overhead"
    "parameters"
    "ports"
    "preemptionPolicy"
    "provisioner"
    "range"
    "reason"
    "reclaimPolicy"
    "reference"
    "regarding"
    "related"
    "reportingComponent"
    "reportingController"
    "reportingInstance"
    "request"
    "response"
    "revision"
    "roleRef"
    "rules"
    "scheduling"
    "secrets"
    "series"
    "source"
    "spec"
    "status"
    "storageClassName"
    "stringData"
    "subjects"
    "subsets"
    "target"
    "template"
    "type"
    "value"
    "volumeBindingMode"
    "webhooks"
}

/// The name of a top-level field. Those of the built-in kinds take no memory of their own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SectionName(Kept);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kept {
    /// Place in [`USUAL`].
    Usual(u8),
    /// A field of a custom resource.
    Own(Box<Box<str>>),
}

impl From<&str> for SectionName {
    fn from(name: &str) -> Self {
        let place = USUAL.binary_search(&name).ok();
        Self(match place.and_then(|place| u8::try_from(place).ok()) {
            Some(place) => Kept::Usual(place),
            None => Kept::Own(Box::new(name.into())),
        })
    }
}

impl Deref for SectionName {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Kept::Usual(place) => USUAL.get(usize::from(*place)).copied().unwrap_or_default(),
            Kept::Own(name) => name,
        }
    }
}

impl fmt::Debug for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_numbers_and_others_are_kept() {
        assert!(USUAL.is_sorted());
        for usual in USUAL {
            let name = SectionName::from(*usual);
            assert!(matches!(name.0, Kept::Usual(_)));
            assert_eq!(&*name, *usual);
        }
        assert_eq!(&*SectionName::from("replicasOfMine"), "replicasOfMine");
        assert_eq!(size_of::<SectionName>(), 16);
    }
}
