//! The scenarios of clusters that ship: each holds, and does not once what it is about is broken.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rehearsal::{prepared, rehearse, text};
use crate::world::{own_address, until};

/// Endpoints of clusters that no other process of these tests has: `number` is a multiple of eight.
fn alone(number: u8) -> Vec<String> {
    vec![
        "clusters.addressing=address".to_owned(),
        format!("clusters.addresses={}/29", own_address(number)),
    ]
}

fn fault<'a>(scenario: &'a mut Value, name: &str) -> &'a mut Value {
    let faults = scenario["faults"].as_array_mut().unwrap();
    faults.iter_mut().find(|fault| fault["name"] == name).unwrap()
}

/// Simulated seconds in a real one: machines that join wait for five minutes, in which a real process founds their cluster.
const SPEED: u32 = 75;

/// The scenario with less time before and after what it is about.
fn shortened(scenario: &mut Value, duration: &str) {
    scenario["speed"] = json!(SPEED);
    scenario["duration"] = json!(duration);
    scenario["phases"][0]["length"] = json!("10m");
    for expectation in scenario["expect"].as_array_mut().unwrap() {
        if let Some(by) = expectation.pointer_mut("/cluster_ready_nodes/by") {
            *by = json!("10m");
        }
    }
}

/// What a run told: all that its verdicts say, or only of those that failed.
fn run(
    number: u8,
    name: &str,
    duration: &str,
    change: impl FnOnce(&mut Value),
) -> (Option<i32>, String, String) {
    let folder = TempDir::new().unwrap();
    let file = prepared(&folder, name, |scenario| {
        shortened(scenario, duration);
        change(scenario);
    });
    let output = rehearse(&file, &alone(number));
    let told = text(&output);
    let failed: Vec<&str> = told.lines().filter(|line| line.contains("FAILED")).collect();
    (output.status.code(), failed.join("\n"), told)
}

/// A way to break a scenario, and the expectations that fail then.
type Break<'a> = (fn(&mut Value), &'a [&'a str]);

/// Runs the scenario as it is, which must hold, and each way to break it at the same time: these expectations must fail, and no others.
fn judge(number: u8, name: &str, duration: &str, breaks: &[Break<'_>]) {
    std::thread::scope(|scope| {
        let whole = scope.spawn(|| run(number, name, duration, |_| ()));
        let broken: Vec<_> = (1..)
            .zip(breaks)
            .map(|(index, (change, _))| scope.spawn(move || run(number + 8 * index, name, duration, change)))
            .collect();
        let (code, _, told) = whole.join().unwrap();
        assert_eq!(code, Some(0), "{told}");
        for (run, (_, expected)) in broken.into_iter().zip(breaks) {
            let (code, failed, told) = run.join().unwrap();
            assert_eq!(code, Some(1), "{told}");
            for words in *expected {
                assert!(failed.contains(words), "{words} holds:\n{told}");
            }
            assert_eq!(failed.lines().count(), expected.len(), "{told}");
        }
    });
}

#[test]
fn the_certificate_expires_and_is_renewed() {
    judge(
        104,
        "certificate-expiry.yaml",
        "36m",
        &[
            (
                |scenario| fault(scenario, "certificate-expired")["when"]["probability"] = json!(0.0),
                &["hits of fault certificate-expired"],
            ),
            // It is never renewed well.
            (
                |scenario| fault(scenario, "certificate-of-another")["when"] = json!({"from": "20m"}),
                &[
                    "metalsim_cluster_certificates{valid=true}",
                    "metalsim_cluster_certificates{valid=false}",
                ],
            ),
            // Its machines are gone at the end.
            (
                |scenario| {
                    let dark = json!({"name": "dark", "when": {"from": "30m"}, "what": "power_loss"});
                    scenario["faults"].as_array_mut().unwrap().push(dark);
                },
                &["metalsim_clusters{state=open}"],
            ),
        ],
    );
}

#[test]
fn etcd_comes_through() {
    judge(
        144,
        "etcd-chaos.yaml",
        "1h",
        &[
            // All members are down, for ever.
            (
                |scenario| {
                    let fault = fault(scenario, "member-3-down");
                    fault["which"] = json!({"role": "control_plane"});
                    fault["when"] = json!({"from": "30m"});
                },
                &[
                    "hits of fault member-3-down",
                    "metalsim_cluster_etcd_quorum_losses_total",
                    "metalsim_cluster_etcd_quorum{quorum=true}",
                ],
            ),
            // The kubelets do not come back, and no leader changes.
            (
                |scenario| {
                    let silent = fault(scenario, "silent-kubelets");
                    silent["what"] = json!({"kubelet_flaps": {"down": "100h", "up": "1m"}});
                    silent["when"] = json!({"from": "10m"});
                    fault(scenario, "leader-flaps")["when"]["probability"] = json!(0.0);
                },
                &[
                    "lost nodes at once",
                    "hits of fault leader-flaps",
                    "metalsim_cluster_etcd_leader_changes_total",
                ],
            ),
            // More nodes are lost than are meant to be.
            (
                |scenario| fault(scenario, "silent-kubelets")["which"] = json!({"role": "worker"}),
                &["lost nodes at once"],
            ),
        ],
    );
}

/// The kubeconfig of the cluster, once there is one.
async fn kubeconfig(control: &str) -> Option<String> {
    let url = format!("{control}/api/v1/clusters/web/kubeconfig");
    let answer = crate::world::client().get(url).send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

#[actix_web::test]
async fn a_client_sees_the_certificate_expire_and_renewed() {
    metalsim::frontend::tls::install_provider();
    let folder = TempDir::new().unwrap();
    let file = prepared(&folder, "certificate-expiry.yaml", |scenario| {
        shortened(scenario, "36m");
    });
    let here: Ipv4Addr = own_address(189);
    let control = format!("http://{here}:3333");
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalsim"));
    command.args(["scenario", "run"]).arg(&file);
    let mut set = alone(176);
    set.extend([
        format!("control.listen={here}:3333"),
        "redfish.listen=127.0.0.1:0".to_owned(),
        "agent.listen=127.0.0.1:0".to_owned(),
        "images.listen=127.0.0.1:0".to_owned(),
        "boot.fetch=false".to_owned(),
        "log.level=error".to_owned(),
    ]);
    for setting in &set {
        command.args(["--set", setting]);
    }
    let run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let known = std::cell::RefCell::new(None);
    until("the cluster", || async {
        *known.borrow_mut() = kubeconfig(&control).await;
        known.borrow().is_some()
    })
    .await;
    let text_of = known.into_inner().unwrap();
    // A new client each time, so that there is a handshake each time.
    let ask = async || {
        let kubeconfig = Kubeconfig::from_yaml(&text_of).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let asked = tokio::time::timeout(Duration::from_secs(10), client.apiserver_version()).await;
        match asked {
            Ok(Ok(_)) => "well".to_owned(),
            Ok(Err(error)) => format!("{error:?}"),
            Err(_) => "no answer".to_owned(),
        }
    };
    for (what, words) in [
        ("a good certificate", "well"),
        ("an expired one", "xpired"),
        ("that of another", "NotValidForName"),
        ("a good one again", "well"),
    ] {
        until(what, || async { ask().await.contains(words) }).await;
    }
    let output = tokio::task::spawn_blocking(|| run.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}
