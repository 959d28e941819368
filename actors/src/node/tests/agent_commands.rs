//! The agent's commands: shapes, refusals, and what they change.

use std::time::Duration;

use serde_json::{Value, json};

use crate::node::agent::command::Operation;
use crate::node::agent::{AgentError, AgentReply, AgentRequest};
use crate::node::bmc::{PowerState, ResetType};
use crate::node::effect::IronicCall;
use crate::node::firmware::{Host, System};
use crate::node::phase::Phase;
use crate::node::{Event, Refused};
use crate::testkit::Rig;
use crate::timing::{Latency, Timing};
use crate::wire::agent::CommandStatus;

fn rig() -> Rig {
    Rig::ready(Timing {
        agent_command: Latency::millis(1000),
        ..Timing::instant()
    })
}

fn run(rig: &mut Rig, name: &str, params: Value) -> crate::wire::agent::CommandResult {
    let started = rig.execute(name, params).unwrap();
    assert_eq!(started.command_status, CommandStatus::Running);
    rig.pass(Duration::from_secs(1));
    rig.newest()
}

fn image(config_drive: Value) -> Value {
    json!({
        "image_info": {"id": "img.raw", "urls": ["http://images/img.raw"], "disk_format": "raw", "os_hash_value": "ab"},
        "configdrive": config_drive,
    })
}

fn step(kind: &str, name: &str, args: Value) -> Value {
    json!({
        "step": {"interface": "deploy", "step": name, "args": args, "priority": 80},
        "node": {}, "ports": [], (format!("{kind}_version")): {"generic_hardware_manager": "1.2"},
    })
}

#[test]
fn steps_are_listed_with_the_version_of_their_manager() {
    let mut rig = rig();
    for (kind, known) in [
        ("clean", "erase_devices_metadata"),
        ("deploy", "write_image"),
        ("service", "burnin_cpu"),
    ] {
        let listed = rig
            .execute(
                &format!("{kind}.get_{kind}_steps"),
                json!({"node": {}, "ports": []}),
            )
            .unwrap();
        assert_eq!(listed.command_status, CommandStatus::Succeeded);
        let result = listed.command_result.unwrap();
        assert_eq!(
            result["hardware_manager_version"],
            json!({"generic_hardware_manager": "1.2"})
        );
        let steps = result[format!("{kind}_steps")]["GenericHardwareManager"]
            .as_array()
            .unwrap();
        let found = steps.iter().find(|step| step["step"] == known).expect(known);
        assert!(
            found["priority"].is_u64() && found["interface"] == "deploy" && found["abortable"].is_boolean()
        );
    }
}

#[test]
fn write_image_puts_image_and_config_drive_on_the_disk_when_it_ends() {
    let mut rig = rig();
    let params = step("deploy", "write_image", image(json!("H4sIAAAA")));
    rig.execute("deploy.execute_deploy_step", params).unwrap();
    assert!(rig.node.disk().image().is_none());
    rig.pass(Duration::from_secs(1));
    let done = rig.newest();
    assert_eq!(done.command_status, CommandStatus::Succeeded);
    let echoed = &done.command_result.unwrap()["deploy_step"];
    assert_eq!(
        (&echoed["interface"], &echoed["step"]),
        (&json!("deploy"), &json!("write_image"))
    );
    assert!(
        echoed.get("args").is_none(),
        "the config drive must not come back in every list"
    );
    let written = rig.node.disk().image().unwrap();
    assert_eq!(
        (&*written.id, &*written.url),
        ("img.raw", "http://images/img.raw")
    );
    assert_eq!(
        rig.node.disk().config_drive().map(|drive| &**drive),
        Some("H4sIAAAA")
    );
    let uuids = rig.execute("standby.get_partition_uuids", json!({})).unwrap();
    assert!(
        uuids.command_result.unwrap()["root uuid"]
            .as_str()
            .unwrap()
            .starts_with("0x")
    );
    let erased = run(
        &mut rig,
        "clean.execute_clean_step",
        step("clean", "erase_devices_metadata", json!({})),
    );
    assert_eq!(erased.command_status, CommandStatus::Succeeded);
    assert!(!rig.node.disk().is_bootable() && rig.node.disk().config_drive().is_none());
}

#[test]
fn older_commands_write_as_well() {
    let mut rig = rig();
    let done = run(&mut rig, "standby.prepare_image", image(Value::Null));
    let text = done.command_result.unwrap()["result"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text.starts_with("prepare_image: image (img.raw) written to device /dev/sda"),
        "{text}"
    );
    assert!(rig.node.disk().is_bootable());
    let done = run(&mut rig, "image.install_bootloader", json!({"root_uuid": "x"}));
    assert_eq!(
        (done.command_status, done.command_result),
        (CommandStatus::Succeeded, None)
    );
}

#[test]
fn failures_carry_the_types_that_ironic_shows() {
    let mut rig = rig();
    let failing = [
        (
            step("clean", "nope", json!({})),
            CommandStatus::Failed,
            "HardwareManagerMethodNotFound",
        ),
        (
            json!({"step": {}}),
            CommandStatus::Failed,
            "CommandExecutionError",
        ),
        (
            json!({"step": {"step": "erase_devices"}, "clean_version": {"generic_hardware_manager": "1.0"}}),
            CommandStatus::CleanVersionMismatch,
            "VersionMismatch",
        ),
    ];
    for (params, status, kind) in failing {
        let done = run(&mut rig, "clean.execute_clean_step", params);
        assert_eq!(
            (done.command_status, done.command_error.unwrap().kind),
            (status, kind)
        );
    }
    let done = run(
        &mut rig,
        "deploy.execute_deploy_step",
        step("deploy", "write_image", json!({})),
    );
    let error = done.command_error.unwrap();
    assert_eq!((error.kind, error.code), ("DeploymentError", 500));
    assert!(error.details.contains("image_info"), "{}", error.details);
    assert!(!rig.node.disk().is_bootable());
}

#[test]
fn raid_steps_answer_with_logical_disks() {
    let mut rig = rig();
    let params = json!({
        "step": {"interface": "raid", "step": "create_configuration"},
        "node": {"target_raid_config": {"logical_disks": [{"size_gb": "MAX", "raid_level": "1"}]}},
    });
    let done = run(&mut rig, "clean.execute_clean_step", params);
    assert_eq!(
        done.command_result.unwrap()["clean_result"]["logical_disks"][0]["raid_level"],
        "1"
    );
}

#[test]
fn one_command_at_a_time_and_refusals_change_nothing() {
    let mut rig = rig();
    let refused = |rig: &mut Rig, name: &str, params: Value| match rig.execute(name, params) {
        Err(Refused::Agent(error)) => error,
        other => panic!("refused, not {other:?}"),
    };
    assert_eq!(refused(&mut rig, "sync", json!({})), AgentError::CommandForm);
    assert_eq!(refused(&mut rig, "nope.sync", json!({})).status(), 404);
    assert_eq!(refused(&mut rig, "standby.nope", json!({})).status(), 400);
    assert_eq!(
        refused(&mut rig, "rescue.finalize_rescue", json!({})).status(),
        400
    );
    assert_eq!(refused(&mut rig, "poll.set_node_info", json!({})).status(), 400);
    assert_eq!(
        refused(
            &mut rig,
            "flow.start_flow",
            json!({"flow": [{"flow.start_flow": {}}]})
        )
        .status(),
        400
    );
    assert_eq!(rig.agent(Operation::List), Ok(AgentReply::Commands(vec![])));
    rig.execute(
        "clean.execute_clean_step",
        step("clean", "erase_devices", json!({})),
    )
    .unwrap();
    // Busy comes before the check of the name.
    for name in ["clean.get_clean_steps", "standby.sync", "nope.sync"] {
        assert_eq!(
            refused(&mut rig, name, json!({})),
            AgentError::Busy("execute_clean_step")
        );
    }
}

#[test]
fn the_token_guards_commands_and_their_list() {
    let mut rig = rig();
    let operations = [
        Operation::List,
        Operation::Get("x".into()),
        Operation::Execute {
            name: "standby.sync".into(),
            params: json!({}).as_object().unwrap().clone(),
        },
    ];
    for operation in operations {
        for token in [None, Some("wrong"), Some("tokem"), Some("")] {
            let token = token.map(crate::node::bmc::Secret::new);
            let request = AgentRequest {
                token,
                operation: operation.clone(),
            };
            assert_eq!(
                rig.apply(Event::Agent(request)),
                Err(Refused::Agent(AgentError::InvalidToken))
            );
        }
    }
    let open = AgentRequest {
        token: None,
        operation: Operation::Status,
    };
    assert!(rig.apply(Event::Agent(open)).is_ok());
}

#[test]
fn the_history_is_bounded_and_keeps_the_newest() {
    let mut rig = rig();
    for _ in 0..10 {
        rig.execute("standby.sync", json!({})).unwrap();
    }
    let newest = rig.execute("log.collect_system_logs", json!({})).unwrap();
    let Ok(AgentReply::Commands(results)) = rig.agent(Operation::List) else {
        panic!("a list")
    };
    assert_eq!(results.len(), 4);
    assert_eq!(results.last().map(|result| &**result), Some(&newest));
    assert_eq!(
        rig.agent(Operation::Get(newest.id.to_string().into())),
        Ok(AgentReply::Command(std::sync::Arc::new(newest.clone())))
    );
    assert!(
        newest.command_result.unwrap()["system_logs"]
            .as_str()
            .unwrap()
            .len()
            > 20
    );
}

#[test]
fn power_off_and_run_image_act_on_the_nodes_own_power() {
    let mut rig = rig();
    run(&mut rig, "standby.prepare_image", image(Value::Null));
    let epoch = rig.node.epoch();
    rig.execute("standby.run_image", json!({})).unwrap();
    rig.pass(Duration::from_secs(1));
    assert_eq!(*rig.node.host(), Host::Running(System::Disk));
    assert!(rig.node.epoch() > epoch);
    assert_eq!(rig.execute("standby.sync", json!({})), Err(Refused::NoAgent));

    let mut rig = self::rig();
    rig.execute("standby.power_off", json!({})).unwrap();
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.node.power_state(), PowerState::Off);
}

#[test]
fn rescue_and_lockdown_answer_and_then_fall_silent_with_the_host_on() {
    for (name, params) in [
        (
            "rescue.finalize_rescue",
            json!({"rescue_password": "$5$x", "hashed": true}),
        ),
        ("system.lockdown", json!({})),
    ] {
        let mut rig = rig();
        let done = rig.execute(name, params).unwrap();
        assert_eq!(done.command_status, CommandStatus::Succeeded);
        assert_eq!(
            (rig.node.phase(), rig.node.power_state()),
            (Phase::AgentSilent, PowerState::On)
        );
        assert_eq!(rig.execute("standby.sync", json!({})), Err(Refused::NoAgent));
        rig.pass(Duration::from_secs(3600));
        assert!(rig.pending.is_empty(), "no heartbeat leaves any more");
    }
}

#[test]
fn a_flow_runs_its_parts() {
    let mut rig = rig();
    let flow =
        json!({"flow": [{"standby.prepare_image": image(json!("drive"))}, {"image.install_bootloader": {}}]});
    let failed = {
        let flow = json!({"flow": [{"standby.sync": {}}, {"clean.execute_clean_step": {}}]});
        rig.execute("flow.start_flow", flow).unwrap();
        rig.pass(Duration::from_secs(10));
        rig.newest()
    };
    assert_eq!(failed.command_status, CommandStatus::Failed);
    rig.execute("standby.prepare_image", image(Value::Null)).unwrap();
    rig.pass(Duration::from_secs(1));
    rig.execute("flow.start_flow", flow).unwrap();
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.newest().command_status, CommandStatus::Succeeded);
    assert_eq!(
        rig.node.disk().config_drive().map(|drive| &**drive),
        Some("drive")
    );
}

#[test]
fn a_reset_in_the_middle_of_a_step_undoes_the_step() {
    let mut rig = rig();
    rig.execute(
        "deploy.execute_deploy_step",
        step("deploy", "write_image", image(json!("drive"))),
    )
    .unwrap();
    rig.reset(ResetType::ForceOff);
    rig.pass(Duration::from_secs(60));
    assert!(!rig.node.disk().is_bootable());
    rig.boot_ramdisk(Rig::parameters(false));
    assert!(matches!(rig.call(), IronicCall::Discover { .. }));
}
