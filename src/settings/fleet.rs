//! Expands the fleet into its nodes, with ids and addresses that are the same in every process.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use metalsim_actors::fault::words::Role;
use metalsim_actors::fault::{Fleet, NodeIndex};
use metalsim_actors::ids::{MacAddress, NodeId};
use metalsim_actors::node::profile::{HardwareProfile, NicProfile};

use super::node_list::ListedNode;
use super::values::NamePattern;
use crate::values::names::ClusterName;

/// More nodes than this are a slip of the pen, not a fleet.
pub(super) const MOST_NODES: u64 = 10_000_000;

/// Of each kind of duplicate, this many are listed.
const MOST_DUPLICATES: usize = 10;

/// Labels of a node.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// A node to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Redfish system id and SMBIOS UUID.
    pub id: NodeId,
    /// Unique name.
    pub name: Box<str>,
    /// MAC addresses, one for each network interface of the profile.
    pub macs: Box<[MacAddress]>,
    /// Labels, shared by all nodes of one entry of the fleet.
    pub labels: Arc<Labels>,
    /// Hardware, shared by all nodes of the kind.
    pub profile: Arc<HardwareProfile>,
    /// Whether it is on when the simulation starts.
    pub power_on: bool,
    /// Where its network's DHCP server sends it for its boot script; no slash at the end.
    pub http_root: Option<Arc<str>>,
    /// The cluster of which the system on its disk makes it a node.
    pub cluster: Option<Arc<Member>>,
}

/// A part in a cluster of the simulation's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The cluster.
    pub name: ClusterName,
    /// The machine's part in it.
    pub role: Role,
}

/// The nodes as the selectors of faults look at them.
#[derive(Clone, Copy, Debug)]
pub struct NodeList<'a>(pub &'a [NodeSpec]);

impl Fleet for NodeList<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn member(&self, index: NodeIndex) -> Option<(&str, &Labels)> {
        let node = self.0.get(usize::try_from(index.0).ok()?)?;
        Some((&node.name, &node.labels))
    }
}

/// One entry of the fleet, checked.
#[derive(Debug)]
pub(super) struct Part {
    /// Index in the settings, for messages.
    pub(super) index: usize,
    pub(super) members: Members,
    pub(super) profile: Arc<HardwareProfile>,
    pub(super) labels: Arc<Labels>,
    pub(super) power_on: bool,
    pub(super) http_root: Option<Arc<str>>,
    pub(super) cluster: Option<Arc<Member>>,
}

/// The nodes of an entry.
#[derive(Debug)]
pub(super) enum Members {
    /// Named by a pattern.
    Pattern {
        pattern: NamePattern,
        start: u64,
        count: u64,
    },
    /// Listed in a file.
    Listed(Vec<ListedNode>),
}

impl Part {
    fn len(&self) -> usize {
        match &self.members {
            Members::Pattern { count, .. } => usize::try_from(*count).unwrap_or(usize::MAX),
            Members::Listed(nodes) => nodes.len(),
        }
    }
}

/// The nodes of all parts in order, and every duplicate: the entry's index in the settings and the reason.
pub(super) fn expand(parts: Vec<Part>) -> (Vec<NodeSpec>, Vec<(usize, String)>) {
    let mut nodes = Vec::with_capacity(parts.iter().map(Part::len).sum());
    let mut owners = Vec::with_capacity(parts.len());
    for part in parts {
        let Part {
            index,
            members,
            profile,
            labels,
            power_on,
            http_root,
            cluster,
        } = part;
        match members {
            Members::Pattern {
                pattern,
                start,
                count,
            } => {
                nodes.extend((start..start.saturating_add(count)).map(|number| {
                    let name = pattern.name(number);
                    NodeSpec {
                        id: NodeId::from_name(&name),
                        macs: (0..profile.nics.len())
                            .map(|nic| MacAddress::derived(&name, nic))
                            .collect(),
                        name,
                        labels: Arc::clone(&labels),
                        profile: Arc::clone(&profile),
                        power_on,
                        http_root: http_root.clone(),
                        cluster: cluster.clone(),
                    }
                }));
            }
            Members::Listed(listed) => {
                let mut variants = Variants::new(profile);
                nodes.extend(listed.into_iter().map(|node| {
                    let (macs, profile) = if node.macs.is_empty() {
                        let count = variants.profile.nics.len();
                        let macs = (0..count)
                            .map(|nic| MacAddress::derived(&node.name, nic))
                            .collect();
                        (macs, Arc::clone(&variants.profile))
                    } else {
                        let profile = variants.with_nics(node.macs.len());
                        (node.macs.into_boxed_slice(), profile)
                    };
                    NodeSpec {
                        id: node.id,
                        macs,
                        name: node.name,
                        labels: Arc::clone(&labels),
                        profile,
                        power_on: node.power_on.unwrap_or(power_on),
                        http_root: http_root.clone(),
                        cluster: cluster.clone(),
                    }
                }));
            }
        }
        owners.push((nodes.len(), index));
    }
    let mut duplicates = Duplicates {
        owners,
        found: Vec::new(),
    };
    duplicates.names(&nodes);
    duplicates.ids(&nodes);
    duplicates.macs(&mut nodes);
    (nodes, duplicates.found)
}

/// A profile with as many network interfaces as a listed node has, shared by all nodes that have as many.
struct Variants {
    profile: Arc<HardwareProfile>,
    by_nics: HashMap<usize, Arc<HardwareProfile>>,
}

impl Variants {
    fn new(profile: Arc<HardwareProfile>) -> Self {
        Self {
            by_nics: HashMap::from([(profile.nics.len(), Arc::clone(&profile))]),
            profile,
        }
    }

    fn with_nics(&mut self, count: usize) -> Arc<HardwareProfile> {
        let profile = &self.profile;
        let variant = self.by_nics.entry(count).or_insert_with(|| {
            let mut variant = HardwareProfile::clone(profile);
            variant.nics.truncate(count);
            // Further interfaces are like the last one, in slots of their own.
            if let Some(last) = variant.nics.last().cloned() {
                let more = variant.nics.len()..count;
                variant.nics.extend(more.map(|index| NicProfile {
                    name: format!("enp{}s0", 100 + index).into(),
                    pci_address: format!("0000:{:02x}:00.0", (100 + index) % 256).into(),
                    ..last.clone()
                }));
            }
            Arc::new(variant)
        });
        Arc::clone(variant)
    }
}

/// Collects what two nodes share that only one may have.
struct Duplicates {
    /// End of each entry's nodes, and the entry's index in the settings.
    owners: Vec<(usize, usize)>,
    found: Vec<(usize, String)>,
}

impl Duplicates {
    fn owner(&self, node: usize) -> usize {
        let position = self.owners.partition_point(|(end, _)| *end <= node);
        self.owners.get(position).map_or(0, |(_, index)| *index)
    }

    /// Notes that nodes `first` and `second` share `what`; stops listing after a few.
    fn note(&mut self, count: &mut usize, first: usize, second: usize, what: &str) {
        *count += 1;
        if *count <= MOST_DUPLICATES {
            let (owner, other) = (self.owner(second), self.owner(first));
            let place = if owner == other {
                "the same entry".to_owned()
            } else {
                format!("fleet[{other}]")
            };
            self.found.push((owner, format!("{what} is also in {place}")));
        } else if *count == MOST_DUPLICATES + 1 {
            self.found
                .push((self.owner(second), "and further duplicates".into()));
        }
    }

    fn names(&mut self, nodes: &[NodeSpec]) {
        let mut known: HashMap<&str, usize> = HashMap::with_capacity(nodes.len());
        let mut count = 0;
        for (index, node) in nodes.iter().enumerate() {
            if let Some(first) = known.get(&*node.name) {
                self.note(&mut count, *first, index, &format!("the name {:?}", node.name));
            } else {
                known.insert(&node.name, index);
            }
        }
    }

    fn ids(&mut self, nodes: &[NodeSpec]) {
        let mut known: HashMap<NodeId, usize> = HashMap::with_capacity(nodes.len());
        let mut count = 0;
        for (index, node) in nodes.iter().enumerate() {
            match known.entry(node.id) {
                // Nodes of one name have one id too: that was said.
                Entry::Occupied(first) if nodes[*first.get()].name == node.name => {}
                Entry::Occupied(first) => {
                    self.note(&mut count, *first.get(), index, &format!("the uuid {}", node.id));
                }
                Entry::Vacant(place) => {
                    place.insert(index);
                }
            }
        }
    }

    /// Two derived addresses of a large fleet may meet by chance (46 bits; 3 % at a million nodes with two each).
    /// Then the later node takes its next one; the same settings still give the same addresses.
    fn macs(&mut self, nodes: &mut [NodeSpec]) {
        let mut known: HashMap<MacAddress, usize> = HashMap::with_capacity(nodes.len() * 2);
        let mut count = 0;
        for index in 0..nodes.len() {
            for nic in 0..nodes[index].macs.len() {
                let node = &nodes[index];
                let mut mac = node.macs[nic];
                if let Some(&first) = known.get(&mac) {
                    let named_twice = first != index && nodes[first].name == node.name;
                    if named_twice {
                        continue;
                    }
                    if mac != MacAddress::derived(&node.name, nic) {
                        self.note(&mut count, first, index, &format!("the MAC address {mac}"));
                        continue;
                    }
                    let spares = (1..).map(|spare| MacAddress::derived(&node.name, nic + 1000 * spare));
                    if let Some(free) = spares.take(1000).find(|spare| !known.contains_key(spare)) {
                        mac = free;
                        nodes[index].macs[nic] = free;
                    }
                }
                known.insert(mac, index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: usize, pattern: &str, count: u64) -> Part {
        let members = Members::Pattern {
            pattern: pattern.parse().unwrap(),
            start: 1,
            count,
        };
        part_of(index, members)
    }

    fn part_of(index: usize, members: Members) -> Part {
        Part {
            index,
            members,
            profile: Arc::default(),
            labels: Arc::default(),
            power_on: false,
            http_root: None,
            cluster: None,
        }
    }

    fn listed(name: &str, macs: &[&str]) -> ListedNode {
        ListedNode {
            id: NodeId::from_name(name),
            name: name.into(),
            power_on: None,
            macs: macs.iter().map(|mac| mac.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn patterns_give_the_same_nodes_each_time_and_share_what_is_common() {
        let (nodes, duplicates) = expand(vec![part(0, "node-{}", 3)]);
        assert_eq!(duplicates, []);
        assert_eq!(
            nodes.iter().map(|node| &*node.name).collect::<Vec<_>>(),
            ["node-1", "node-2", "node-3"]
        );
        assert_eq!(nodes[0].id, NodeId::from_name("node-1"));
        assert_eq!(nodes[0].macs[1], MacAddress::derived("node-1", 1));
        assert!(Arc::ptr_eq(&nodes[0].profile, &nodes[2].profile));
        assert_eq!(nodes, expand(vec![part(0, "node-{}", 3)]).0);
    }

    #[test]
    fn duplicates_name_their_entries() {
        let mut twin = listed("b", &["02:00:00:00:00:01"]);
        twin.id = NodeId::from_name("node-2");
        let list = vec![listed("a", &["02:00:00:00:00:01"]), twin];
        let parts = vec![
            part(0, "node-{}", 2),
            part(3, "node-{}", 1),
            part_of(4, Members::Listed(list)),
        ];
        let (_, duplicates) = expand(parts);
        let id = NodeId::from_name("node-2");
        assert_eq!(
            duplicates,
            [
                (3, "the name \"node-1\" is also in fleet[0]".to_owned()),
                (4, format!("the uuid {id} is also in fleet[0]")),
                (
                    4,
                    "the MAC address 02:00:00:00:00:01 is also in the same entry".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn endless_duplicates_are_cut_short() {
        let (_, duplicates) = expand(vec![part(0, "node-{}", 100), part(1, "node-{}", 100)]);
        assert_eq!(duplicates.len(), MOST_DUPLICATES + 1);
    }

    #[test]
    fn a_derived_address_gives_way() {
        let taken = MacAddress::derived("node-1", 0);
        let parts = vec![
            part_of(0, Members::Listed(vec![listed("a", &[&taken.to_string()])])),
            part(1, "node-{}", 1),
        ];
        let (nodes, duplicates) = expand(parts);
        assert_eq!(duplicates, []);
        assert_eq!(nodes[1].macs[0], MacAddress::derived("node-1", 1000));
    }

    #[test]
    fn listed_nodes_have_as_many_interfaces_as_listed() {
        let macs = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"];
        let list = vec![
            listed("a", &macs),
            listed("b", &["02:00:00:00:01:01"]),
            listed("c", &[]),
        ];
        let (nodes, _) = expand(vec![part_of(0, Members::Listed(list))]);
        let nics: Vec<_> = nodes.iter().map(|node| node.profile.nics.len()).collect();
        assert_eq!(nics, [3, 1, 2]);
        assert!(
            nodes
                .iter()
                .all(|node| node.macs.len() == node.profile.nics.len())
        );
    }
}
