//! The machines under a cluster's nodes: that they start, stop and hang, and what is wrong with them as long as faults last.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::cluster::Cluster;
use super::controller::Kubelet;
use super::etcd::Alarm;
use super::node;
use crate::fault::words::Pressure;

/// What is wrong with a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ailment {
    /// The kubelet reports that its node is not ready, for this reason.
    pub not_ready: Option<Box<str>>,
    /// The kubelet does nothing.
    pub silent: bool,
    /// Pressure that the kubelet reports.
    pub pressures: Vec<Pressure>,
    /// The etcd member is down.
    pub member_down: bool,
    /// Alarms that the etcd member raises.
    pub alarms: Vec<Alarm>,
}

/// The machines with which something is wrong, by node.
pub type Ailments = BTreeMap<Box<str>, Ailment>;

impl Cluster {
    /// A machine runs: its kubelet starts, and its member of etcd. One that `goes_on` had only stood still: it has not booted anew. Call
    /// [`Cluster::settle`] afterwards.
    pub fn start_machine(&mut self, node: &str, goes_on: bool, now: DateTime<Utc>) {
        let ailment = self.ailments().get(node).cloned().unwrap_or_default();
        let booted = match self.kubelets().get(node) {
            Some(Kubelet::Stopped { booted: Some(booted) }) if goes_on => *booted,
            Some(Kubelet::Running { since }) if goes_on => *since,
            _ => now,
        };
        if ailment.silent {
            let silent = Kubelet::Stopped { booted: Some(booted) };
            self.set_kubelet(node, Some(silent), now);
        } else {
            self.resume_kubelet(node, booted, now);
        }
        if !ailment.member_down {
            self.start_member(node);
        }
    }

    /// A machine stops, or stands still. Nothing is wrong with what does not run; whoever starts it says anew what is. Call
    /// [`Cluster::settle`] afterwards.
    pub fn stop_machine(&mut self, node: &str, now: DateTime<Utc>) {
        self.silence_kubelet(node, now);
        if let Some(etcd) = self.etcd_mut()
            && let Some((id, _)) = etcd.by_name(node)
        {
            etcd.stop(id);
        }
        self.set_ailment(node, Ailment::default());
    }

    /// What is wrong with a machine from now on; `runs`: whether it is on. Call [`Cluster::settle`] afterwards.
    pub fn afflict(&mut self, node: &str, ailment: Ailment, runs: bool, now: DateTime<Utc>) {
        let before = self.set_ailment(node, ailment.clone());
        if runs {
            match (before.silent, ailment.silent) {
                (false, true) => self.silence_kubelet(node, now),
                (true, false) => {
                    if let Some(Kubelet::Stopped { booted: Some(booted) }) = self.kubelets().get(node) {
                        self.resume_kubelet(node, *booted, now);
                    }
                }
                _ => {}
            }
            match (before.member_down, ailment.member_down) {
                (false, true) => {
                    if let Some(etcd) = self.etcd_mut()
                        && let Some((id, _)) = etcd.by_name(node)
                    {
                        etcd.stop(id);
                    }
                }
                (true, false) => self.start_member(node),
                _ => {}
            }
        }
        self.look_at_node(node, now);
    }

    fn silence_kubelet(&mut self, node: &str, now: DateTime<Utc>) {
        let booted = match self.kubelets().get(node) {
            Some(Kubelet::Running { since }) => Some(*since),
            Some(Kubelet::Stopped { booted }) => *booted,
            None => None,
        };
        self.set_kubelet(node, Some(Kubelet::Stopped { booted }), now);
    }

    /// The kubelet is there, on a machine that runs since `booted`: it renews its Lease at once.
    fn resume_kubelet(&mut self, node: &str, booted: DateTime<Utc>, now: DateTime<Utc>) {
        if booted < now {
            node::renew_lease(&mut self.store, node, now);
        }
        self.set_kubelet(node, Some(Kubelet::Running { since: booted }), now);
    }

    /// The member of etcd on a node starts. One that was removed does not.
    fn start_member(&mut self, node: &str) {
        let Some(etcd) = self.etcd_mut() else { return };
        let member = etcd
            .by_name(node)
            .and_then(|(id, member)| Some((id, member.client_urls.first()?.clone())));
        if let Some((id, url)) = member {
            let _removed = etcd.start(id, node, &url);
        }
    }
}

#[cfg(test)]
mod tests;
