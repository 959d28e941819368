//! Inspection, look-up and heartbeats: what is called when, and when again.

use std::time::Duration;

use serde_json::json;

use crate::node::Refused;
use crate::node::bmc::ResetType;
use crate::node::effect::{CallError, IronicCall, Outcome};
use crate::node::phase::Phase;
use crate::testkit::{LookupAnswer, Rig};
use crate::timing::{Latency, Timing};

fn seconds(range: std::ops::RangeInclusive<u64>, duration: Duration) {
    let (low, high) = (
        Duration::from_secs(*range.start()),
        Duration::from_secs(*range.end()),
    );
    assert!(
        duration >= low && duration <= high,
        "{duration:?} is not within {range:?} s"
    );
}

/// Only the look-up or heartbeat side; inspection retries are answered with 404 on the way.
fn inspecting() -> Rig {
    let mut rig = Rig::new(Timing::instant());
    rig.boot_ramdisk(Rig::parameters(true));
    rig
}

#[test]
fn an_inventory_that_is_taken_is_followed_by_a_look_up_with_the_uuid() {
    let mut rig = inspecting();
    assert_eq!(rig.node.phase(), Phase::Inspecting);
    let IronicCall::Inspect { url, data } = rig.call() else {
        panic!("{:?}", rig.call())
    };
    assert_eq!(&**url, "http://ironic/v1/continue_inspection");
    assert_eq!(
        data.inventory.interfaces[0].mac_address,
        rig.node.identity().macs[0]
    );
    rig.answer(Outcome::Inspected(Ok(Rig::inspection_accepted())))
        .unwrap();
    rig.answer(Outcome::Discovered("1.115".parse().map_err(|_| CallError::Body)))
        .unwrap();
    assert!(matches!(
        rig.call(),
        IronicCall::Lookup {
            node_uuid: Some(_),
            ..
        }
    ));
}

#[test]
fn an_inventory_that_comes_too_early_is_posted_until_it_is_taken() {
    let mut rig = inspecting();
    for _ in 0..4 {
        let inspect = rig
            .pending
            .iter()
            .position(|(_, effect)| {
                matches!(effect, crate::node::Effect::Ironic(request)
                    if matches!(request.call, IronicCall::Inspect { .. }))
            })
            .expect("the inventory is posted again");
        let (epoch, _) = rig.pending.remove(inspect);
        let outcome = Outcome::Inspected(Err(CallError::Status(404)));
        rig.apply(crate::node::Event::Outcome { epoch, outcome }).unwrap();
        assert!(!rig.pending.is_empty(), "a 404 does not hold up the look-up");
        rig.pass(Duration::from_secs(12));
    }
}

#[test]
fn a_command_says_that_no_inventory_is_awaited() {
    let mut rig = inspecting();
    rig.answer(Outcome::Inspected(Err(CallError::Status(404))))
        .unwrap();
    rig.look_up(LookupAnswer::Token);
    rig.answer_beat(Ok(()));
    rig.execute("standby.sync", json!({})).unwrap();
    rig.pass(Duration::from_secs(60));
    assert!(rig.pending.is_empty(), "{:?}", rig.pending);
}

#[test]
fn a_locked_or_failing_ironic_only_delays_the_inspection() {
    let mut rig = inspecting();
    for (error, pause) in [
        (CallError::Status(409), 5),
        (CallError::Status(500), 5),
        (CallError::Connection, 6),
        (CallError::Body, 12),
        (CallError::Status(503), 5),
    ] {
        rig.answer(Outcome::Inspected(Err(error))).unwrap();
        assert!(rig.pending.is_empty(), "look-up waits for the inspection");
        seconds(pause..=pause, rig.pass_to_deadline());
        assert!(matches!(rig.call(), IronicCall::Inspect { .. }));
    }
}

#[test]
fn failed_look_ups_are_repeated_after_growing_pauses() {
    let mut rig = Rig::new(Timing::instant());
    rig.boot_ramdisk(Rig::parameters(false));
    rig.answer(Outcome::Discovered(Ok(crate::wire::agent::ApiVersion {
        minor: 115,
    })))
    .unwrap();
    for error in [CallError::Status(404), CallError::Connection, CallError::Body] {
        rig.answer(Outcome::LookedUp(Err(error))).unwrap();
        seconds(1..=8, rig.pass_to_deadline());
    }
    for extra in [5, 10, 30, 30] {
        rig.answer(Outcome::LookedUp(Err(CallError::Status(409))))
            .unwrap();
        seconds(extra + 1..=extra + 60, rig.pass_to_deadline());
    }
    rig.answer(Outcome::LookedUp(Ok(Box::new(Rig::lookup_reply(
        LookupAnswer::Token,
    )))))
    .unwrap();
    let IronicCall::Heartbeat { body, .. } = rig.call() else {
        panic!("{:?}", rig.call())
    };
    assert_eq!(body.agent_token.as_deref(), Some("token"));
    assert_eq!(
        body.callback_url,
        format!("http://127.0.0.1:9999/{}", rig.node.identity().id)
    );
}

#[test]
fn an_agent_without_the_token_of_its_boot_falls_silent() {
    let mut rig = Rig::new(Timing::instant());
    rig.boot_ramdisk(Rig::parameters(false));
    rig.look_up(LookupAnswer::Masked);
    assert_eq!((rig.node.phase(), rig.pending.len()), (Phase::AgentSilent, 0));
    assert_eq!(rig.execute("standby.sync", json!({})), Err(Refused::NoAgent));
}

#[test]
fn heartbeats_keep_to_their_window_and_errors_shorten_it() {
    let mut rig = Rig::ready(Timing::instant());
    for _ in 0..20 {
        seconds(90..=180, rig.pass_to_deadline());
        rig.answer_beat(Ok(()));
    }
    rig.pass_to_deadline();
    for error in [
        CallError::Status(400),
        CallError::Status(409),
        CallError::Connection,
    ] {
        rig.answer_beat(Err(error));
        seconds(5..=10, rig.pass_to_deadline());
    }
}

#[test]
fn the_end_of_a_command_forces_a_heartbeat_five_seconds_after_the_last() {
    let mut rig = Rig::ready(Timing {
        agent_command: Latency::millis(2000),
        ..Timing::instant()
    });
    rig.pass_to_deadline();
    rig.answer_beat(Ok(()));
    rig.execute(
        "clean.execute_clean_step",
        json!({"step": {"interface": "deploy", "step": "erase_pstore"}}),
    )
    .unwrap();
    rig.pass(Duration::from_millis(4999));
    assert!(rig.pending.is_empty());
    rig.pass(Duration::from_millis(1));
    // Only an answer of 202 ends the hurry.
    rig.answer_beat(Err(CallError::Status(409)));
    seconds(5..=5, rig.pass_to_deadline());
    rig.answer_beat(Ok(()));
    seconds(90..=180, rig.pass_to_deadline());
}

#[test]
fn a_command_that_ends_while_a_heartbeat_is_on_its_way_forces_another() {
    let mut rig = Rig::ready(Timing {
        agent_command: Latency::millis(2000),
        ..Timing::instant()
    });
    rig.pass_to_deadline();
    rig.execute(
        "clean.execute_clean_step",
        json!({"step": {"interface": "deploy", "step": "erase_pstore"}}),
    )
    .unwrap();
    rig.pass(Duration::from_millis(3000));
    rig.answer_beat(Ok(()));
    seconds(2..=2, rig.pass_to_deadline());
    assert!(matches!(rig.call(), IronicCall::Heartbeat { .. }));
}

#[test]
fn power_off_stops_heartbeats_at_once_and_power_on_begins_a_fresh_agent() {
    let mut rig = Rig::ready(Timing::instant());
    rig.execute("standby.sync", json!({})).unwrap();
    rig.pass_to_deadline();
    rig.reset(ResetType::ForceOff);
    assert_eq!(rig.answer(Outcome::Beat(Ok(()))), Err(Refused::Stale));
    rig.pass(Duration::from_secs(3600));
    assert!(rig.pending.is_empty() && rig.node.agent().is_none());
    rig.boot_ramdisk(Rig::parameters(false));
    rig.look_up(LookupAnswer::Token);
    rig.answer_beat(Ok(()));
    let listed = rig.agent(crate::node::agent::command::Operation::List).unwrap();
    assert_eq!(
        listed,
        crate::node::agent::AgentReply::Commands(vec![]),
        "a fresh agent has no history"
    );
}
