//! Faults of power, self test and operating system, and the order of what happens.

use std::time::Duration;

use serde_json::json;

use crate::node::bmc::{PowerState, ResetType};
use crate::node::effect::{Cause, Record};
use crate::node::firmware::Host;
use crate::node::phase::Phase;
use crate::node::{Activity, Event, Node};
use crate::testkit::Rig;
use crate::time::SimInstant;
use crate::timing::Timing;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// On, with nothing to boot.
fn on() -> Rig {
    let mut rig = Rig::new(Timing::default());
    rig.reset(ResetType::On);
    rig.pass(seconds(60));
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
    rig
}

#[test]
fn every_second_reset_is_ignored() {
    let mut rig = on();
    rig.set_faults(json!([{"name": "deaf", "when": {"every": 2}, "what": "reset_ignored"}]));
    let mut states = Vec::new();
    for _ in 0..3 {
        rig.reset(ResetType::ForceOff);
        rig.pass(seconds(60));
        states.push(rig.node.power_state());
        rig.reset(ResetType::On);
        rig.pass(seconds(60));
    }
    // Each second one is a power-on, so the node never comes back.
    assert_eq!(states, [PowerState::Off; 3]);
    assert_eq!(rig.node.power_state(), PowerState::Off);
    assert_eq!(rig.hits(), [("deaf", 2), ("deaf", 4), ("deaf", 6)]);
}

#[test]
fn only_the_named_resets_are_ignored() {
    let mut rig = on();
    rig.set_faults(json!([{"name": "deaf", "what": {"reset_ignored": {"types": ["GracefulShutdown"]}}}]));
    rig.reset(ResetType::GracefulShutdown);
    rig.pass(seconds(600));
    assert_eq!(rig.node.power_state(), PowerState::On);
    rig.reset(ResetType::ForceOff);
    rig.pass(seconds(60));
    assert_eq!(rig.node.power_state(), PowerState::Off);
}

#[test]
fn power_flaps_at_its_times_and_comes_back() {
    let mut rig = on();
    let epoch = rig.node.epoch();
    rig.set_faults(json!([{
        "name": "flap", "when": {"from": "100s", "lasts": "1s", "repeats": "200s"}, "what": {"power_flap": {"off_for": "10s"}},
    }]));
    rig.pass(seconds(45));
    assert_eq!(rig.node.power_state(), PowerState::Off, "at 105 s");
    assert_ne!(rig.node.epoch(), epoch);
    rig.pass(seconds(100));
    assert_eq!(rig.node.phase(), Phase::NoBootDevice, "it has booted again");
    rig.pass(seconds(100));
    assert_eq!(rig.node.power_state(), PowerState::Off, "at 305 s");
    assert_eq!(rig.hits(), [("flap", 1), ("flap", 2)]);
}

#[test]
fn a_flap_that_is_called_off_half_way_lasts_to_its_end() {
    let mut rig = Rig::new(Timing::instant());
    rig.pass(seconds(60));
    rig.set_faults(json!([{
        "name": "flap", "when": {"from": "60s", "lasts": "1s"}, "what": {"power_flap": {"off_for": "10s"}},
    }]));
    rig.set_faults(json!([]));
    rig.reset(ResetType::On);
    rig.pass(seconds(9));
    assert_eq!(rig.node.power_state(), PowerState::Off);
    rig.pass(seconds(1));
    assert_eq!(rig.node.power_state(), PowerState::On, "as it was asked");
}

#[test]
fn what_is_asked_for_without_power_is_done_when_it_is_back() {
    for (restore, asked, expected) in [
        ("last", None, PowerState::On),
        ("last", Some(ResetType::ForceOff), PowerState::Off),
        ("off", None, PowerState::Off),
        ("on", Some(ResetType::ForceOff), PowerState::On),
    ] {
        let mut rig = on();
        rig.set_faults(json!([{
            "name": "loss", "when": {"from": "60s", "until": "200s"}, "what": {"power_loss": {"restore": restore}},
        }]));
        assert_eq!(rig.node.power_state(), PowerState::Off);
        if let Some(reset) = asked {
            rig.reset(reset);
        }
        rig.pass(seconds(100));
        assert_eq!(rig.node.power_state(), PowerState::Off, "the fault still lasts");
        rig.pass(seconds(100));
        assert_eq!(rig.node.power_state(), expected, "{restore} {asked:?}");
        assert_eq!(rig.hits(), [("loss", 1)]);
    }
}

#[test]
fn the_self_test_ends_when_the_fault_does() {
    let mut rig = Rig::new(Timing::default());
    rig.set_faults(json!([{"name": "post", "when": {"until": "500s"}, "what": "stuck_in_post"}]));
    rig.reset(ResetType::On);
    rig.pass(seconds(499));
    assert_eq!(rig.node.phase(), Phase::Post);
    rig.pass(seconds(1));
    assert_eq!(rig.node.phase(), Phase::NoBootDevice);
}

#[test]
fn a_phase_can_be_the_fault_s_time() {
    let mut rig = Rig::new(Timing::default());
    rig.set_faults(json!([{
        "name": "loss", "when": {"node_phases": ["post"], "until": "300s"}, "what": {"power_loss": {"restore": "off"}},
    }]));
    rig.reset(ResetType::On);
    rig.pass(seconds(400));
    // Power is lost in the self test, which ends the fault's reason: the host stays off then.
    assert_eq!(rig.node.phase(), Phase::Off);
    assert_eq!(rig.hits(), [("loss", 1)]);
}

#[test]
fn a_hanging_system_is_no_node() {
    let mut rig = on();
    rig.set_faults(json!([{"name": "hang", "what": "os_hangs"}]));
    assert_eq!(rig.node.activity(), Activity::None);
    assert!(
        rig.node
            .afflictions()
            .is_some_and(|afflictions| afflictions.os_hangs)
    );
    rig.set_faults(json!([]));
    assert!(rig.node.afflictions().is_none());
}

#[test]
fn faults_name_themselves_as_causes() {
    let mut rig = on();
    rig.set_faults(json!([{"name": "loss", "when": {"from": "60s"}, "what": "power_loss"}]));
    let Some(Record::Phase(change)) = rig.records.last() else {
        panic!("{:?}", rig.records)
    };
    assert_eq!((change.from, change.to), (Some(Phase::NoBootDevice), Phase::Off));
    assert_eq!(change.cause, Cause::Fault("loss".parse().unwrap()));
}

/// How late a timer is served changes nothing but when it is seen.
#[test]
fn late_timers_tell_the_same_story() {
    let faults = json!([
        {"name": "flap", "when": {"from": "30s", "lasts": "1s", "repeats": "70s"}, "what": {"power_flap": {"off_for": "10s"}}},
        {"name": "post", "when": {"from": "200s", "until": "250s"}, "what": "stuck_in_post"},
        {"name": "loss", "when": {"from": "400s", "until": "450s"}, "what": "power_loss"},
    ]);
    let life = |step: Duration| {
        let mut rig = Rig::new(Timing::default());
        rig.set_faults(faults.clone());
        rig.reset(ResetType::On);
        let end = SimInstant::START + seconds(900);
        while rig.now < end {
            rig.now = rig.now + step;
            // Served once for all that was due meanwhile.
            while rig.node.next_deadline().is_some_and(|due| due <= rig.now) {
                rig.apply(Event::Timer).unwrap();
            }
        }
        rig.records
    };
    let punctual = life(Duration::from_millis(1));
    assert!(punctual.len() > 20, "{punctual:?}");
    assert_eq!(life(seconds(50)), punctual);
    assert_eq!(life(seconds(900)), punctual);
}

/// A node that no fault selects keeps nothing of them.
#[test]
fn others_are_left_alone() {
    let mut rig = on();
    rig.set_faults(json!([{"name": "deaf", "which": {"names": ["other"]}, "what": "reset_ignored"}]));
    rig.reset(ResetType::ForceOff);
    rig.pass(seconds(60));
    assert_eq!(rig.node.power_state(), PowerState::Off);
    assert!(rig.hits().is_empty() && Node::afflictions(&rig.node).is_none());
}
