//! The installed system: where its config drive comes from, and how it starts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::node::bmc::{BootTarget, OverrideEnabled, ResetType};
use crate::node::effect::{BootImage, Effect, FetchFailure, Outcome};
use crate::node::firmware::{Host, System};
use crate::node::os::Stage;
use crate::node::os::intent::Role;
use crate::node::os::membership::{Activity, BootstrapFailure, PATIENCE, RETRY};
use crate::node::phase::Phase;
use crate::node::{Refused, Reply};
use crate::testkit::Rig;
use crate::timing::{Latency, Timing};
use crate::wire::agent::CommandStatus;

fn timing() -> Timing {
    Timing {
        cloud_init: Latency::millis(3000),
        ..Timing::instant()
    }
}

/// Begins to write an image with this config drive.
fn write_image(rig: &mut Rig, config_drive: &Value) {
    let image = json!({"id": "img", "urls": ["http://images/img"]});
    let args = json!({"image_info": image, "configdrive": config_drive});
    let step = json!({"interface": "deploy", "step": "write_image", "args": args});
    let begun = rig.execute("deploy.execute_deploy_step", json!({"step": step}));
    assert_eq!(begun.unwrap().command_status, CommandStatus::Running);
}

/// A node with an installed system, off.
fn installed(config_drive: &Value) -> Rig {
    let mut rig = Rig::ready(timing());
    rig.pending.clear();
    write_image(&mut rig, config_drive);
    rig.pass(Duration::ZERO);
    rig.reset(ResetType::ForceOff);
    rig.pending.clear();
    rig
}

#[test]
fn cloud_init_runs_on_every_boot_from_a_disk_with_a_config_drive() {
    let mut rig = installed(&json!("ZHJpdmU="));
    for _ in 0..2 {
        rig.reset(ResetType::On);
        assert_eq!(rig.node.phase(), Phase::CloudInit);
        assert!(
            matches!(&rig.pending[..], [(_, Effect::ReadConfigDrive(drive))] if &**drive == "ZHJpdmU="),
            "{:?}",
            rig.pending
        );
        rig.answer(Outcome::ConfigDriveRead(Rig::description("host-1")))
            .unwrap();
        assert_eq!(rig.node.phase(), Phase::CloudInit);
        assert_eq!(rig.pass_to_deadline(), Duration::from_secs(3));
        assert_eq!(rig.node.phase(), Phase::OsRunning);
        let os = rig.node.os().unwrap();
        assert_eq!((os.stage(), os.hostname()), (Stage::Up, Some("host-1")));
        rig.reset(ResetType::ForceOff);
        assert!(rig.node.os().is_none(), "nothing runs without power");
    }
}

#[test]
fn a_system_without_a_config_drive_is_up_at_once() {
    let mut rig = installed(&Value::Null);
    rig.reset(ResetType::On);
    assert_eq!(rig.node.phase(), Phase::OsRunning);
    assert!(rig.pending.is_empty());
    assert_eq!(rig.node.os().unwrap().intent(), None);
}

#[test]
fn what_an_earlier_boot_read_is_stale() {
    let mut rig = installed(&json!("ZHJpdmU="));
    rig.reset(ResetType::On);
    rig.reset(ResetType::ForceRestart);
    let late = rig.answer(Outcome::ConfigDriveRead(Rig::description("old")));
    assert_eq!(late, Err(Refused::Stale));
    rig.answer(Outcome::ConfigDriveRead(Rig::description("new")))
        .unwrap();
    assert_eq!(rig.node.os().unwrap().hostname(), Some("new"));
}

#[test]
fn a_node_whose_disk_was_erased_does_not_boot_it() {
    let mut rig = installed(&json!("ZHJpdmU="));
    rig.boot_ramdisk(Rig::parameters(false));
    rig.look_up(crate::testkit::LookupAnswer::Token);
    let step = json!({"interface": "deploy", "step": "erase_devices_metadata"});
    rig.execute("clean.execute_clean_step", json!({"step": step}))
        .unwrap();
    rig.pass(Duration::ZERO);
    rig.reset(ResetType::ForceRestart);
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
    assert!(rig.node.disk().config_drive().is_none());
}

#[test]
fn a_config_drive_by_url_is_fetched_within_the_step() {
    let mut rig = Rig::ready(timing());
    rig.pending.clear();
    write_image(&mut rig, &json!("HTTP://drives/1"));
    rig.pass(Duration::from_secs(60));
    assert_eq!(
        rig.newest().command_status,
        CommandStatus::Running,
        "it waits for the fetch"
    );
    let fetched = |rig: &mut Rig, result| {
        let position = rig
            .pending
            .iter()
            .position(|(_, effect)| matches!(effect, Effect::FetchConfigDrive { .. }))
            .expect("a fetch is pending");
        let (epoch, effect) = rig.pending.remove(position);
        let Effect::FetchConfigDrive { command, url, .. } = effect else {
            unreachable!()
        };
        let outcome = Outcome::ConfigDriveFetched { command, url, result };
        rig.apply(crate::node::Event::Outcome { epoch, outcome })
    };
    assert_eq!(fetched(&mut rig, Ok("ZHJpdmU=".into())), Ok(Reply::Done));
    assert_eq!(rig.newest().command_status, CommandStatus::Succeeded);
    assert_eq!(
        rig.node.disk().config_drive().map(|drive| &**drive),
        Some("ZHJpdmU=")
    );

    write_image(&mut rig, &json!("http://drives/2"));
    fetched(&mut rig, Err(FetchFailure("the server answers 404".into()))).unwrap();
    let failed = rig.newest();
    assert_eq!(failed.command_status, CommandStatus::Failed);
    let details = failed.command_error.unwrap().details;
    assert!(
        details.contains("http://drives/2") && details.contains("404"),
        "{details}"
    );
    assert_eq!(
        rig.node.disk().config_drive().map(|drive| &**drive),
        Some("ZHJpdmU="),
        "a failed step writes nothing"
    );
}

#[test]
fn an_order_to_boot_the_disk_is_followed_or_fails() {
    for (mut rig, expected) in [
        (installed(&Value::Null), Host::Running(System::Disk)),
        (Rig::new(timing()), Host::NoBootDevice),
    ] {
        rig.boot_once(BootTarget::Pxe, OverrideEnabled::Once);
        rig.reset(ResetType::On);
        rig.answer(Outcome::Boot(Ok(BootImage::Disk))).unwrap();
        assert_eq!(*rig.node.host(), expected);
    }
}

/// A system whose user data call kubeadm.
fn joins() -> Outcome {
    Outcome::ConfigDriveRead(Rig::kubeadm_description("host-1", Role::JoinWorker))
}

/// Boots the disk up to the point where kubeadm is at work.
fn at_kubeadm(rig: &mut Rig) {
    rig.reset(ResetType::On);
    rig.answer(joins()).unwrap();
    rig.pass_to_deadline();
}

#[test]
fn kubeadm_runs_once_and_its_membership_lives_as_long_as_the_disk() {
    let mut rig = installed(&json!("ZHJpdmU="));
    at_kubeadm(&mut rig);
    assert_eq!(rig.node.phase(), Phase::Bootstrapping);
    assert_eq!(rig.node.activity(), Activity::Bootstrapping);
    assert!(matches!(&rig.pending[..], [(_, Effect::Bootstrap { .. })]));
    rig.answer(Outcome::Bootstrapped(Ok(Rig::membership()))).unwrap();
    assert_eq!(rig.node.phase(), Phase::OsRunning);
    assert_eq!(rig.node.activity(), Activity::Member(&Rig::membership()));

    rig.reset(ResetType::ForceOff);
    assert_eq!(rig.node.activity(), Activity::None);
    at_kubeadm(&mut rig);
    assert!(
        rig.pending.is_empty(),
        "only the kubelet starts: {:?}",
        rig.pending
    );
    assert_eq!(rig.node.activity(), Activity::Member(&Rig::membership()));

    rig.reset(ResetType::ForceOff);
    rig.boot_ramdisk(Rig::parameters(false));
    rig.look_up(crate::testkit::LookupAnswer::Token);
    write_image(&mut rig, &json!("ZHJpdmU="));
    rig.pass(Duration::ZERO);
    assert_eq!(rig.node.disk().membership(), None, "a new system is no member");
}

#[test]
fn kubeadm_waits_for_its_cluster_and_gives_up() {
    let mut rig = installed(&json!("ZHJpdmU="));
    at_kubeadm(&mut rig);
    let refused = |again| {
        Outcome::Bootstrapped(Err(BootstrapFailure {
            why: "connection refused".into(),
            again,
        }))
    };
    let mut tries = 0;
    while rig.node.phase() == Phase::Bootstrapping {
        rig.answer(refused(true)).unwrap();
        assert_eq!(rig.node.os().unwrap().complaint(), Some("connection refused"));
        if rig.node.phase() == Phase::Bootstrapping {
            assert_eq!(rig.pass_to_deadline(), RETRY);
        }
        tries += 1;
    }
    assert_eq!(tries, PATIENCE.as_secs() / RETRY.as_secs());
    assert_eq!(rig.node.os().unwrap().stage(), Stage::BootstrapFailed);
    assert_eq!(rig.node.next_deadline(), None);

    rig.reset(ResetType::ForceOff);
    at_kubeadm(&mut rig);
    rig.answer(refused(false)).unwrap();
    assert_eq!(rig.node.os().unwrap().stage(), Stage::BootstrapFailed);
    assert_eq!(rig.node.activity(), Activity::None);
}
