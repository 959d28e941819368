//! Random lists of what can happen to a node.

use std::time::Duration;

use proptest::prelude::*;

use crate::node::bmc::{BootTarget, OverrideEnabled, ResetType};
use crate::node::effect::CallError;
use crate::node::update::Component;

/// Something that a test does to a node.
#[derive(Clone, Debug)]
pub enum Action {
    /// Time passes.
    Pass(Duration),
    /// A reset.
    Reset(ResetType),
    /// A boot override.
    Boot(BootTarget, OverrideEnabled),
    /// A medium is inserted into a slot.
    Insert(&'static str),
    /// A slot is emptied.
    Eject(&'static str),
    /// The oldest pending effect gets a good answer, or that error.
    Answer(Option<CallError>),
    /// The newest pending effect is answered first: answers overtake each other.
    AnswerNewest(Option<CallError>),
    /// An agent command.
    Command(&'static str),
    /// A call of the agent's API with a wrong token.
    Intruder,
    /// These faults are in force from now on, and no others: each a table without a name, as JSON.
    Faults(Vec<&'static str>),
    /// A firmware update.
    Update(Component),
    /// The newest task, or one that never was, is deleted.
    DeleteTask(bool),
}

/// Faults that the node itself meets.
const FAULTS: [&str; 20] = [
    r#"{"what": "agent_command_fails"}"#,
    r#"{"when": {"every": 2}, "what": "agent_command_hangs"}"#,
    r#"{"when": {"probability": 0.5}, "what": "agent_command_wrong_shape"}"#,
    r#"{"when": {"every": 2}, "what": {"agent_step_fails": {"steps": ["*"]}}}"#,
    r#"{"what": {"inventory_disk_too_small": {"size_gib": 1}}}"#,
    r#"{"when": {"every": 2}, "what": "inventory_nic_missing"}"#,
    r#"{"what": {"inventory_duplicate_mac": {"nic": 1}}}"#,
    r#"{"when": {"every": 2}, "what": "agent_never_starts"}"#,
    r#"{"when": {"probability": 0.5}, "what": {"agent_starts_late": {"delay": "30s"}}}"#,
    r#"{"what": {"reboot_loop": {"uptime": {"uniform": ["0s", "90s"]}}}}"#,
    r#"{"when": {"every": 2}, "what": "cloud_init_fails"}"#,
    r#"{"when": {"every": 2}, "what": "kubeadm_fails"}"#,
    r#"{"when": {"lasts": "30s", "repeats": "100s"}, "what": "os_hangs"}"#,
    r#"{"when": {"probability": 0.5}, "what": "no_boot_device"}"#,
    r#"{"when": {"every": 2}, "what": "boot_override_ignored"}"#,
    r#"{"when": {"lasts": "30s", "repeats": "100s"}, "what": "stuck_in_post"}"#,
    r#"{"when": {"lasts": "1s", "repeats": "100s"}, "what": {"power_flap": {"off_for": "10s"}}}"#,
    r#"{"when": {"lasts": "30s", "repeats": "100s"}, "what": {"power_loss": {"restore": "on"}}}"#,
    r#"{"when": {"every": 2}, "what": "reset_ignored"}"#,
    r#"{"what": {"media_insert_lingers": {"delay": "60s"}}}"#,
];

/// Any action, the common ones more often.
pub fn action() -> impl Strategy<Value = Action> {
    let error = prop_oneof![
        6 => Just(None),
        1 => Just(Some(CallError::Status(404))),
        1 => Just(Some(CallError::Status(409))),
        1 => Just(Some(CallError::Status(500))),
        1 => Just(Some(CallError::Connection)),
        1 => Just(Some(CallError::Body)),
    ];
    let commands = [
        "clean.get_clean_steps",
        "clean.execute_clean_step",
        "deploy.execute_deploy_step",
        "standby.power_off",
        "standby.run_image",
        "standby.sync",
        "image.install_bootloader",
        "log.collect_system_logs",
        "rescue.finalize_rescue",
        "system.lockdown",
    ];
    prop_oneof![
        4 => (0_u64..20_000).prop_map(|millis| Action::Pass(Duration::from_millis(millis))),
        1 => Just(Action::Pass(Duration::from_secs(400))),
        2 => proptest::sample::select(&ResetType::ALL[..]).prop_map(Action::Reset),
        2 => (
            proptest::sample::select(&BootTarget::ALLOWED[..]),
            prop_oneof![
                Just(OverrideEnabled::Disabled),
                Just(OverrideEnabled::Once),
                Just(OverrideEnabled::Continuous)
            ],
        ).prop_map(|(target, enabled)| Action::Boot(target, enabled)),
        1 => Just(Action::Boot(BootTarget::Pxe, OverrideEnabled::Continuous)),
        1 => proptest::sample::select(&["Cd", "Usb", "Floppy"][..]).prop_map(Action::Insert),
        1 => proptest::sample::select(&["Cd", "Usb", "Floppy", "None"][..]).prop_map(Action::Eject),
        6 => error.clone().prop_map(Action::Answer),
        1 => error.prop_map(Action::AnswerNewest),
        4 => proptest::sample::select(commands.to_vec()).prop_map(Action::Command),
        1 => Just(Action::Intruder),
        2 => proptest::sample::subsequence(FAULTS.to_vec(), 0..4).prop_map(Action::Faults),
        2 => proptest::sample::select(&Component::ALL[..]).prop_map(Action::Update),
        1 => any::<bool>().prop_map(Action::DeleteTask),
    ]
}
