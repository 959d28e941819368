//! Invariants over random lists of events. `Rig::apply` checks the state's own invariants after every step; what
//! spans several steps is checked here.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use crate::fault::SiteKind;
use crate::node::agent::AgentRequest;
use crate::node::agent::command::Operation;
use crate::node::bmc::{BmcCommand, Media, OverrideEnabled, PowerState, ResetType, Secret, TransferMethod};
use crate::node::effect::{BootFailure, BootImage, CallError, Effect, FetchFailure, IronicCall, Outcome};
use crate::node::firmware::{Host, System};
use crate::node::os::intent::Role;
use crate::node::os::membership::{BootstrapFailure, Membership};
use crate::node::update::{Component, Progress, Task};
use crate::node::{Event, Refused, Reply};
use crate::testkit::{Action, LookupAnswer, Rig, action, boot_override};
use crate::time::SimInstant;
use crate::timing::{Latency, Timing};
use crate::wire::agent::ApiVersion;

fn outcome(effect: &Effect, error: Option<CallError>) -> Outcome {
    let failed = error.map_or(Ok(()), Err);
    match effect {
        Effect::ResolveBoot(_) => Outcome::Boot(match error {
            None => Ok(BootImage::Agent(Rig::parameters(true))),
            Some(CallError::Body) => Ok(BootImage::LiveSystem),
            Some(_) => Err(BootFailure("unreachable".into())),
        }),
        Effect::Ironic(request) => match &request.call {
            IronicCall::Inspect { .. } => Outcome::Inspected(failed.map(|()| Rig::inspection_accepted())),
            IronicCall::Discover { .. } => Outcome::Discovered(failed.map(|()| ApiVersion { minor: 115 })),
            IronicCall::Lookup { .. } => {
                Outcome::LookedUp(failed.map(|()| Box::new(Rig::lookup_reply(LookupAnswer::Token))))
            }
            IronicCall::Heartbeat { .. } => Outcome::Beat(failed),
        },
        Effect::FetchConfigDrive { command, url, .. } => Outcome::ConfigDriveFetched {
            command: *command,
            url: url.clone(),
            result: match error {
                None => Ok("ZHJpdmU=".into()),
                Some(error) => Err(FetchFailure(error.to_string().into())),
            },
        },
        Effect::ReadConfigDrive(_) => Outcome::ConfigDriveRead(Rig::kubeadm_description("host", Role::Init)),
        Effect::Bootstrap { machine, .. } => Outcome::Bootstrapped(match error {
            None => Ok(Arc::new(Membership {
                cluster: "c".into(),
                name: "c1".into(),
                node: machine.identity.name.clone(),
                control_plane: true,
            })),
            Some(error) => Err(BootstrapFailure {
                why: error.to_string().into(),
                again: error == CallError::Connection,
            }),
        }),
        Effect::Record(_) => unreachable!("the rig keeps no records"),
    }
}

fn medium() -> Box<Media> {
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
}

/// Does one action and checks what it must and must not have done.
fn act(rig: &mut Rig, action: Action) {
    let before = rig.node.clone();
    let sent = rig.pending.len();
    match action {
        Action::Pass(duration) => rig.pass(duration),
        Action::Reset(reset) => {
            rig.reset(reset);
            let faulty = [SiteKind::Reset, SiteKind::Power, SiteKind::PowerEvent];
            if !faulty.into_iter().any(|kind| rig.may_strike(kind)) {
                check_reset(&before, rig, reset);
            }
        }
        Action::Boot(target, enabled) => {
            rig.bmc(boot_override(target, enabled))
                .expect("an allowed target");
        }
        Action::Insert(slot) => {
            rig.bmc(BmcCommand::InsertMedia {
                slot: slot.into(),
                media: medium(),
            })
            .expect("a slot of the profile");
        }
        Action::Eject(slot) => {
            let ejected = rig.bmc(BmcCommand::EjectMedia { slot: slot.into() });
            assert_eq!(ejected.is_err(), slot == "None");
        }
        Action::Answer(error) => answer(rig, 0, error),
        Action::AnswerNewest(error) => answer(rig, rig.pending.len().saturating_sub(1), error),
        Action::Command(name) => {
            let image = json!({"id": "i", "urls": ["http://images/i"]});
            // A config drive by its URL has to be fetched within the step.
            let args = json!({"image_info": image, "configdrive": "http://drives/1"});
            let params = json!({
                "step": {"interface": "deploy", "step": "write_image", "args": args},
                "rescue_password": "x",
            });
            // Refusals are as good as anything here; the invariants are checked either way.
            drop(rig.execute(name, params));
        }
        Action::Faults(faults) => {
            let named = |(number, fault): (usize, &str)| {
                let mut fault: serde_json::Value = serde_json::from_str(fault).expect("a fault");
                fault["name"] = format!("fault-{number}").into();
                fault
            };
            rig.set_faults(faults.into_iter().enumerate().map(named).collect());
        }
        Action::Intruder => {
            let operation = Operation::Execute {
                name: "standby.power_off".into(),
                params: serde_json::Map::new(),
            };
            let request = AgentRequest {
                token: Some(Secret::new("guess")),
                operation,
            };
            assert!(rig.apply(Event::Agent(request)).is_err());
            assert_eq!(rig.node.power_state(), before.power_state());
        }
        Action::Update(component) => {
            let running = before.bmc().tasks().any(Task::is_running);
            let image = format!("http://images/fw-1.{}.bin", before.revision()).into();
            let begun = rig.bmc(BmcCommand::UpdateFirmware { component, image });
            match begun {
                Ok(Reply::Task(number)) => {
                    let newest = rig.node.bmc().tasks().next_back().map(|task| task.number);
                    assert_eq!(newest, Some(number));
                }
                other => {
                    assert_eq!(other, Err(Refused::UpdateRunning));
                    assert!(running, "refused without a reason");
                }
            }
        }
        Action::DeleteTask(known) => {
            let newest = before.bmc().tasks().next_back().map(|task| task.number);
            let number = newest.filter(|_| known).unwrap_or(9999);
            let deleted = rig.bmc(BmcCommand::DeleteTask(number));
            assert_eq!(deleted.is_ok(), newest == Some(number));
            assert!(rig.node.bmc().tasks().all(|task| task.number != number));
        }
    }
    check_versions(&before, rig);
    for (epoch, effect) in rig.pending.iter().skip(sent.min(rig.pending.len())) {
        if let Effect::Ironic(_) = effect
            && *epoch == rig.node.epoch()
        {
            assert!(
                matches!(rig.node.host(), Host::Running(System::Agent(_))),
                "an agent speaks while the host is {:?}",
                rig.node.host()
            );
        }
    }
}

/// The BMC's firmware changes by an update that ran, and only what is done is complete.
fn check_versions(before: &crate::node::Node, rig: &Rig) {
    let profile = rig.node.profile();
    let bmc = |node: &crate::node::Node| node.bmc().firmware_version(profile, Component::Bmc).to_owned();
    let ran = |node: &crate::node::Node| node.bmc().tasks().filter(|task| task.is_running()).count();
    if bmc(before) != bmc(&rig.node) && rig.node.kind().timing.firmware_update != Latency::ZERO {
        assert_eq!(ran(before), 1, "another version without an update");
    }
    for task in rig.node.bmc().tasks() {
        assert!(task.percent(task.begun) <= 100);
        assert_eq!(
            task.percent(rig.node.phase_since()) == 100,
            matches!(task.progress, Progress::Completed { .. })
        );
    }
}

fn check_reset(before: &crate::node::Node, rig: &Rig, reset: ResetType) {
    let after = rig.node.power_state();
    // A loss of power lasts to its end, also when the fault behind it has been called off.
    let unpowered = matches!(before.host(), Host::Unpowered { .. });
    match (reset, before.power_state()) {
        _ if unpowered => assert_eq!(after, PowerState::Off),
        (ResetType::Nmi, power) => assert_eq!(after, power),
        (ResetType::ForceOff, PowerState::Off) => assert_eq!(after, PowerState::Off),
        (ResetType::ForceOff, _) => {
            assert!(matches!(after, PowerState::Off | PowerState::PoweringOff));
            assert!(rig.node.agent().is_none(), "no agent outlives its power");
        }
        (ResetType::On, PowerState::Off) => assert_ne!(after, PowerState::Off),
        (ResetType::On, PowerState::On) => assert_eq!(rig.node.epoch(), before.epoch()),
        _ => {}
    }
}

fn answer(rig: &mut Rig, index: usize, error: Option<CallError>) {
    if rig.pending.is_empty() {
        return;
    }
    let (epoch, effect) = rig.pending.remove(index);
    let before = format!("{:?}", rig.node);
    let stale = epoch != rig.node.epoch();
    let answered = rig.apply(Event::Outcome {
        epoch,
        outcome: outcome(&effect, error),
    });
    assert_eq!(answered == Err(Refused::Stale), stale);
    if stale {
        assert_eq!(
            format!("{:?}", rig.node),
            before,
            "an old answer changed the node"
        );
    }
}

fn timing() -> impl Strategy<Value = Timing> {
    prop_oneof![
        Just(Timing::instant()),
        Just(Timing::default()),
        Just(Timing {
            power_on: Latency::Uniform {
                min: std::time::Duration::ZERO,
                max: std::time::Duration::from_secs(9)
            },
            virtual_media: Latency::millis(3000),
            ..Timing::default()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever happens, the invariants hold, old answers change nothing and a powered-off node is silent.
    #[test]
    fn no_list_of_events_breaks_the_node(timing in timing(), actions in prop::collection::vec(action(), 1..80)) {
        let mut rig = Rig::new(timing);
        for action in actions {
            act(&mut rig, action);
        }
        rig.set_faults(json!([]));
        rig.reset(ResetType::ForceOff);
        rig.pass(std::time::Duration::from_secs(3600));
        prop_assert_eq!(rig.node.host(), &Host::Off);
        rig.pending.clear();
        rig.pass(std::time::Duration::from_secs(3600));
        prop_assert!(rig.pending.is_empty());
    }

    /// A one-time override is used by exactly one boot.
    #[test]
    fn a_once_override_is_used_once(timing in timing(), resets in 1_usize..6) {
        let mut rig = Rig::new(timing);
        rig.boot_once(crate::node::bmc::BootTarget::Pxe, OverrideEnabled::Once);
        for _ in 0..resets {
            rig.reset(ResetType::PowerCycle);
            rig.pass(std::time::Duration::from_secs(600));
        }
        let boots = rig.pending.iter().filter(|(_, effect)| matches!(effect, Effect::ResolveBoot(_))).count();
        prop_assert_eq!(boots, 1);
    }

    /// The same seed and the same events give the same node.
    #[test]
    fn a_life_can_be_replayed(timing in timing(), actions in prop::collection::vec(action(), 1..40)) {
        let live = |actions: Vec<Action>| {
            let mut rig = Rig::new(timing.clone());
            actions.into_iter().for_each(|action| act(&mut rig, action));
            format!("{:?}", rig.node)
        };
        prop_assert_eq!(live(actions.clone()), live(actions));
    }
}
