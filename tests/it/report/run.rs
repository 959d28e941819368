//! Two runs that never were, told to a collector as a real one would be: thirty servers with lossy BMCs, and ten thousand in
//! racks that lose their power one after the other. The same each time.

use std::time::Duration;

use metalsim::report::{
    Collector, FaultPlan, Header, ProcessSample, Report, Stage, Stretch, Traffic, Verdict,
};
use metalsim_actors::phase::Phase;
use metalsim_actors::time::SimInstant;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A run with its faults and what was found.
pub(crate) struct Plan {
    header: Header,
    stages: Vec<Stage>,
    faults: Vec<FaultPlan>,
    verdicts: Vec<Verdict>,
    /// Within which all nodes are switched on for the first time.
    enrolled_within: u64,
    /// Begin and length of the stretch in which they are deployed.
    deployed: (u64, u64),
    prefix: &'static str,
}

/// Chance that is the same each time: `splitmix64`.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Around a middle, with a long tail above.
    fn around(&mut self, middle: u64) -> u64 {
        let parts = (0..4).map(|_| self.below(1000)).sum::<u64>();
        let tail = if self.one_in(12) { self.below(4000) } else { 0 };
        middle * (500 + parts / 4 + tail) / 1000
    }
}

struct Step(SimInstant, u32, Option<Phase>, Phase);

/// The life of a node.
struct Life<'a> {
    at: u64,
    node: u32,
    phase: Option<Phase>,
    chance: &'a mut Chance,
    steps: &'a mut Vec<Step>,
}

impl Life<'_> {
    fn go(&mut self, to: Phase, stays: u64) {
        self.steps
            .push(Step(SimInstant::from_millis(self.at), self.node, self.phase, to));
        self.phase = Some(to);
        self.at += stays;
    }

    fn until(&mut self, at: u64) {
        self.at = self.at.max(at);
    }

    /// From power-on until the boot target has been found.
    fn boot(&mut self) {
        for (phase, middle) in [
            (Phase::PoweringOn, 7 * SECOND),
            (Phase::Post, 50 * SECOND),
            (Phase::Booting, 95 * SECOND),
        ] {
            let stays = self.chance.around(middle);
            self.go(phase, stays);
        }
    }

    fn off(&mut self) {
        let stays = self.chance.around(4 * SECOND);
        self.go(Phase::PoweringOff, stays);
        self.go(Phase::Off, 2 * SECOND);
    }

    fn deploy(&mut self, storm: Stretch) {
        self.boot();
        // In the storm some find nothing to boot from, and are reset.
        while (storm.from_ms..storm.until_ms).contains(&self.at) && self.chance.one_in(5) {
            let stays = self.chance.around(6 * MINUTE);
            self.go(Phase::NoBootDevice, stays);
            self.off();
            self.boot();
        }
        let (look, ready, busy) = (
            self.chance.around(3 * SECOND),
            self.chance.around(20 * SECOND),
            self.chance.around(240 * SECOND),
        );
        self.go(Phase::LookingUp, look);
        self.go(Phase::AgentReady, ready);
        self.go(Phase::AgentBusy, busy);
        self.off();
        self.boot();
        let init = self.chance.around(25 * SECOND);
        self.go(Phase::CloudInit, init);
        let join = self.chance.around(70 * SECOND);
        self.go(Phase::Bootstrapping, join);
        self.go(Phase::OsRunning, 0);
    }
}

fn lives(plan: &Plan, chance: &mut Chance) -> Vec<Step> {
    let storm = plan.faults.first().and_then(|fault| fault.windows.first());
    let storm = storm.copied().unwrap_or_default();
    let nodes = u32::try_from(plan.header.nodes).unwrap_or(u32::MAX);
    let mut steps = Vec::new();
    for node in 0..nodes {
        let first = chance.below(plan.enrolled_within);
        let deploy = plan.deployed.0 + chance.below(plan.deployed.1);
        let mut life = Life {
            at: 0,
            node,
            phase: None,
            chance,
            steps: &mut steps,
        };
        life.go(Phase::Off, first);
        life.boot();
        let (inspect, look, clean) = (
            life.chance.around(9 * SECOND),
            life.chance.around(2 * SECOND),
            life.chance.around(150 * SECOND),
        );
        life.go(Phase::Inspecting, inspect);
        life.go(Phase::LookingUp, look);
        life.go(Phase::AgentReady, 15 * SECOND);
        life.go(Phase::AgentBusy, clean);
        life.off();
        life.until(deploy);
        life.deploy(storm);
        // Later a rack loses its power, and its nodes come back by themselves.
        for (rack, fault) in plan.faults.iter().enumerate().skip(1) {
            for window in &fault.windows {
                if fault.what == "power_loss"
                    && u64::from(node) % 16 == rack as u64
                    && life.at < window.from_ms
                {
                    let later = life.chance.below(30 * SECOND);
                    life.until(window.from_ms + later);
                    let dark = window.until_ms - window.from_ms;
                    life.go(Phase::Off, dark);
                    life.boot();
                    let init = life.chance.around(12 * SECOND);
                    life.go(Phase::CloudInit, init);
                    life.go(Phase::OsRunning, 0);
                }
            }
        }
    }
    steps.retain(|step| step.0.as_millis() < plan.header.simulated_ms);
    steps.sort_by_key(|step| (step.0, step.1));
    steps
}

/// How many agents run at a time, from the steps up to then.
fn is_agent(phase: Phase) -> bool {
    matches!(phase, Phase::AgentReady | Phase::AgentBusy)
}

/// Tells a collector of the run.
pub(crate) fn report(plan: Plan) -> Report {
    let mut chance = Chance(plan.header.seed);
    let nodes = u32::try_from(plan.header.nodes).unwrap_or(u32::MAX);
    let steps = lives(&plan, &mut chance);
    let mut collector = Collector::new(nodes, plan.faults.clone());
    let mut agents = 0_u64;
    let mut steps = steps.into_iter().peekable();
    let look = 5 * SECOND;
    for now in (0..plan.header.simulated_ms).step_by(look as usize) {
        let mut changes = 0;
        while let Some(Step(at, node, from, to)) = steps.next_if(|step| step.0.as_millis() < now + look) {
            collector.phase(at, node, from, to);
            agents += u64::from(is_agent(to));
            agents -= u64::from(from.is_some_and(is_agent));
            changes += 1;
        }
        let at = SimInstant::from_millis(now);
        let within = |fault: &&FaultPlan| {
            let inside = |window: &Stretch| (window.from_ms..window.until_ms).contains(&now);
            fault.windows.iter().any(inside)
        };
        let mut bad = 0;
        let mut away = false;
        for fault in plan.faults.iter().filter(within) {
            let most = 1 + u64::from(nodes) / 400;
            let hits = if chance.one_in(4) {
                1 + chance.below(most)
            } else {
                0
            };
            for _ in 0..hits {
                collector.fault_hit(at, &fault.name, &fault.what);
            }
            away |= fault.what == "ironic_unreachable";
            bad += hits;
        }
        let beats = agents / 6 + u64::from(chance.below(6) < agents % 6);
        let lost = if away { beats } else { bad.min(beats) / 3 };
        collector.calls(at, Traffic::Heartbeat, beats, lost);
        let requests = u64::from(nodes) / 4 + chance.below(1 + u64::from(nodes) / 12) + 4 * changes;
        collector.calls(at, Traffic::Redfish, requests, bad.min(requests));
        collector.calls(at, Traffic::Agent, agents / 3 + changes, bad / 5);
        collector.calls(at, Traffic::Ironic, changes, if away { changes } else { 0 });
        collector.calls(at, Traffic::BootMedia, changes / 2, (bad / 8).min(changes / 2));
        if now % (30 * SECOND) == 0 {
            let wall = Duration::from_millis(now).div_f64(plan.header.speed);
            let memory = 60 + u64::from(nodes) / 100 + 8 * now / plan.header.simulated_ms;
            collector.sample(
                at,
                &ProcessSample {
                    resident_bytes: memory * 1024 * 1024 + chance.below(1024 * 1024),
                    handles: 64 + agents.min(1500) + chance.below(12),
                    processor_time: wall.mul_f64(0.6),
                    wall,
                    heartbeats_late: Some(Duration::from_millis(chance.around(40 + agents / 8))),
                },
            );
        }
    }
    let end = SimInstant::from_millis(plan.header.simulated_ms);
    let name = |number: u32| Some(format!("{}-{}", plan.prefix, number + 1));
    collector.report(end, plan.header, plan.stages, plan.verdicts, name)
}

fn stage(name: &str, from: u64, until: u64) -> Stage {
    Stage {
        name: name.to_owned(),
        stretch: stretch(from, until),
    }
}

fn stretch(from_ms: u64, until_ms: u64) -> Stretch {
    Stretch { from_ms, until_ms }
}

fn fault(name: &str, what: &str, windows: Vec<Stretch>) -> FaultPlan {
    FaultPlan {
        name: name.to_owned(),
        what: what.to_owned(),
        windows,
    }
}

fn verdict(expectation: &str, held: bool, details: &str, at_ms: Option<u64>) -> Verdict {
    Verdict {
        expectation: expectation.to_owned(),
        held,
        details: details.to_owned(),
        at_ms,
    }
}

fn started() -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(1_790_000_000, 0)
}

/// Thirty servers for three hours.
pub(crate) fn thirty() -> Plan {
    let storm = stretch(5 * MINUTE, 65 * MINUTE);
    Plan {
        header: Header {
            scenario: "lossy-bmcs".to_owned(),
            description: Some(
                "A third of the BMCs are slow, some answer with errors, drop connections or send broken JSON, and now \
                 and then a reset or a medium is ignored. Ironic tries again, so all nodes become active in the end."
                    .to_owned(),
            ),
            version: "0.1.0".to_owned(),
            seed: 7,
            speed: 30.0,
            nodes: 30,
            started: started(),
            wall_ms: 361_240,
            simulated_ms: 3 * HOUR,
        },
        stages: vec![
            stage("calm", 0, 5 * MINUTE),
            stage("storm", 5 * MINUTE, 65 * MINUTE),
            stage("recovery", 65 * MINUTE, 3 * HOUR),
        ],
        faults: vec![
            fault("slow", "bmc_slow", vec![storm]),
            fault("errors", "bmc_status", vec![storm]),
            fault(
                "hangs",
                "bmc_unreachable",
                (0..5)
                    .map(|turn| stretch((10 + turn * 11) * MINUTE, (14 + turn * 11) * MINUTE))
                    .collect(),
            ),
            fault(
                "broken-json",
                "bmc_bad_body",
                vec![stretch(20 * MINUTE, 40 * MINUTE)],
            ),
            fault("never-there", "task_fails", vec![]),
        ],
        verdicts: vec![
            verdict(
                "all nodes active by 3h",
                true,
                "30 of 30 nodes",
                Some(118 * MINUTE),
            ),
            verdict(
                "hits of fault errors: at least 1",
                true,
                "196 hits",
                Some(3 * HOUR),
            ),
            verdict(
                "hits of fault slow: at least 1",
                true,
                "163 hits",
                Some(3 * HOUR),
            ),
            verdict(
                "no panics but injected ones",
                true,
                "no panics",
                Some(3 * HOUR),
            ),
        ],
        enrolled_within: 12 * MINUTE,
        deployed: (30 * MINUTE, 30 * MINUTE),
        prefix: "a",
    }
}

/// Ten thousand servers for a day.
pub(crate) fn ten_thousand() -> Plan {
    let mut faults = vec![fault(
        "ironic-away",
        "ironic_unreachable",
        vec![
            stretch(3 * HOUR, 3 * HOUR + 40 * MINUTE),
            stretch(15 * HOUR, 15 * HOUR + 25 * MINUTE),
        ],
    )];
    faults.extend((1..=12_u64).map(|rack| {
        let from = (9 + rack) * HOUR;
        fault(
            &format!("rack-{rack}-dark"),
            "power_loss",
            vec![stretch(from, from + 20 * MINUTE)],
        )
    }));
    faults.push(fault(
        "a-fault-whose-name-is-longer-than-its-place",
        "agent_loses_heartbeats",
        (0..100)
            .map(|turn| stretch(turn * 14 * MINUTE, (turn * 14 + 3) * MINUTE))
            .collect(),
    ));
    Plan {
        header: Header {
            scenario: "rolling-power-failure-ten-thousand".to_owned(),
            description: Some(
                "One rack after the other loses its power for twenty minutes, and Ironic is away twice."
                    .to_owned(),
            ),
            version: "0.1.0".to_owned(),
            seed: 18_446_744_073_709_551_615,
            speed: 240.0,
            nodes: 10_000,
            started: started(),
            wall_ms: 360_112,
            simulated_ms: 24 * HOUR,
        },
        stages: vec![
            stage("enrolment", 0, 2 * HOUR),
            stage("deployment", 2 * HOUR, 9 * HOUR),
            stage("rolling power failure", 9 * HOUR, 22 * HOUR),
            stage("calm", 22 * HOUR, 24 * HOUR),
        ],
        faults,
        verdicts: vec![
            verdict(
                "99% nodes active by 12h",
                true,
                "9,931 of 10,000 nodes",
                Some(11 * HOUR),
            ),
            verdict(
                "errors of redfish: at most 0.01% of requests",
                false,
                "24,166 errors in 51,523,388 requests: 0.047%, which is more than 0.01%",
                Some(24 * HOUR),
            ),
            verdict(
                "all nodes in os_running by 1d and from then on",
                true,
                "10,000 of 10,000 nodes",
                Some(24 * HOUR),
            ),
            verdict(
                "memory grows by at most 16MiB an hour after 2h",
                true,
                "1.3 MiB an hour",
                Some(24 * HOUR),
            ),
            verdict("no panics but injected ones", true, "", None),
        ],
        enrolled_within: 100 * MINUTE,
        deployed: (2 * HOUR, 6 * HOUR),
        prefix: "node",
    }
}
