//! Turns the raw form of a scenario into the validated one and collects every problem on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metalsim_actors::fault::{Fault, FaultName, Stretch};
use metalsim_actors::seed::Seed;
use metalsim_actors::time::SimInstant;
use metalsim_actors::timing::Span;
use serde_json::{Map, Value};

use super::expect::{Amount, Expectation};
use super::metric_names;
use super::raw::{RawPhase, RawReport, RawScenario};
use super::text::{Document, at};
use super::{Report, Scenario, TimelinePhase};
use crate::settings::faults::{Checks, faults, known_ones, selects};
use crate::settings::{Decoder, Invalid, KeyPath, Origin, Overlay, Problem, Settings, Sources, Tree};

/// Keys of the settings that stand beside `settings` in a scenario, not in it.
const OWN: [&str; 4] = ["seed", "speed", "fleet", "faults"];

pub(super) fn load(file: &Path, base: &Sources) -> Result<Scenario, Invalid> {
    let document = Document::read(file).map_err(|problem| Invalid(vec![problem]))?;
    let origin = Origin::File(Arc::from(file));
    let defaults = serde_json::to_value(RawScenario::default()).unwrap_or_default();
    let mut tree = Tree::new(defaults.clone());
    tree.merge(Value::Object(document.values.clone()), &origin);
    let mut decoder = Decoder::new(tree, defaults, KeyPath::default());
    let raw = decoder.decode::<RawScenario>().unwrap_or_default();
    let mut settings_problems = Vec::new();
    let settings = settings(&raw, file, base, &mut decoder)
        .map_err(|Invalid(problems)| settings_problems = problems)
        .ok();
    let nodes = settings.as_ref().map(|settings| &*settings.nodes);
    let seed = settings.as_ref().map(|settings| Seed::root(settings.seed));

    let duration = match raw.duration {
        Some(Span(duration)) if duration.is_zero() => {
            decoder.blame(&KeyPath::of(&["duration"]), "must be above zero");
            None
        }
        Some(Span(duration)) => Some(duration),
        None => {
            let reason = "is required: how long the run is in simulated time, such as 2h";
            decoder.blame(&KeyPath::of(&["duration"]), reason);
            None
        }
    };
    let end = duration.map(|duration| SimInstant::START + duration);
    let phases = phases(&raw.phases, end, &mut decoder);
    let stretches: Vec<(FaultName, Stretch)> = phases.iter().map(stretch).collect();
    let checks = Checks {
        end,
        phases: &stretches,
        nodes,
        seed,
    };
    let mut faults = faults(&raw.faults, &checks, &mut decoder);
    // Lists are replaced, not added up, as everywhere in the settings.
    if raw.faults.is_empty()
        && let Some(settings) = &settings
    {
        faults.clone_from(&settings.faults);
    }
    expectations(&raw, &faults, &checks, &mut decoder);
    let report = report(&raw.report, &mut decoder);

    let mut problems = decoder.into_problems();
    for problem in &mut problems {
        locate(problem, file, &document);
    }
    for mut problem in settings_problems {
        let first = problem.key.split(['.', '[']).next().unwrap_or_default();
        let own = problem.origin.as_deref() == Some(&*file.display().to_string());
        if own && !OWN.contains(&first) && !problem.key.is_empty() {
            problem.key = format!("settings.{}", problem.key);
        }
        if own {
            locate(&mut problem, file, &document);
        }
        problems.push(problem);
    }
    let (Some(settings), Some(duration), true) = (settings, duration, problems.is_empty()) else {
        problems.sort();
        return Err(Invalid(problems));
    };
    let stem = file.file_stem().map(|stem| stem.to_string_lossy());
    Ok(Scenario {
        file: file.to_owned(),
        name: raw.name.unwrap_or_else(|| stem.unwrap_or_default().into()),
        description: raw.description,
        duration,
        settings,
        phases,
        faults,
        expectations: raw.expect,
        report,
    })
}

/// Puts line and column into the origin of a problem.
fn locate(problem: &mut Problem, file: &Path, document: &Document) {
    let of_key = problem.reason.starts_with("unknown key");
    problem.origin = Some(at(file, document.place(&problem.key, of_key)));
}

/// The settings with those of the scenario laid over them.
fn settings(
    raw: &RawScenario,
    file: &Path,
    base: &Sources,
    decoder: &mut Decoder,
) -> Result<Settings, Invalid> {
    let section = KeyPath::of(&["settings"]);
    let mut values = match &raw.settings {
        None => Map::new(),
        Some(Value::Object(values)) => values.clone(),
        Some(_) => {
            decoder.blame(&section, "expected a table");
            Map::new()
        }
    };
    // The scenario's faults may count from phases, which settings do not have; they only take the others' place.
    let faults = (!raw.faults.is_empty()).then(|| Value::Array(Vec::new()));
    for (key, value) in OWN.into_iter().zip([&raw.seed, &raw.speed, &raw.fleet, &faults]) {
        if values.remove(key).is_some() {
            decoder.blame(&section.key(key), "belongs one level up, beside settings");
        }
        if let Some(value) = value {
            values.insert(key.to_owned(), value.clone());
        }
    }
    Settings::load(&Sources {
        scenario: Some(Overlay {
            file: file.to_owned(),
            values: Value::Object(values),
        }),
        ..base.clone()
    })
}

fn phases(raw: &[RawPhase], end: Option<SimInstant>, decoder: &mut Decoder) -> Vec<TimelinePhase> {
    let list = KeyPath::of(&["phases"]);
    let mut phases: Vec<TimelinePhase> = Vec::with_capacity(raw.len());
    for (index, phase) in raw.iter().enumerate() {
        let path = list.index(index);
        if phases.iter().any(|known| known.name == phase.name) {
            decoder.blame(
                &path.key("name"),
                &format!("there is a phase {} already", phase.name),
            );
        }
        let previous = phases.last().map_or(SimInstant::START, |phase| phase.until);
        let from = phase.from.map_or(previous, |Span(from)| SimInstant::START + from);
        let until = phase.length.map(|Span(length)| from + length).or(end);
        if end.is_some_and(|end| from >= end) {
            let member = if phase.from.is_some() { "from" } else { "name" };
            decoder.blame(&path.key(member), "the phase begins after the end of the run");
        } else if until == Some(from) {
            decoder.blame(&path.key("length"), "must be above zero");
        } else if let (Some(until), Some(end)) = (until, end)
            && until > end
        {
            decoder.blame(&path.key("length"), "the phase goes beyond the end of the run");
        }
        phases.push(TimelinePhase {
            name: phase.name.clone(),
            from,
            until: until.unwrap_or(from),
        });
    }
    phases
}

/// The times of a phase.
fn stretch(phase: &TimelinePhase) -> (FaultName, Stretch) {
    let stretch = Stretch {
        from: phase.from,
        until: Some(phase.until),
    };
    (phase.name.clone(), stretch)
}

fn expectations(raw: &RawScenario, faults: &[Fault], checks: &Checks<'_>, decoder: &mut Decoder) {
    for (index, expectation) in raw.expect.iter().enumerate() {
        let path = KeyPath::of(&["expect"]).index(index).key(expectation.word());
        if let Some((member, reason)) = expectation.complaint() {
            decoder.blame(&path.key(member), reason);
        }
        if let Some((member, Span(time))) = expectation.times()
            && checks.end.is_some_and(|end| SimInstant::START + time > end)
        {
            decoder.blame(&path.key(member), "is after the end of the run");
        }
        if let Some(which) = expectation.nodes() {
            let selected = selects(which, &path.key("which"), checks, decoder);
            if let Expectation::NodesInPhase { at_least, .. } | Expectation::NodesActive { at_least, .. } =
                expectation
                && let (Some(selected), Amount::Count(count)) = (selected, at_least)
                && *count > selected
            {
                let reason = format!("cannot be: there are only {selected} such nodes");
                decoder.blame(&path.key("at_least"), &reason);
            }
        }
        for (keys, reason) in metric_names::complaints(expectation) {
            let path = keys.iter().fold(path.clone(), |path, key| path.key(key));
            decoder.blame(&path, &reason);
        }
        if let Expectation::FaultHits { fault, .. } = expectation {
            let given = raw.faults.iter().filter_map(|fault| fault.name.as_ref());
            let inherited = faults.iter().filter(|_| raw.faults.is_empty());
            let names = given.chain(inherited.map(|fault| &fault.name));
            let known: Vec<&str> = names.map(FaultName::as_str).collect();
            if !known.contains(&fault.as_str()) {
                let hint = known_ones(fault.as_str(), known.into_iter());
                decoder.blame(&path.key("fault"), &format!("there is no fault {fault}{hint}"));
            }
        }
    }
}

fn report(raw: &RawReport, decoder: &mut Decoder) -> Report {
    let section = KeyPath::of(&["report"]);
    let given = [("json", &raw.json), ("junit", &raw.junit), ("html", &raw.html)];
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for (key, file) in given {
        let Some(file) = file.as_deref() else { continue };
        if file.is_empty() {
            decoder.blame(&section.key(key), "must not be empty");
        } else if let Some((other, _)) = taken.iter().find(|(_, taken)| *taken == file) {
            decoder.blame(&section.key(key), &format!("is the same file as {other}"));
        }
        taken.push((key, file));
    }
    let path = |file: &Option<Box<str>>| file.as_deref().map(PathBuf::from);
    Report {
        json: path(&raw.json),
        junit: path(&raw.junit),
        html: path(&raw.html),
    }
}
