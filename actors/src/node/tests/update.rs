//! Firmware updates and their tasks.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::node::bmc::{BmcCommand, LogEvent, ResetType};
use crate::node::firmware::Host;
use crate::node::update::{Component, Progress, Task};
use crate::node::{Refused, Reply};
use crate::testkit::Rig;
use crate::timing::{Latency, Timing};

/// What an update takes by default.
const UPDATE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn update(rig: &mut Rig, component: Component, version: &str) -> u32 {
    let image = format!("http://images/fw-{version}.bin").into();
    match rig.bmc(BmcCommand::UpdateFirmware { component, image }) {
        Ok(Reply::Task(number)) => number,
        other => panic!("{other:?}"),
    }
}

fn versions(rig: &Rig) -> (&str, &str) {
    let bmc = rig
        .node
        .bmc()
        .firmware_version(rig.node.profile(), Component::Bmc);
    (rig.node.bios_version(), bmc)
}

fn newest(rig: &Rig) -> &Task {
    rig.node.bmc().tasks().next_back().unwrap()
}

#[test]
fn firmware_of_the_bmc_is_new_when_the_task_is_done() {
    let mut rig = Rig::new(Timing::default());
    let bios = versions(&rig).0.to_owned();
    let begun = rig.node.revision();
    assert_eq!(update(&mut rig, Component::Bmc, "9.8.7"), 1);
    assert!(rig.node.revision() > begun, "clients see the task");
    rig.pass(UPDATE / 4);
    assert_eq!(newest(&rig).percent(rig.now), 25);
    assert_ne!(versions(&rig).1, "9.8.7");
    let running = rig.node.revision();
    rig.pass(UPDATE);
    assert_eq!(versions(&rig), (&*bios, "9.8.7"));
    assert!(rig.node.revision() > running);
    let Progress::Completed { at } = newest(&rig).progress else {
        panic!("{:?}", newest(&rig));
    };
    assert_eq!(at.since(newest(&rig).begun), UPDATE, "however late the timer was");
    assert_eq!(newest(&rig).percent(rig.now), 100);
    let logged = rig.node.bmc().log().last().unwrap();
    assert_eq!(logged.event, LogEvent::FirmwareUpdated(Component::Bmc));
    assert_eq!(rig.node.next_deadline(), None);
}

#[test]
fn firmware_of_the_host_waits_for_a_self_test() {
    let mut rig = Rig::new(Timing::default());
    let old = versions(&rig).0.to_owned();
    update(&mut rig, Component::Bios, "2.0");
    rig.pass(UPDATE);
    assert!(!newest(&rig).is_running());
    rig.pass(seconds(1000));
    assert_eq!(versions(&rig).0, old);
    rig.reset(ResetType::On);
    rig.pass(seconds(60));
    assert_eq!(versions(&rig).0, "2.0");
}

/// Ironic restarts the host as soon as the task runs, and not again when it is done.
#[test]
fn a_self_test_during_the_task_is_enough() {
    let mut rig = Rig::new(Timing::default());
    rig.reset(ResetType::On);
    rig.pass(seconds(30));
    let old = versions(&rig).0.to_owned();
    update(&mut rig, Component::Bios, "2.0");
    rig.reset(ResetType::ForceRestart);
    rig.pass(seconds(30));
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
    assert_eq!(versions(&rig).0, old);
    rig.pass(UPDATE);
    assert_eq!(versions(&rig).0, "2.0");
}

#[test]
fn a_task_outlives_the_power_of_the_host() {
    let mut rig = Rig::new(Timing::default());
    rig.reset(ResetType::On);
    rig.pass(seconds(30));
    update(&mut rig, Component::Bmc, "2.0");
    rig.reset(ResetType::ForceOff);
    rig.set_faults(json!([{"name": "dark", "what": "power_loss"}]));
    rig.pass(UPDATE);
    assert_eq!(versions(&rig).1, "2.0");
}

#[test]
fn one_update_at_a_time() {
    let mut rig = Rig::new(Timing::default());
    let first = update(&mut rig, Component::Bios, "2.0");
    let image: Arc<str> = "http://images/fw-3.0.bin".into();
    let second = BmcCommand::UpdateFirmware {
        component: Component::Bmc,
        image,
    };
    assert_eq!(rig.bmc(second.clone()), Err(Refused::UpdateRunning));
    assert_eq!(rig.bmc(BmcCommand::DeleteTask(first)), Ok(Reply::Done));
    assert_eq!(
        rig.bmc(BmcCommand::DeleteTask(first)),
        Err(Refused::UnknownTask(first))
    );
    assert_eq!(rig.bmc(second), Ok(Reply::Task(2)), "numbers are not used twice");
    rig.pass(seconds(1000));
    rig.reset(ResetType::On);
    rig.pass(seconds(60));
    assert_ne!(versions(&rig).0, "2.0", "it was called off");
    assert_eq!(versions(&rig).1, "3.0");
}

#[test]
fn an_update_that_takes_no_time_is_done_at_once() {
    let mut rig = Rig::new(Timing {
        firmware_update: Latency::ZERO,
        ..Timing::default()
    });
    update(&mut rig, Component::Bmc, "2.0");
    assert!(!newest(&rig).is_running());
    assert_eq!(versions(&rig).1, "2.0");
}

#[test]
fn tasks_that_never_end_and_tasks_that_fail() {
    let mut rig = Rig::new(Timing::default());
    rig.set_faults(json!([
        {"name": "stuck", "when": {"nth": 1}, "what": "task_never_ends"},
        {"name": "broken", "what": {"task_fails": {"message": "no space"}}},
    ]));
    let old = versions(&rig).1.to_owned();
    let stuck = update(&mut rig, Component::Bmc, "2.0");
    rig.set_faults(json!([{"name": "broken", "what": {"task_fails": {"message": "no space"}}}]));
    rig.pass(seconds(100_000));
    assert!(newest(&rig).is_running());
    assert_eq!(newest(&rig).percent(rig.now), 99);
    assert_eq!(rig.node.next_deadline(), None, "nothing is waited for");
    rig.bmc(BmcCommand::DeleteTask(stuck)).unwrap();
    update(&mut rig, Component::Bmc, "2.0");
    // What a fault does to a task, it does when that begins.
    rig.set_faults(json!([]));
    rig.pass(UPDATE);
    let Progress::Exception { message, .. } = &newest(&rig).progress else {
        panic!("{:?}", newest(&rig));
    };
    assert_eq!(message.as_deref(), Some("no space"));
    assert_eq!(versions(&rig).1, old);
    let logged = rig.node.bmc().log().last().unwrap();
    assert_eq!(logged.event, LogEvent::FirmwareUpdateFailed(Component::Bmc));
    assert_eq!(rig.hits(), [("stuck", 1), ("broken", 1)]);
    update(&mut rig, Component::Bmc, "3.0");
    rig.pass(UPDATE);
    assert_eq!(versions(&rig).1, "3.0");
}
