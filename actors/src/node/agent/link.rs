//! The agent's calls to Ironic: inspection call-back, look-up, heartbeats, and when each is tried again.
//!
//! Timing is that of ironic-python-agent (`agent.py`, `inspector.py`, `ironic_api_client.py`) in real time, because
//! Ironic's time-outs are real: a simulation that runs faster stretches these intervals in its own time.

use std::sync::Arc;
use std::time::Duration;

use super::super::bmc::Secret;
use super::super::effect::{CallError, Effect, IronicCall, IronicRequest};
use super::{Agent, AgentSettings};
use crate::ids::MacAddress;
use crate::seed::Seed;
use crate::time::SimInstant;
use crate::timing::Latency;
use crate::wire::agent::{ApiVersion, Heartbeat, InspectionAccepted, InspectionData, LookupReply};

/// Pauses after the first, second ... failed inspection call-back; the last repeats.
/// ironic-python-agent `inspector.py` waits 5, 5, 6 and 12 s and then starts over.
const INSPECTION_PAUSES: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(5),
    Duration::from_secs(6),
    Duration::from_secs(12),
];
/// For how long a 404 to the inspection call-back is tried again. The real agent gives up at once, and hangs if Ironic
/// had not yet noticed that the node was on.
const INSPECTION_PATIENCE: Duration = Duration::from_secs(600);
/// Longest pause between look-ups (`ironic_api_client.py`: `[lookup_interval]`).
const LOOKUP_LONGEST: Duration = Duration::from_secs(60);
/// Extra pauses after the first, second, third and later 409 to a look-up: Ironic holds the node's lock.
const LOOKUP_LOCKED: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// Least time between two heartbeats, forced ones too. Without it the heartbeat that a fast step forces would meet
/// the lock of the very request that started the step, and Ironic would drop it.
const HEARTBEAT_GAP: Duration = Duration::from_secs(5);
/// Ironic's word for "the token was handed out before".
const MASKED_TOKEN: &str = "******";

/// The inspection call-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// Nobody asked for it.
    NotWanted,
    /// To be posted at `at`.
    Waiting {
        /// When.
        at: SimInstant,
        /// Posts that failed.
        failures: u8,
    },
    /// Posted, not answered.
    InFlight {
        /// Posts that failed.
        failures: u8,
    },
    /// Taken, or given up.
    Done,
}

/// Look-up and heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not begun, or there is no API URL.
    Idle,
    /// The next try of version discovery or look-up is at `at`.
    Waiting {
        /// When.
        at: SimInstant,
        /// Tries that failed.
        failures: u8,
        /// Tries that met a locked node.
        locked: u8,
    },
    /// Discovery or look-up is on its way.
    InFlight {
        /// Tries that failed.
        failures: u8,
        /// Tries that met a locked node.
        locked: u8,
    },
    /// Looked up; heartbeats go out.
    Beating {
        /// When the next one is due; `None` while one is on its way.
        next: Option<SimInstant>,
        /// When the last one left.
        last: Option<SimInstant>,
        /// A command has ended since the last heartbeat that was taken.
        forced: bool,
        /// The heartbeat on its way was sent after that command had ended.
        forced_in_flight: bool,
    },
    /// Over for this boot.
    Silent,
}

impl Inspection {
    pub(super) fn deadline(self) -> Option<SimInstant> {
        match self {
            Self::Waiting { at, .. } => Some(at),
            Self::NotWanted | Self::InFlight { .. } | Self::Done => None,
        }
    }
}

impl Link {
    pub(super) fn deadline(self) -> Option<SimInstant> {
        match self {
            Self::Waiting { at, .. } => Some(at),
            Self::Beating { next, .. } => next,
            Self::Idle | Self::InFlight { .. } | Self::Silent => None,
        }
    }
}

/// What the link needs to know of its surroundings for one step.
pub(in crate::node) struct Context<'a> {
    pub(in crate::node) now: SimInstant,
    pub(in crate::node) speed: f64,
    pub(in crate::node) seed: Seed,
    pub(in crate::node) settings: &'a AgentSettings,
    pub(in crate::node) node_id: &'a crate::ids::NodeId,
}

impl Context<'_> {
    /// A real duration in simulated time.
    fn real(&self, duration: Duration) -> Duration {
        Duration::try_from_secs_f64(duration.as_secs_f64() * self.speed).unwrap_or(Duration::MAX)
    }

    fn uniform(&self, min: Duration, max: Duration) -> Duration {
        self.real(Latency::Uniform { min, max }.draw(self.seed))
    }
}

impl Agent {
    pub(super) fn start_link(&mut self, now: SimInstant) {
        if matches!(self.link, Link::Idle) && !self.parameters.api_urls.is_empty() {
            self.link = Link::Waiting {
                at: now,
                failures: 0,
                locked: 0,
            };
        }
    }

    /// The API base URL in use.
    fn api_url(&self) -> Option<Arc<str>> {
        let urls = &self.parameters.api_urls;
        urls.get(usize::from(self.url_index) % urls.len().max(1)).cloned()
    }

    fn request(&self, due: SimInstant, call: IronicCall) -> Effect {
        Effect::Ironic(Box::new(IronicRequest {
            parameters: Arc::clone(&self.parameters),
            due,
            call,
        }))
    }

    /// Whether the call that is due, if any, tells of the hardware.
    pub(in crate::node) fn looks_at_hardware(&self, now: SimInstant) -> bool {
        let looks_up = matches!(self.link, Link::Waiting { at, .. } if at <= now);
        matches!(self.inspection, Inspection::Waiting { at, .. } if at <= now)
            || (looks_up && self.newest_version.is_some())
    }

    /// The call that is due, if any. `inventory` makes the inspection data, `addresses` those of the look-up.
    pub(in crate::node) fn due_call(
        &mut self,
        context: &Context<'_>,
        inventory: impl FnOnce() -> InspectionData,
        addresses: impl FnOnce() -> Vec<MacAddress>,
    ) -> Option<Effect> {
        if let Inspection::Waiting { at, failures } = self.inspection
            && at <= context.now
        {
            let urls = &self.parameters.inspection_callback_urls;
            let url = urls.get(usize::from(failures) % urls.len().max(1))?.clone();
            self.inspection = Inspection::InFlight { failures };
            return Some(self.request(
                at,
                IronicCall::Inspect {
                    url,
                    data: Box::new(inventory()),
                },
            ));
        }
        match self.link {
            Link::Waiting { at, failures, locked } if at <= context.now => {
                let api_url = self.api_url()?;
                self.link = Link::InFlight { failures, locked };
                let call = match self.newest_version {
                    None => IronicCall::Discover { api_url },
                    Some(newest) => IronicCall::Lookup {
                        api_url,
                        addresses: addresses(),
                        node_uuid: self.node_uuid,
                        version: newest.min(ApiVersion::LOOKUP),
                    },
                };
                Some(self.request(at, call))
            }
            Link::Beating {
                next: Some(at),
                forced,
                ..
            } if at <= context.now => {
                let (api_url, node_uuid) = (self.api_url()?, self.node_uuid?);
                self.link = Link::Beating {
                    next: None,
                    last: Some(context.now),
                    forced,
                    forced_in_flight: forced,
                };
                let version = self
                    .newest_version
                    .unwrap_or(ApiVersion::FALLBACK)
                    .min(ApiVersion::HEARTBEAT);
                let settings = context.settings;
                let body = Box::new(Heartbeat {
                    callback_url: format!("{}/{}", settings.advertise_url, context.node_id),
                    agent_token: self.token.as_ref().map(|token| token.expose().to_owned()),
                    agent_version: settings.version.to_string(),
                    agent_verify_ca: settings
                        .verify_ca
                        .as_deref()
                        .filter(|_| version >= ApiVersion::HEARTBEAT)
                        .map(str::to_owned),
                });
                Some(self.request(
                    at,
                    IronicCall::Heartbeat {
                        api_url,
                        node_uuid,
                        version,
                        body,
                    },
                ))
            }
            Link::Idle
            | Link::Waiting { .. }
            | Link::InFlight { .. }
            | Link::Beating { .. }
            | Link::Silent => None,
        }
    }

    /// A connection error moves the next URL of the list to the front.
    fn rotate_url(&mut self, error: CallError) {
        if error == CallError::Connection {
            self.url_index = self.url_index.wrapping_add(1);
        }
    }

    pub(in crate::node) fn on_inspected(
        &mut self,
        context: &Context<'_>,
        result: Result<InspectionAccepted, CallError>,
    ) {
        let Inspection::InFlight { failures } = self.inspection else {
            return;
        };
        match result {
            Ok(accepted) => {
                self.inspection = Inspection::Done;
                self.node_uuid.get_or_insert(accepted.uuid);
                self.start_link(context.now);
            }
            Err(error) => {
                let final_answer = matches!(error, CallError::Status(status) if (400..500).contains(&status) && status != 409);
                let patient = context.now < self.started_at + context.real(INSPECTION_PATIENCE);
                self.inspection = if error == CallError::Status(404) && !patient {
                    Inspection::Done
                } else if final_answer && error != CallError::Status(404) {
                    // Ironic will not take this inventory however often it comes.
                    Inspection::Done
                } else {
                    let pause = INSPECTION_PAUSES[usize::from(failures) % INSPECTION_PAUSES.len()];
                    let at = context.now + context.real(pause);
                    Inspection::Waiting {
                        at,
                        failures: failures.saturating_add(1),
                    }
                };
                if final_answer {
                    self.start_link(context.now);
                }
            }
        }
    }

    /// Ironic gives commands, so it is not waiting for an inventory: the 404s were no race.
    pub(super) fn stop_inspecting(&mut self) {
        self.inspection = Inspection::Done;
    }

    pub(in crate::node) fn on_discovered(
        &mut self,
        context: &Context<'_>,
        result: Result<ApiVersion, CallError>,
    ) {
        let Link::InFlight { failures, locked } = self.link else {
            return;
        };
        match result {
            Ok(version) => {
                self.newest_version = Some(version);
                self.link = Link::Waiting {
                    at: context.now,
                    failures,
                    locked,
                };
            }
            Err(error) => {
                self.rotate_url(error);
                self.retry_lookup(context, failures, locked, Duration::ZERO);
            }
        }
    }

    pub(in crate::node) fn on_looked_up(
        &mut self,
        context: &Context<'_>,
        result: Result<Box<LookupReply>, CallError>,
    ) {
        let Link::InFlight { failures, locked } = self.link else {
            return;
        };
        match result {
            Ok(reply) => {
                match reply.config.agent_token.as_deref() {
                    Some(MASKED_TOKEN) if self.token.is_none() => {
                        // Someone else has the token of this boot. The real agent locks itself down.
                        self.fall_silent();
                        return;
                    }
                    Some(MASKED_TOKEN) | None => {}
                    Some(token) => self.token = Some(Secret::new(token)),
                }
                self.node_uuid = Some(reply.node.uuid);
                self.heartbeat_timeout =
                    Duration::from_secs(u64::from(reply.config.heartbeat_timeout.max(1)));
                self.link = Link::Beating {
                    next: Some(context.now),
                    last: None,
                    forced: false,
                    forced_in_flight: false,
                };
            }
            Err(error) => {
                self.rotate_url(error);
                let (locked, extra) = if error == CallError::Status(409) {
                    let pause = LOOKUP_LOCKED[usize::from(locked).min(LOOKUP_LOCKED.len() - 1)];
                    (locked.saturating_add(1), pause)
                } else {
                    (locked, Duration::ZERO)
                };
                self.retry_lookup(context, failures, locked, extra);
            }
        }
    }

    /// The next look-up after a random pause between 1 s and min(60, 2^n) s.
    fn retry_lookup(&mut self, context: &Context<'_>, failures: u8, locked: u8, extra: Duration) {
        let failures = failures.saturating_add(1);
        let longest = Duration::from_secs(1 << u32::from(failures.min(6))).min(LOOKUP_LONGEST);
        let pause = context.uniform(Duration::from_secs(1), longest) + context.real(extra);
        self.link = Link::Waiting {
            at: context.now + pause,
            failures,
            locked,
        };
    }

    pub(in crate::node) fn on_beat(&mut self, context: &Context<'_>, result: Result<(), CallError>) {
        let Link::Beating {
            next: None,
            last,
            forced,
            forced_in_flight,
        } = self.link
        else {
            return;
        };
        let timeout = self.heartbeat_timeout;
        let (pause, still_forced) = match result {
            Ok(()) => (
                context.uniform(timeout.mul_f64(0.3), timeout.mul_f64(0.6)),
                forced && !forced_in_flight,
            ),
            Err(error) => {
                self.rotate_url(error);
                (
                    context.uniform(Duration::from_secs(5), Duration::from_secs(10)),
                    forced,
                )
            }
        };
        let mut next = context.now + pause;
        if still_forced {
            next = next.min(context.earliest_beat(last));
        }
        self.link = Link::Beating {
            next: Some(next),
            last,
            forced: still_forced,
            forced_in_flight: false,
        };
    }

    /// Makes the next heartbeat come soon: an asynchronous command has ended.
    pub(in crate::node) fn force_heartbeat(&mut self, context: &Context<'_>) {
        if let Link::Beating {
            next,
            last,
            forced,
            forced_in_flight,
        } = &mut self.link
        {
            *forced = true;
            // A heartbeat that is on its way left before the command ended, so it does not tell of it.
            *forced_in_flight = false;
            if let Some(next) = next {
                *next = (*next).min(context.earliest_beat(*last));
            }
        }
    }
}

impl Context<'_> {
    fn earliest_beat(&self, last: Option<SimInstant>) -> SimInstant {
        last.map_or(self.now, |last| (last + self.real(HEARTBEAT_GAP)).max(self.now))
    }
}
