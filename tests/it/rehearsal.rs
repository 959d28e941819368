//! Scenarios that run: exit codes, verdicts, and the same history for the same seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A shipped scenario at another speed, in a folder of its own.
pub(crate) fn prepared(folder: &TempDir, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/scenarios")
        .join(name);
    let mut scenario: Value = config::Config::builder()
        .add_source(config::File::from(file))
        .build()
        .and_then(config::Config::try_deserialize)
        .unwrap();
    scenario["report"] = json!({});
    change(&mut scenario);
    let file = folder.path().join(name).with_extension("json");
    std::fs::write(&file, scenario.to_string()).unwrap();
    file
}

/// Runs a scenario on free ports, without any client.
pub(crate) fn rehearse(file: &Path, set: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalsim"));
    command.args(["scenario", "run"]).arg(file);
    let alone = [
        "redfish.listen=127.0.0.1:0",
        "agent.listen=127.0.0.1:0",
        "control.listen=127.0.0.1:0",
        "images.listen=127.0.0.1:0",
        "boot.fetch=false",
        "log.level=error",
    ];
    for setting in alone.into_iter().chain(set.iter().map(String::as_str)) {
        command.args(["--set", setting]);
    }
    command.output().unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_scenario_that_holds_ends_with_0_and_one_that_does_not_with_1() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join("reports").join(name);
    let holds = prepared(&folder, "rolling-power-failure.yaml", |scenario| {
        scenario["speed"] = json!(2000);
        scenario["report"] = json!({"json": file("r.json"), "junit": file("r.xml"), "html": file("r.html")});
    });
    let output = rehearse(&holds, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(file("r.json")).unwrap()).unwrap();
    assert_eq!(report["held"], true);
    assert_eq!(report["run"]["scenario"], "rolling-power-failure");
    assert_eq!(report["run"]["simulated_ms"], 2 * 3600 * 1000);
    let hits = report["faults"].as_array().unwrap();
    let hits = hits.iter().find(|fault| fault["name"] == "rack-1-dark").unwrap();
    assert_eq!(hits["hits"], 10);
    let cases = std::fs::read_to_string(file("r.xml")).unwrap();
    assert_eq!(cases.matches("<testcase").count(), 5, "{cases}");
    assert!(std::fs::read_to_string(file("r.html")).unwrap().contains("<svg"));
    assert_eq!(text(&output).matches("held  ").count(), 5, "{}", text(&output));
    // Racks that keep their power break what the scenario is about.
    let broken = prepared(&folder, "rolling-power-failure.yaml", |scenario| {
        scenario["speed"] = json!(2000);
        for fault in scenario["faults"].as_array_mut().unwrap() {
            fault["when"]["probability"] = json!(0.0);
        }
    });
    let output = rehearse(&broken, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(text(&output).matches("FAILED").count(), 3, "{}", text(&output));
    assert!(
        text(&output).contains("3 of 5 expectations did not hold"),
        "{}",
        text(&output)
    );
}

/// Runs a shipped scenario without an Ironic, and tells which of its expectations did not hold, by their words.
fn failed_without_ironic(name: &str, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report.json");
    let file = prepared(&folder, name, |scenario| {
        change(scenario);
        scenario["report"] = json!({"json": report});
    });
    // Nobody listens on the port of discarded bytes.
    let output = rehearse(&file, &["ironic.api_url=http://127.0.0.1:9".into()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["held"], false);
    let mut words: Vec<String> = report["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|verdict| verdict["held"] == false)
        .map(|verdict| verdict["expectation"].as_str().unwrap().to_owned())
        .collect();
    words.sort();
    words
}

#[test]
fn scenarios_about_ironic_do_not_hold_without_it() {
    let fast = |scenario: &mut Value| scenario["speed"] = json!(2000);
    let lossy = failed_without_ironic("lossy-bmcs.yaml", fast);
    assert_eq!(lossy.len(), 3, "{lossy:#?}");
    let outage = failed_without_ironic("ironic-outage.yaml", fast);
    assert_eq!(outage.len(), 2, "{outage:#?}");
    let soak = failed_without_ironic("quiet-soak.yaml", |scenario| {
        scenario["speed"] = json!(10_000);
        scenario["fleet"][0]["count"] = json!(20);
    });
    assert!(
        soak.iter().any(|words| words.contains("agent_ready")),
        "{soak:#?}"
    );
    assert!(soak.iter().any(|words| words.contains("ironic")), "{soak:#?}");
}

#[test]
fn a_scenario_that_cannot_be_used_ends_with_2() {
    let folder = TempDir::new().unwrap();
    let file = prepared(&folder, "quiet-soak.yaml", |scenario| {
        scenario["fleet"] = json!([]);
        scenario["durations"] = json!("1h");
    });
    let output = rehearse(&file, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("durations"), "{}", text(&output));
}

/// What happened to each node, without wall times and numbers in the common stream.
fn histories(file: &Path) -> BTreeMap<String, Vec<String>> {
    let mut histories: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let mut event: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        event.remove("time");
        event.remove("sequence");
        if let Some(node) = event.get("node").and_then(Value::as_str).map(str::to_owned) {
            histories
                .entry(node)
                .or_default()
                .push(serde_json::to_string(&event).unwrap());
        }
    }
    histories
}

#[test]
fn the_same_seed_tells_the_same_story_on_any_number_of_threads() {
    let folder = TempDir::new().unwrap();
    let file = prepared(&folder, "rolling-power-failure.yaml", |scenario| {
        scenario["speed"] = json!(1000);
        let faults = scenario["faults"].as_array_mut().unwrap();
        faults.push(json!({
            "name": "slow-post", "which": {"fraction": 0.5},
            "when": {"from": "1h", "repeats": "10m", "lasts": "5m", "spread": "3m", "probability": 0.5},
            "what": "stuck_in_post",
        }));
    });
    let run = |name: &str, seed: u64, threads: usize| {
        let events = folder.path().join(name);
        let set = [
            format!("events.file={}", events.display()),
            format!("runtime.arbiters={threads}"),
            format!("seed={seed}"),
        ];
        let output = rehearse(&file, &set);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        histories(&events)
    };
    let one = run("one.jsonl", 3, 1);
    assert_eq!(one.len(), 40);
    assert!(one.values().all(|history| history.len() >= 5), "{one:#?}");
    assert_eq!(run("four.jsonl", 3, 4), one);
    assert_ne!(run("other.jsonl", 4, 4), one, "another seed tells another story");
}
