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
    /// A firmware update.
    Update(Component),
    /// The newest task, or one that never was, is deleted.
    DeleteTask(bool),
}

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
        2 => proptest::sample::select(&Component::ALL[..]).prop_map(Action::Update),
        1 => any::<bool>().prop_map(Action::DeleteTask),
    ]
}
