//! The faults in force from the start, and what they are checked against; scenarios check theirs with it too.

use std::collections::BTreeMap;

use metalsim_actors::fault::selector::Selector;
use metalsim_actors::fault::set::MOST_FAULTS;
use metalsim_actors::fault::{Complaint, Fault, FaultForm, FaultName, Stretch, Subject};
use metalsim_actors::seed::Seed;
use metalsim_actors::time::SimInstant;

use super::decode::{Decoder, nearest};
use super::fleet::{NodeList, NodeSpec};
use super::layers::KeyPath;

/// Most that a message lists of what is known.
const MOST_LISTED: usize = 10;

/// What faults are held against. What is missing was complained about already.
pub(crate) struct Checks<'a> {
    /// End of the run; none: it has no end that is known.
    pub(crate) end: Option<SimInstant>,
    /// Stretches of the timeline by name.
    pub(crate) phases: &'a [(FaultName, Stretch)],
    /// The fleet.
    pub(crate) nodes: Option<&'a [NodeSpec]>,
    /// Root of all chance.
    pub(crate) seed: Option<Seed>,
}

/// The faults of the list `faults`.
pub(crate) fn faults(raw: &[FaultForm], checks: &Checks<'_>, decoder: &mut Decoder) -> Vec<Fault> {
    let list = KeyPath::of(&["faults"]);
    if raw.len() > MOST_FAULTS {
        decoder.blame(&list, &format!("more than {MOST_FAULTS} faults are not possible"));
    }
    let mut names = BTreeMap::new();
    let mut faults = Vec::with_capacity(raw.len());
    for (index, form) in raw.iter().enumerate() {
        let path = list.index(index);
        if let Some(name) = &form.name
            && let Some(first) = names.insert(name.clone(), index)
        {
            let reason = format!("there is a fault {name} already: faults[{first}]");
            decoder.blame(&path.key("name"), &reason);
        }
        let base = stretch(form, &path, checks, decoder);
        match form.resolve(base.unwrap_or(Stretch::ALL)) {
            Ok(fault) => {
                if fault.what.subject() == Subject::Node {
                    selects(&fault.which, &path.key("which"), checks, decoder);
                }
                if checks.end.is_some_and(|end| fault.when.from >= end) {
                    let reason = "the fault begins after the end of the run";
                    decoder.blame(&path.key("when").key("from"), reason);
                }
                faults.push(fault);
            }
            Err(complaints) => {
                for Complaint { key, reason } in complaints {
                    let path = key.iter().fold(path.clone(), |path, key| path.key(key));
                    decoder.blame(&path, &reason);
                }
            }
        }
    }
    faults
}

/// The phase that a fault's times count from.
fn stretch(form: &FaultForm, path: &KeyPath, checks: &Checks<'_>, decoder: &mut Decoder) -> Option<Stretch> {
    let during = form.when.during.as_deref()?;
    let phase = checks.phases.iter().find(|(name, _)| name.as_str() == during);
    if phase.is_none() {
        let known = checks.phases.iter().map(|(name, _)| name.as_str());
        let reason = format!("there is no phase {during:?}{}", known_ones(during, known));
        decoder.blame(&path.key("when").key("during"), &reason);
    }
    phase.map(|(_, stretch)| *stretch)
}

/// `; did you mean x?`, or what there is.
pub(crate) fn known_ones<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    if let Some(near) = nearest(word, known.iter().copied()) {
        return format!("; did you mean {near}?");
    }
    match known.len() {
        0 => "; there is none at all".into(),
        1..=MOST_LISTED => format!("; known are {}", known.join(", ")),
        more => format!("; known are {more} others"),
    }
}

/// Notes what in a selector fits no node. The number of nodes that names and labels select.
pub(crate) fn selects(
    which: &Selector,
    path: &KeyPath,
    checks: &Checks<'_>,
    decoder: &mut Decoder,
) -> Option<u64> {
    let nodes = checks.nodes?;
    let mut vain = false;
    for (index, glob) in which.names.iter().enumerate() {
        if !nodes.iter().any(|node| glob.matches(&node.name)) {
            let known = nodes.iter().map(|node| &*node.name);
            let reason = format!("no node's name fits {glob}{}", known_ones(glob.as_str(), known));
            decoder.blame(&path.key("names").index(index), &reason);
            vain = true;
        }
    }
    for (label, glob) in &which.labels {
        let mut values: Vec<&str> = nodes
            .iter()
            .filter_map(|node| node.labels.get(label))
            .map(|value| &**value)
            .collect();
        values.sort_unstable();
        values.dedup();
        let reason = if values.is_empty() {
            let mut labels: Vec<&str> = nodes
                .iter()
                .flat_map(|node| node.labels.keys())
                .map(|name| &**name)
                .collect();
            labels.sort_unstable();
            labels.dedup();
            format!(
                "no node has a label {label}{}",
                known_ones(label, labels.into_iter())
            )
        } else if values.iter().any(|value| glob.matches(value)) {
            continue;
        } else {
            format!(
                "no node's label fits {glob}{}",
                known_ones(glob.as_str(), values.into_iter())
            )
        };
        decoder.blame(&path.key("labels").key(label), &reason);
        vain = true;
    }
    let seed = checks.seed.unwrap_or(Seed::root(0));
    let picked = which.pick(&NodeList(nodes), seed).count();
    if picked == 0 && !vain {
        decoder.blame(path, "selects no node");
    }
    (!vain).then_some(picked as u64)
}
