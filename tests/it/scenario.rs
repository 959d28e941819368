//! Scenarios: files, errors with their places, the schema, and what the command says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use metalsim::scenario::{Scenario, explain, schema};
use metalsim::settings::{Invalid, Sources};
use metalsim_actors::fault::{Occasions, Site, SiteKind};
use metalsim_actors::time::SimInstant;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load(file: impl AsRef<Path>) -> Result<Scenario, Invalid> {
    Scenario::load(&root().join(file), &Sources::default())
}

/// The scenarios that come with the program.
fn shipped() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("config/scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    files
}

fn metalsim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metalsim"))
        .current_dir(root())
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_shipped_scenarios_are_valid_and_can_be_explained() {
    let files = shipped();
    let names: BTreeSet<String> = files.iter().map(|file| load(file).unwrap().name.into()).collect();
    for name in [
        "certificate-expiry",
        "etcd-chaos",
        "ironic-outage",
        "lossy-bmcs",
        "quiet-soak",
        "rolling-power-failure",
    ] {
        assert!(names.contains(name), "{name}");
    }
    for file in files {
        let scenario = load(&file).unwrap();
        assert_eq!(file.file_stem().unwrap().to_str(), Some(&*scenario.name));
        assert!(!scenario.expectations.is_empty(), "{}", scenario.name);
        let set = scenario.fault_set();
        assert_eq!(set.faults().count(), scenario.faults.len());
        let text = explain(&scenario);
        for fault in &scenario.faults {
            assert!(
                text.contains(&format!("  {}: {}", fault.name, fault.what.word())),
                "{text}"
            );
        }
        assert_eq!(text, explain(&load(&file).unwrap()), "the same each time");
    }
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let file = root().join("config/scenarios/schema.json");
    let committed = std::fs::read_to_string(&file).unwrap();
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(
        committed == made,
        "run: metalsim scenario schema > config/scenarios/schema.json"
    );
}

#[test]
fn the_schema_takes_what_is_valid_and_refuses_what_is_not() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let read = |file: &Path| -> Value {
        // YAML 1.2, as editors read it: `off` is a word.
        let mut options = serde_saphyr::Options::default();
        options.strict_booleans = true;
        serde_saphyr::from_str_with_options(&std::fs::read_to_string(file).unwrap(), options).unwrap()
    };
    let mut good = shipped();
    good.extend(["tests/scenarios/good.yaml", "tests/scenarios/good.json"].map(|file| root().join(file)));
    for file in good {
        let errors: Vec<String> = validator
            .iter_errors(&read(&file))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0], "{}", file.display());
    }
    assert!(!validator.is_valid(&read(&root().join("tests/scenarios/wrong.yaml"))));
    let with = |fault: Value| serde_json::json!({"duration": "1h", "faults": [fault]});
    assert!(validator.is_valid(&with(serde_json::json!({"name": "a", "what": "reset_ignored"}))));
    for wrong in [
        serde_json::json!({"name": "a"}),
        serde_json::json!({"name": "a", "what": "bmc_slow"}),
        serde_json::json!({"name": "a", "what": {"bmc_slow": {"delay": "1s", "colour": "red"}}}),
        serde_json::json!({"name": "a", "what": "reset_ignored", "when": {"probability": 2}}),
    ] {
        assert!(!validator.is_valid(&with(wrong.clone())), "{wrong}");
    }
}

#[test]
fn the_three_formats_mean_the_same() {
    let [yaml, toml, json] = ["good.yaml", "good.toml", "good.json"]
        .map(|file| load(Path::new("tests/scenarios").join(file)).unwrap());
    for other in [toml, json] {
        assert_eq!(yaml.faults, other.faults);
        assert_eq!(yaml.expectations, other.expectations);
        assert_eq!(yaml.phases, other.phases);
        assert_eq!(yaml.duration, other.duration);
        assert_eq!(yaml.settings.nodes, other.settings.nodes);
        assert_eq!(yaml.settings.effective, other.settings.effective);
        assert_eq!(yaml.report, other.report);
    }
    assert_eq!((yaml.settings.seed, yaml.settings.nodes.len()), (9, 4));
    assert_eq!(&*yaml.settings.log.filter, "warn");
    // The second phase begins where the first ends, and the fault a minute later.
    let slow = &yaml.faults[0].when;
    assert_eq!(slow.from, SimInstant::from_millis(11 * 60_000));
    assert_eq!(slow.until, Some(SimInstant::from_millis(3_600_000)));
}

#[test]
fn every_problem_is_reported_with_its_place() {
    for name in ["wrong", "vain"] {
        let Invalid(problems) = load(format!("tests/scenarios/{name}.yaml")).unwrap_err();
        let folder = root().join("tests/scenarios").display().to_string();
        let found: Vec<String> = problems
            .iter()
            .map(|problem| problem.to_string().replace(&folder, "FOLDER"))
            .collect();
        let file = root().join(format!("tests/scenarios/{name}.expected"));
        let expected = std::fs::read_to_string(file).unwrap();
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(found, expected, "{name}, found:\n{}", found.join("\n"));
    }
}

#[test]
fn the_seed_chooses_the_nodes() {
    let picked = |seed: u64| {
        let scenario = Scenario::load(
            &root().join("config/scenarios/lossy-bmcs.yaml"),
            &Sources {
                flags: vec![("seed".into(), seed.to_string())],
                ..Sources::default()
            },
        )
        .unwrap();
        let set = scenario.fault_set();
        set.picked("slow").unwrap().iter().collect::<Vec<_>>()
    };
    assert_eq!(picked(1), picked(1));
    assert_ne!(picked(1), picked(2));
    assert_eq!(picked(1).len(), 10);
}

#[test]
fn the_faults_of_a_file_strike() {
    let scenario = load("tests/scenarios/good.yaml").unwrap();
    let set = scenario.fault_set();
    let facts = metalsim_actors::fault::NodeFacts {
        index: metalsim_actors::fault::NodeIndex(0),
        name: &scenario.settings.nodes[0].name,
        phase: metalsim_actors::phase::Phase::Off,
        cluster: None,
        role: None,
    };
    let mut met = Occasions::default();
    let hit = set.at(Site::Plain(SiteKind::Reset), facts, SimInstant::START, &mut met);
    assert_eq!(hit.unwrap().fault.as_str(), "deaf");
}

#[test]
fn faults_of_the_settings_are_those_of_a_scenario_that_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let base = Sources {
        files: vec![file("base.yaml", "faults: [{name: deaf, what: reset_ignored}]\n")],
        ..Sources::default()
    };
    let names = |text: &str| -> Vec<String> {
        let scenario = Scenario::load(&file("scenario.yaml", text), &base).unwrap();
        scenario
            .faults
            .iter()
            .map(|fault| fault.name.to_string())
            .collect()
    };
    let expect = "duration: 1h\nexpect: [fault_hits: {fault: deaf, at_least: 1}]\n";
    assert_eq!(names(expect), ["deaf"]);
    assert_eq!(
        names("duration: 1h\nfaults: [{name: own, what: os_hangs}]\n"),
        ["own"]
    );
    let inside = file("inside.yaml", "duration: 1h\nsettings: {faults: []}\n");
    let Invalid(problems) = Scenario::load(&inside, &base).unwrap_err();
    assert_eq!(problems[0].key, "settings.faults", "{problems:?}");
}

#[test]
fn the_command_says_what_is_wrong_and_exits_with_2() {
    let good = metalsim(&[
        "scenario",
        "check",
        "tests/scenarios/good.yaml",
        "tests/scenarios/good.toml",
    ]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&good.stdout).lines().count(), 2);
    let wrong = metalsim(&[
        "scenario",
        "check",
        "tests/scenarios/good.yaml",
        "tests/scenarios/vain.yaml",
    ]);
    assert_eq!(wrong.status.code(), Some(2));
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        text.contains("\ntests/scenarios/vain.yaml:9:43: faults[0].which.labels.rak: no node has a label rak; did you mean rack?"),
        "{text}"
    );
    let explained = metalsim(&[
        "scenario",
        "explain",
        "config/scenarios/rolling-power-failure.yaml",
    ]);
    assert_eq!(explained.status.code(), Some(0));
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    for line in [
        "     0:20:00  fault rack-1-dark begins\n",
        "    which  10 of 40 nodes: r1-1, r1-2, r1-3, r1-4, r1-5, ...\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    for arguments in [
        ["scenario", "explain", "tests/scenarios/wrong.yaml"],
        ["scenario", "check", "absent.yaml"],
    ] {
        assert_eq!(metalsim(&arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_reference_lists_every_fault_and_expectation() {
    let reference = std::fs::read_to_string(root().join("docs/scenarios.md")).unwrap();
    let schema = schema();
    let words = |pointer: &str| -> Vec<String> {
        let forms = schema.pointer(pointer).and_then(Value::as_array).unwrap();
        let word = |form: &Value| form.pointer("/required/0").or(form.get("const")).cloned();
        forms
            .iter()
            .filter_map(word)
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    };
    let faults = words("/$defs/FaultForm/properties/what/anyOf/1/oneOf");
    let expectations = words("/$defs/Expectation/oneOf");
    assert!(
        faults.len() >= 50 && expectations.len() >= 10,
        "{faults:?} {expectations:?}"
    );
    for word in faults.iter().chain(&expectations) {
        assert!(reference.contains(&format!("| `{word}` |")), "{word}");
    }
}
