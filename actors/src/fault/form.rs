//! A fault as files and the control API hold it.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selector::Selector;
use super::value::Chance;
use super::what::What;
use super::when::{Occasion, When};
use super::{Complaint, Fault, FaultName};
use crate::phase::Phase;
use crate::time::SimInstant;
use crate::timing::Span;

/// A fault.
// `name` and `what` are required. That is found when it is resolved, so that a reader goes on and finds what else is
// wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "what"]))]
pub struct FaultForm {
    /// Name, unique among the faults. Draws depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub name: Option<FaultName>,
    /// Which nodes or clusters; left out: all.
    #[serde(default)]
    pub which: Selector,
    /// When; left out: always.
    #[serde(default)]
    pub when: WhenForm,
    /// What goes wrong.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "optional_what"
    )]
    #[schemars(required)]
    pub what: Option<What>,
}

fn optional_what<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<What>, D::Error> {
    super::what::deserialize(deserializer).map(Some)
}

/// When a fault is there. All times are simulated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhenForm {
    /// Phase of the scenario's timeline: `from` and `until` count from its beginning, and the fault ends with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<Box<str>>,
    /// Beginning of the first window, from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Span>,
    /// End of the last window, from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
    /// Length of each window; left out: up to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    /// From the beginning of a window to that of the next; left out: there is one window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Span>,
    /// Each window begins later by a draw between zero and this, for each node and window anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Span>,
    /// Phases of a node's life in which the fault is there; left out: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_phases: Vec<Phase>,
    /// Chance that an occasion goes wrong, or, for what lasts or happens by itself, that there is a window at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<Chance>,
    /// Only a node's occasion with this number, of those within the windows, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<NonZeroU64>,
    /// Only a node's occasions up to this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<NonZeroU64>,
    /// Only a node's occasions behind this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<NonZeroU64>,
    /// Only each such occasion of a node: every second, third, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<NonZeroU64>,
}

/// A stretch of the timeline that times count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its beginning.
    pub from: SimInstant,
    /// Its end; none: it has none.
    pub until: Option<SimInstant>,
}

impl Stretch {
    /// The whole run.
    pub const ALL: Self = Self {
        from: SimInstant::START,
        until: None,
    };
}

impl WhenForm {
    /// The times that it stands for, with `base` in the place of `during`, if that is given.
    ///
    /// # Errors
    /// Members that contradict each other.
    pub fn resolve(&self, base: Stretch) -> Result<When, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let mut complain = |member: &'static str, reason: &'static str| {
            complaints.push(Complaint {
                key: vec!["when", member],
                reason: Cow::Borrowed(reason),
            });
        };
        let span = |span: Option<Span>| span.map_or(Duration::ZERO, |Span(duration)| duration);
        let from = base.from + span(self.from);
        let own = self.until.map(|Span(until)| base.from + until);
        if base.until.is_some_and(|end| from >= end) {
            complain("from", "is not before the end of the phase");
        }
        if let (Some(own), Some(end)) = (own, base.until)
            && own > end
        {
            complain("until", "is after the end of the phase");
        }
        let given = [
            ("nth", self.nth.map(Occasion::Nth)),
            ("first", self.first.map(Occasion::First)),
            ("after", self.after.map(Occasion::After)),
            ("every", self.every.map(Occasion::Every)),
        ];
        let mut occasions = None;
        for (member, occasion) in given {
            if let Some(occasion) = occasion
                && occasions.replace(occasion).is_some()
            {
                complain(member, "is one too many: give one of nth, first, after and every");
            }
        }
        let when = When {
            from,
            until: own.or(base.until),
            lasts: self.lasts.map(|Span(lasts)| lasts),
            repeats: self.repeats.map(|Span(repeats)| repeats),
            spread: span(self.spread),
            phases: self.node_phases.clone().into(),
            probability: self.probability.unwrap_or(Chance::ONE),
            occasions: occasions.unwrap_or_default(),
        };
        if complaints.is_empty() {
            Ok(when)
        } else {
            Err(complaints)
        }
    }
}

impl FaultForm {
    /// The fault that it stands for, with times counted from `base`.
    ///
    /// # Errors
    /// Everything that is missing or contradicts itself.
    pub fn resolve(&self, base: Stretch) -> Result<Fault, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let mut require = |member: &'static str, given: bool| {
            if !given {
                complaints.push(Complaint {
                    key: vec![member],
                    reason: Cow::Borrowed("is required"),
                });
            }
        };
        require("name", self.name.is_some());
        require("what", self.what.is_some());
        let when = self
            .when
            .resolve(base)
            .map_err(|more| complaints.extend(more))
            .ok();
        // What cannot be given a name or a time can still be checked for the rest.
        let fault = Fault {
            name: self.name.clone().unwrap_or_else(FaultName::nameless),
            which: self.which.clone(),
            when: when.unwrap_or_default(),
            what: match &self.what {
                Some(what) => what.clone(),
                None => return Err(complaints),
            },
        };
        complaints.extend(fault.complaints());
        if complaints.is_empty() {
            Ok(fault)
        } else {
            Err(complaints)
        }
    }
}

impl From<&Fault> for FaultForm {
    fn from(fault: &Fault) -> Self {
        let When {
            from,
            until,
            lasts,
            repeats,
            spread,
            phases,
            probability,
            occasions,
        } = &fault.when;
        let span = |duration: Duration| (!duration.is_zero()).then_some(Span(duration));
        let mut when = WhenForm {
            from: span(from.since(SimInstant::START)),
            until: until.map(|until| Span(until.since(SimInstant::START))),
            lasts: lasts.map(Span),
            repeats: repeats.map(Span),
            spread: span(*spread),
            node_phases: phases.to_vec(),
            probability: (*probability != Chance::ONE).then_some(*probability),
            ..WhenForm::default()
        };
        match *occasions {
            Occasion::All => {}
            Occasion::Nth(n) => when.nth = Some(n),
            Occasion::First(n) => when.first = Some(n),
            Occasion::After(n) => when.after = Some(n),
            Occasion::Every(n) => when.every = Some(n),
        }
        Self {
            name: Some(fault.name.clone()),
            which: fault.which.clone(),
            when,
            what: Some(fault.what.clone()),
        }
    }
}
