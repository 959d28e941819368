//! How long events are there, and what waits for their end.

use serde_json::json;

use crate::kube::controllers::testing::World;
use crate::kube::store::Part;

#[test]
fn events_end_an_hour_after_they_were_last_written() {
    let mut world = World::new();
    for name in ["first", "renewed"] {
        let about = json!({"kind": "Pod", "namespace": "default", "name": "p"});
        world.create(
            "events",
            json!({"metadata": {"name": name}, "involvedObject": about, "reason": "Test", "message": name}),
        );
    }
    world.after(1800);
    world.patch("events", "renewed", Part::Main, json!({"count": 2}));
    world.after(1799);
    assert!(world.find("events", "default", "first").is_some());
    world.after(61);
    assert!(world.find("events", "default", "first").is_none());
    assert!(world.find("events", "default", "renewed").is_some());
    world.after(1800);
    assert!(world.find("events", "default", "renewed").is_none());
}

#[test]
fn one_wait_is_for_all_events_of_a_minute() {
    let mut world = World::with_node();
    for index in 0..20 {
        world.pod(&format!("p{index}"), "n1", json!({}));
    }
    world.after(30);
    assert!(world.count("events") > 60);
    // Each time at which something is due, up to the end of the last event.
    let mut times = 0;
    loop {
        let next = world.settle().next;
        if world.count("events") == 0 {
            break;
        }
        world.now = next.unwrap();
        times += 1;
    }
    assert!(times <= 5, "{times}");
}
