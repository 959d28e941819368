//! What a server refuses with 422: metadata and, per built-in kind, everything else (kubernetes: `pkg/apis/*/validation`).
//!
//! Messages, paths and their order are those of a real server; some of its slips are kept, because people compare texts. Every
//! check reads the object's tree with care: what has the wrong type reads as missing, as types are the schema's matter.
//! Lists are walked once; the number of faults and the size of shown values are bounded.
//!
//! Objects that pass unchanged are not checked again. Status updates get light checks.

mod affinity;
mod claim;
mod container;
mod core;
mod cron;
mod meta;
mod network;
mod node;
mod pod;
mod policy;
mod rbac;
mod service;
mod status;
#[cfg(test)]
mod tests;
mod volume;
mod words;
mod workload;

use serde_json::{Map, Value};

use self::node::Faults;
use super::object::{Draft, Object};
use super::resource::Resource;
use super::status::Status;
use super::store::Part;

/// The finalizer of foreground deletion.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of orphaning deletion.
pub const ORPHAN: &str = "orphan";

type Fields = Map<String, Value>;

/// What an object is checked against: its state before, with the body as a tree.
pub type Before<'a> = Option<(&'a Object, &'a Map<String, Value>)>;

/// Checks an object that is created or changed, with the defaults filled in. `version` is the request's.
///
/// # Errors
/// 422 with a cause for each fault.
pub fn object(
    resource: &Resource,
    version: &str,
    part: Part,
    draft: &Draft,
    old: Before<'_>,
) -> Result<(), Status> {
    let mut faults = Faults::default();
    meta::metadata(&mut faults, resource, &draft.meta, old.map(|(old, _)| old));
    let before = old.map(|(_, body)| body);
    if before != Some(&draft.body) {
        if resource.custom {
            for error in super::crd::check(resource, version, part, draft, before) {
                faults.push(error);
            }
        } else if part == Part::Status {
            status::status(&mut faults, resource, &draft.body, before);
        } else {
            kind(&mut faults, resource, version, part, draft, before);
        }
    }
    let list = faults.into_list();
    if list.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(resource.named_kind(), &draft.meta.name, &list))
    }
}

/// The checks of a kind. Kinds without a row here have their metadata checked only.
fn kind(
    faults: &mut Faults,
    resource: &Resource,
    version: &str,
    part: Part,
    draft: &Draft,
    old: Option<&Fields>,
) {
    type Check = fn(&mut Faults, &Fields, Option<&Fields>);
    let (body, meta) = (&draft.body, &draft.meta);
    let check: Check = match (&*resource.group, &*resource.plural) {
        ("", "pods") => return pod::pod(faults, body, old, part),
        ("", "podtemplates") => {
            pod::template(faults, &node::Node::root(body, "template"), &[]);
            return;
        }
        ("", "replicationcontrollers") => workload::replication_controller,
        ("apps", "deployments") => workload::deployment,
        ("apps", "replicasets") => workload::replica_set,
        ("apps", "daemonsets") => workload::daemon_set,
        ("apps", "statefulsets") => workload::stateful_set,
        ("apps", "controllerrevisions") => policy::revision,
        ("batch", "jobs") => workload::job,
        ("batch", "cronjobs") => return workload::cron_job(faults, body, old, &meta.name),
        ("", "services") => service::service,
        ("", "endpoints") => service::endpoints,
        ("discovery.k8s.io", "endpointslices") => service::endpoint_slice,
        ("", "configmaps") => core::config_map,
        ("", "secrets") => return core::secret(faults, body, old, meta),
        ("", "namespaces") => core::namespace,
        ("", "nodes") => core::node,
        ("", "limitranges") => core::limit_range,
        ("", "resourcequotas") => core::resource_quota,
        ("" | "events.k8s.io", "events") => {
            let strict = resource.group == "events.k8s.io" && version == "v1" && old.is_none();
            return core::event(faults, body, meta, strict);
        }
        ("", "persistentvolumes") => claim::volume,
        ("", "persistentvolumeclaims") => claim::claim,
        ("storage.k8s.io", "storageclasses") => claim::class,
        ("rbac.authorization.k8s.io", "roles") => return rbac::role(faults, body, true),
        ("rbac.authorization.k8s.io", "clusterroles") => return rbac::role(faults, body, false),
        ("rbac.authorization.k8s.io", "rolebindings") => return rbac::binding(faults, body, old, true),
        ("rbac.authorization.k8s.io", "clusterrolebindings") => {
            return rbac::binding(faults, body, old, false);
        }
        ("networking.k8s.io", "ingresses") => network::ingress,
        ("networking.k8s.io", "networkpolicies") => network::policy,
        ("policy", "poddisruptionbudgets") => policy::budget,
        ("scheduling.k8s.io", "priorityclasses") => return policy::priority(faults, body, old, &meta.name),
        ("coordination.k8s.io", "leases") => policy::lease,
        ("autoscaling", "horizontalpodautoscalers") => policy::autoscaler,
        ("certificates.k8s.io", "certificatesigningrequests") => policy::certificate_request,
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations") => {
            return policy::webhooks(faults, body, false);
        }
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations") => {
            return policy::webhooks(faults, body, true);
        }
        ("node.k8s.io", "runtimeclasses") => policy::runtime_class,
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            for error in super::crd::check_definition(draft, old) {
                faults.push(error);
            }
            return;
        }
        _ => return,
    };
    check(faults, body, old);
}
