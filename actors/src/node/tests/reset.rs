//! The reset table.

use std::time::Duration;

use crate::node::bmc::{BmcCommand, PowerState, ResetType};
use crate::node::firmware::Host;
use crate::node::{Event, Refused};
use crate::testkit::Rig;
use crate::timing::{Latency, Timing};

const LONG: Duration = Duration::from_secs(60);

fn off() -> Rig {
    Rig::new(Timing::default())
}

/// On, with nothing to boot.
fn on() -> Rig {
    let mut rig = off();
    rig.reset(ResetType::On);
    rig.pass(LONG);
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
    rig
}

fn going_down() -> Rig {
    let mut rig = on();
    rig.reset(ResetType::ForceOff);
    assert_eq!(rig.node.power_state(), PowerState::PoweringOff);
    rig
}

#[test]
fn every_reset_ends_in_the_state_that_the_table_says() {
    use PowerState::{Off, On};
    let table = [
        // type, from off, from on, while going down
        (ResetType::On, On, On, On),
        (ResetType::ForceOn, On, On, On),
        (ResetType::ForceOff, Off, Off, Off),
        (ResetType::GracefulShutdown, Off, Off, Off),
        (ResetType::GracefulRestart, On, On, On),
        (ResetType::ForceRestart, On, On, On),
        (ResetType::PowerCycle, On, On, On),
        (ResetType::PushPowerButton, On, Off, On),
        (ResetType::Nmi, Off, On, Off),
    ];
    assert_eq!(table.len(), ResetType::ALL.len());
    for (reset, from_off, from_on, from_going_down) in table {
        for (mut rig, expected) in [
            (off(), from_off),
            (on(), from_on),
            (going_down(), from_going_down),
        ] {
            let before = rig.node.host().clone();
            rig.reset(reset);
            rig.pass(LONG);
            assert_eq!(rig.node.power_state(), expected, "{reset:?} from {before:?}");
        }
    }
}

#[test]
fn power_passes_through_its_transitional_states() {
    let mut rig = off();
    rig.reset(ResetType::On);
    assert_eq!(rig.node.power_state(), PowerState::PoweringOn);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.node.power_state(), PowerState::On);
    rig.reset(ResetType::ForceOff);
    assert_eq!(rig.node.power_state(), PowerState::PoweringOff);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.node.power_state(), PowerState::Off);
}

#[test]
fn a_forced_restart_keeps_power_and_begins_a_new_epoch() {
    let mut rig = on();
    let epoch = rig.node.epoch();
    rig.reset(ResetType::ForceRestart);
    assert_eq!(rig.node.power_state(), PowerState::On);
    assert!(rig.node.epoch() > epoch);
}

#[test]
fn repeating_a_reset_does_not_begin_it_again() {
    let mut rig = off();
    rig.reset(ResetType::On);
    let (epoch, host) = (rig.node.epoch(), rig.node.host().clone());
    rig.reset(ResetType::On);
    assert_eq!((rig.node.epoch(), rig.node.host()), (epoch, &host));
}

#[test]
fn without_latency_a_reset_is_over_in_its_own_step() {
    let mut rig = Rig::new(Timing::instant());
    rig.reset(ResetType::On);
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
    rig.reset(ResetType::ForceOff);
    assert_eq!(*rig.node.host(), Host::Off);
    rig.reset(ResetType::PowerCycle);
    assert_eq!(rig.node.power_state(), PowerState::On);
}

#[test]
fn a_late_timer_loses_nothing() {
    let mut rig = Rig::new(Timing {
        post: Latency::millis(10),
        ..Timing::default()
    });
    rig.reset(ResetType::On);
    rig.now = rig.now + LONG;
    rig.apply(Event::Timer).unwrap();
    rig.now = rig.now + LONG;
    rig.apply(Event::Timer).unwrap();
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
}

#[test]
fn an_old_revision_is_refused_and_changes_nothing() {
    let mut rig = off();
    let revision = rig.node.revision();
    let reset = |if_match| Event::Bmc {
        if_match,
        command: BmcCommand::Reset(ResetType::On),
    };
    assert_eq!(
        rig.apply(reset(Some(revision + 1))),
        Err(Refused::PreconditionFailed)
    );
    assert_eq!(
        (rig.node.power_state(), rig.node.revision()),
        (PowerState::Off, revision)
    );
    assert!(rig.apply(reset(Some(revision))).is_ok());
    assert_ne!(rig.node.revision(), revision);
}
