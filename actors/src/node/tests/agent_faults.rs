//! Faults of the agent: commands, steps, its start, and what it finds of the hardware.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ids::MacAddress;
use crate::node::agent::command::Operation;
use crate::node::agent::{AgentError, AgentReply, AgentRequest};
use crate::node::bmc::{PowerState, ResetType};
use crate::node::effect::{Cause, IronicCall, Outcome, Record};
use crate::node::phase::Phase;
use crate::node::{Event, Refused};
use crate::testkit::{LookupAnswer, Rig};
use crate::timing::{Latency, Timing};
use crate::wire::agent::{CommandResult, CommandStatus, InspectionData};

fn rig(faults: Value) -> Rig {
    let mut rig = Rig::ready(Timing {
        agent_command: Latency::millis(1000),
        ..Timing::instant()
    });
    rig.set_faults(faults);
    rig
}

fn run(rig: &mut Rig, name: &str, params: Value) -> CommandResult {
    let begun = rig.execute(name, params).unwrap();
    assert_eq!(begun.command_status, CommandStatus::Running);
    rig.pass(Duration::from_secs(1));
    rig.newest()
}

fn clean(step: &str) -> Value {
    json!({"step": {"interface": "deploy", "step": step}})
}

fn write_image() -> Value {
    let image = json!({"id": "i", "urls": ["http://images/i"]});
    json!({"step": {"interface": "deploy", "step": "write_image", "args": {"image_info": image}}})
}

#[test]
fn a_command_fails_the_second_time() {
    let mut rig = rig(json!([{
        "name": "tired", "when": {"nth": 2},
        "what": {"agent_command_fails": {"commands": ["clean.*"], "message": "out of memory"}},
    }]));
    // Each is an occasion, whatever kind of command it is; others are none.
    rig.execute("standby.sync", json!({})).unwrap();
    let listed = rig.execute("clean.get_clean_steps", json!({})).unwrap();
    assert_eq!(listed.command_status, CommandStatus::Succeeded);
    let failed = run(&mut rig, "clean.execute_clean_step", clean("erase_devices"));
    assert_eq!(failed.command_status, CommandStatus::Failed);
    let error = failed.command_error.unwrap();
    assert_eq!(
        (error.kind, error.code, &*error.message, &*error.details),
        (
            "CommandExecutionError",
            500,
            "Command execution failed",
            "out of memory"
        )
    );
    let well = run(&mut rig, "clean.execute_clean_step", clean("erase_devices"));
    assert_eq!(well.command_status, CommandStatus::Succeeded);
    assert_eq!(rig.hits(), [("tired", 2)]);
}

#[test]
fn a_synchronous_command_that_fails_bears_its_whole_name() {
    let mut rig =
        rig(json!([{"name": "tired", "what": {"agent_command_fails": {"commands": ["deploy.*"]}}}]));
    let failed = rig.execute("deploy.get_deploy_steps", json!({})).unwrap();
    assert_eq!(failed.command_status, CommandStatus::Failed);
    assert_eq!(failed.command_name, "deploy.get_deploy_steps");
    assert!(failed.command_result.is_none());
    assert!(!rig.node.agent().unwrap().is_busy());
}

#[test]
fn a_command_that_fails_changes_nothing_and_forces_a_heartbeat() {
    let mut rig = rig(json!([{"name": "tired", "when": {"first": 1}, "what": "agent_command_fails"}]));
    let failed = run(&mut rig, "deploy.execute_deploy_step", write_image());
    assert_eq!(failed.command_status, CommandStatus::Failed);
    assert!(!rig.node.disk().is_bootable());
    rig.pass(Duration::from_secs(5));
    assert!(matches!(rig.call(), IronicCall::Heartbeat { .. }));
}

#[test]
fn a_refused_command_meets_no_fault() {
    let mut rig = rig(json!([{"name": "tired", "when": {"nth": 1}, "what": "agent_command_fails"}]));
    assert!(rig.execute("rescue.finalize_rescue", json!({})).is_err());
    assert!(rig.execute("standby.nope", json!({})).is_err());
    assert!(rig.hits().is_empty());
    let failed = rig.execute("standby.sync", json!({})).unwrap();
    assert_eq!(failed.command_status, CommandStatus::Failed);
}

#[test]
fn a_command_that_hangs_blocks_the_next_until_the_power_goes() {
    let mut rig = rig(json!([{"name": "stuck", "when": {"nth": 1}, "what": "agent_command_hangs"}]));
    let begun = rig
        .execute("clean.execute_clean_step", clean("erase_devices"))
        .unwrap();
    let beats = |rig: &mut Rig| {
        rig.pass(Duration::from_secs(3600));
        // The agent goes on to say that it lives.
        rig.answer_beat(Ok(()));
    };
    beats(&mut rig);
    assert_eq!(rig.newest().command_status, CommandStatus::Running);
    assert_eq!(rig.newest().id, begun.id);
    assert_eq!(rig.node.phase(), Phase::AgentBusy);
    assert_eq!(
        rig.execute("standby.sync", json!({})),
        Err(Refused::Agent(AgentError::Busy("execute_clean_step")))
    );
    let Some(Record::Phase(change)) = rig
        .records
        .iter()
        .rfind(|record| matches!(record, Record::Phase(_)))
    else {
        panic!("a change of phase")
    };
    assert_eq!((change.to, &change.cause), (Phase::AgentBusy, &Cause::Agent));

    rig.reset(ResetType::ForceOff);
    assert_eq!(rig.node.power_state(), PowerState::Off);
    rig.pending.clear();
    rig.boot_ramdisk(Rig::parameters(false));
    rig.look_up(LookupAnswer::Token);
    rig.answer_beat(Ok(()));
    let well = run(&mut rig, "clean.execute_clean_step", clean("erase_devices"));
    assert_eq!(well.command_status, CommandStatus::Succeeded);
}

#[test]
fn a_synchronous_command_that_hangs_is_not_listed_and_no_other_is_answered() {
    let mut rig = rig(json!([{"name": "stuck", "when": {"nth": 2}, "what": "agent_command_hangs"}]));
    rig.execute("standby.sync", json!({})).unwrap();
    let begun = rig.agent(Operation::Execute {
        name: "clean.get_clean_steps".to_owned(),
        params: serde_json::Map::new(),
    });
    let stuck = begun.unwrap().stuck().expect("a command that hangs");
    rig.pass(Duration::from_secs(60));
    let Ok(AgentReply::Commands(listed)) = rig.agent(Operation::List) else {
        panic!("a list")
    };
    assert_eq!(
        listed
            .iter()
            .map(|result| result.command_name)
            .collect::<Vec<_>>(),
        ["sync"]
    );
    assert_eq!(
        rig.execute("standby.sync", json!({})),
        Err(Refused::Agent(AgentError::Stuck(stuck)))
    );
}

#[test]
fn a_command_that_hangs_does_not_act_even_if_its_config_drive_came() {
    let mut rig = rig(json!([{"name": "stuck", "what": "agent_command_hangs"}]));
    let image = json!({"id": "i", "urls": ["http://images/i"]});
    let args = json!({"image_info": image, "configdrive": "http://drives/1"});
    let step = json!({"interface": "deploy", "step": "write_image", "args": args});
    rig.execute("deploy.execute_deploy_step", json!({"step": step}))
        .unwrap();
    let command = rig.newest().id;
    rig.answer(Outcome::ConfigDriveFetched {
        command,
        url: "http://drives/1".into(),
        result: Ok("ZHJpdmU=".into()),
    })
    .unwrap();
    rig.pass(Duration::from_secs(60));
    assert!(!rig.node.disk().is_bootable());
    assert_eq!(rig.newest().command_status, CommandStatus::Running);
}

#[test]
fn a_result_of_another_shape_comes_with_the_work_done() {
    let mut rig = rig(json!([{"name": "odd", "when": {"first": 2}, "what": "agent_command_wrong_shape"}]));
    let listed = rig.execute("clean.get_clean_steps", json!({})).unwrap();
    assert_eq!(listed.command_status, CommandStatus::Succeeded);
    assert_eq!(listed.command_result, Some(json!(["unexpected"])));
    let written = run(&mut rig, "deploy.execute_deploy_step", write_image());
    assert_eq!(written.command_status, CommandStatus::Succeeded);
    assert_eq!(written.command_result, Some(json!(["unexpected"])));
    assert!(rig.node.disk().is_bootable());
}

#[test]
fn a_step_fails_in_the_list_of_steps_that_is_named() {
    let mut rig = rig(json!([{
        "name": "bad", "when": {"nth": 1},
        "what": {"agent_step_fails": {"steps": ["erase_*", "burnin_*"], "phases": ["clean"], "message": "bad sector"}},
    }]));
    for (name, params, expected) in [
        ("service.execute_service_step", clean("burnin_cpu"), None),
        // What the agent does not know does not run, so it cannot fail.
        (
            "clean.execute_clean_step",
            clean("erase_nothing"),
            Some("HardwareManagerMethodNotFound"),
        ),
        (
            "clean.execute_clean_step",
            clean("erase_devices"),
            Some("CleaningError"),
        ),
        ("clean.execute_clean_step", clean("erase_devices"), None),
    ] {
        let done = run(&mut rig, name, params);
        let kind = done.command_error.as_ref().map(|error| error.kind);
        assert_eq!(kind, expected, "{done:?}");
        if kind == Some("CleaningError") {
            let error = done.command_error.unwrap();
            assert_eq!(
                (&*error.message, &*error.details),
                (
                    "Clean step failed",
                    "Error performing clean step erase_devices: bad sector"
                )
            );
        }
    }
    assert_eq!(rig.hits(), [("bad", 1)]);
}

#[test]
fn each_list_of_steps_fails_with_its_own_error() {
    for (kind, step, error) in [
        ("clean", "erase_devices", "CleaningError"),
        ("deploy", "write_image", "DeploymentError"),
        ("service", "burnin_cpu", "ServicingError"),
    ] {
        let mut rig = rig(json!([{"name": "bad", "what": {"agent_step_fails": {"steps": ["*"]}}}]));
        let params = if kind == "deploy" {
            write_image()
        } else {
            clean(step)
        };
        let failed = run(&mut rig, &format!("{kind}.execute_{kind}_step"), params);
        assert_eq!(failed.command_status, CommandStatus::Failed);
        assert_eq!(failed.command_error.unwrap().kind, error);
        assert!(!rig.node.disk().is_bootable());
    }
}

#[test]
fn the_parts_of_a_flow_meet_their_faults() {
    let flow = json!({"flow": [{"standby.sync": {}}, {"clean.execute_clean_step": clean("erase_devices")}]});
    let mut failing =
        rig(json!([{"name": "bad", "what": {"agent_step_fails": {"steps": ["erase_devices"]}}}]));
    failing.execute("flow.start_flow", flow.clone()).unwrap();
    failing.pass(Duration::from_secs(10));
    assert_eq!(failing.newest().command_error.unwrap().kind, "CleaningError");
    let mut hanging =
        rig(json!([{"name": "stuck", "what": {"agent_command_hangs": {"commands": ["standby.sync"]}}}]));
    hanging.execute("flow.start_flow", flow).unwrap();
    hanging.pass(Duration::from_secs(60));
    assert_eq!(hanging.newest().command_status, CommandStatus::Running);
    assert_eq!(hanging.hits(), [("stuck", 1)]);
}

// --- start ------------------------------------------------------------------------------------------------------

#[test]
fn a_late_agent_does_nothing_before_it_starts() {
    let mut rig = Rig::new(Timing::instant());
    rig.set_faults(
        json!([{"name": "late", "when": {"nth": 1}, "what": {"agent_starts_late": {"delay": "40s"}}}]),
    );
    let status = || {
        Event::Agent(AgentRequest {
            token: None,
            operation: Operation::Status,
        })
    };
    rig.boot_ramdisk(Rig::parameters(false));
    let begun = rig.now;
    rig.pass(Duration::from_millis(39_999));
    assert!(rig.pending.is_empty());
    assert_eq!(rig.node.phase(), Phase::AgentSilent);
    assert_eq!(rig.apply(status()), Err(Refused::NoAgent));
    rig.pass(Duration::from_millis(1));
    rig.look_up(LookupAnswer::Token);
    rig.answer_beat(Ok(()));
    assert_eq!(rig.node.phase(), Phase::AgentReady);
    assert!(rig.apply(status()).is_ok());
    assert_eq!(
        rig.agent(Operation::Status),
        Ok(AgentReply::Status {
            started_at: begun + Duration::from_secs(40)
        })
    );
    // The next boot is the second occasion.
    rig.reset(ResetType::ForceOff);
    rig.boot_ramdisk(Rig::parameters(false));
    rig.look_up(LookupAnswer::Token);
    assert_eq!(rig.hits(), [("late", 1)]);
}

#[test]
fn a_late_agent_that_nobody_waits_for_starts_too() {
    let mut rig = Rig::new(Timing::instant());
    rig.set_faults(json!([{"name": "late", "what": {"agent_starts_late": {"delay": "40s"}}}]));
    rig.boot_ramdisk(std::sync::Arc::default());
    assert_eq!(rig.pass_to_deadline(), Duration::from_secs(40));
    assert!(rig.node.agent().unwrap().is_serving());
    assert_eq!(rig.node.next_deadline(), None);
}

#[test]
fn a_late_agent_dies_with_its_power() {
    let mut rig = Rig::new(Timing::instant());
    rig.set_faults(json!([{"name": "late", "what": {"agent_starts_late": {"delay": "40s"}}}]));
    rig.boot_ramdisk(Rig::parameters(true));
    rig.pass(Duration::from_secs(20));
    rig.reset(ResetType::ForceOff);
    rig.pass(Duration::from_secs(3600));
    assert!(rig.pending.is_empty() && rig.node.agent().is_none());
}

#[test]
fn an_agent_that_never_starts_says_nothing() {
    let mut rig = Rig::new(Timing::instant());
    // The ramdisk is still being loaded when its agent is about to start.
    rig.set_faults(json!([{
        "name": "dead", "when": {"node_phases": ["booting"]}, "what": "agent_never_starts",
    }]));
    rig.boot_ramdisk(Rig::parameters(true));
    rig.pass(Duration::from_secs(3600));
    assert!(rig.pending.is_empty());
    assert_eq!(rig.node.phase(), Phase::AgentSilent);
    assert_eq!(rig.node.power_state(), PowerState::On);
    assert_eq!(rig.hits(), [("dead", 1)]);
}

// --- inventory --------------------------------------------------------------------------------------------------

fn inspected(rig: &mut Rig) -> InspectionData {
    rig.boot_ramdisk(Rig::parameters(true));
    let IronicCall::Inspect { data, .. } = rig.call() else {
        panic!("{:?}", rig.call())
    };
    (**data).clone()
}

fn looked_up(rig: &mut Rig) -> Vec<MacAddress> {
    rig.answer(Outcome::Inspected(Ok(Rig::inspection_accepted())))
        .unwrap();
    rig.answer(Outcome::Discovered(Ok(crate::wire::agent::ApiVersion {
        minor: 115,
    })))
    .unwrap();
    let IronicCall::Lookup { addresses, .. } = rig.call() else {
        panic!("{:?}", rig.call())
    };
    addresses.clone()
}

fn macs(data: &InspectionData) -> Vec<MacAddress> {
    let interfaces = &data.inventory.interfaces;
    interfaces.iter().map(|interface| interface.mac_address).collect()
}

#[test]
fn a_disk_too_small_is_no_root_disk() {
    let mut rig = Rig::new(Timing::instant());
    let well = inspected(&mut rig);
    assert_eq!(
        well.root_disk.as_ref().map(|disk| &*disk.name),
        Some(&*well.inventory.disks[0].name)
    );
    rig.reset(ResetType::ForceOff);
    rig.pending.clear();
    rig.set_faults(json!([
        {"name": "small", "what": {"inventory_disk_too_small": {"size_gib": 2}}},
        {"name": "smaller", "what": {"inventory_disk_too_small": {"size_gib": 1}}},
    ]));
    let ill = inspected(&mut rig);
    assert_eq!(ill.inventory.disks[0].size, 2 << 30, "the first fault wins");
    assert_eq!(ill.inventory.disks.len(), well.inventory.disks.len());
    assert_ne!(
        ill.root_disk.map(|disk| disk.name),
        Some(well.inventory.disks[0].name.clone())
    );
}

#[test]
fn a_missing_interface_is_in_no_list() {
    let mut rig = Rig::new(Timing::instant());
    rig.set_faults(json!([
        {"name": "gone", "what": {"inventory_nic_missing": {"nic": 0}}},
        {"name": "never-there", "what": {"inventory_nic_missing": {"nic": 9}}},
    ]));
    let second = rig.node.identity().macs[1];
    let data = inspected(&mut rig);
    assert_eq!(macs(&data), [second]);
    assert_eq!(looked_up(&mut rig), [second]);
    // Inspection and look-up make the inventory once each.
    assert_eq!(
        rig.hits(),
        [("gone", 1), ("never-there", 1), ("gone", 2), ("never-there", 2)]
    );
}

#[test]
fn a_doubled_address_is_the_same_everywhere() {
    let mut rig = Rig::new(Timing::instant());
    rig.set_faults(json!([{"name": "double", "what": {"inventory_duplicate_mac": {"nic": 1}}}]));
    let own = rig.node.identity().macs.clone();
    let shown = macs(&inspected(&mut rig));
    assert_eq!(shown[0], own[0]);
    assert_ne!(shown[1], own[1]);
    assert_eq!(shown[1].octets()[0] & 0b11, 0b10, "locally administered");
    assert_eq!(looked_up(&mut rig), shown);

    let mut other = Rig::named(
        "other",
        json!([{"name": "double", "what": {"inventory_duplicate_mac": {"nic": 1}}}]),
    );
    assert_eq!(macs(&inspected(&mut other))[1], shown[1]);
    let mut another = Rig::named(
        "other",
        json!([{"name": "another", "what": {"inventory_duplicate_mac": {"nic": 1}}}]),
    );
    assert_ne!(macs(&inspected(&mut another))[1], shown[1]);
}

#[test]
fn the_interface_that_was_booted_from_shows_the_address_that_it_has() {
    let mut rig = Rig::new(Timing::instant());
    rig.set_faults(json!([{"name": "double", "what": "inventory_duplicate_mac"}]));
    let mut parameters = (*Rig::parameters(true)).clone();
    parameters.boot_mac = Some(rig.node.identity().macs[0]);
    rig.boot_ramdisk(std::sync::Arc::new(parameters));
    let IronicCall::Inspect { data, .. } = rig.call() else {
        panic!("{:?}", rig.call())
    };
    let shown = data.inventory.interfaces[0].mac_address;
    assert_eq!(data.inventory.boot.pxe_interface, Some(shown));
    assert_eq!(data.boot_interface, Some(shown));
}

#[test]
fn the_hardware_that_a_command_tells_is_the_inventory_s() {
    let mut rig = rig(json!([{"name": "gone", "what": "inventory_nic_missing"}]));
    let told = rig.execute("poll.get_hardware_info", json!({})).unwrap();
    let told = told.command_result.unwrap();
    assert_eq!(told["interfaces"].as_array().unwrap().len(), 1);
    assert_eq!(
        told["interfaces"][0]["mac_address"],
        json!(rig.node.identity().macs[1])
    );
}
