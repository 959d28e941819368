//! JUnit XML: one suite for the run, one test case for each expectation.

use std::collections::HashMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Suites, TestCase, TestCaseStatus, TestSuite};

use super::model::{Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    let run = &report.run;
    let mut suite = TestSuite::new(run.scenario.clone());
    suite.set_time(Duration::from_millis(run.wall_ms));
    if let Some(started) = run.started {
        suite.set_timestamp(started.fixed_offset());
    }
    for (name, value) in [
        ("metalsim.version", run.version.clone()),
        ("metalsim.seed", run.seed.to_string()),
        ("metalsim.speed", run.speed.to_string()),
        ("metalsim.nodes", run.nodes.to_string()),
        ("metalsim.simulated_seconds", seconds(run.simulated_ms)),
        ("metalsim.panics", report.panics.to_string()),
        ("metalsim.missed_events", report.missed.to_string()),
    ] {
        suite.add_property((name, value.as_str()));
    }
    // Readers tell cases apart by their names.
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for verdict in &report.verdicts {
        let times = seen.entry(&verdict.expectation).or_default();
        *times += 1;
        let name = match *times {
            1 => verdict.expectation.clone(),
            again => format!("{} ({again})", verdict.expectation),
        };
        suite.add_test_case(case(&run.scenario, name, verdict));
    }
    let mut suites = Suites::new("metalsim");
    suites.set_time(Duration::from_millis(run.wall_ms));
    suites.add_test_suite(suite);
    // What is written to memory cannot fail: quick-junit leaves out what XML cannot hold.
    suites.to_string().unwrap_or_default()
}

fn case(scenario: &str, name: String, verdict: &Verdict) -> TestCase {
    let decided = verdict
        .at_ms
        .map(|at| format!("decided after {} simulated seconds", seconds(at)));
    let details = [Some(verdict.details.clone()), decided];
    let details = details
        .into_iter()
        .flatten()
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    let mut status = TestCaseStatus::success();
    if !verdict.held {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let message = if verdict.details.is_empty() {
            "the expectation did not hold"
        } else {
            &verdict.details
        };
        status.set_type("expectation");
        status.set_message(message);
        status.set_description(format!("{name}\n{details}"));
    }
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("metalsim.{scenario}"));
    case.set_time(Duration::ZERO);
    if verdict.held && !details.is_empty() {
        case.set_system_out(details);
    }
    case
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
