//! The scenarios of clusters that ship: each holds, and does not once what it is about is broken.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rehearsal::{prepared, rehearse, text};
use crate::world::{own_address, until};

/// Endpoints of clusters that no other process of these tests has.
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

/// Runs a scenario that does not hold: the verdicts that failed.
#[track_caller]
fn broken(name: &str, set: &[String], change: impl FnOnce(&mut Value)) -> String {
    let folder = TempDir::new().unwrap();
    let file = prepared(&folder, name, change);
    let output = rehearse(&file, set);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    told.lines()
        .filter(|line| line.contains("FAILED"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn holds(name: &str, set: &[String], speed: u32) {
    let folder = TempDir::new().unwrap();
    let file = prepared(&folder, name, |scenario| scenario["speed"] = json!(speed));
    let output = rehearse(&file, set);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn the_certificate_expires_and_is_renewed() {
    let (name, speed) = ("certificate-expiry.yaml", 2000);
    let set = alone(104);
    holds(name, &set, speed);
    // It never expires.
    let failed = broken(name, &set, |scenario| {
        scenario["speed"] = json!(speed);
        fault(scenario, "certificate-expired")["when"]["probability"] = json!(0.0);
    });
    assert!(
        failed.contains("certificate-expired") && failed.lines().count() == 1,
        "{failed}"
    );
    // It is never renewed well.
    let failed = broken(name, &set, |scenario| {
        scenario["speed"] = json!(speed);
        fault(scenario, "certificate-of-another")["when"] = json!({"from": "70m"});
    });
    assert!(
        failed.contains("metalsim_cluster_certificates{valid=true}"),
        "{failed}"
    );
    assert!(
        failed.contains("metalsim_cluster_certificates{valid=false}"),
        "{failed}"
    );
    // Its machines are gone at the end.
    let failed = broken(name, &set, |scenario| {
        scenario["speed"] = json!(speed);
        let dark = json!({"name": "dark", "when": {"from": "100m"}, "what": "power_loss"});
        scenario["faults"].as_array_mut().unwrap().push(dark);
    });
    assert!(failed.contains("metalsim_clusters{state=open}"), "{failed}");
}

#[test]
fn etcd_comes_through() {
    let (name, speed) = ("etcd-chaos.yaml", 2000);
    let set = alone(112);
    holds(name, &set, speed);
    // All members are down, for ever.
    let failed = broken(name, &set, |scenario| {
        scenario["speed"] = json!(speed);
        let fault = fault(scenario, "member-3-down");
        fault["which"] = json!({"role": "control_plane"});
        fault["when"] = json!({"from": "90m"});
    });
    for expected in [
        "member-3-down",
        "metalsim_cluster_etcd_quorum_losses_total",
        "metalsim_cluster_etcd_quorum{quorum=true}",
    ] {
        assert!(failed.contains(expected), "{expected}: {failed}");
    }
    // The kubelets do not come back, and no leader changes.
    let failed = broken(name, &set, |scenario| {
        scenario["speed"] = json!(speed);
        fault(scenario, "silent-kubelets")["what"] = json!({"kubelet_flaps": {"down": "100h", "up": "1m"}});
        fault(scenario, "silent-kubelets")["when"] = json!({"from": "1h"});
        fault(scenario, "leader-flaps")["when"]["probability"] = json!(0.0);
    });
    for expected in [
        "lost nodes at once",
        "leader-flaps",
        "metalsim_cluster_etcd_leader_changes_total",
    ] {
        assert!(failed.contains(expected), "{expected}: {failed}");
    }
    // One node too many is lost.
    let failed = broken(name, &set, |scenario| {
        scenario["speed"] = json!(speed);
        fault(scenario, "silent-kubelets")["which"] = json!({"role": "worker"});
    });
    assert!(failed.contains("lost nodes at once"), "{failed}");
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
        // Ten minutes are two seconds.
        scenario["speed"] = json!(300);
    });
    let here: Ipv4Addr = own_address(121);
    let control = format!("http://{here}:3333");
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalsim"));
    command.args(["scenario", "run"]).arg(&file);
    let mut set = alone(120);
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
