//! Choice of the boot target, overrides, media, pending settings.

use std::time::Duration;

use crate::node::bmc::{
    BmcCommand, BootMode, BootPatch, BootTarget, LogEvent, Media, OverrideEnabled, ResetType, TransferMethod,
};
use crate::node::effect::{BootFailure, BootImage, Effect, Outcome, Record};
use crate::node::firmware::{BootProgress, Host, System};
use crate::node::phase::Phase;
use crate::node::profile::BiosValue;
use crate::node::{Refused, Reply};
use crate::testkit::Rig;
use crate::time::SimInstant;
use crate::timing::{Latency, Timing};

fn media() -> Box<Media> {
    Box::new(Media {
        image: "http://images/boot.iso".into(),
        inserted: true,
        write_protected: true,
        transfer_method: TransferMethod::Stream,
        transfer_protocol: None,
        username: None,
        password: None,
        available_at: SimInstant::START,
    })
}

fn boot_to_request(rig: &mut Rig, target: BootTarget, enabled: OverrideEnabled) {
    rig.boot_once(target, enabled);
    rig.reset(ResetType::On);
}

#[test]
fn a_once_override_serves_one_boot() {
    let mut rig = Rig::new(Timing::instant());
    boot_to_request(&mut rig, BootTarget::Pxe, OverrideEnabled::Once);
    assert!(matches!(&rig.pending[..], [(_, Effect::ResolveBoot(request))]
        if request.target == BootTarget::Pxe && request.boot_mac().is_some()));
    assert_eq!(rig.node.bmc().boot().enabled, OverrideEnabled::Disabled);
    rig.reset(ResetType::ForceRestart);
    assert_eq!(
        *rig.node.host(),
        Host::NoBootDevice,
        "the second boot takes the blank disk"
    );
}

/// However late the timer is served.
#[test]
fn phases_tell_how_long_they_lasted() {
    let mut rig = Rig::new(Timing {
        power_on: Latency::millis(2000),
        post: Latency::millis(30_000),
        ..Timing::instant()
    });
    rig.pass(Duration::from_secs(100));
    rig.reset(ResetType::On);
    rig.pass(Duration::from_secs(3600));
    rig.reset(ResetType::ForceOff);
    let lasted: Vec<(Phase, u64)> = rig
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Phase(change) => Some((change.from?, change.lasted?.as_secs())),
            _ => None,
        })
        .collect();
    let expected = [
        (Phase::Off, 100),
        (Phase::PoweringOn, 2),
        (Phase::Post, 30),
        (Phase::NoBootDevice, 3568),
        (Phase::PoweringOff, 0),
    ];
    assert_eq!(lasted, expected);
}

#[test]
fn setting_a_once_override_on_a_running_host_keeps_it_for_the_next_boot() {
    let mut rig = Rig::new(Timing::instant());
    rig.reset(ResetType::On);
    rig.boot_once(BootTarget::Pxe, OverrideEnabled::Once);
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.node.bmc().boot().enabled, OverrideEnabled::Once);
}

#[test]
fn a_continuous_override_stays() {
    let mut rig = Rig::new(Timing::instant());
    boot_to_request(&mut rig, BootTarget::Pxe, OverrideEnabled::Continuous);
    rig.reset(ResetType::ForceRestart);
    assert_eq!(rig.pending.len(), 2);
    assert_eq!(rig.node.bmc().boot().enabled, OverrideEnabled::Continuous);
}

#[test]
fn the_answer_of_an_earlier_boot_is_stale() {
    let mut rig = Rig::new(Timing::instant());
    boot_to_request(&mut rig, BootTarget::Pxe, OverrideEnabled::Continuous);
    rig.reset(ResetType::ForceRestart);
    let host = rig.node.host().clone();
    assert_eq!(
        rig.answer(Outcome::Boot(Ok(BootImage::LiveSystem))),
        Err(Refused::Stale)
    );
    assert_eq!(rig.node.host(), &host);
    assert_eq!(
        rig.answer(Outcome::Boot(Ok(BootImage::LiveSystem))),
        Ok(Reply::Done)
    );
    assert_eq!(*rig.node.host(), Host::Running(System::Live));
}

#[test]
fn a_medium_boots_if_its_slot_fits_and_it_is_there_in_time() {
    let mut rig = Rig::new(Timing {
        virtual_media: Latency::millis(5000),
        ..Timing::instant()
    });
    let insert = |slot: &str| BmcCommand::InsertMedia {
        slot: slot.into(),
        media: media(),
    };
    rig.bmc(insert("Usb")).unwrap();
    rig.bmc(insert("Cd")).unwrap();
    boot_to_request(&mut rig, BootTarget::Cd, OverrideEnabled::Continuous);
    assert_eq!(
        *rig.node.host(),
        Host::NoBootDevice,
        "the medium is not there yet"
    );
    rig.pass(Duration::from_secs(5));
    rig.reset(ResetType::ForceRestart);
    assert!(matches!(&rig.pending[..], [(_, Effect::ResolveBoot(request))] if request.media.is_some()));
    rig.bmc(BmcCommand::EjectMedia { slot: "Cd".into() }).unwrap();
    rig.pending.clear();
    rig.reset(ResetType::ForceRestart);
    assert_eq!(*rig.node.host(), Host::NoBootDevice, "the slot is empty");
    assert!(rig.bmc(insert("Nowhere")).is_err());
}

#[test]
fn a_failed_boot_is_logged_and_falls_through_to_the_disk() {
    let mut rig = Rig::new(Timing::instant());
    boot_to_request(&mut rig, BootTarget::UefiHttp, OverrideEnabled::Once);
    rig.answer(Outcome::Boot(Err(BootFailure("no answer".into()))))
        .unwrap();
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
    let events: Vec<_> = rig.node.bmc().log().map(|entry| entry.event.clone()).collect();
    assert!(
        events.contains(&LogEvent::BootFailed("no answer".into())),
        "{events:?}"
    );
    assert_eq!(events.last(), Some(&LogEvent::NoBootableDevice));
}

#[test]
fn the_boot_order_is_tried_from_its_start_after_an_override() {
    let order = [
        BootTarget::Hdd,
        BootTarget::Cd,
        BootTarget::Pxe,
        BootTarget::UefiHttp,
    ];
    let mut rig = Rig::with_boot_order(Timing::instant(), &order);
    boot_to_request(&mut rig, BootTarget::UefiHttp, OverrideEnabled::Once);
    let fail = |rig: &mut Rig| {
        rig.answer(Outcome::Boot(Err(BootFailure("no answer".into()))))
            .unwrap();
    };
    let asked = |rig: &Rig| match rig.pending.first() {
        Some((_, Effect::ResolveBoot(request))) => (request.target, request.enabled),
        other => panic!("a boot request, not {other:?}"),
    };
    assert_eq!(asked(&rig), (BootTarget::UefiHttp, OverrideEnabled::Once));
    fail(&mut rig);
    // The disk is blank and the slot empty, so neither is read.
    assert_eq!(asked(&rig), (BootTarget::Pxe, OverrideEnabled::Disabled));
    fail(&mut rig);
    assert_eq!(asked(&rig), (BootTarget::UefiHttp, OverrideEnabled::Disabled));
    fail(&mut rig);
    assert_eq!(*rig.node.host(), Host::NoBootDevice);
    assert_eq!(
        rig.node.boot_progress(),
        BootProgress::SystemHardwareInitializationComplete
    );
}

#[test]
fn boot_progress_goes_through_its_states() {
    let mut rig = Rig::new(Timing::default());
    let mut seen = vec![rig.node.boot_progress()];
    boot_to_request(&mut rig, BootTarget::Pxe, OverrideEnabled::Once);
    for _ in 0..2 {
        rig.pass_to_deadline();
        seen.push(rig.node.boot_progress());
    }
    rig.answer(Outcome::Boot(Ok(BootImage::Agent(Rig::parameters(false)))))
        .unwrap();
    seen.push(rig.node.boot_progress());
    rig.pass_to_deadline();
    seen.push(rig.node.boot_progress());
    assert_eq!(
        seen,
        [
            BootProgress::None,
            BootProgress::PrimaryProcessorInitializationStarted,
            BootProgress::SystemHardwareInitializationComplete,
            BootProgress::OSBootStarted,
            BootProgress::OSRunning,
        ]
    );
}

#[test]
fn bios_settings_wait_for_the_next_self_test() {
    let mut rig = Rig::new(Timing::instant());
    let profile = rig.node.kind().profile.clone();
    let set = |name: &str, value| BmcCommand::SetBios([(name.into(), value)].into());
    assert!(matches!(
        rig.bmc(set("Nope", BiosValue::Bool(true))),
        Err(Refused::UnknownBiosAttribute(_))
    ));
    assert!(matches!(
        rig.bmc(set("QuietBoot", BiosValue::Integer(1))),
        Err(Refused::BiosAttributeType {
            expected: "Boolean",
            ..
        })
    ));
    rig.bmc(set("QuietBoot", BiosValue::Bool(false))).unwrap();
    assert_eq!(
        rig.node.bmc().bios_attributes(&profile)["QuietBoot"],
        BiosValue::Bool(true)
    );
    rig.reset(ResetType::On);
    assert_eq!(
        rig.node.bmc().bios_attributes(&profile)["QuietBoot"],
        BiosValue::Bool(false)
    );
    rig.bmc(BmcCommand::ResetBios).unwrap();
    rig.reset(ResetType::ForceRestart);
    assert_eq!(rig.node.bmc().bios_attributes(&profile), profile.bios_attributes);
}

#[test]
fn uefi_only_features_are_refused_in_legacy_mode() {
    let mut rig = Rig::new(Timing::instant());
    let legacy = BootPatch {
        mode: Some(BootMode::Legacy),
        ..BootPatch::default()
    };
    rig.bmc(BmcCommand::SetSecureBoot(true)).unwrap();
    assert_eq!(
        rig.bmc(BmcCommand::SetBoot(legacy.clone())),
        Err(Refused::SecureBootNeedsUefi)
    );
    rig.bmc(BmcCommand::SetSecureBoot(false)).unwrap();
    rig.bmc(BmcCommand::SetBoot(legacy)).unwrap();
    assert_eq!(
        rig.bmc(BmcCommand::SetSecureBoot(true)),
        Err(Refused::SecureBootNeedsUefi)
    );
    let http = BootPatch {
        target: Some(BootTarget::UefiHttp),
        enabled: Some(OverrideEnabled::Once),
        ..BootPatch::default()
    };
    assert_eq!(
        rig.bmc(BmcCommand::SetBoot(http)),
        Err(Refused::BootTargetNeedsUefi(BootTarget::UefiHttp))
    );
}
