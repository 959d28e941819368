//! What the handlers of a service share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use metalsim_actors::fault::NodeIndex;
use metalsim_actors::node::profile::HardwareProfile;
use metalsim_actors::time::Clock;
use uuid::Uuid;

use super::auth::Auth;
use super::registries::BiosRegistry;
use super::session_store::SessionStore;
use super::stale::StaleReads;
use crate::directory::Directory;
use crate::frontend::body::BodyLimits;

/// A Redfish service: for [`super::configure`].
pub struct RedfishState {
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) auth: Auth,
    pub(super) sessions: SessionStore,
    pub(super) body_limits: BodyLimits,
    pub(super) uuid: Uuid,
    pub(super) bios_registries: Vec<BiosRegistry>,
    /// Which of `bios_registries` a profile has.
    profiles: Vec<(Arc<HardwareProfile>, usize)>,
    /// Nodes are fixed after the start, so each collection of them is written once.
    pub(super) collections: Collections,
    pub(super) stale: StaleReads,
    /// Nodes that had a firmware update through this service: those that may have tasks.
    pub(super) updated: Mutex<BTreeSet<NodeIndex>>,
}

/// Bodies of the collections that have a member a node.
#[derive(Default)]
pub(super) struct Collections {
    pub(super) systems: OnceLock<Bytes>,
    pub(super) chassis: OnceLock<Bytes>,
    pub(super) managers: OnceLock<Bytes>,
    pub(super) firmware: OnceLock<Bytes>,
}

impl RedfishState {
    /// A service for all nodes of `directory`. `uuid` is the service's own, shown in its root.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        auth: Auth,
        sessions: SessionStore,
        body_limits: BodyLimits,
        uuid: Uuid,
    ) -> Self {
        let mut profiles: Vec<(Arc<HardwareProfile>, usize)> = Vec::new();
        let mut bios_registries: Vec<BiosRegistry> = Vec::new();
        for node in directory.nodes() {
            let profile = &node.kind().profile;
            if profiles.iter().any(|(known, _)| Arc::ptr_eq(known, profile)) {
                continue;
            }
            let registry = BiosRegistry::of(profile);
            let index = bios_registries
                .iter()
                .position(|known| known.id == registry.id)
                .unwrap_or_else(|| {
                    bios_registries.push(registry);
                    bios_registries.len() - 1
                });
            profiles.push((Arc::clone(profile), index));
        }
        Self {
            directory,
            clock,
            auth,
            sessions,
            body_limits,
            uuid,
            bios_registries,
            profiles,
            collections: Collections::default(),
            stale: StaleReads::default(),
            updated: Mutex::default(),
        }
    }

    /// `AttributeRegistry` of the profile's BIOS.
    pub(super) fn bios_registry(&self, profile: &Arc<HardwareProfile>) -> Arc<str> {
        self.profiles
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, profile))
            .and_then(|(_, index)| self.bios_registries.get(*index))
            .map_or_else(Arc::default, |registry| Arc::clone(&registry.id))
    }
}
