//! `NoExecute` taints of nodes that are lost or not ready: one node after the other, and none while too many are (kubernetes:
//! `pkg/controller/nodelifecycle/node_lifecycle_controller.go`, `processTaintBaseEviction` and `handleDisruption`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{change_taints, ready_of};
use crate::kube::controller::{Context, later, until};
use crate::kube::controllers::kinds::KINDS;
use crate::kube::controllers::taints::{self, Effect, Taint};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::Store;

/// A node is looked at so long after it stopped being ready (kube-controller-manager: `--node-monitor-period`).
const MONITOR_PERIOD: Duration = Duration::from_secs(5);
/// Between the taints of two nodes of a zone (`--node-eviction-rate`, 0.1 a second).
const INTERVAL: Duration = Duration::from_secs(10);
/// The same where most of a large zone is lost (`--secondary-node-eviction-rate`, 0.01 a second).
const SLOW_INTERVAL: Duration = Duration::from_secs(100);
/// A zone with more nodes than this is large (`--large-cluster-size-threshold`).
const LARGE: usize = 50;
/// Most of a zone is lost from this share on, in percent (`--unhealthy-zone-threshold`).
const UNHEALTHY_PERCENT: usize = 55;

/// A node as far as its taints go.
struct Seen {
    node: Arc<Object>,
    /// The taint that it should have; `None` = it is ready, or never said anything.
    wanted: Option<&'static str>,
    /// When it stopped being ready.
    since: DateTime<Utc>,
    /// The taints that it has.
    present: Vec<Taint>,
}

fn ours(key: &str) -> bool {
    matches!(key, taints::NOT_READY | taints::UNREACHABLE)
}

/// Whether the node has one of the taints.
pub(super) fn tainted(node: &Object) -> bool {
    !present(node).is_empty()
}

fn present(node: &Object) -> Vec<Taint> {
    let mut list = taints::of_node(node);
    list.retain(|taint| taint.effect == Effect::NoExecute && ours(&taint.key));
    list
}

fn time(second: Option<Second>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(second?.0, 0)
}

fn see(node: &Arc<Object>, now: DateTime<Utc>) -> Seen {
    let ready = ready_of(node);
    let wanted = match ready.as_ref().map(|ready| ready.status.as_str()) {
        Some("False") => Some(taints::NOT_READY),
        Some("Unknown") => Some(taints::UNREACHABLE),
        _ => None,
    };
    let since = ready.and_then(|ready| Second::parse(ready.last_transition_time.as_deref()?));
    Seen {
        node: Arc::clone(node),
        wanted,
        since: time(since).unwrap_or(now),
        present: present(node),
    }
}

/// How a zone fares, as its interval between two taints; `None` = no new ones.
fn interval(nodes: &[Seen], all_lost: bool) -> Option<Duration> {
    let lost = nodes.iter().filter(|seen| seen.wanted.is_some()).count();
    let most = lost > 2 && lost * 100 >= nodes.len() * UNHEALTHY_PERCENT;
    if all_lost {
        None
    } else if lost == nodes.len() || !most {
        Some(INTERVAL)
    } else {
        (nodes.len() > LARGE).then_some(SLOW_INTERVAL)
    }
}

/// Takes the taints of all nodes one step on. Says when the next is due.
pub(super) fn taint(store: &mut Store, context: &Context<'_>) -> Result<Option<Duration>, Status> {
    let now = context.now;
    let mut zones: BTreeMap<(String, String), Vec<Seen>> = BTreeMap::new();
    for node in store.all(&KINDS.nodes, None) {
        let label = |key| node.label(key).unwrap_or("").to_owned();
        let zone = (
            label("topology.kubernetes.io/region"),
            label("topology.kubernetes.io/zone"),
        );
        zones.entry(zone).or_default().push(see(node, now));
    }
    // If not one node is ready, it is the control plane that is cut off.
    let all_lost = zones.values().flatten().all(|seen| seen.wanted.is_some());
    let mut next: Option<DateTime<Utc>> = None;
    for nodes in zones.values() {
        let interval = interval(nodes, all_lost);
        let last = nodes
            .iter()
            .flat_map(|seen| &seen.present)
            .map(Taint::since)
            .max();
        let mut free = match (time(last.flatten()), interval) {
            (Some(last), Some(interval)) => later(last, interval),
            _ => DateTime::<Utc>::MIN_UTC,
        };
        let mut waiting: Vec<&Seen> = Vec::new();
        for seen in nodes {
            let wanted = seen.wanted.filter(|_| !all_lost);
            match wanted {
                // It is not ready and has none yet: it has to wait its turn.
                Some(_) if seen.present.is_empty() => waiting.push(seen),
                _ => give(store, seen, wanted, context)?,
            }
        }
        let Some(interval) = interval else {
            continue;
        };
        waiting.sort_by_key(|seen| seen.since);
        for seen in waiting {
            let due = later(seen.since, MONITOR_PERIOD).max(free);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                break;
            }
            give(store, seen, seen.wanted, context)?;
            free = later(now, interval);
        }
    }
    Ok(next.map(|next| until(now, next)))
}

fn give(store: &mut Store, seen: &Seen, wanted: Option<&str>, context: &Context<'_>) -> Result<(), Status> {
    let wanted: BTreeSet<&str> = wanted.into_iter().collect();
    change_taints(store, &seen.node, context, Effect::NoExecute, ours, &wanted)
}
