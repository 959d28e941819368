//! Faults of the simulator itself: an actor that panics costs one request, and nothing else.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use metalsim::observer::Exposition as _;
use metalsim_actors::node::Event;
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::shell::AskError;
use serde_json::json;

use super::cluster::{Site, refused};
use crate::world::{Plan, World};

fn on() -> Event {
    Event::Bmc {
        if_match: None,
        command: BmcCommand::Reset(ResetType::On),
    }
}

#[actix_web::test]
async fn a_node_s_actor_that_panics_costs_one_request() {
    let world = World::start(Plan::default()).await;
    world.set_faults(json!([
        {"name": "bug", "which": {"names": ["n0"]}, "when": {"nth": 1}, "what": "node_actor_panics"},
    ]));
    let first = world.node(0).act(on()).await;
    assert!(matches!(first, Err(AskError::Fault)), "{first:?}");
    world.node(0).act(on()).await.unwrap();
    world.node(1).act(on()).await.unwrap();
    let page = world.metrics.render();
    assert!(
        page.lines().any(|line| line == "metalsim_step_panics_total 1"),
        "{page}"
    );
    world.stop().await;
}

#[actix_web::test]
async fn a_cluster_s_actor_that_panics_costs_one_request() {
    let site = Site::start(100, 1.0).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(site.kube().await);
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "one"}})).unwrap();
    site.fault(json!({}), json!({"nth": 1}), json!("cluster_actor_panics"));
    let status = refused(maps.create(&PostParams::default(), &map).await);
    assert_eq!((status.code, &*status.reason), (500, "InternalError"));
    assert!(
        maps.get_opt("one").await.unwrap().is_none(),
        "nothing was written"
    );
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(site.hits("cluster_actor_panics"), (1, vec!["web".to_owned()]));
    assert_eq!(site.metric("metalsim_step_panics_total"), 1);
    site.world.stop().await;
}
