//! Reports: the schema, the committed examples, and the command that renders them again.

mod run;

use std::path::Path;
use std::process::{Command, Output};

use metalsim::report::{Report, schema};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn metalsim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metalsim"))
        .current_dir(root())
        .args(arguments)
        .output()
        .unwrap()
}

fn committed(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/reports").join(name)).unwrap()
}

#[test]
fn the_committed_reports_are_those_of_the_collector() {
    for (name, plan) in [
        ("thirty.json", run::thirty()),
        ("ten-thousand.json", run::ten_thousand()),
    ] {
        assert!(
            committed(name) == run::report(plan).to_json(),
            "run: cargo run --example report -- tests/reports"
        );
    }
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let committed = std::fs::read_to_string(root().join("docs/report.schema.json")).unwrap();
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(
        committed == made,
        "run: metalsim report --schema > docs/report.schema.json"
    );
}

#[test]
fn the_schema_takes_reports_and_refuses_others() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good: Value = serde_json::from_str(&committed("thirty.json")).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&good)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, [""; 0]);
    for (place, wrong) in [
        ("/run", serde_json::json!({})),
        ("/phases/0/phase", serde_json::json!("asleep")),
        ("/faults/0/hits", serde_json::json!(-1)),
        ("/verdicts/0/held", serde_json::json!("yes")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = wrong;
        assert!(!validator.is_valid(&bad), "{place}");
    }
}

#[test]
fn the_reference_names_every_field() {
    let reference = std::fs::read_to_string(root().join("docs/report.md")).unwrap();
    let schema = schema();
    let fields = schema.get("properties").and_then(Value::as_object).unwrap();
    assert!(fields.len() >= 12);
    for field in fields.keys() {
        assert!(reference.contains(&format!("| `{field}` |")), "{field}");
    }
}

#[test]
fn a_report_is_rendered_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (html, junit) = (file("new/page.html"), file("junit.xml"));
    let source = "tests/reports/ten-thousand.json";
    let done = metalsim(&["report", source, "--html", &html, "--junit", &junit]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report = Report::from_json(committed("ten-thousand.json").as_bytes()).unwrap();
    assert_eq!(std::fs::read_to_string(html).unwrap(), report.to_html());
    assert_eq!(std::fs::read_to_string(junit).unwrap(), report.to_junit());
    let told = metalsim(&["report", source]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        text.contains("\nFAILED  errors of redfish: at most 0.01% of requests: 24,166 errors"),
        "{text}"
    );
}

#[test]
fn what_is_no_report_is_refused() {
    let wrong = metalsim(&["report", "tests/scenarios/good.json"]);
    assert_eq!(wrong.status.code(), Some(2));
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        text.contains("error: tests/scenarios/good.json: no report: missing field `format`"),
        "{text}"
    );
    assert_eq!(
        metalsim(&["report", "tests/reports/absent.json"]).status.code(),
        Some(2)
    );
    assert_eq!(metalsim(&["report"]).status.code(), Some(2));
}
