//! Faults of boot and of the installed system.

use std::time::Duration;

use serde_json::{Value, json};

use crate::node::bmc::{BmcCommand, BootTarget, Media, OverrideEnabled, ResetType, TransferMethod};
use crate::node::effect::{BootImage, Cause, Effect, Outcome, Record};
use crate::node::firmware::{Host, System};
use crate::node::os::Stage;
use crate::node::os::intent::Role;
use crate::node::os::membership::{Activity, BootstrapFailure, RETRY};
use crate::node::phase::Phase;
use crate::node::{Event, Node};
use crate::testkit::Rig;
use crate::time::SimInstant;
use crate::timing::{Latency, Timing};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timing() -> Timing {
    Timing {
        post: Latency::millis(10_000),
        os_boot: Latency::millis(20_000),
        cloud_init: Latency::millis(3000),
        ..Timing::instant()
    }
}

/// Off, with a system on its disk.
fn installed(config_drive: &Value, timing: Timing) -> Rig {
    let mut rig = Rig::ready(timing);
    rig.pending.clear();
    let image = json!({"id": "img", "urls": ["http://images/img"]});
    let args = json!({"image_info": image, "configdrive": config_drive});
    let step = json!({"interface": "deploy", "step": "write_image", "args": args});
    rig.execute("deploy.execute_deploy_step", json!({"step": step}))
        .unwrap();
    rig.pass(Duration::ZERO);
    rig.reset(ResetType::ForceOff);
    rig.pending.clear();
    rig.records.clear();
    rig
}

fn phases(rig: &Rig) -> Vec<(u64, Phase)> {
    rig.records
        .iter()
        .filter_map(|record| match record {
            Record::Phase(change) => Some((change.at.since(SimInstant::START).as_secs(), change.to)),
            _ => None,
        })
        .collect()
}

// --- the system restarts again and again --------------------------------------------------------------------------

#[test]
fn a_system_restarts_after_its_uptime_each_time() {
    let mut rig = installed(&Value::Null, timing());
    rig.set_faults(json!([{"name": "loop", "what": {"reboot_loop": {"uptime": "60s"}}}]));
    let (begun, epoch) = (rig.now.since(SimInstant::START).as_secs(), rig.node.epoch());
    rig.reset(ResetType::On);
    rig.pass(seconds(200));
    let expected: Vec<(u64, Phase)> = [
        (0, Phase::PoweringOn),
        (0, Phase::Post),
        (10, Phase::Booting),
        (30, Phase::OsRunning),
        (90, Phase::Post),
        (100, Phase::Booting),
        (120, Phase::OsRunning),
        (180, Phase::Post),
        (190, Phase::Booting),
    ]
    .map(|(at, phase)| (begun + at, phase))
    .into();
    assert_eq!(phases(&rig), expected);
    assert!(rig.node.epoch() > epoch.next().next());
    assert_eq!(rig.hits(), [("loop", 1), ("loop", 2)]);
    for record in &rig.records {
        if let Record::Phase(change) = record {
            let by_fault = change.cause == Cause::Fault("loop".parse().unwrap());
            let restarted = change.from == Some(Phase::OsRunning);
            assert_eq!(by_fault, restarted, "{change:?}");
        }
    }
    // The power button ends it, and the fault's end the next time.
    rig.reset(ResetType::ForceOff);
    rig.pass(seconds(600));
    assert_eq!(*rig.node.host(), Host::Off);
    rig.set_faults(json!([]));
    rig.reset(ResetType::On);
    rig.pass(seconds(600));
    assert_eq!(rig.node.phase(), Phase::OsRunning);
    assert_eq!(rig.node.next_deadline(), None);
}

#[test]
fn a_member_comes_back_as_the_same_node_after_each_restart() {
    let mut rig = installed(&json!("ZHJpdmU="), timing());
    rig.set_faults(json!([{
        "name": "loop", "when": {"nth": 1, "node_phases": ["os_running"]}, "what": {"reboot_loop": {"uptime": "60s"}},
    }]));
    rig.reset(ResetType::On);
    at_kubeadm(&mut rig);
    rig.answer(Outcome::Bootstrapped(Ok(Rig::membership()))).unwrap();
    assert_eq!(rig.node.activity(), Activity::Member(&Rig::membership()));
    rig.pass(seconds(60));
    assert_eq!(rig.node.activity(), Activity::None, "its kubelet falls silent");
    assert_eq!(rig.node.disk().membership(), Some(&Rig::membership()));
    at_kubeadm(&mut rig);
    assert!(rig.pending.is_empty(), "kubeadm does not run again");
    assert_eq!(rig.node.activity(), Activity::Member(&Rig::membership()));
    rig.pass(seconds(600));
    assert_eq!(rig.node.activity(), Activity::Member(&Rig::membership()));
}

#[test]
fn a_system_that_hangs_does_not_restart_before_it_goes_on() {
    let mut rig = installed(&Value::Null, Timing::instant());
    let now = rig.now.since(SimInstant::START).as_secs();
    let (from, until) = (format!("{}s", now + 30), format!("{}s", now + 500));
    rig.set_faults(json!([
        {"name": "loop", "when": {"nth": 1}, "what": {"reboot_loop": {"uptime": "60s"}}},
        {"name": "hang", "when": {"from": from, "until": until}, "what": "os_hangs"},
    ]));
    rig.reset(ResetType::On);
    let epoch = rig.node.epoch();
    rig.pass(seconds(499));
    assert_eq!(rig.node.epoch(), epoch);
    rig.pass(seconds(1));
    assert_ne!(rig.node.epoch(), epoch);
}

/// Without any latency a loop must still let time pass.
#[test]
fn no_uptime_is_a_second() {
    let mut rig = installed(&Value::Null, Timing::instant());
    rig.set_faults(json!([{"name": "loop", "what": {"reboot_loop": {"uptime": "0s"}}}]));
    rig.reset(ResetType::On);
    rig.pass(seconds(10));
    assert_eq!(rig.hits().len(), 11);
}

#[test]
fn restarts_do_not_depend_on_how_late_timers_are() {
    let life = |step: Duration| {
        let mut rig = installed(&Value::Null, timing());
        let begun = rig.now;
        rig.set_faults(json!([
            {"name": "loop", "when": {"probability": 0.8}, "what": {"reboot_loop": {"uptime": {"uniform": ["20s", "90s"]}}}},
            {"name": "flap", "when": {"from": "100s", "lasts": "1s", "repeats": "170s"}, "what": {"power_flap": {"off_for": "10s"}}},
        ]));
        rig.reset(ResetType::On);
        while rig.now < begun + seconds(1800) {
            rig.now = rig.now + step;
            while rig.node.next_deadline().is_some_and(|due| due <= rig.now) {
                rig.apply(Event::Timer).unwrap();
            }
        }
        rig.records
    };
    let punctual = life(Duration::from_millis(500));
    assert!(punctual.len() > 40, "{punctual:?}");
    assert_eq!(life(seconds(60)), punctual);
    assert_eq!(life(seconds(1800)), punctual);
}

// --- cloud-init and kubeadm ---------------------------------------------------------------------------------------

fn joins() -> Outcome {
    calls_kubeadm(Role::JoinWorker)
}

fn calls_kubeadm(role: Role) -> Outcome {
    Outcome::ConfigDriveRead(Rig::kubeadm_description("host-1", role))
}

/// Boots the disk up to the end of cloud-init.
fn at_kubeadm(rig: &mut Rig) {
    while rig.pending.is_empty() {
        rig.pass_to_deadline();
    }
    rig.answer(joins()).unwrap();
    rig.pass_to_deadline();
}

fn os_stage(node: &Node) -> Option<Stage> {
    node.os().map(super::super::os::Os::stage)
}

#[test]
fn a_system_whose_cloud_init_fails_is_up_and_nothing_more() {
    let mut rig = installed(&json!("ZHJpdmU="), timing());
    rig.set_faults(json!([{
        "name": "ci", "when": {"nth": 1}, "what": {"cloud_init_fails": {"message": "no data source"}},
    }]));
    rig.reset(ResetType::On);
    at_kubeadm(&mut rig);
    assert_eq!(os_stage(&rig.node), Some(Stage::Up));
    let os = rig.node.os().unwrap();
    assert_eq!(os.hostname(), None);
    assert_eq!(&*os.description().unwrap().warnings, ["no data source".into()]);
    assert_eq!(rig.node.activity(), Activity::None);
    rig.reset(ResetType::ForceRestart);
    at_kubeadm(&mut rig);
    assert_eq!(rig.node.phase(), Phase::Bootstrapping, "the next boot is as ever");
}

#[test]
fn kubeadm_fails_once_a_boot_and_not_at_each_of_its_tries() {
    let mut rig = installed(&json!("ZHJpdmU="), timing());
    rig.set_faults(json!([{
        "name": "adm", "when": {"nth": 2}, "what": {"kubeadm_fails": {"actions": ["join"], "message": "no token"}},
    }]));
    rig.reset(ResetType::On);
    at_kubeadm(&mut rig);
    for _ in 0..3 {
        let again = BootstrapFailure {
            why: "connection refused".into(),
            again: true,
        };
        rig.answer(Outcome::Bootstrapped(Err(again))).unwrap();
        assert_eq!(rig.pass_to_deadline(), RETRY);
        assert!(matches!(&rig.pending[..], [(_, Effect::Bootstrap { .. })]));
    }
    assert!(rig.hits().is_empty(), "one run is one occasion");
    rig.pending.clear();
    rig.reset(ResetType::ForceRestart);
    at_kubeadm(&mut rig);
    assert_eq!(os_stage(&rig.node), Some(Stage::BootstrapFailed));
    assert_eq!(rig.node.os().unwrap().complaint(), Some("no token"));
    assert_eq!(rig.node.phase(), Phase::OsRunning);
    assert_eq!(rig.node.next_deadline(), None, "it is not tried again");
    assert_eq!(rig.hits(), [("adm", 2)]);
    rig.reset(ResetType::ForceRestart);
    at_kubeadm(&mut rig);
    rig.answer(Outcome::Bootstrapped(Ok(Rig::membership()))).unwrap();
    assert_eq!(rig.node.activity(), Activity::Member(&Rig::membership()));
}

#[test]
fn only_the_named_action_of_kubeadm_fails() {
    for (role, expected) in [
        (Role::JoinWorker, Phase::Bootstrapping),
        (Role::Init, Phase::OsRunning),
    ] {
        let mut rig = installed(&json!("ZHJpdmU="), timing());
        rig.set_faults(json!([{"name": "adm", "what": {"kubeadm_fails": {"actions": ["init"]}}}]));
        rig.reset(ResetType::On);
        while rig.pending.is_empty() {
            rig.pass_to_deadline();
        }
        rig.answer(calls_kubeadm(role)).unwrap();
        rig.pass_to_deadline();
        assert_eq!(rig.node.phase(), expected, "{role:?}");
    }
}

#[test]
fn a_boot_that_hangs_goes_on_afterwards() {
    let mut rig = installed(&json!("ZHJpdmU="), timing());
    let until = format!("{}s", rig.now.since(SimInstant::START).as_secs() + 300);
    rig.set_faults(json!([{"name": "hang", "when": {"until": until}, "what": "os_hangs"}]));
    rig.reset(ResetType::On);
    while rig.pending.is_empty() {
        rig.pass_to_deadline();
    }
    rig.answer(joins()).unwrap();
    rig.pass(seconds(200));
    assert_eq!(rig.node.phase(), Phase::CloudInit);
    rig.pass(seconds(100));
    assert_eq!(rig.node.phase(), Phase::Bootstrapping);
}

// --- boot ---------------------------------------------------------------------------------------------------------

#[test]
fn no_device_is_found_not_even_the_disk() {
    let mut rig = installed(&Value::Null, timing());
    rig.set_faults(json!([{"name": "blind", "what": "no_boot_device"}]));
    rig.boot_once(BootTarget::Pxe, OverrideEnabled::Once);
    rig.reset(ResetType::On);
    rig.pass(seconds(600));
    assert_eq!(rig.node.phase(), Phase::NoBootDevice);
    assert!(rig.pending.is_empty(), "nothing is fetched");
    // The override, then the disk that the boot order names.
    assert_eq!(rig.hits(), [("blind", 1), ("blind", 2)]);
}

#[test]
fn a_target_that_is_not_there_leaves_its_turn_to_the_boot_order() {
    let mut rig = installed(&Value::Null, timing());
    rig.set_faults(json!([{
        "name": "blind", "when": {"nth": 1, "node_phases": ["post"]}, "what": "no_boot_device",
    }]));
    rig.boot_once(BootTarget::Pxe, OverrideEnabled::Once);
    rig.reset(ResetType::On);
    rig.pass(seconds(600));
    assert_eq!(*rig.node.host(), Host::Running(System::Disk));
    assert_eq!(rig.hits(), [("blind", 1)]);
}

#[test]
fn an_override_that_is_ignored_is_used_up() {
    let mut rig = installed(&Value::Null, timing());
    rig.set_faults(json!([{
        "name": "deaf", "when": {"nth": 1, "node_phases": ["post"]}, "what": "boot_override_ignored",
    }]));
    rig.boot_once(BootTarget::Pxe, OverrideEnabled::Once);
    rig.reset(ResetType::On);
    rig.pass(seconds(600));
    assert_eq!(*rig.node.host(), Host::Running(System::Disk));
    assert_eq!(rig.node.bmc().boot().enabled, OverrideEnabled::Disabled);
    assert_eq!(rig.hits(), [("deaf", 1)]);
    rig.boot_once(BootTarget::Pxe, OverrideEnabled::Once);
    rig.reset(ResetType::ForceRestart);
    rig.pass(seconds(600));
    assert!(matches!(&rig.pending[..], [(_, Effect::ResolveBoot(_))]));
}

#[test]
fn a_medium_that_lingers_is_not_there_for_a_boot_before() {
    let medium = || {
        Box::new(Media {
            image: "http://images/a.iso".into(),
            inserted: true,
            write_protected: true,
            transfer_method: TransferMethod::Stream,
            transfer_protocol: None,
            username: None,
            password: None,
            available_at: SimInstant::START,
        })
    };
    let mut rig = installed(&Value::Null, timing());
    rig.set_faults(json!([{
        "name": "slow", "when": {"nth": 1}, "what": {"media_insert_lingers": {"delay": "60s"}},
    }]));
    let insert = || BmcCommand::InsertMedia {
        slot: "Cd".into(),
        media: medium(),
    };
    rig.bmc(insert()).unwrap();
    for (passes, found) in [(0, false), (60, true)] {
        rig.pass(seconds(passes));
        rig.boot_once(BootTarget::Cd, OverrideEnabled::Once);
        rig.reset(ResetType::ForceOff);
        rig.reset(ResetType::On);
        rig.pass(seconds(35));
        assert_eq!(!rig.pending.is_empty(), found, "{:?}", rig.node.host());
    }
    rig.answer(Outcome::Boot(Ok(BootImage::LiveSystem))).unwrap();
    assert_eq!(rig.hits(), [("slow", 1)]);
}
