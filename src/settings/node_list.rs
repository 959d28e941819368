//! Node lists of sushy-tools and FakeIPA: a JSON list of objects with `uuid`, `name`, `power_state` and `nics`
//! (sushy-tools: `SUSHY_EMULATOR_FAKE_SYSTEMS`).

use std::collections::BTreeSet;
use std::path::Path;

use metalsim_actors::ids::{MacAddress, NodeId};
use serde_json::{Map, Value};

use super::problem::Problem;
use super::values::check_name;

/// A node as a list names it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListedNode {
    pub(super) id: NodeId,
    pub(super) name: Box<str>,
    /// Missing if the list does not say.
    pub(super) power_on: Option<bool>,
    pub(super) macs: Vec<MacAddress>,
}

/// A list that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeList {
    pub(super) nodes: Vec<ListedNode>,
    /// Keys that mean nothing here, such as `external_notifier`: one process has nobody to notify.
    pub(super) ignored: BTreeSet<String>,
}

/// Reads the list in `file`.
///
/// # Errors
/// Everything that is wrong with it, by index.
pub(super) fn read(file: &Path) -> Result<NodeList, Vec<Problem>> {
    let problem = |key: String, reason: String| Problem {
        key,
        reason,
        origin: Some(file.display().to_string()),
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        vec![problem(
            String::new(),
            format!("cannot read the node list: {error}"),
        )]
    })?;
    parse(&text).map_err(|reasons| {
        reasons
            .into_iter()
            .map(|(key, reason)| problem(key, reason))
            .collect()
    })
}

type Reasons = Vec<(String, String)>;

fn parse(text: &str) -> Result<NodeList, Reasons> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| vec![(String::new(), format!("the node list is no JSON: {error}"))])?;
    let Value::Array(entries) = value else {
        return Err(vec![(
            String::new(),
            "the node list must be a JSON list of objects".into(),
        )]);
    };
    let mut list = NodeList::default();
    let mut reasons = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let key = format!("[{index}]");
        let Value::Object(entry) = entry else {
            reasons.push((key, "expected an object with uuid, name and nics".into()));
            continue;
        };
        if let Some(node) = listed(entry, &key, &mut list.ignored, &mut reasons) {
            list.nodes.push(node);
        }
    }
    if reasons.is_empty() {
        Ok(list)
    } else {
        Err(reasons)
    }
}

fn listed(
    entry: &Map<String, Value>,
    key: &str,
    ignored: &mut BTreeSet<String>,
    reasons: &mut Reasons,
) -> Option<ListedNode> {
    let before = reasons.len();
    for known in entry.keys() {
        if !matches!(known.as_str(), "uuid" | "name" | "power_state" | "nics") {
            ignored.insert(known.clone());
        }
    }
    let mut text = |name: &str| match entry.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => {
            reasons.push((format!("{key}.{name}"), "expected a text".into()));
            None
        }
    };
    let (uuid, name, power) = (text("uuid"), text("name"), text("power_state"));
    let uuid = uuid.and_then(|text| match text.parse::<NodeId>() {
        Ok(id) => Some(id),
        Err(_) => {
            reasons.push((format!("{key}.uuid"), format!("{text:?} is no UUID")));
            None
        }
    });
    if let Some(Err(reason)) = name.map(check_name) {
        reasons.push((format!("{key}.name"), reason));
    }
    let power_on = match power {
        None => None,
        Some("On") => Some(true),
        Some("Off") => Some(false),
        Some(other) => {
            reasons.push((
                format!("{key}.power_state"),
                format!("expected \"On\" or \"Off\", found {other:?}"),
            ));
            None
        }
    };
    let name: Option<Box<str>> = name
        .map(Into::into)
        .or_else(|| uuid.map(|uuid| uuid.to_string().into()));
    let Some(name) = name else {
        if reasons.len() == before {
            reasons.push((key.to_owned(), "a node needs a uuid or a name".into()));
        }
        return None;
    };
    let macs = addresses(entry.get("nics"), &name, &format!("{key}.nics"), ignored, reasons);
    let id = uuid.unwrap_or_else(|| NodeId::from_name(&name));
    (reasons.len() == before).then_some(ListedNode {
        id,
        name,
        power_on,
        macs,
    })
}

/// MAC addresses of the listed interfaces; one without an address gets the one derived from the node's name.
fn addresses(
    nics: Option<&Value>,
    name: &str,
    key: &str,
    ignored: &mut BTreeSet<String>,
    reasons: &mut Reasons,
) -> Vec<MacAddress> {
    let nics = match nics {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(nics)) => nics,
        Some(_) => {
            reasons.push((key.to_owned(), "expected a list of objects with mac".into()));
            return Vec::new();
        }
    };
    let mut macs = Vec::with_capacity(nics.len());
    for (index, nic) in nics.iter().enumerate() {
        let Value::Object(nic) = nic else {
            reasons.push((format!("{key}[{index}]"), "expected an object with mac".into()));
            continue;
        };
        ignored.extend(
            nic.keys()
                .filter(|known| *known != "mac")
                .map(|known| format!("nics.{known}")),
        );
        match nic.get("mac") {
            None | Some(Value::Null) => macs.push(MacAddress::derived(name, index)),
            Some(Value::String(text)) => match text.parse::<MacAddress>() {
                Ok(mac) if mac.octets()[0] & 1 == 0 => macs.push(mac),
                Ok(mac) => {
                    reasons.push((
                        format!("{key}[{index}].mac"),
                        format!("{mac} is a multicast address, no interface has it"),
                    ));
                }
                Err(error) => reasons.push((format!("{key}[{index}].mac"), error.to_string())),
            },
            Some(_) => reasons.push((format!("{key}[{index}].mac"), "expected a text".into())),
        }
    }
    macs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_sushy_tools_is_read() {
        let list = parse(
            r#"[{"uuid": "27946b59-9e44-4fa7-8e91-f3527a1ef094", "name": "fake1", "power_state": "On",
                 "external_notifier": true, "nics": [{"mac": "00:5c:52:31:3a:9c", "ip": "172.22.0.100"}]},
                {"name": "fake2"}]"#,
        )
        .unwrap();
        assert_eq!(list.nodes[0].power_on, Some(true));
        assert_eq!(list.nodes[0].macs[0].to_string(), "00:5c:52:31:3a:9c");
        assert_eq!(list.nodes[1].id, NodeId::from_name("fake2"));
        assert_eq!(
            list.ignored.into_iter().collect::<Vec<_>>(),
            ["external_notifier", "nics.ip"]
        );
    }

    #[test]
    fn every_mistake_is_named_by_its_index() {
        let reasons = parse(
            r#"[{"uuid": "x", "name": "a b", "power_state": "on"}, 7, {}, {"name": "ok", "nics": [{"mac": "zz"}, 1]}]"#,
        )
        .unwrap_err();
        let keys: Vec<_> = reasons.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "[0].uuid",
                "[0].name",
                "[0].power_state",
                "[1]",
                "[2]",
                "[3].nics[0].mac",
                "[3].nics[1]"
            ]
        );
    }
}
