//! Queries of fault sets: who is struck, when and how often, and that history follows from the settings alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::phase::Phase;
use crate::seed::Seed;
use crate::time::SimInstant;
use crate::wire::redfish::vocabulary::ResetType;
use words::{Method, Role};

type Labels = BTreeMap<Box<str>, Box<str>>;

/// Nodes `n-0`, `n-1`, ..., five to a rack.
struct Racks(Vec<(String, Labels)>);

impl Racks {
    fn new(nodes: usize) -> Self {
        let node = |index: usize| {
            let rack = format!("r{}", index / 5);
            (format!("n-{index}"), Labels::from([("rack".into(), rack.into())]))
        };
        Self((0..nodes).map(node).collect())
    }
}

impl Fleet for Racks {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn member(&self, index: NodeIndex) -> Option<(&str, &Labels)> {
        self.0
            .get(index.0 as usize)
            .map(|(name, labels)| (name.as_str(), labels))
    }
}

fn fault(form: Value) -> Fault {
    serde_json::from_value::<FaultForm>(form)
        .unwrap()
        .resolve(Stretch::ALL)
        .unwrap()
}

fn set(nodes: usize, forms: impl IntoIterator<Item = Value>) -> FaultSet {
    let faults = forms.into_iter().map(fault).collect();
    FaultSet::none(Seed::root(7))
        .changed(Change::Set(faults), &Racks::new(nodes))
        .unwrap()
}

fn node(fleet: &Racks, index: u32) -> NodeFacts<'_> {
    NodeFacts {
        index: NodeIndex(index),
        name: fleet.member(NodeIndex(index)).unwrap().0,
        phase: Phase::OsRunning,
        cluster: None,
        role: None,
    }
}

fn at(seconds: u64) -> SimInstant {
    SimInstant::from_millis(seconds * 1000)
}

const RESET: Site<'_> = Site::Reset {
    reset: ResetType::ForceOff,
};

/// The occasions out of `count` at which the reset of a node is ignored.
fn ignored(set: &FaultSet, who: NodeFacts<'_>, now: SimInstant, count: u64) -> Vec<u64> {
    let mut met = Occasions::default();
    (1..=count)
        .filter(|_| set.at(RESET, who, now, &mut met).is_some())
        .collect()
}

#[test]
fn only_what_is_selected_is_struck() {
    let fleet = Racks::new(20);
    let faults = set(
        20,
        [
            json!({"name": "a", "which": {"names": ["n-1*"], "labels": {"rack": "r[23]"}}, "what": "reset_ignored"}),
        ],
    );
    let struck: Vec<u32> = (0..20)
        .filter(|index| !ignored(&faults, node(&fleet, *index), at(0), 1).is_empty())
        .collect();
    assert_eq!(struck, (10..20).collect::<Vec<_>>());
    assert!(faults.touches(SiteKind::Reset, NodeIndex(10)) && !faults.touches(SiteKind::Reset, NodeIndex(9)));
    assert!(!faults.touches(SiteKind::Post, NodeIndex(10)));
    let mut met = Occasions::default();
    assert_eq!(faults.at(RESET, node(&fleet, 0), at(0), &mut met), None);
    assert_eq!(
        met,
        Occasions::default(),
        "a node that is not selected remembers nothing"
    );
}

#[test]
fn a_fraction_picks_as_many_as_it_says_and_a_stranger_changes_little() {
    let pick = |nodes| {
        let form = json!({"name": "a", "which": {"fraction": "20%"}, "what": "reset_ignored"});
        set(nodes, [form]).picked("a").unwrap().clone()
    };
    let (before, after) = (pick(100), pick(101));
    assert_eq!((before.count(), after.count()), (20, 20));
    let changed = before.iter().filter(|index| !after.contains(*index)).count();
    assert!(changed <= 1, "{changed}");
    let few = set(
        5,
        [json!({"name": "a", "which": {"fraction": 0.01}, "what": "os_hangs"})],
    );
    assert_eq!(few.picked("a").unwrap().count(), 1, "at least one");
    let counted = set(
        5,
        [json!({"name": "a", "which": {"count": 3}, "what": "os_hangs"})],
    );
    assert_eq!(counted.picked("a").unwrap().iter().count(), 3);
}

#[test]
fn cluster_role_and_phase_are_looked_at_when_asked() {
    let fleet = Racks::new(1);
    let faults = set(
        1,
        [json!({
            "name": "a", "which": {"clusters": ["prod-*"], "role": "control_plane"},
            "when": {"node_phases": ["os_running"]}, "what": "reset_ignored"
        })],
    );
    let matching = NodeFacts {
        cluster: Some("prod-1"),
        role: Some(Role::ControlPlane),
        ..node(&fleet, 0)
    };
    assert_eq!(ignored(&faults, matching, at(0), 1), [1]);
    for other in [
        node(&fleet, 0),
        NodeFacts {
            cluster: Some("test"),
            ..matching
        },
        NodeFacts {
            role: Some(Role::Worker),
            ..matching
        },
        NodeFacts {
            phase: Phase::Off,
            ..matching
        },
    ] {
        assert_eq!(ignored(&faults, other, at(0), 1), [0; 0], "{other:?}");
    }
}

#[test]
fn occasions_count_for_each_node_within_the_window_only() {
    let fleet = Racks::new(2);
    let faults = set(
        2,
        [json!({"name": "a", "when": {"from": "10s", "until": "20s", "nth": 2}, "what": "reset_ignored"})],
    );
    assert_eq!(ignored(&faults, node(&fleet, 0), at(10), 4), [2]);
    assert_eq!(ignored(&faults, node(&fleet, 0), at(20), 4), [0; 0]);
    let mut met = Occasions::default();
    let mut ask = |now, reset| {
        faults
            .at(Site::Reset { reset }, node(&fleet, 1), now, &mut met)
            .is_some()
    };
    assert!(!ask(at(9), ResetType::On), "before the window nothing counts");
    assert!(!ask(at(10), ResetType::On));
    assert!(ask(at(11), ResetType::On));
    assert!(!ask(at(12), ResetType::On));
}

#[test]
fn details_narrow_a_fault_down() {
    let fleet = Racks::new(1);
    let faults = set(
        1,
        [
            json!({"name": "slow", "what": {"bmc_slow": {"delay": "1s", "methods": ["GET"]}}}),
            json!({"name": "sick", "what": {"bmc_status": {"status": 503, "routes": ["**/VirtualMedia/**"]}}}),
        ],
    );
    let mut met = Occasions::default();
    let mut ask = |method, route| -> Vec<String> {
        faults
            .all_at(
                Site::RedfishRequest { method, route },
                node(&fleet, 0),
                at(0),
                &mut met,
            )
            .iter()
            .map(|hit| hit.fault.to_string())
            .collect()
    };
    let slot = "/redfish/v1/Systems/{id}/VirtualMedia/{slot}";
    assert_eq!(ask(Method::Get, slot), ["slow", "sick"]);
    assert_eq!(ask(Method::Patch, slot), ["sick"]);
    assert_eq!(ask(Method::Get, "/redfish/v1/Systems/{id}"), ["slow"]);
    assert_eq!(ask(Method::Post, "/redfish/v1/Systems/{id}"), [""; 0]);
}

#[test]
fn states_hold_between_their_edges_and_events_happen_once() {
    let fleet = Racks::new(1);
    let who = node(&fleet, 0);
    let faults = set(
        1,
        [
            json!({"name": "dark", "when": {"from": "10s", "until": "20s"}, "what": "power_loss"}),
            json!({"name": "flap", "when": {"from": "5s", "lasts": "1s", "repeats": "30s", "until": "50s"},
                   "what": {"power_flap": {"off_for": "2s"}}}),
        ],
    );
    let dark = |now| !faults.state(SiteKind::Power, who, at(now)).is_empty();
    assert_eq!([9, 10, 19, 20].map(dark), [false, true, true, false]);
    assert_eq!(faults.next_edge(SiteKind::Power, who, at(0)), Some(at(10)));
    assert_eq!(faults.next_edge(SiteKind::Power, who, at(10)), Some(at(20)));
    assert_eq!(faults.next_edge(SiteKind::Power, who, at(20)), None);
    let flaps = |after, now| faults.events(SiteKind::PowerEvent, who, at(after), at(now)).len();
    assert_eq!(faults.next_edge(SiteKind::PowerEvent, who, at(5)), Some(at(35)));
    assert_eq!(
        (
            flaps(0, 4),
            flaps(4, 5),
            flaps(5, 34),
            flaps(34, 36),
            flaps(36, 100)
        ),
        (0, 1, 0, 1, 0)
    );
    // What holds is no occasion, and the other way round.
    let mut met = Occasions::default();
    assert_eq!(
        faults.at(Site::Plain(SiteKind::Power), who, at(10), &mut met),
        None
    );
}

#[test]
fn clusters_are_struck_by_name_and_by_chance() {
    let faults = set(
        1,
        [
            json!({"name": "a", "which": {"clusters": ["c-*"], "fraction": 0.5}, "what": {"api_status": {"status": 500}}}),
        ],
    );
    let struck = |name: &str| {
        let mut met = Occasions::default();
        let site = Site::Plain(SiteKind::ApiRequest);
        faults.at(site, ClusterFacts { name }, at(0), &mut met).is_some()
    };
    let count = (0..200).filter(|index| struck(&format!("c-{index}"))).count();
    assert!((70..130).contains(&count), "{count} of 200");
    assert!((0..50).all(|index| !struck(&format!("d-{index}"))));
    let fleet = Racks::new(1);
    let mut met = Occasions::default();
    let asked = faults.at(
        Site::Plain(SiteKind::ApiRequest),
        node(&fleet, 0),
        at(0),
        &mut met,
    );
    assert_eq!(asked, None, "a node is no cluster");
}

#[test]
fn changes_make_new_snapshots_and_counts_survive_those_of_others() {
    let fleet = Racks::new(1);
    let who = node(&fleet, 0);
    let first = set(
        1,
        [json!({"name": "a", "when": {"nth": 2}, "what": "reset_ignored"})],
    );
    let mut met = Occasions::default();
    assert!(first.at(RESET, who, at(0), &mut met).is_none());
    let other = fault(json!({"name": "b", "what": "os_hangs"}));
    let second = first.changed(Change::Add(other.clone()), &fleet).unwrap();
    assert_eq!((first.version(), second.version()), (1, 2));
    assert_eq!((first.faults().count(), second.faults().count()), (1, 2));
    assert_eq!(second.at(RESET, who, at(0), &mut met).unwrap().number, 2);
    let same = second.get("a").unwrap().clone();
    let third = second.changed(Change::Replace(same), &fleet).unwrap();
    assert!(third.at(RESET, who, at(0), &mut met).is_none(), "counted anew");
    assert!(third.at(RESET, who, at(0), &mut met).is_some());
    assert_eq!(met.len(), 1, "the old count is gone");
    let name = other.name.clone();
    let fourth = third.changed(Change::Remove(name.clone()), &fleet).unwrap();
    assert!(fourth.get("b").is_none());
    let refusals = [
        (Change::Remove(name.clone()), NotChanged::Unknown(name.clone())),
        (Change::Replace(other.clone()), NotChanged::Unknown(name.clone())),
        (
            Change::Set(vec![other.clone(), other]),
            NotChanged::NameTaken(name),
        ),
    ];
    for (change, refusal) in refusals {
        assert_eq!(fourth.changed(change, &fleet).unwrap_err(), refusal);
    }
}

#[test]
fn labels_that_change_change_the_choice() {
    let mut fleet = Racks::new(10);
    let before = set(
        10,
        [json!({"name": "a", "which": {"labels": {"rack": "r1"}}, "what": "os_hangs"})],
    );
    assert_eq!(before.picked("a").unwrap().count(), 5);
    fleet.0[0].1.insert("rack".into(), "r1".into());
    let after = before.changed(Change::Fleet, &fleet).unwrap();
    assert_eq!(after.picked("a").unwrap().iter().next(), Some(NodeIndex(0)));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (form, key) in [
        (json!({"name": "a"}), "what"),
        (json!({"what": "os_hangs"}), "name"),
        (
            json!({"name": "a", "what": "os_hangs", "when": {"nth": 1, "every": 2}}),
            "when.every",
        ),
        (
            json!({"name": "a", "what": "os_hangs", "when": {"from": "2s", "until": "1s"}}),
            "when.until",
        ),
        (
            json!({"name": "a", "what": "os_hangs", "which": {"count": 1, "fraction": 0.5}}),
            "which.count",
        ),
        (
            json!({"name": "a", "what": {"api_status": {"status": 500}}, "which": {"names": ["n"]}}),
            "which.names",
        ),
        (
            json!({"name": "a", "what": {"node_pressure": {"conditions": []}}}),
            "what.node_pressure.conditions",
        ),
    ] {
        let form: FaultForm = serde_json::from_value(form).unwrap();
        let complaints = form.resolve(Stretch::ALL).unwrap_err();
        let keys: Vec<String> = complaints
            .iter()
            .map(|complaint| complaint.key.join("."))
            .collect();
        assert_eq!(keys, [key], "{form:?}");
    }
}

#[test]
fn every_fault_reads_as_it_prints_and_its_word_is_its_key() {
    let schema = schemars::schema_for!(What).to_value();
    let variants = schema["oneOf"].as_array().unwrap();
    let words: Vec<&str> = variants
        .iter()
        .map(|variant| variant["required"][0].as_str().unwrap())
        .collect();
    assert_eq!(words, What::WORDS);
    for variant in variants {
        let word = variant["required"][0].as_str().unwrap();
        let parameters = example(word);
        let what: What = serde_json::from_value(json!({word: parameters})).unwrap();
        assert_eq!(what.word(), word);
        assert_eq!(what.complaint(), None, "{word}");
        let form = FaultForm {
            name: Some("a".parse().unwrap()),
            what: Some(what),
            ..FaultForm::default()
        };
        let printed = serde_json::to_value(&form).unwrap();
        assert_eq!(serde_json::from_value::<FaultForm>(printed).unwrap(), form);
        let fault = form.resolve(Stretch::ALL).unwrap();
        assert_eq!(FaultForm::from(&fault), form, "{word}");
        // Asked for without details, each fault applies where it says that it does.
        assert!(fault.what.applies_to(Site::Plain(fault.what.site())), "{word}");
    }
}

/// The parameters that a fault cannot do without.
fn example(word: &str) -> Value {
    match word {
        "bmc_slow"
        | "media_insert_lingers"
        | "boot_media_slow"
        | "agent_starts_late"
        | "ironic_slow"
        | "api_slow"
        | "etcd_slow" => json!({"delay": {"uniform": ["1s", "2s"]}}),
        "bmc_status" | "ironic_status" | "api_status" => json!({"status": 503}),
        "bmc_bad_body" => json!({"how": "truncated"}),
        "bmc_stale_reads" => json!({"age": "1m"}),
        "power_flap" => json!({"off_for": "5s"}),
        "agent_step_fails" => json!({"steps": ["write_image"]}),
        "inventory_disk_too_small" => json!({"size_gib": 1}),
        "reboot_loop" => json!({"uptime": "1m"}),
        "kubelet_flaps" => json!({"down": "1m", "up": "2m"}),
        "node_pressure" => json!({"conditions": ["memory", "disk"]}),
        "api_watch_cut" => json!({"after": "30s"}),
        "api_bad_certificate" => json!({"how": "expired"}),
        "etcd_alarm" => json!({"alarm": "no_space"}),
        "etcd_leader_flaps" => json!({"every": "30s"}),
        _ => json!({}),
    }
}

#[test]
fn a_word_alone_is_enough_where_nothing_is_required() {
    let read = |what: Value| {
        serde_json::from_value::<FaultForm>(json!({"name": "a", "what": what}))
            .map(|form| form.what)
            .map_err(|error| error.to_string())
    };
    assert_eq!(read(json!("stuck_in_post")), read(json!({"stuck_in_post": {}})));
    let error = read(json!("bmc_slow")).unwrap_err();
    assert!(error.contains("bmc_slow needs its `delay`"), "{error}");
    let error = read(json!("bmc_slwo")).unwrap_err();
    assert!(error.starts_with("unknown variant `bmc_slwo`"), "{error}");
}

#[test]
fn snapshots_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&Arc::new(set(1, [])));
    assert!(std::mem::size_of::<Occasions>() <= 8);
}

proptest! {
    /// The same settings give the same history, whatever other faults and nodes there are and in whatever order the
    /// nodes ask.
    #[test]
    fn history_follows_from_seed_names_and_counts(
        seed: u64, chance in 0.05_f64..0.95, every in 1_u64..4, order in proptest::collection::vec(0_u32..8, 1..80),
    ) {
        let form = |name: &str| json!({
            "name": name, "when": {"probability": chance, "every": every}, "what": "reset_ignored"
        });
        let history = |faults: Vec<Value>, fleet: &Racks, order: &[u32]| {
            let faults = FaultSet::none(Seed::root(seed))
                .changed(Change::Set(faults.into_iter().map(fault).collect()), fleet)
                .unwrap();
            let mut met: Vec<Occasions> = (0..8).map(|_| Occasions::default()).collect();
            let mut told: BTreeMap<u32, Vec<Option<(u64, Duration)>>> = BTreeMap::new();
            for index in order {
                let hits = faults.all_at(RESET, node(fleet, *index), at(1), &mut met[*index as usize]);
                let hit = hits.iter().find(|hit| hit.fault.as_str() == "a");
                let drawn = hit.map(|hit| (
                    hit.number,
                    crate::timing::Latency::Uniform { min: Duration::ZERO, max: Duration::from_secs(9) }.draw(hit.seed),
                ));
                told.entry(*index).or_default().push(drawn);
            }
            told
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let alone = history(vec![form("a")], &Racks::new(8), &order);
        let crowded = history(vec![form("b"), form("a")], &Racks::new(12), &sorted);
        prop_assert_eq!(alone, crowded);
    }

    /// The bits that are asked first never hide a fault.
    #[test]
    fn what_is_not_touched_is_not_struck(fraction in 0.0_f64..=1.0, nodes in 1_usize..140) {
        let faults = set(nodes, [json!({"name": "a", "which": {"fraction": fraction}, "what": "reset_ignored"})]);
        let fleet = Racks::new(nodes);
        for index in 0..u32::try_from(nodes).unwrap() {
            let struck = !ignored(&faults, node(&fleet, index), at(0), 1).is_empty();
            prop_assert_eq!(struck, faults.touches(SiteKind::Reset, NodeIndex(index)));
            prop_assert_eq!(struck, faults.picked("a").unwrap().contains(NodeIndex(index)));
        }
    }
}
