//! Faults of the simulator itself: an actor that panics costs one request, and nothing else.

use metalsim::observer::Exposition as _;
use metalsim_actors::node::Event;
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::shell::AskError;
use serde_json::json;

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
