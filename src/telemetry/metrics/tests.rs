//! What is recorded shows.

use metalsim_actors::ids::Epoch;
use metalsim_actors::node::bmc::BootTarget;
use metalsim_actors::node::effect::{BootResult, CallError, Cause};
use metalsim_actors::wire::agent::CommandStatus;

use super::*;
use crate::observer::Exposition as _;

/// Every metric with its type; users' dashboards rely on these.
const NAMES: &str = "\
metalsim_actor_restarts counter
metalsim_agent_commands counter
metalsim_api_handshakes counter
metalsim_api_requests counter
metalsim_boots counter
metalsim_build_info gauge
metalsim_cluster_certificates gauge
metalsim_cluster_etcd_leader_changes counter
metalsim_cluster_etcd_quorum gauge
metalsim_cluster_etcd_quorum_losses counter
metalsim_cluster_machines gauge
metalsim_cluster_nodes gauge
metalsim_cluster_streams gauge
metalsim_cluster_writes_waiting gauge
metalsim_clusters gauge
metalsim_event_subscribers gauge
metalsim_events counter
metalsim_events_missed counter
metalsim_events_unwritten counter
metalsim_fault_hits counter
metalsim_heartbeats_sent counter
metalsim_ironic_call_duration_seconds histogram
metalsim_ironic_call_lateness_seconds histogram
metalsim_ironic_calls counter
metalsim_ironic_calls_in_flight gauge
metalsim_ironic_calls_queued gauge
metalsim_nodes gauge
metalsim_nodes_parked counter
metalsim_nodes_power gauge
metalsim_permits gauge
metalsim_permits_in_use gauge
metalsim_permits_refused counter
metalsim_phase_duration_seconds histogram
metalsim_process_cpu_seconds counter
metalsim_process_open_files gauge
metalsim_process_open_files_limit gauge
metalsim_process_resident_memory_bytes gauge
metalsim_process_start_time_seconds gauge
metalsim_process_threads gauge
metalsim_process_uptime_seconds gauge
metalsim_process_virtual_memory_bytes gauge
metalsim_request_duration_seconds histogram
metalsim_requests counter
metalsim_simulated_time_seconds gauge
metalsim_speed gauge
metalsim_stale_outcomes counter
metalsim_step_duration_seconds histogram
metalsim_step_panics counter
metalsim_timer_lateness_seconds histogram
";

#[test]
fn names_and_types_stay_as_they_are() {
    let page = Metrics::new().render();
    let mut names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    names.sort_unstable();
    assert_eq!(names.join("\n") + "\n", NAMES);
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn what_is_recorded_shows() {
    let metrics = Metrics::new();
    let node = NodeId::from_name("a");
    let change = |from, to| PhaseChange {
        at: SimInstant::START,
        from,
        to,
        lasted: from.map(|_| Duration::from_secs(3)),
        epoch: Epoch::default(),
        cause: Cause::Start,
    };
    metrics.phase(node, &change(None, Phase::Off));
    metrics.phase(node, &change(Some(Phase::Off), Phase::Post));
    metrics.power(node, None, PowerState::On);
    metrics.shell(ShellEvent::ActorRestarted);
    metrics.shell(ShellEvent::QuorumLost);
    metrics.shell(ShellEvent::LeadersChanged(3));
    metrics.handshake(false);
    metrics.record(
        node,
        SimInstant::START,
        Record::Call(CallKind::Lookup, Err(CallError::Status(409))),
    );
    metrics.record(
        node,
        SimInstant::START,
        Record::Command(CommandName::Sync, CommandStatus::Succeeded),
    );
    metrics.record(
        node,
        SimInstant::START,
        Record::Boot(BootTarget::Cd, BootResult::Agent),
    );
    metrics.sent(CallKind::Heartbeat, Duration::from_secs(2));
    metrics.ended(CallKind::Heartbeat, Duration::from_millis(2));
    metrics.shell(ShellEvent::Stepped(Duration::from_micros(3)));
    metrics.shell(ShellEvent::TimerServed(Duration::from_millis(30)));
    let hit = FaultHit {
        at: SimInstant::START,
        fault: "a".parse().unwrap(),
        what: "power_flap",
        number: 1,
    };
    metrics.fault(Whom::Node(node), &hit);
    for (verb, group, status) in [
        ("list", Some(""), 200),
        ("get", Some("apps"), 404),
        ("get", Some("custom"), 200),
        ("get", Some("no-such.io"), 200),
        ("", None, 403),
    ] {
        metrics.api(verb, group).answered(status, Duration::ZERO);
    }
    let route = metrics.route(Protocol::Agent, "GET", Some("/{node}/v1/status"));
    route.answered(200, Duration::from_millis(3));
    metrics
        .route(Protocol::Agent, "BREW", None)
        .answered(0, Duration::ZERO);
    let page = metrics.render();
    for line in [
        r#"metalsim_nodes{phase="off"} 0"#,
        r#"metalsim_nodes{phase="post"} 1"#,
        r#"metalsim_nodes_power{power="on"} 1"#,
        "metalsim_actor_restarts_total 1",
        "metalsim_cluster_etcd_quorum_losses_total 1",
        "metalsim_cluster_etcd_leader_changes_total 3",
        r#"metalsim_api_handshakes_total{result="failed"} 1"#,
        r#"metalsim_ironic_calls_total{kind="lookup",result="conflict"} 1"#,
        r#"metalsim_agent_commands_total{command="standby.sync",status="succeeded"} 1"#,
        r#"metalsim_boots_total{target="Cd",result="agent"} 1"#,
        "metalsim_heartbeats_sent_total 1",
        r#"metalsim_ironic_call_lateness_seconds_bucket{le="5.0",kind="heartbeat"} 1"#,
        r#"metalsim_ironic_call_lateness_seconds_bucket{le="+Inf",kind="heartbeat"} 1"#,
        r#"metalsim_ironic_call_duration_seconds_bucket{le="0.002",kind="heartbeat"} 1"#,
        r#"metalsim_phase_duration_seconds_bucket{le="5.0",phase="off"} 1"#,
        r#"metalsim_phase_duration_seconds_sum{phase="off"} 3.0"#,
        "metalsim_step_duration_seconds_sum 0.000003",
        "metalsim_step_duration_seconds_count 1",
        r#"metalsim_timer_lateness_seconds_bucket{le="0.05"} 1"#,
        r#"metalsim_fault_hits_total{what="power_flap"} 1"#,
        r#"metalsim_api_requests_total{verb="list",group="core",status="2xx"} 1"#,
        r#"metalsim_api_requests_total{verb="get",group="apps",status="4xx"} 1"#,
        r#"metalsim_api_requests_total{verb="get",group="custom",status="2xx"} 1"#,
        r#"metalsim_api_requests_total{verb="get",group="other",status="2xx"} 1"#,
        r#"metalsim_api_requests_total{verb="other",group="other",status="4xx"} 1"#,
        r#"metalsim_requests_total{protocol="agent",method="GET",route="/{node}/v1/status",status="2xx"} 1"#,
        r#"metalsim_requests_total{protocol="agent",method="other",route="other",status="dropped"} 1"#,
    ] {
        assert!(page.lines().any(|known| known == line), "{line} in\n{page}");
    }
}
