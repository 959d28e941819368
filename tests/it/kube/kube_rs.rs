//! What kube-rs and its runtime do besides informers.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ObjectReference, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalizer, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher;
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;

use super::harness::{Plan, Running};
use crate::world::PATIENCE;

fn config_map(name: &str, data: &[(&str, &str)]) -> ConfigMap {
    let data: BTreeMap<&str, &str> = data.iter().copied().collect();
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data,
    }))
    .unwrap()
}

/// The code of a refusal, and what it says.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, kube::Error>) -> kube::core::Status {
    match answer {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("not refused: {other:?}"),
    }
}

#[actix_web::test]
async fn server_side_apply_creates_shares_conflicts_and_forces() {
    let running = Running::start(&Plan::default());
    let maps: Api<ConfigMap> = Api::namespaced(running.kube(running.address()), "default");
    let one = PatchParams::apply("one");
    let two = PatchParams::apply("two");
    let apply = |data: &[(&str, &str)]| Patch::Apply(config_map("shared", data));

    let made = maps.patch("shared", &one, &apply(&[("a", "1")])).await.unwrap();
    let again = maps.patch("shared", &one, &apply(&[("a", "1")])).await.unwrap();
    assert_eq!(
        made.resource_version(),
        again.resource_version(),
        "nothing changed"
    );
    // Another field is no conflict; the same one is.
    maps.patch("shared", &two, &apply(&[("b", "2")])).await.unwrap();
    let status = refused(
        maps.patch("shared", &two, &apply(&[("a", "2"), ("b", "2")]))
            .await,
    );
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let causes = status.details.unwrap().causes;
    assert_eq!(causes.len(), 1);
    assert_eq!(
        (causes[0].reason.as_str(), causes[0].field.as_str()),
        ("FieldManagerConflict", ".data.a")
    );
    assert!(causes[0].message.contains("\"one\""), "{}", causes[0].message);
    let forced = maps
        .patch("shared", &two.clone().force(), &apply(&[("a", "2"), ("b", "2")]))
        .await
        .unwrap();
    let data = forced.data.unwrap();
    assert_eq!(data.get("a").map(String::as_str), Some("2"));
    // What its only owner leaves out goes.
    let less = maps.patch("shared", &two, &apply(&[("a", "2")])).await.unwrap();
    assert_eq!(less.data.unwrap().len(), 1);
    let managers: Vec<String> = less
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .map(|entry| entry.manager.unwrap())
        .collect();
    assert!(managers.contains(&"two".to_owned()), "{managers:?}");
    // An applier names itself.
    let status = refused(maps.patch("shared", &PatchParams::default(), &apply(&[])).await);
    assert_eq!(status.code, 422);
}

#[actix_web::test]
async fn the_other_patches_and_dry_runs() {
    let running = Running::start(&Plan::default());
    let maps: Api<ConfigMap> = Api::namespaced(running.kube(running.address()), "default");
    let post = PostParams::default();
    let made = maps.create(&post, &config_map("a", &[("x", "1")])).await.unwrap();
    let none = PatchParams::default();
    let merged = maps
        .patch(
            "a",
            &none,
            &Patch::<ConfigMap>::Merge(config_map("a", &[("y", "2")])),
        )
        .await
        .unwrap();
    assert_eq!(merged.data.unwrap().len(), 2);
    let strategic = json!({"data": {"y": null}});
    let patched = maps
        .patch("a", &none, &Patch::Strategic(strategic))
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap().len(), 1);
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let shown = maps
        .patch("a", &dry, &Patch::Merge(json!({"data": {"z": "3"}})))
        .await
        .unwrap();
    assert_eq!(shown.data.unwrap().len(), 2);
    let kept = maps.get("a").await.unwrap();
    assert_eq!(kept.data.unwrap().len(), 1);
    assert_eq!(kept.metadata.uid, made.metadata.uid);

    // Optimistic locks.
    let status = refused(maps.replace("a", &post, &made).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let status = refused(maps.create(&post, &config_map("a", &[])).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "AlreadyExists"));
    let wrong = DeleteParams::default().preconditions(kube::api::Preconditions {
        uid: Some("0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a".into()),
        resource_version: None,
    });
    assert_eq!(refused(maps.delete("a", &wrong).await).code, 409);
    maps.delete_collection(
        &DeleteParams::default(),
        &ListParams::default().fields("metadata.name=a"),
    )
    .await
    .unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[actix_web::test]
async fn a_metadata_watcher_sees_metadata_only() {
    let running = Running::start(&Plan::default());
    let client = running.kube(running.address());
    let metadata: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let made = maps
        .create(&PostParams::default(), &config_map("a", &[("x", "1")]))
        .await
        .unwrap();
    let one = watcher::Config::default().fields("metadata.name=a");
    let mut events = pin!(watcher(metadata, one));
    let object = tokio::time::timeout(PATIENCE, async {
        loop {
            if let watcher::Event::InitApply(object) = events.next().await.unwrap().unwrap() {
                return object;
            }
        }
    });
    let object = object.await.expect("no event came");
    assert_eq!(object.metadata.uid, made.metadata.uid);
    assert_eq!(object.types.unwrap().kind, "PartialObjectMetadata");
}

#[actix_web::test]
async fn conditions_are_awaited() {
    let running = Running::start(&Plan::default());
    let maps: Api<ConfigMap> = Api::namespaced(running.kube(running.address()), "default");
    let created = tokio::time::timeout(
        PATIENCE,
        await_condition(maps.clone(), "later", conditions::is_created()),
    );
    let post = PostParams::default();
    let create = async { maps.create(&post, &config_map("later", &[])).await.unwrap() };
    let (created, made) = tokio::join!(created, create);
    assert_eq!(created.unwrap().unwrap().unwrap().metadata.uid, made.metadata.uid);

    let uid = made.uid().unwrap();
    let deleted = tokio::time::timeout(
        PATIENCE,
        await_condition(maps.clone(), "later", conditions::is_deleted(&uid)),
    );
    let delete = async { maps.delete("later", &DeleteParams::default()).await.unwrap() };
    let (deleted, _) = tokio::join!(deleted, delete);
    deleted.unwrap().unwrap();
}

#[actix_web::test]
async fn finalizers_hold_an_object_until_the_cleanup_is_done() {
    const NAME: &str = "test.metalsim.example/hold";
    let running = Running::start(&Plan::default());
    let maps: Api<ConfigMap> = Api::namespaced(running.kube(running.address()), "default");
    maps.create(&PostParams::default(), &config_map("held", &[]))
        .await
        .unwrap();
    let mut seen = Vec::new();
    for round in 0..3 {
        let object = Arc::new(maps.get("held").await.unwrap());
        let outcome = finalizer(&maps, NAME, object, |event| {
            seen.push(matches!(event, Finalizer::Cleanup(_)));
            async { Ok::<_, std::convert::Infallible>(Action::await_change()) }
        });
        outcome.await.unwrap();
        if round == 1 {
            maps.delete("held", &DeleteParams::default()).await.unwrap();
            let held = maps.get("held").await.unwrap();
            assert!(held.meta().deletion_timestamp.is_some());
            assert_eq!(held.finalizers(), [NAME]);
        }
    }
    // The first round only adds the finalizer.
    assert_eq!(seen, [false, true]);
    assert!(maps.get_opt("held").await.unwrap().is_none());
}

#[actix_web::test]
async fn a_recorder_publishes_events_and_counts_repeated_ones() {
    let running = Running::start(&Plan::default());
    let client = running.kube(running.address());
    let reporter = Reporter {
        controller: "test".into(),
        instance: Some("one".into()),
    };
    let recorder = Recorder::new(client.clone(), reporter);
    let about = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Node".into()),
        name: Some("n".into()),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: EventType::Normal,
        reason: "Tested".into(),
        note: Some("all is well".into()),
        action: "Test".into(),
        secondary: None,
    };
    recorder.publish(&event, &about).await.unwrap();
    recorder.publish(&event, &about).await.unwrap();
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(client.clone(), "default");
    let found = events.list(&ListParams::default()).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .filter(|event| event.reason.as_deref() == Some("Tested"))
        .collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].note.as_deref(), Some("all is well"));
    assert_eq!(found[0].series.as_ref().map(|series| series.count), Some(2));
    // The same object in the core group.
    let core: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client, "default");
    let shown = core.get(&found[0].name_any()).await.unwrap();
    assert_eq!(shown.message.as_deref(), Some("all is well"));
    assert_eq!(shown.involved_object.name.as_deref(), Some("n"));
}

#[actix_web::test]
async fn namespaces_and_pods_go_and_come() {
    let running = Running::start(&Plan::default());
    let client = running.kube(running.address());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "brief"}})).unwrap();
    let made = namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let pods: Api<Pod> = Api::namespaced(client, "brief");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "p-"},
        "spec": {"containers": [{"name": "c", "image": "example.org/c:1"}]},
    }))
    .unwrap();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    assert!(pod.name_any().starts_with("p-"));
    assert_eq!(pod.spec.unwrap().restart_policy.as_deref(), Some("Always"));
    namespaces
        .delete("brief", &DeleteParams::default())
        .await
        .unwrap();
    let uid = made.uid().unwrap();
    let gone = await_condition(namespaces, "brief", conditions::is_deleted(&uid));
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("still there")
        .unwrap();
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
}
