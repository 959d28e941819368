//! Which node a pod gets, or why it gets none (kubernetes: `pkg/scheduler/schedule_one.go`, `pkg/scheduler/framework/types.go`).

use std::collections::BTreeMap;

use super::super::placement::untolerated;
use super::between::Neighbours;
use super::nodes::{Node, Snapshot};
use super::pod::{Pending, collide};

/// Why a node is not for a pod.
#[derive(Debug)]
struct Refusal {
    reasons: Vec<String>,
    /// Whether fewer pods on the node could help.
    resolvable: bool,
}

impl Refusal {
    fn of(reason: impl Into<String>, resolvable: bool) -> Option<Self> {
        Some(Self {
            reasons: vec![reason.into()],
            resolvable,
        })
    }
}

/// The place of the best node, or a sentence that tells why there is none.
pub(super) fn choose(snapshot: &Snapshot, pod: &Pending, neighbours: &Neighbours) -> Result<usize, String> {
    if snapshot.nodes.is_empty() {
        return Err("no nodes available to schedule pods".to_owned());
    }
    let named = pod.placement.named_nodes();
    let mut fitting = Vec::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut hopeless = 0_usize;
    for (index, node) in snapshot.nodes.iter().enumerate() {
        let refusal = match &named {
            Some(names) if !names.contains(&node.object.name()) => {
                Refusal::of("node(s) didn't satisfy plugin(s) [NodeAffinity]", false)
            }
            _ => refusal(node, pod, neighbours),
        };
        match refusal {
            None => fitting.push(index),
            Some(refusal) => {
                for reason in refusal.reasons {
                    *reasons.entry(reason).or_default() += 1;
                }
                if !refusal.resolvable {
                    hopeless += 1;
                }
            }
        }
    }
    if fitting.is_empty() {
        return Err(sentence(snapshot.nodes.len(), &reasons, hopeless, pod));
    }
    Ok(best(snapshot, pod, neighbours, &fitting))
}

/// `0/3 nodes are available: 1 Insufficient cpu, ...`.
fn sentence(all: usize, reasons: &BTreeMap<String, usize>, hopeless: usize, pod: &Pending) -> String {
    let list = |reasons: &mut Vec<String>| {
        reasons.sort_unstable();
        reasons.join(", ")
    };
    let mut counted: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let mut others = Vec::new();
    if all > hopeless {
        others.push(format!(
            "{} No preemption victims found for incoming pod",
            all - hopeless
        ));
    }
    if hopeless > 0 {
        others.push(format!("{hopeless} Preemption is not helpful for scheduling"));
    }
    let preemption = if pod.spec.preemption_policy == "Never" {
        "not eligible due to preemptionPolicy=Never.".to_owned()
    } else {
        format!("0/{all} nodes are available: {}.", list(&mut others))
    };
    // The plugin for device claims has its say too since 1.34.
    format!(
        "0/{all} nodes are available: {}. no new claims to deallocate, preemption: {preemption}",
        list(&mut counted)
    )
}

/// The first plugin that refuses the node, in the order in which they are asked.
fn refusal(node: &Node, pod: &Pending, neighbours: &Neighbours) -> Option<Refusal> {
    let tolerations = &pod.placement.tolerations;
    let cordon = super::super::placement::Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        value: String::new(),
        effect: "NoSchedule".to_owned(),
    };
    if node.spec.unschedulable
        && untolerated(std::slice::from_ref(&cordon), tolerations, &["NoSchedule"]).is_some()
    {
        return Refusal::of("node(s) were unschedulable", false);
    }
    if let Some(taint) = untolerated(&node.spec.taints, tolerations, &["NoSchedule", "NoExecute"]) {
        let reason = format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value);
        return Refusal::of(reason, false);
    }
    if !pod.placement.selects(&node.object) {
        return Refusal::of("node(s) didn't match Pod's node affinity/selector", false);
    }
    if collide(&pod.room.ports, &node.ports) {
        return Refusal::of("node(s) didn't have free ports for the requested pod ports", true);
    }
    if let Some(refusal) = no_room(node, pod) {
        return Some(refusal);
    }
    let (reason, resolvable) = neighbours.refusal(node)?;
    Refusal::of(reason, resolvable)
}

/// What there is too little of.
fn no_room(node: &Node, pod: &Pending) -> Option<Refusal> {
    let mut reasons = Vec::new();
    let mut resolvable = true;
    let most = node.allocatable.get("pods").map_or(0, |pods| pods / 1000);
    if i128::try_from(node.pods).is_ok_and(|pods| pods >= most) {
        reasons.push("Too many pods".to_owned());
        resolvable &= most > 0;
    }
    // CPU, memory and ephemeral storage first, then the others by name.
    let order = |name: &&String| match name.as_str() {
        "cpu" => 0,
        "memory" => 1,
        "ephemeral-storage" => 2,
        _ => 3,
    };
    let mut names: Vec<&String> = pod.room.requests.keys().collect();
    names.sort_by_key(order);
    for name in names {
        let wanted = pod.room.requests.get(name).copied().unwrap_or(0);
        if wanted > 0 && wanted > node.free(name) {
            reasons.push(format!("Insufficient {name}"));
            resolvable &= wanted <= node.allocatable.get(name).copied().unwrap_or(0);
        }
    }
    (!reasons.is_empty()).then_some(Refusal { reasons, resolvable })
}

/// The best of the nodes that fit: weights as the default plugins have them (kubernetes: `pkg/scheduler/apis/config/v1/default_plugins.go`).
/// Of equals the one with the fewest pods, then the first.
fn best(snapshot: &Snapshot, pod: &Pending, neighbours: &Neighbours, fitting: &[usize]) -> usize {
    let scores = |score: &dyn Fn(&Node) -> i64| -> Vec<i64> {
        let raw = fitting
            .iter()
            .map(|index| snapshot.nodes.get(*index).map_or(0, score));
        raw.collect()
    };
    let owner = pod.object.controller().map(|owner| owner.uid.as_str());
    let taints = scores(&|node| {
        let hard = ["PreferNoSchedule"];
        let soft = node.spec.taints.iter().filter(|taint| {
            untolerated(std::slice::from_ref(*taint), &pod.placement.tolerations, &hard).is_some()
        });
        i64::try_from(soft.count()).unwrap_or(0).saturating_neg()
    });
    let affinity = scores(&|node| {
        let preferred = pod.placement.affinity.node_affinity.as_ref();
        let terms = preferred.map_or(&[][..], |affinity| &affinity.preferred);
        let met = terms.iter().filter(|term| term.preference.matches(&node.object));
        met.fold(0_i64, |sum, term| sum.saturating_add(term.weight))
    });
    let neighbourly = scores(&|node| neighbours.worth(node));
    let crowd = scores(&|node| {
        let siblings = owner
            .and_then(|owner| node.owners.get(owner))
            .copied()
            .unwrap_or(0);
        let siblings = i64::try_from(siblings).unwrap_or(0);
        siblings.saturating_add(neighbours.crowd(node)).saturating_neg()
    });
    let free = scores(&|node| {
        let shares = ["cpu", "memory"].map(|name| {
            let all = node.allocatable.get(name).copied().unwrap_or(0).max(1);
            let wanted = pod.room.requests.get(name).copied().unwrap_or(0);
            let left = node.free(name).saturating_sub(wanted).max(0);
            i64::try_from(left.saturating_mul(100) / all).unwrap_or(0)
        });
        (shares[0] + shares[1]) / 2
    });
    let mut totals = vec![0_i64; fitting.len()];
    for (weight, raw) in [(3, &taints), (2, &affinity), (2, &neighbourly), (2, &crowd)] {
        for (total, score) in totals.iter_mut().zip(stretched(raw)) {
            *total += weight * score;
        }
    }
    for (total, score) in totals.iter_mut().zip(free) {
        *total += score;
    }
    let ranked = fitting.iter().zip(totals).min_by_key(|(index, total)| {
        let pods = snapshot.nodes.get(**index).map_or(0, |node| node.pods);
        (std::cmp::Reverse(*total), pods, **index)
    });
    ranked.map_or(0, |(index, _)| *index)
}

/// Scores stretched over 0 to 100; all the same if they do not differ.
fn stretched(raw: &[i64]) -> Vec<i64> {
    let least = raw.iter().copied().min().unwrap_or(0);
    let most = raw.iter().copied().max().unwrap_or(0);
    let width = i128::from(most) - i128::from(least);
    raw.iter()
        .map(|score| {
            let above = i128::from(*score) - i128::from(least);
            let share = (above * 100).checked_div(width).unwrap_or(0);
            i64::try_from(share).unwrap_or(0)
        })
        .collect()
}
