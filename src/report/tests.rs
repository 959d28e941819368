//! The collector against a model that keeps everything, and the bounds of what is made.

use std::collections::BTreeMap;
use std::time::Duration;

use metalsim_actors::phase::Phase;
use metalsim_actors::time::SimInstant;
use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> SimInstant {
    SimInstant::from_millis(millis)
}

fn named(number: u32) -> Option<String> {
    Some(format!("n{number}"))
}

fn plain(collector: &Collector, end: u64) -> Report {
    collector.report(at(end), Header::default(), vec![], vec![], named)
}

/// What happens to one of a few nodes, or to all.
#[derive(Clone, Debug)]
enum Told {
    Phase(u32, Phase),
    Call(Traffic, bool),
    Hit(usize),
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        (0..4_u32, 0..Phase::ALL.len()).prop_map(|(node, phase)| Told::Phase(node, Phase::ALL[phase])),
        (0..Traffic::ALL.len(), any::<bool>()).prop_map(|(kind, ok)| Told::Call(Traffic::ALL[kind], ok)),
        (0..3_usize).prop_map(Told::Hit),
    ]
}

/// Keeps all of it and counts millisecond by millisecond.
#[derive(Default)]
struct Model {
    phases: BTreeMap<u32, Vec<(u64, Phase)>>,
    calls: Vec<(u64, Traffic, bool)>,
    hits: Vec<(u64, usize)>,
}

impl Model {
    /// Time that nodes are in a phase between two times.
    fn spent(&self, phase: Phase, from: u64, until: u64, end: u64) -> u64 {
        let mut sum = 0;
        for steps in self.phases.values() {
            for (place, (since, now)) in steps.iter().enumerate() {
                let over = steps.get(place + 1).map_or(end, |(next, _)| *next);
                if *now == phase {
                    sum += over.min(until).saturating_sub((*since).max(from));
                }
            }
        }
        sum
    }

    fn stays(&self, phase: Phase) -> Vec<u64> {
        let steps = self.phases.values();
        let pairs = steps.flat_map(|steps| steps.windows(2));
        pairs
            .filter(|pair| pair[0].1 == phase)
            .map(|pair| pair[1].0 - pair[0].0)
            .collect()
    }

    /// Length of a node's journey, and whether it has arrived.
    fn journey(&self, node: u32, end: u64) -> (u64, bool) {
        let steps = self.phases.get(&node).map_or(&[][..], Vec::as_slice);
        let mut length = 0;
        for (place, (since, phase)) in steps.iter().enumerate() {
            if *phase == Phase::OsRunning {
                return (length, true);
            }
            let over = steps.get(place + 1).map_or(end, |(next, _)| *next);
            if *phase != Phase::Off {
                length += over - since;
            }
        }
        (length, false)
    }
}

const FAULTS: [&str; 3] = ["one", "two", "three"];

fn collect(happenings: &[(u64, u64, Told)]) -> (Collector, Model, u64) {
    let plans = FAULTS[..2].iter().map(|name| FaultPlan {
        name: (*name).to_owned(),
        ..FaultPlan::default()
    });
    let mut collector = Collector::new(4, plans.collect());
    let mut model = Model::default();
    let (mut now, mut end) = (0, 0);
    for (passes, early, happening) in happenings {
        now += passes;
        match happening {
            Told::Phase(node, to) => {
                let steps = model.phases.entry(*node).or_default();
                let before = steps.last().copied();
                if before.is_some_and(|(_, phase)| phase == *to) {
                    continue;
                }
                // Told a little late, but never before what the node was told before.
                let then = now
                    .saturating_sub(*early)
                    .max(before.map_or(0, |(since, _)| since));
                collector.phase(at(then), *node, before.map(|(_, phase)| phase), *to);
                steps.push((then, *to));
                end = end.max(then);
            }
            Told::Call(kind, ok) => {
                collector.call(at(now), *kind, *ok);
                model.calls.push((now, *kind, *ok));
                end = end.max(now);
            }
            Told::Hit(fault) => {
                collector.fault_hit(at(now), FAULTS[*fault], "word");
                model.hits.push((now, *fault));
                end = end.max(now);
            }
        }
    }
    (collector, model, end + 1)
}

proptest! {
    #[test]
    fn a_report_says_what_happened(
        happenings in prop::collection::vec((0..400_000_u64, 0..90_000_u64, told()), 0..60),
        short: bool,
    ) {
        // Within one grid, and over many doublings.
        let happenings: Vec<_> = happenings
            .into_iter()
            .map(|(passes, early, told)| if short { (passes / 100, early / 100, told) } else { (passes, early, told) })
            .collect();
        let (collector, model, end) = collect(&happenings);
        let report = plain(&collector, end);
        let length = report.buckets.length_ms;
        let count = report.buckets.count;
        prop_assert!(count <= 256 && count * length >= end && (count - 1) * length < end, "{count} of {length} for {end}");
        for phase in Phase::ALL {
            let found = report.phases.iter().find(|nodes| nodes.phase == phase);
            for index in 0..count {
                let (from, until) = (index * length, ((index + 1) * length).min(end));
                let expected = model.spent(phase, from, until, end) as f64 / (until - from) as f64;
                let mean = found.map_or(0.0, |nodes| nodes.per_bucket[index as usize]);
                prop_assert!((mean - expected).abs() < 0.001, "{phase:?} in bucket {index}: {mean}, not {expected}");
            }
            let stays = model.stays(phase);
            let durations = report.durations.iter().find(|durations| durations.phase == phase);
            prop_assert_eq!(durations.map_or(0, |durations| durations.spread.count), stays.len() as u64);
            if let Some(durations) = durations {
                prop_assert_eq!(Some(durations.spread.min_ms), stays.iter().copied().min());
                prop_assert_eq!(Some(durations.spread.max_ms), stays.iter().copied().max());
            }
        }
        for kind in Traffic::ALL {
            let found = report.traffic.iter().find(|count| count.kind == kind);
            for index in 0..count {
                let inside = |time: u64| time / length == index;
                let all = model.calls.iter().filter(|(time, which, _)| inside(*time) && *which == kind);
                let expected = (all.clone().count() as u64, all.filter(|(_, _, ok)| !ok).count() as u64);
                let got = found.map_or((0, 0), |count| {
                    (count.requests_per_bucket[index as usize], count.errors_per_bucket[index as usize])
                });
                prop_assert_eq!(got, expected);
            }
        }
        for (place, name) in FAULTS.into_iter().enumerate() {
            let found = report.faults.iter().find(|fault| fault.name == name);
            let expected = model.hits.iter().filter(|(_, fault)| *fault == place).count() as u64;
            prop_assert_eq!(found.map_or(0, |fault| fault.hits), expected);
            if let Some(fault) = found {
                prop_assert_eq!(fault.per_bucket.len() as u64, count);
                prop_assert_eq!(fault.per_bucket.iter().sum::<u64>(), expected);
            }
        }
        let journeys: Vec<(u64, bool)> = (0..4).map(|node| model.journey(node, end)).collect();
        prop_assert_eq!(report.journeys.arrived, journeys.iter().filter(|(_, arrived)| *arrived).count() as u64);
        let mut slow: Vec<(u64, u32, bool)> = (0..4_u32)
            .zip(&journeys)
            .filter(|(_, (length, _))| *length > 0)
            .map(|(node, (length, arrived))| (*length, node, *arrived))
            .collect();
        slow.sort_by_key(|(length, node, _)| (std::cmp::Reverse(*length), *node));
        let found: Vec<_> = report.slowest.iter().map(|slow| (slow.journey_ms, slow.node.clone(), slow.arrived)).collect();
        let expected: Vec<_> = slow.iter().map(|(length, node, arrived)| (*length, format!("n{node}"), *arrived)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(&Report::from_json(report.to_json().as_bytes()).unwrap(), &report, "it can be read again");
    }
}

#[test]
fn what_is_missed_is_told() {
    let mut collector = Collector::new(1, vec![]);
    collector.phase(at(0), 0, None, Phase::Off);
    collector.phase(at(5), 7, None, Phase::Off);
    collector.missed(3);
    // Off must have ended unseen: its length is not known.
    collector.phase(at(2000), 0, Some(Phase::Post), Phase::Booting);
    let report = plain(&collector, 3000);
    assert_eq!(report.missed, 4);
    assert_eq!(report.durations, []);
    assert_eq!(report.phases.len(), 2);
    assert!(report.to_html().contains("The numbers are too low:</b> 4 events"));
}

#[test]
fn the_longest_stay_is_that_of_the_journey() {
    let mut collector = Collector::new(1, vec![]);
    let life = [
        (0, Phase::Off),
        (50_000, Phase::Post),
        (60_000, Phase::AgentBusy),
        (80_000, Phase::Off),
        (200_000, Phase::CloudInit),
        (205_000, Phase::OsRunning),
        (900_000, Phase::Post),
    ];
    let mut before = None;
    for (time, phase) in life {
        collector.phase(at(time), 0, before, phase);
        before = Some(phase);
    }
    let report = plain(&collector, 5_000_000);
    let slow = &report.slowest[0];
    assert_eq!((slow.journey_ms, slow.arrived), (35_000, true));
    assert_eq!((slow.longest_phase, slow.longest_ms), (Phase::AgentBusy, 20_000));
    assert_eq!(slow.phase, Phase::Post);
    assert_eq!((report.journeys.begun, report.journeys.arrived), (1, 1));
}

#[test]
fn use_of_processors_lies_between_two_looks() {
    let mut collector = Collector::new(1, vec![]);
    for (time, processor, resident_bytes) in [(0, 10, 5), (30, 25, 9), (40, 26, 7)] {
        let sample = ProcessSample {
            resident_bytes,
            handles: 3,
            processor_time: Duration::from_secs(processor),
            wall: Duration::from_secs(time),
            heartbeats_late: None,
        };
        collector.sample(at(time * 100), &sample);
    }
    let process = plain(&collector, 10_000).process.unwrap();
    assert_eq!(
        process.resident_bytes[..5],
        [Some(5), None, None, Some(9), Some(7)]
    );
    assert_eq!(process.processors[..5], [None, None, None, Some(0.5), Some(0.1)]);
    assert_eq!(process.resident_bytes.len(), 10);
}

#[test]
fn a_report_is_short_whatever_the_number_of_nodes_and_faults() {
    let nodes = 1_000_000;
    let mut collector = Collector::new(nodes, vec![]);
    let mut before = None;
    for (turn, phase) in [
        Phase::Off,
        Phase::Post,
        Phase::Booting,
        Phase::AgentBusy,
        Phase::OsRunning,
    ]
    .into_iter()
    .enumerate()
    {
        for node in 0..nodes {
            let time = turn as u64 * 3_600_000 + u64::from(node % 3600) * 1000;
            collector.phase(at(time), node, before, phase);
        }
        before = Some(phase);
    }
    for number in 0..200_u32 {
        collector.fault_hit(at(0), &format!("fault-{number}"), "word");
    }
    let verdict = Verdict {
        details: "x".repeat(100_000),
        ..Verdict::default()
    };
    let report = collector.report(
        at(24 * 3_600_000),
        Header {
            nodes: u64::from(nodes),
            ..Header::default()
        },
        vec![],
        vec![verdict],
        named,
    );
    assert_eq!(report.faults.len(), 65);
    assert_eq!(report.faults[64].hits, 136);
    assert_eq!(report.phases[0].at_end, 0);
    assert_eq!(report.journeys.arrived, u64::from(nodes));
    let page = report.to_html();
    assert!(page.len() < 400_000, "{} bytes", page.len());
    assert!(Report::from_json(report.to_json().as_bytes()).is_ok());
}

#[test]
fn a_report_may_be_made_at_any_time_and_for_ever() {
    let mut collector = Collector::new(2, vec![]);
    assert_eq!(plain(&collector, 0).buckets.count, 1);
    collector.phase(at(10), 0, None, Phase::Off);
    collector.phase(at(u64::MAX), 0, Some(Phase::Off), Phase::Parked);
    collector.call(at(u64::MAX), Traffic::Agent, false);
    collector.fault_hit(at(u64::MAX), "late", "word");
    let report = plain(&collector, 20);
    assert!(report.buckets.count <= 256);
    assert!(report.to_html().contains("parked"));
}

#[test]
fn reports_that_do_not_fit_together_are_refused() {
    let mut collector = Collector::new(
        1,
        vec![FaultPlan {
            name: "f".to_owned(),
            windows: vec![Stretch {
                from_ms: 1,
                until_ms: 2,
            }],
            ..FaultPlan::default()
        }],
    );
    collector.phase(at(0), 0, None, Phase::Post);
    collector.phase(at(9), 0, Some(Phase::Post), Phase::Off);
    collector.call(at(0), Traffic::Redfish, true);
    let good: serde_json::Value = serde_json::from_str(&plain(&collector, 5000).to_json()).unwrap();
    assert!(Report::from_json(good.to_string().as_bytes()).is_ok());
    for (place, wrong, message) in [
        ("/format", serde_json::json!(2), "format is 2"),
        ("/run/nodes", serde_json::json!("many"), "invalid type"),
        ("/buckets/length_ms", serde_json::json!(0), "a length"),
        ("/buckets/count", serde_json::json!(1_000_000), "at most 256"),
        (
            "/phases/0/per_bucket",
            serde_json::json!([1.0]),
            "1 values for 5 buckets",
        ),
        (
            "/phases/0/per_bucket/0",
            serde_json::json!(-1.0),
            "less than no nodes",
        ),
        (
            "/traffic/0/errors_per_bucket",
            serde_json::json!([]),
            "0 values for 5 buckets",
        ),
        (
            "/faults/0/windows/0/from_ms",
            serde_json::json!(7),
            "ends before it begins",
        ),
        (
            "/durations/0/histogram/0/below_ms",
            serde_json::json!(0),
            "no width",
        ),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = wrong;
        let error = Report::from_json(bad.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(message), "{place}: {error}");
    }
    assert!(Report::from_json(b"{").is_err());
}
