//! The eviction subresource of pods (kubernetes: `pkg/registry/core/pod/storage/eviction.go`).

use std::sync::Arc;

use serde_json::Value;

use super::conditions::{self, Condition};
use super::disruption::{BudgetSpec, BudgetStatus, DISRUPTION_TARGET, SYNC_FAILED, is_ready};
use super::kinds::KINDS;
use super::workload::tree;
use crate::kube::object::{Object, Second};
use crate::kube::status::{Cause, Named, Reason, Status};
use crate::kube::store::{DeleteOptions, Part, Store, Target, WriteOptions};

/// Evictions granted and not yet seen by the controller, at most.
const DISRUPTED_MAX: usize = 2000;

/// Evicts a pod: deletes it, if its budget allows that. `eviction` is the body of the POST to `pods/<name>/eviction`, of any version of
/// `policy`; its `deleteOptions` count. A success is answered with 201 and a `Status` of success.
///
/// # Errors
/// 400 for a body that names another pod, 404, 409 when a precondition does not hold, 429 when the budget does not allow it or was not
/// looked at yet, 500 for a pod with several budgets.
pub fn evict(
    store: &mut Store,
    namespace: &str,
    name: &str,
    eviction: &Value,
    options: WriteOptions<'_>,
) -> Result<(), Status> {
    let named = |field: &str| {
        let text = eviction.get("metadata").and_then(|metadata| metadata.get(field));
        text.and_then(Value::as_str).unwrap_or("")
    };
    if named("name") != name {
        return Err(Status::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    if !matches!(named("namespace"), "") && named("namespace") != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let mut delete = match eviction.get("deleteOptions") {
        None | Some(Value::Null) => DeleteOptions::default(),
        Some(delete) => DeleteOptions::from_value(delete)?,
    };
    delete.dry_run |= options.dry_run;
    let target = Target::stored(&KINDS.pods, Some(namespace));
    let pod = Arc::clone(store.get(target, name)?);
    if !is_free(&pod) {
        check(
            store,
            &pod,
            WriteOptions {
                dry_run: delete.dry_run,
                ..options
            },
        )?;
    }
    if !delete.dry_run {
        mark(store, &pod, &mut delete, options)?;
    }
    store.delete(target, name, &delete, options.now).map(drop)
}

/// Whether no budget protects it: it does not run yet, or no more.
fn is_free(pod: &Object) -> bool {
    let phase = pod.at(&["status", "phase"]).unwrap_or_default();
    pod.is_terminating()
        || ["Succeeded", "Failed", "Pending"]
            .iter()
            .any(|free| phase == **free)
}

/// Tells in the pod why it goes.
fn mark(
    store: &mut Store,
    pod: &Object,
    delete: &mut DeleteOptions,
    options: WriteOptions<'_>,
) -> Result<(), Status> {
    let conflict = |what: &str, wanted: &str, found: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). \
             The object might have been deleted and then recreated"
        );
        Status::conflict(KINDS.pods.named(), pod.name(), &why)
    };
    if let Some(uid) = delete
        .uid
        .as_deref()
        .filter(|uid| !uid.is_empty() && *uid != pod.uid_text())
    {
        return Err(conflict("UID", uid, &pod.uid_text()));
    }
    let version = pod.resource_version.to_string();
    if let Some(wanted) = delete
        .resource_version
        .as_deref()
        .filter(|wanted| !wanted.is_empty() && *wanted != version)
    {
        return Err(conflict("ResourceVersion", wanted, &version));
    }
    let mut draft = pod.draft();
    let status = conditions::object(&mut draft.body, "status");
    let wanted = Condition {
        kind: DISRUPTION_TARGET,
        status: "True",
        reason: "EvictionByEvictionAPI",
        message: "Eviction API: evicting",
    };
    conditions::set(conditions::of(status), wanted, &Second::of(options.now).text());
    let written = store.replace(&KINDS.pods, Part::Status, draft, options)?;
    if delete.resource_version.is_some() {
        delete.resource_version = Some(written.object.resource_version.to_string());
    }
    Ok(())
}

/// Asks the pod's budget, and takes one disruption from it.
fn check(store: &mut Store, pod: &Object, options: WriteOptions<'_>) -> Result<(), Status> {
    let mut budgets = store
        .all(&KINDS.disruption_budgets, pod.namespace())
        .filter(|budget| {
            let selector = BudgetSpec::of(budget).selector();
            selector.is_some_and(|selector| selector.matches_object(pod))
        });
    let Some(budget) = budgets.next().cloned() else {
        return Ok(());
    };
    if budgets.next().is_some() {
        let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Status::failure(Reason::InternalError, message));
    }
    drop(budgets);
    let mut status = BudgetStatus::of(&budget);
    if !is_ready(pod) {
        let always = BudgetSpec::of(&budget).unhealthy_pod_eviction_policy == "AlwaysAllow";
        // It is not among the healthy ones, so there is nothing to take.
        if always || (status.current_healthy >= status.desired_healthy && status.desired_healthy > 0) {
            return Ok(());
        }
    }
    let refuse = |cause: String| {
        Status::too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.")
            .with_cause(Cause {
                kind: "DisruptionBudget".to_owned(),
                message: cause,
                field: String::new(),
            })
    };
    let forbid = |why: &str| {
        let of = Named {
            group: "policy",
            resource: "poddisruptionbudget",
        };
        Err(Status::forbidden(of, budget.name(), why))
    };
    let name = budget.name();
    if status.observed_generation < budget.generation {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refuse(cause).retry_after(10));
    }
    if status.disruptions_allowed < 0 {
        return forbid("pdb disruptions allowed is negative");
    }
    if status.disrupted_pods.len() > DISRUPTED_MAX {
        return forbid("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if status.disruptions_allowed == 0 {
        let failed = conditions::get(&status.conditions, "DisruptionAllowed")
            .filter(|one| one["status"] == "False" && one["reason"] == SYNC_FAILED);
        let cause = match failed {
            Some(failed) => format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
                conditions::text(failed, "message")
            ),
            None => format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status.desired_healthy, status.current_healthy
            ),
        };
        return Err(refuse(cause));
    }
    status.disruptions_allowed -= 1;
    if status.disruptions_allowed == 0 {
        status.tell(options.now);
    }
    if options.dry_run {
        return Ok(());
    }
    let time = Second::of(options.now).text();
    status.disrupted_pods.insert(pod.name().to_owned(), time);
    let mut draft = budget.draft();
    draft.body.insert("status".to_owned(), tree(&status));
    store
        .replace(&KINDS.disruption_budgets, Part::Status, draft, options)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::controllers::testing::World;

    fn set(world: &mut World, replicas: u8) -> Vec<String> {
        let set = json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas,
            "selector": {"matchLabels": {"set": "1"}},
            "template": {"metadata": {"labels": {"app": "web", "set": "1"}},
                "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "a"}]}}}});
        world.create("replicasets", set);
        world.after(5);
        let pods = world.cluster.store.all(&KINDS.pods, Some("default"));
        pods.map(|pod| pod.name().to_owned()).collect()
    }

    fn budget(world: &mut World, name: &str, spec: Value) {
        let mut body =
            json!({"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "web"}}}});
        super::super::testing::merge(&mut body, json!({ "spec": spec }));
        world.create("poddisruptionbudgets", body);
    }

    fn status(world: &World) -> Value {
        let status = world.at("poddisruptionbudgets", "b", "/status");
        let number = |field: &str| status[field].as_i64().unwrap();
        json!([
            number("expectedPods"),
            number("currentHealthy"),
            number("desiredHealthy"),
            number("disruptionsAllowed")
        ])
    }

    fn send(world: &mut World, pod: &str, more: Value) -> Result<(), Status> {
        let mut body = json!({"metadata": {"name": pod}});
        super::super::testing::merge(&mut body, more);
        let options = WriteOptions::by("test", world.now);
        let done = evict(&mut world.cluster.store, "default", pod, &body, options);
        world.settle();
        done
    }

    #[test]
    fn a_budget_is_kept() {
        let mut world = World::with_node();
        let pods = set(&mut world, 3);
        budget(&mut world, "b", json!({"minAvailable": 2}));
        assert_eq!(status(&world), json!([3, 3, 2, 1]));
        assert_eq!(
            world.at("poddisruptionbudgets", "b", "/status/observedGeneration"),
            1
        );
        let allowed = ("True".to_owned(), "SufficientPods".to_owned());
        assert_eq!(
            world.condition("poddisruptionbudgets", "b", "DisruptionAllowed"),
            allowed
        );

        let dry = json!({"deleteOptions": {"dryRun": ["All"]}});
        let version = world.cluster.store.version();
        send(&mut world, &pods[0], dry).unwrap();
        assert_eq!(world.cluster.store.version(), version);

        send(&mut world, &pods[0], json!({})).unwrap();
        let mark = world.condition("pods", &pods[0], DISRUPTION_TARGET);
        assert_eq!(mark, ("True".to_owned(), "EvictionByEvictionAPI".to_owned()));
        assert!(world.get("pods", &pods[0]).is_terminating());
        let refused = send(&mut world, &pods[1], json!({})).unwrap_err();
        assert_eq!((refused.code, refused.is(Reason::TooManyRequests)), (429, true));
        assert_eq!(
            refused.message,
            "Cannot evict pod as it would violate the pod's disruption budget."
        );
        let details = refused.details.unwrap();
        assert_eq!(details.causes[0].kind, "DisruptionBudget");
        assert_eq!(
            details.causes[0].message,
            "The disruption budget b needs 2 healthy pods and has 2 currently"
        );
        assert_eq!(details.retry_after_seconds, 0);

        world.after(60);
        assert_eq!(status(&world), json!([3, 3, 2, 1]), "there is another one by now");
        assert_eq!(send(&mut world, &pods[0], json!({})).unwrap_err().code, 404);
        let wrong = json!({"deleteOptions": {"preconditions": {"uid": "other"}}});
        assert_eq!(send(&mut world, &pods[1], wrong).unwrap_err().code, 409);
        let named = json!({"metadata": {"name": "x"}});
        assert_eq!(send(&mut world, &pods[1], named).unwrap_err().code, 400);
    }

    #[test]
    fn shares_are_of_the_owners_replicas() {
        let mut world = World::with_node();
        set(&mut world, 4);
        budget(&mut world, "b", json!({"maxUnavailable": "30%"}));
        assert_eq!(status(&world), json!([4, 4, 2, 2]));
        budget(&mut world, "c", json!({"minAvailable": "70%"}));
        assert_eq!(world.at("poddisruptionbudgets", "c", "/status/desiredHealthy"), 3);
        world.pod("loose", "n1", json!({}));
        world.after(5);
        assert_eq!(status(&world), json!([4, 5, 2, 3]));
        // Nothing tells the scale of a map.
        let uid = world
            .create("configmaps", json!({"metadata": {"name": "j"}}))
            .uid_text();
        let owner =
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "j", "uid": uid, "controller": true}]);
        world.pod("worker", "n1", json!({"metadata": {"ownerReferences": owner}}));
        let failed = ("False".to_owned(), SYNC_FAILED.to_owned());
        assert_eq!(
            world.condition("poddisruptionbudgets", "b", "DisruptionAllowed"),
            failed
        );
        assert_eq!(
            world.message("b", "CalculateExpectedPodCountFailed"),
            "Failed to calculate the number of expected pods: configmaps does not implement the scale subresource"
        );
    }

    #[test]
    fn pods_that_are_not_ready() {
        let mut world = World::with_node();
        let pods = set(&mut world, 2);
        budget(&mut world, "b", json!({"minAvailable": 2}));
        world.stop("n1");
        let sick = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        world.patch("pods", &pods[0], Part::Status, sick);
        assert_eq!(status(&world), json!([2, 1, 2, 0]));
        assert_eq!(send(&mut world, &pods[0], json!({})).unwrap_err().code, 429);
        let always = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
        world.patch("poddisruptionbudgets", "b", Part::Main, always);
        send(&mut world, &pods[0], json!({})).unwrap();
        budget(&mut world, "c", json!({"minAvailable": 1}));
        let refused = send(&mut world, &pods[1], json!({})).unwrap_err();
        assert_eq!(refused.code, 500);
        // One that has ended is not protected.
        world.patch(
            "pods",
            &pods[1],
            Part::Status,
            json!({"status": {"phase": "Failed"}}),
        );
        send(&mut world, &pods[1], json!({})).unwrap();
    }

    #[test]
    fn what_was_granted_and_not_done_is_taken_back() {
        let mut world = World::with_node();
        let pods = set(&mut world, 2);
        budget(&mut world, "b", json!({"minAvailable": 1}));
        let now = Second::of(world.now).text();
        let granted = json!({"status": {"disruptedPods": {pods[0].clone(): now}}});
        world.patch("poddisruptionbudgets", "b", Part::Status, granted);
        assert_eq!(status(&world), json!([2, 1, 1, 0]));
        let list = world.at("pods", &pods[1], "/status/conditions");
        let mut list = list.as_array().unwrap().clone();
        list.push(json!({"type": DISRUPTION_TARGET, "status": "True", "lastTransitionTime": now}));
        world.patch(
            "pods",
            &pods[1],
            Part::Status,
            json!({"status": {"conditions": list}}),
        );
        world.after(119);
        assert_eq!(world.condition("pods", &pods[1], DISRUPTION_TARGET).0, "True");
        world.after(1);
        assert_eq!(world.condition("pods", &pods[1], DISRUPTION_TARGET).0, "False");
        assert_eq!(status(&world), json!([2, 2, 1, 1]));
    }

    #[test]
    fn a_budget_without_pods_allows_nothing() {
        let mut world = World::new();
        budget(&mut world, "b", json!({"maxUnavailable": 1}));
        assert_eq!(status(&world), json!([0, 0, 0, 0]));
        assert_eq!(world.events("b"), ["NoPods"]);
    }
}
