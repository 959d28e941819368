//! Checks of the parts that the fleet's nodes have in clusters.

use std::sync::Arc;

use metalsim_actors::fault::words::Role;

use super::decode::Decoder;
use super::fleet::{Member, Part};
use super::layers::KeyPath;
use super::raw::RawMember;
use crate::values::names::ClusterName;

/// A part in a cluster, if the cluster can have that name.
pub(super) fn part(member: &RawMember, path: &KeyPath, decoder: &mut Decoder) -> Option<Arc<Member>> {
    match ClusterName::new("default", &member.name) {
        Ok(name) => Some(Arc::new(Member {
            name,
            role: member.role,
        })),
        Err(error) => {
            decoder.blame(&path.key("cluster").key("name"), &error.to_string());
            None
        }
    }
}

/// Nobody forms a cluster without a control plane.
pub(super) fn without_control_plane(parts: &[Part], decoder: &mut Decoder) {
    let members = || {
        parts
            .iter()
            .filter_map(|part| Some((part.index, part.cluster.as_deref()?)))
    };
    for (index, member) in members() {
        let formed =
            members().any(|(_, other)| other.name == member.name && other.role == Role::ControlPlane);
        if !formed {
            decoder.blame(
                &KeyPath::of(&["fleet"]).index(index).key("cluster"),
                &format!(
                    "no entry of the fleet is a control plane of {}",
                    member.name.name()
                ),
            );
        }
    }
}
