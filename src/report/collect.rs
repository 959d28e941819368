//! From what happens to a report: aggregates of bounded size.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use metalsim_actors::phase::Phase;
use metalsim_actors::time::SimInstant;

use super::buckets::{Fold, Grid, Series};
use super::model::{
    Buckets, FORMAT, FaultCount, Header, Journeys, PhaseDurations, PhaseNodes, Process, Report, SlowNode,
    Stage, Stretch, Traffic, TrafficCount, Verdict,
};
use super::spread::{Histogram, round};
use super::windows::{MOST_WINDOWS, join};

/// Slowest nodes in a report.
pub(super) const MOST_SLOW: usize = 20;
/// Faults that are counted one by one; others are counted together.
pub(super) const MOST_FAULTS: usize = 64;
/// The name that stands for faults beyond [`MOST_FAULTS`]. No fault can have it: it holds spaces.
pub(super) const OTHER_FAULTS: &str = "all other faults";

const PHASES: usize = Phase::ALL.len();
const KINDS: usize = Traffic::ALL.len();

/// A fault of the scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// Its name.
    pub name: String,
    /// What goes wrong: the word for it.
    pub what: String,
    /// When it is there.
    pub windows: Vec<Stretch>,
}

/// A look at the simulator's process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessSample {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Open files and sockets.
    pub handles: u64,
    /// Processor time since the process began, user and system.
    pub processor_time: Duration,
    /// Wall time since the run began.
    pub wall: Duration,
    /// How late heartbeats left at worst since the look before, in simulated time.
    pub heartbeats_late: Option<Duration>,
}

/// Requests and those of them with errors.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    requests: u64,
    errors: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
    }
}

/// The highest values that were seen.
#[derive(Clone, Copy, Debug, Default)]
struct Peaks {
    resident_bytes: Option<u64>,
    handles: Option<u64>,
    processors: Option<f64>,
    heartbeats_late_ms: Option<u64>,
}

impl Peaks {
    fn add(&mut self, other: Self) {
        self.resident_bytes = self.resident_bytes.max(other.resident_bytes);
        self.handles = self.handles.max(other.handles);
        self.processors = match (self.processors, other.processors) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        self.heartbeats_late_ms = self.heartbeats_late_ms.max(other.heartbeats_late_ms);
    }
}

/// What is known of a stretch of time.
#[derive(Clone, Debug, Default)]
struct Bucket {
    /// Time that nodes spent in each phase, in milliseconds, all nodes added up.
    phases: [u64; PHASES],
    traffic: [Tally; KINDS],
    process: Peaks,
}

impl Fold for Bucket {
    fn fold(&mut self, later: Self) {
        for (sum, more) in self.phases.iter_mut().zip(later.phases) {
            *sum = sum.saturating_add(more);
        }
        for (sum, more) in self.traffic.iter_mut().zip(later.traffic) {
            sum.add(more);
        }
        self.process.add(later.process);
    }
}

/// A node: where it is, and its journey. Kept small, since there may be a million.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// Beginning of its phase.
    since: SimInstant,
    /// Length of its journey up to then, in milliseconds.
    journey: u64,
    /// Length of the journey's longest stay, in milliseconds.
    longest: u64,
    /// None: it was never heard of.
    phase: Option<Phase>,
    longest_phase: Option<Phase>,
    arrived: bool,
}

impl Track {
    /// A stay is over, or the run.
    fn stayed(&mut self, phase: Phase, millis: u64) {
        if self.arrived || phase == Phase::Off {
            return;
        }
        self.journey = self.journey.saturating_add(millis);
        if self.longest_phase.is_none() || millis > self.longest {
            (self.longest_phase, self.longest) = (Some(phase), millis);
        }
    }
}

#[derive(Clone, Debug)]
struct FaultTrack {
    plan: FaultPlan,
    hits: u64,
    series: Series<u64>,
}

/// Is told what happens and keeps what a report needs. Times need not come in order; those of one node must.
#[derive(Clone, Debug)]
pub struct Collector {
    grid: Grid,
    buckets: Series<Bucket>,
    /// Up to when `buckets` knows the nodes' phases.
    known: SimInstant,
    /// Nodes in each phase at `known`.
    counts: [u64; PHASES],
    nodes: Vec<Track>,
    durations: [Histogram; PHASES],
    journeys: Histogram,
    totals: [Tally; KINDS],
    faults: Vec<FaultTrack>,
    /// Names to places in `faults`; as many as there are faults.
    places: HashMap<String, usize>,
    last_sample: Option<ProcessSample>,
    sampled: bool,
    panics: u64,
    missed: u64,
}

impl Collector {
    /// For a fleet of `nodes`, which are known by their number from 0, and the scenario's faults.
    #[must_use]
    pub fn new(nodes: u32, faults: Vec<FaultPlan>) -> Self {
        let mut collector = Self {
            grid: Grid::default(),
            buckets: Series::default(),
            known: SimInstant::START,
            counts: [0; PHASES],
            nodes: vec![Track::default(); nodes as usize],
            durations: std::array::from_fn(|_| Histogram::default()),
            journeys: Histogram::default(),
            totals: [Tally::default(); KINDS],
            faults: Vec::new(),
            places: HashMap::new(),
            last_sample: None,
            sampled: false,
            panics: 0,
            missed: 0,
        };
        for plan in faults {
            collector.fault(plan);
        }
        collector
    }

    /// The fault of this name, or the one that stands for all that are too many.
    fn fault(&mut self, plan: FaultPlan) -> &mut FaultTrack {
        let place = match self.places.get(&plan.name) {
            Some(place) => *place,
            None if self.faults.len() < MOST_FAULTS => self.push(plan),
            None => match self.places.get(OTHER_FAULTS) {
                Some(place) => *place,
                None => self.push(FaultPlan {
                    name: OTHER_FAULTS.to_owned(),
                    ..FaultPlan::default()
                }),
            },
        };
        &mut self.faults[place]
    }

    fn push(&mut self, mut plan: FaultPlan) -> usize {
        plan.windows = join(plan.windows, MOST_WINDOWS);
        self.places.insert(plan.name.clone(), self.faults.len());
        self.faults.push(FaultTrack {
            plan,
            hits: 0,
            series: Series::default(),
        });
        self.faults.len() - 1
    }

    /// The bucket of `at`, after the buckets have been made long enough.
    fn index(&mut self, at: SimInstant) -> usize {
        for _ in 0..self.grid.reach(at) {
            self.buckets.join();
            for fault in &mut self.faults {
                fault.series.join();
            }
        }
        self.grid.index(at)
    }

    /// Calls `change` with every bucket between two times and the milliseconds that lie in it.
    fn spread_over(
        &mut self,
        from: SimInstant,
        until: SimInstant,
        mut change: impl FnMut(&mut [u64; PHASES], u64),
    ) {
        if from >= until {
            return;
        }
        self.index(until);
        let (mut from, until) = (from.as_millis(), until.as_millis());
        let length = self.grid.length();
        while from < until {
            let index = from / length;
            let end = (index + 1).saturating_mul(length).min(until);
            let bucket = self.buckets.at(usize::try_from(index).unwrap_or(usize::MAX));
            change(&mut bucket.phases, end - from);
            from = end;
        }
    }

    /// Time has passed: nothing that is told later is told to have happened much earlier.
    pub fn advance(&mut self, at: SimInstant) {
        let counts = self.counts;
        self.spread_over(self.known, at, |phases, millis| {
            for (sum, nodes) in phases.iter_mut().zip(counts) {
                *sum = sum.saturating_add(nodes.saturating_mul(millis));
            }
        });
        self.known = self.known.max(at);
    }

    /// A node went from a phase (none: it starts) to another.
    pub fn phase(&mut self, at: SimInstant, node: u32, from: Option<Phase>, to: Phase) {
        if node as usize >= self.nodes.len() {
            self.missed(1);
            return;
        }
        self.advance(at);
        let track = &mut self.nodes[node as usize];
        let before = track.phase;
        if before == Some(to) {
            return;
        }
        // If events are missing, the length of the stay is not known, but where the node is is known.
        if let Some(before) = before
            && from == Some(before)
        {
            let stay = millis(at.since(track.since));
            track.stayed(before, stay);
            self.durations[before as usize].add(stay);
        }
        (track.phase, track.since) = (Some(to), at.max(track.since));
        if to == Phase::OsRunning && !track.arrived {
            track.arrived = true;
            self.journeys.add(track.journey);
        }
        let since = track.since;
        if let Some(before) = before {
            self.counts[before as usize] = self.counts[before as usize].saturating_sub(1);
        }
        self.counts[to as usize] += 1;
        // Told late: the time since then was counted for the phase before.
        self.spread_over(since, self.known, |phases, millis| {
            if let Some(before) = before {
                phases[before as usize] = phases[before as usize].saturating_sub(millis);
            }
            phases[to as usize] = phases[to as usize].saturating_add(millis);
        });
    }

    /// A request or call ended, well or with an error.
    pub fn call(&mut self, at: SimInstant, kind: Traffic, ok: bool) {
        self.calls(at, kind, 1, u64::from(!ok));
    }

    /// So many requests or calls ended since the last time it was told, so many of them with an error.
    pub fn calls(&mut self, at: SimInstant, kind: Traffic, requests: u64, errors: u64) {
        let tally = Tally {
            requests,
            errors: errors.min(requests),
        };
        let index = self.index(at);
        self.buckets.at(index).traffic[kind as usize].add(tally);
        self.totals[kind as usize].add(tally);
    }

    /// A fault struck. One that the scenario does not know has come up on the way.
    pub fn fault_hit(&mut self, at: SimInstant, name: &str, what: &str) {
        let index = self.index(at);
        let plan = FaultPlan {
            name: name.to_owned(),
            what: what.to_owned(),
            windows: Vec::new(),
        };
        let fault = self.fault(plan);
        fault.hits = fault.hits.saturating_add(1);
        fault.series.at(index).fold(1);
    }

    /// What the process uses.
    pub fn sample(&mut self, at: SimInstant, sample: &ProcessSample) {
        let processors = self.last_sample.and_then(|before| {
            let wall = sample.wall.checked_sub(before.wall)?.as_secs_f64();
            let used = sample.processor_time.checked_sub(before.processor_time)?;
            (wall > 0.0).then(|| round(used.as_secs_f64() / wall))
        });
        let index = self.index(at);
        self.buckets.at(index).process.add(Peaks {
            resident_bytes: Some(sample.resident_bytes),
            handles: Some(sample.handles),
            processors,
            heartbeats_late_ms: sample.heartbeats_late.map(millis),
        });
        self.last_sample = Some(*sample);
        self.sampled = true;
    }

    /// A panic of an actor was caught.
    pub fn panicked(&mut self) {
        self.panics = self.panics.saturating_add(1);
    }

    /// So many events are lost to the collector.
    pub fn missed(&mut self, events: u64) {
        self.missed = self.missed.saturating_add(events);
    }

    /// The report as of `end`. What is told to have happened after it still counts, in the last bucket. `name` gives a node's name.
    #[must_use]
    pub fn report(
        &self,
        end: SimInstant,
        header: Header,
        stages: Vec<Stage>,
        verdicts: Vec<Verdict>,
        name: impl Fn(u32) -> Option<String>,
    ) -> Report {
        let mut last = self.clone_without_nodes();
        last.advance(end);
        let end = last.known.as_millis();
        let length = last.grid.length();
        let used = last.faults.iter().map(|fault| fault.series.used().len());
        let used = used.max().unwrap_or(0).max(last.buckets.used().len());
        let count = usize::try_from(end.div_ceil(length))
            .unwrap_or(usize::MAX)
            .max(used)
            .max(1);
        // All have all buckets, whether or not something happened in them.
        last.buckets.at(count - 1);
        for fault in &mut last.faults {
            fault.series.at(count - 1);
        }
        let buckets = last.buckets.used();
        let header = Header {
            simulated_ms: end,
            ..header
        };
        Report {
            format: FORMAT,
            held: verdicts.iter().all(|verdict| verdict.held),
            run: header,
            verdicts,
            stages,
            buckets: Buckets {
                length_ms: length,
                count: buckets.len() as u64,
            },
            phases: last.phases(end),
            durations: self.stays(),
            journeys: Journeys {
                begun: self.nodes.iter().filter(|node| has_begun(node)).count() as u64,
                arrived: self.journeys.count(),
                spread: self.journeys.spread(),
            },
            slowest: self.slowest(last.known, name),
            traffic: last.traffic(),
            faults: last
                .faults
                .iter()
                .map(|fault| FaultCount {
                    name: fault.plan.name.clone(),
                    what: fault.plan.what.clone(),
                    windows: fault.plan.windows.clone(),
                    hits: fault.hits,
                    per_bucket: fault.series.used().to_vec(),
                })
                .collect(),
            panics: self.panics,
            process: self.sampled.then(|| process(buckets)),
            missed: self.missed,
        }
    }

    /// What changes when time passes, to let it pass up to the end.
    fn clone_without_nodes(&self) -> Self {
        Self {
            nodes: Vec::new(),
            durations: std::array::from_fn(|_| Histogram::default()),
            journeys: Histogram::default(),
            buckets: self.buckets.clone(),
            faults: self.faults.clone(),
            places: HashMap::new(),
            ..*self
        }
    }

    fn phases(&self, end: u64) -> Vec<PhaseNodes> {
        let length = self.grid.length();
        let mean = |index: usize, sum: u64| {
            let from = (index as u64).saturating_mul(length);
            let covered = end.saturating_sub(from).min(length);
            if covered == 0 {
                0.0
            } else {
                round(sum as f64 / covered as f64)
            }
        };
        let all = Phase::ALL.into_iter().map(|phase| PhaseNodes {
            phase,
            at_end: self.counts[phase as usize],
            per_bucket: self
                .buckets
                .used()
                .iter()
                .enumerate()
                .map(|(index, bucket)| mean(index, bucket.phases[phase as usize]))
                .collect(),
        });
        all.filter(|nodes| nodes.at_end > 0 || nodes.per_bucket.iter().any(|mean| *mean > 0.0))
            .collect()
    }

    fn stays(&self) -> Vec<PhaseDurations> {
        Phase::ALL
            .into_iter()
            .zip(&self.durations)
            .filter(|(_, histogram)| histogram.count() > 0)
            .map(|(phase, histogram)| PhaseDurations {
                phase,
                spread: histogram.spread(),
            })
            .collect()
    }

    fn traffic(&self) -> Vec<TrafficCount> {
        let of = |kind: Traffic, value: fn(&Tally) -> u64| -> Vec<u64> {
            let buckets = self.buckets.used().iter();
            buckets
                .map(|bucket| value(&bucket.traffic[kind as usize]))
                .collect()
        };
        Traffic::ALL
            .into_iter()
            .zip(self.totals)
            .filter(|(_, total)| total.requests > 0)
            .map(|(kind, total)| TrafficCount {
                kind,
                requests: total.requests,
                errors: total.errors,
                requests_per_bucket: of(kind, |tally| tally.requests),
                errors_per_bucket: of(kind, |tally| tally.errors),
            })
            .collect()
    }

    /// The nodes with the longest journeys; of two equal ones the first comes first.
    fn slowest(&self, end: SimInstant, name: impl Fn(u32) -> Option<String>) -> Vec<SlowNode> {
        let mut longest: BinaryHeap<Reverse<(u64, Reverse<u32>)>> = BinaryHeap::new();
        for (number, node) in (0_u32..).zip(&self.nodes) {
            let journey = ended(node, end).journey;
            if journey > 0 {
                longest.push(Reverse((journey, Reverse(number))));
                if longest.len() > MOST_SLOW {
                    longest.pop();
                }
            }
        }
        longest
            .into_sorted_vec()
            .into_iter()
            .filter_map(|Reverse((journey_ms, Reverse(number)))| {
                let node = ended(self.nodes.get(number as usize)?, end);
                Some(SlowNode {
                    node: name(number).unwrap_or_else(|| format!("#{number}")),
                    journey_ms,
                    arrived: node.arrived,
                    longest_phase: node.longest_phase?,
                    longest_ms: node.longest,
                    phase: node.phase?,
                })
            })
            .collect()
    }
}

fn has_begun(node: &Track) -> bool {
    node.journey > 0 || node.arrived || node.phase.is_some_and(|phase| phase != Phase::Off)
}

/// The node as if its stay ended with the run.
fn ended(node: &Track, end: SimInstant) -> Track {
    let mut node = *node;
    if let Some(phase) = node.phase {
        node.stayed(phase, millis(end.since(node.since)));
    }
    node
}

fn process(buckets: &[Bucket]) -> Process {
    fn column<T>(buckets: &[Bucket], value: fn(&Peaks) -> Option<T>) -> Vec<Option<T>> {
        buckets.iter().map(|bucket| value(&bucket.process)).collect()
    }
    Process {
        resident_bytes: column(buckets, |peaks| peaks.resident_bytes),
        handles: column(buckets, |peaks| peaks.handles),
        processors: column(buckets, |peaks| peaks.processors),
        heartbeats_late_ms: column(buckets, |peaks| peaks.heartbeats_late_ms),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
