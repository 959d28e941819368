//! The entries of the fleet: from the raw form to nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::HttpUrl;
use super::decode::Decoder;
use super::fleet::{self, Labels, MOST_NODES, Members, NodeSpec, Part};
use super::layers::KeyPath;
use super::members;
use super::node_list;
use super::profiles::{self, DEFAULT_PROFILE, file_reason};
use super::raw::RawFleet;

/// The nodes of all entries. `given` are the profiles as they were written; `default_root` is where DHCP sends network boots unless an
/// entry says otherwise.
pub(super) fn nodes(
    fleet: Vec<RawFleet>,
    given: &BTreeMap<Box<str>, Value>,
    default_root: Option<&HttpUrl>,
    decoder: &mut Decoder,
    warnings: &mut Vec<String>,
) -> Vec<NodeSpec> {
    let profiles = profiles::decode_all(given, decoder);
    // A profile that is wrong was complained about; naming it is no second mistake.
    let profile = |name: Option<&str>| {
        let name = name.unwrap_or(DEFAULT_PROFILE);
        profiles
            .get(name)
            .cloned()
            .or_else(|| given.contains_key(name).then(Arc::default))
    };
    let known = profiles.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
    let mut parts = Vec::new();
    for (index, entry) in fleet.into_iter().enumerate() {
        let path = KeyPath::of(&["fleet"]).index(index);
        let kind = profile(entry.profile.as_deref());
        if kind.is_none() {
            let name = entry.profile.as_deref().unwrap_or_default();
            decoder.blame(
                &path.key("profile"),
                &format!("there is no profile {name:?}; known are {known}"),
            );
        }
        let Some(members) = members(&entry, &path, decoder, warnings) else {
            continue;
        };
        let labels: Labels = entry
            .labels
            .into_iter()
            .map(|(name, value)| (name, value.0))
            .collect();
        parts.push(Part {
            index,
            members,
            profile: kind.unwrap_or_default(),
            labels: Arc::new(labels),
            power_on: entry.power.is_some_and(|power| power.0),
            http_root: entry
                .http_root
                .as_ref()
                .or(default_root)
                .map(|url| url.as_str().into()),
            cluster: entry
                .cluster
                .as_ref()
                .and_then(|member| members::part(member, &path, decoder)),
        });
    }
    members::without_control_plane(&parts, decoder);
    expand(parts, decoder)
}

fn expand(parts: Vec<Part>, decoder: &mut Decoder) -> Vec<NodeSpec> {
    let fleet = KeyPath::of(&["fleet"]);
    let total = parts.iter().fold(0_u64, |total, part| {
        total.saturating_add(match &part.members {
            Members::Pattern { count, .. } => *count,
            Members::Listed(nodes) => nodes.len() as u64,
        })
    });
    if total > MOST_NODES {
        decoder.blame(
            &fleet,
            &format!("{total} nodes are more than the {MOST_NODES} that are possible"),
        );
        return Vec::new();
    }
    let (nodes, duplicates) = fleet::expand(parts);
    for (index, reason) in duplicates {
        decoder.complain(&fleet.index(index), &reason);
    }
    nodes
}

/// The nodes of one entry of the fleet.
fn members(
    entry: &RawFleet,
    path: &KeyPath,
    decoder: &mut Decoder,
    warnings: &mut Vec<String>,
) -> Option<Members> {
    if let Some(from) = &entry.from {
        let contradictions = [
            ("name", entry.name.is_some()),
            ("count", entry.count.is_some()),
            ("start", entry.start.is_some()),
        ];
        for (key, given) in contradictions {
            if given {
                decoder.blame(&path.key(key), "contradicts from: the file names the nodes");
            }
        }
        let file = decoder.file(&path.key("from"), from);
        return match node_list::read(&file) {
            Ok(list) => {
                if !list.ignored.is_empty() {
                    let keys = list.ignored.into_iter().collect::<Vec<_>>().join(", ");
                    warnings.push(format!(
                        "{}: ignored keys without a meaning here: {keys}",
                        file.display()
                    ));
                }
                Some(Members::Listed(list.nodes))
            }
            Err(problems) => {
                for problem in problems {
                    if problem.key.is_empty() {
                        decoder.complain(&path.key("from"), &file_reason(&file, &problem.reason));
                    } else {
                        decoder.extend([problem]);
                    }
                }
                None
            }
        };
    }
    let Some(pattern) = entry.name.clone() else {
        decoder.blame(
            &path.key("name"),
            "is required: a name pattern such as node-{}, unless from names a file",
        );
        return None;
    };
    let numbered = pattern.after.is_some();
    let count = match entry.count {
        Some(count) if !numbered && count > 1 => {
            decoder.blame(
                &path.key("name"),
                &format!("{count} nodes need a {{}} in their name pattern"),
            );
            return None;
        }
        Some(0) => {
            decoder.blame(&path.key("count"), "must be above zero");
            return None;
        }
        Some(count) => count,
        None if numbered => {
            decoder.blame(&path.key("count"), "is required: the number of nodes");
            return None;
        }
        None => 1,
    };
    if entry.start.is_some() && !numbered {
        decoder.blame(
            &path.key("start"),
            "has no meaning without {} in the name pattern",
        );
    }
    let start = entry.start.unwrap_or(1);
    if start.checked_add(count).is_none() {
        decoder.blame(&path.key("start"), "is too large");
        return None;
    }
    Some(Members::Pattern {
        pattern,
        start,
        count,
    })
}
