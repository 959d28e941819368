//! One node in virtual time, with its effects kept for the test to look at and to answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::fault::{Change, FaultForm, FaultSet, Fleet, NodeIndex, SiteKind, Stretch};
use crate::ids::{Epoch, MacAddress, NodeId};
use crate::node::agent::command::Operation;
use crate::node::agent::{AgentReply, AgentRequest, AgentSettings};
use crate::node::bmc::{BmcCommand, BootPatch, BootTarget, OverrideEnabled, ResetType, Secret};
use crate::node::effect::{AgentParameters, BootImage, CallError, IronicCall, Outcome};
use crate::node::os::description::SystemDescription;
use crate::node::os::intent::{Intent, Role};
use crate::node::os::membership::Membership;
use crate::node::profile::HardwareProfile;
use crate::node::{Effect, Effects, Event, Identity, Kind, Labels, Node, Record, Refused, Reply, invariant};
use crate::seed::Seed;
use crate::shell::NodeRef;
use crate::time::SimInstant;
use crate::timing::Timing;
use crate::wire::agent::{ApiVersion, CommandResult, InspectionAccepted, LookupReply};

/// Identity of the test node `name`, with two network interfaces.
#[must_use]
pub fn identity(name: &str) -> Arc<Identity> {
    Arc::new(Identity {
        index: NodeIndex(0),
        id: NodeId::from_name(name),
        name: name.into(),
        macs: [0, 1].map(|index| MacAddress::derived(name, index)).into(),
        labels: Arc::default(),
    })
}

/// The default profile with the given durations.
#[must_use]
pub fn kind(timing: Timing) -> Arc<Kind> {
    Arc::new(Kind {
        profile: Arc::new(HardwareProfile {
            boot_order: vec![BootTarget::Hdd],
            ..HardwareProfile::default()
        }),
        timing,
        speed: 1.0,
        agent: AgentSettings {
            advertise_url: "http://127.0.0.1:9999".into(),
            version: "13.0.0".into(),
            verify_ca: None,
            command_history: 4,
            bmc_address: None,
        },
        http_root: None,
    })
}

/// A fleet of one node.
struct OneNode<'a>(&'a Identity);

impl Fleet for OneNode<'_> {
    fn len(&self) -> usize {
        1
    }

    fn member(&self, index: NodeIndex) -> Option<(&str, &Labels)> {
        (index == self.0.index).then_some((&self.0.name, &*self.0.labels))
    }
}

/// Nodes that run, as the selectors of faults look at them.
pub struct Members<'a>(pub &'a [Arc<NodeRef>]);

impl Fleet for Members<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn member(&self, index: NodeIndex) -> Option<(&str, &Labels)> {
        let identity = self.0.get(index.0 as usize)?.identity();
        Some((&identity.name, &identity.labels))
    }
}

/// These faults, a list as scenario files hold it, in the place of all others.
#[must_use]
pub fn only_faults(faults: Value) -> Change {
    let forms: Vec<FaultForm> = serde_json::from_value(faults).expect("a list of faults");
    let faults = forms
        .iter()
        .map(|form| form.resolve(Stretch::ALL).expect("a fault"));
    Change::Set(faults.collect())
}

/// Sets the boot override.
#[must_use]
pub fn boot_override(target: BootTarget, enabled: OverrideEnabled) -> BmcCommand {
    BmcCommand::SetBoot(BootPatch {
        target: Some(target),
        enabled: Some(enabled),
        ..BootPatch::default()
    })
}

/// What Ironic answers to a look-up.
#[derive(Clone, Copy, Debug)]
pub enum LookupAnswer {
    /// A new token.
    Token,
    /// "The token was handed out before."
    Masked,
}

/// A node, the time, and the effects that nobody has answered yet.
pub struct Rig {
    /// The node.
    pub node: Node,
    /// Virtual time.
    pub now: SimInstant,
    /// Effects that wait for an outcome, oldest first.
    pub pending: Vec<(Epoch, Effect)>,
    /// Phases and faults, as they were recorded.
    pub records: Vec<Record>,
    faults: Arc<FaultSet>,
}

impl Rig {
    /// A node that is off.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        let node = Node::new(identity("rig"), kind(timing), Seed::root(7));
        Self {
            node,
            now: SimInstant::START,
            pending: Vec::new(),
            records: Vec::new(),
            faults: Arc::new(FaultSet::none(Seed::root(7))),
        }
    }

    /// A node that is off and has this boot order.
    #[must_use]
    pub fn with_boot_order(timing: Timing, order: &[BootTarget]) -> Self {
        let mut kind = Arc::unwrap_or_clone(kind(timing));
        Arc::make_mut(&mut kind.profile).boot_order = order.to_vec();
        Self {
            node: Node::new(identity("rig"), Arc::new(kind), Seed::root(7)),
            now: SimInstant::START,
            ..Self::new(Timing::default())
        }
    }

    /// A node of that name, off and under these faults.
    #[must_use]
    pub fn named(name: &str, faults: Value) -> Self {
        let mut rig = Self {
            node: Node::new(identity(name), kind(Timing::instant()), Seed::root(7)),
            ..Self::new(Timing::instant())
        };
        rig.set_faults(faults);
        rig
    }

    /// Whether a fault could strike at sites of this kind.
    #[must_use]
    pub fn may_strike(&self, kind: SiteKind) -> bool {
        self.faults.touches(kind, self.node.identity().index)
    }

    /// Puts these faults, a list as scenario files hold it, in force.
    pub fn set_faults(&mut self, faults: Value) {
        let fleet = OneNode(self.node.identity().as_ref());
        let set = self.faults.changed(only_faults(faults), &fleet);
        self.faults = Arc::new(set.expect("the faults fit together"));
        self.apply(Event::FaultsChanged).expect("the node takes note");
    }

    /// Names and numbers of the faults that struck.
    #[must_use]
    pub fn hits(&self) -> Vec<(&str, u64)> {
        self.records
            .iter()
            .filter_map(|record| match record {
                Record::Fault(hit) => Some((hit.fault.as_str(), hit.number)),
                _ => None,
            })
            .collect()
    }

    /// The boot parameters that [`Self::boot_ramdisk`] answers with.
    #[must_use]
    pub fn parameters(inspect: bool) -> Arc<AgentParameters> {
        Arc::new(AgentParameters {
            api_urls: vec!["http://ironic".into()],
            inspection_callback_urls: if inspect {
                vec!["http://ironic/v1/continue_inspection".into()]
            } else {
                vec![]
            },
            ..AgentParameters::default()
        })
    }

    /// Applies an event; on a refusal nothing changes. Panics if an invariant breaks.
    pub fn apply(&mut self, event: Event) -> Result<Reply, Refused> {
        let mut next = self.node.clone();
        let index = self.node.identity().index;
        let faults = self.faults.touches_node(index).then(|| Arc::clone(&self.faults));
        let mut effects = Effects::under(faults);
        let reply = next.step(self.now, event, &mut effects)?;
        assert_eq!(invariant::check(&next), Ok(()), "{next:?}");
        self.node = next;
        for issued in effects.drain() {
            match issued.effect {
                Effect::Record(record @ (Record::Phase(_) | Record::Fault(_))) => self.records.push(record),
                Effect::Record(_) => {}
                effect => self.pending.push((issued.epoch, effect)),
            }
        }
        Ok(reply)
    }

    /// Applies a BMC command.
    pub fn bmc(&mut self, command: BmcCommand) -> Result<Reply, Refused> {
        self.apply(Event::Bmc {
            if_match: None,
            command,
        })
    }

    /// Resets.
    pub fn reset(&mut self, reset: ResetType) {
        assert_eq!(self.bmc(BmcCommand::Reset(reset)), Ok(Reply::Done));
    }

    /// Sets the boot override.
    pub fn boot_once(&mut self, target: BootTarget, enabled: OverrideEnabled) {
        assert_eq!(self.bmc(boot_override(target, enabled)), Ok(Reply::Done));
    }

    /// Lets time pass, firing the node's timer as often as it asks.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.node.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            assert_eq!(self.apply(Event::Timer), Ok(Reply::Done));
        }
        self.now = end;
    }

    /// Lets time pass until the next deadline, and returns how long that was.
    pub fn pass_to_deadline(&mut self) -> Duration {
        let deadline = self.node.next_deadline().expect("the node waits for something");
        let waited = deadline.since(self.now);
        self.pass(waited);
        waited
    }

    /// Answers the oldest pending effect.
    pub fn answer(&mut self, outcome: Outcome) -> Result<Reply, Refused> {
        let (epoch, _) = self.pending.remove(0);
        self.apply(Event::Outcome { epoch, outcome })
    }

    /// The oldest pending call to Ironic.
    #[must_use]
    pub fn call(&self) -> &IronicCall {
        match self.pending.first() {
            Some((_, Effect::Ironic(request))) => &request.call,
            other => panic!("a call to Ironic is pending, not {other:?}"),
        }
    }

    /// Powers on with a one-time network boot and answers the boot request: the agent runs afterwards.
    pub fn boot_ramdisk(&mut self, parameters: Arc<AgentParameters>) {
        self.boot_once(BootTarget::Pxe, OverrideEnabled::Once);
        self.reset(ResetType::On);
        while !matches!(self.pending.first(), Some((_, Effect::ResolveBoot(_)))) {
            self.pass_to_deadline();
        }
        self.answer(Outcome::Boot(Ok(BootImage::Agent(parameters))))
            .expect("the boot goes on");
        while self.node.agent().is_none() {
            self.pass_to_deadline();
        }
    }

    /// Answers version discovery and look-up; the first heartbeat is pending afterwards.
    pub fn look_up(&mut self, answer: LookupAnswer) {
        assert!(
            matches!(self.call(), IronicCall::Discover { .. }),
            "{:?}",
            self.call()
        );
        self.answer(Outcome::Discovered(Ok(ApiVersion { minor: 115 })))
            .expect("version");
        assert!(
            matches!(self.call(), IronicCall::Lookup { .. }),
            "{:?}",
            self.call()
        );
        self.answer(Outcome::LookedUp(Ok(Box::new(Self::lookup_reply(answer)))))
            .expect("look-up");
    }

    /// An answer of Ironic to a look-up.
    #[must_use]
    pub fn lookup_reply(answer: LookupAnswer) -> LookupReply {
        let token = match answer {
            LookupAnswer::Token => "token",
            LookupAnswer::Masked => "******",
        };
        let body = json!({
            "node": {"uuid": Uuid::from_u128(5)},
            "config": {"heartbeat_timeout": 300, "agent_token": token},
        });
        serde_json::from_value(body).expect("a valid answer")
    }

    /// What a config drive made of a system: its host name and nothing else.
    #[must_use]
    pub fn description(hostname: &str) -> Arc<SystemDescription> {
        Arc::new(SystemDescription {
            hostname: Some(hostname.into()),
            ..SystemDescription::bare("no kubeadm")
        })
    }

    /// What a config drive made of a system whose user data call kubeadm.
    #[must_use]
    pub fn kubeadm_description(hostname: &str, role: Role) -> Arc<SystemDescription> {
        Arc::new(SystemDescription {
            hostname: Some(hostname.into()),
            intent: Intent::Incomplete {
                role,
                missing: Box::default(),
            },
            ..SystemDescription::bare("")
        })
    }

    /// The membership of a worker.
    #[must_use]
    pub fn membership() -> Arc<Membership> {
        Arc::new(Membership {
            cluster: "10.0.0.1:6443".into(),
            name: "web".into(),
            node: "host-1".into(),
            control_plane: false,
        })
    }

    /// An accepted inspection.
    #[must_use]
    pub fn inspection_accepted() -> InspectionAccepted {
        InspectionAccepted {
            uuid: Uuid::from_u128(5),
        }
    }

    /// A running agent that has been looked up and has sent its first heartbeat.
    #[must_use]
    pub fn ready(timing: Timing) -> Self {
        let mut rig = Self::new(timing);
        rig.boot_ramdisk(Self::parameters(false));
        rig.look_up(LookupAnswer::Token);
        rig.answer_beat(Ok(()));
        rig
    }

    /// Answers a heartbeat.
    pub fn answer_beat(&mut self, result: Result<(), CallError>) {
        assert!(
            matches!(self.call(), IronicCall::Heartbeat { .. }),
            "{:?}",
            self.call()
        );
        self.answer(Outcome::Beat(result)).expect("heartbeat");
    }

    /// Calls the agent's API with the right token.
    pub fn agent(&mut self, operation: Operation) -> Result<AgentReply, Refused> {
        let request = AgentRequest {
            token: Some(Secret::new("token")),
            operation,
        };
        match self.apply(Event::Agent(request))? {
            Reply::Agent(reply) => Ok(reply),
            Reply::Done | Reply::Failed(_) | Reply::Task(_) => panic!("the agent answers"),
        }
    }

    /// Executes an agent command.
    pub fn execute(&mut self, name: &str, params: Value) -> Result<CommandResult, Refused> {
        let params = params.as_object().cloned().unwrap_or_default();
        match self.agent(Operation::Execute {
            name: name.to_owned(),
            params,
        })? {
            AgentReply::Command(result) => Ok(Arc::unwrap_or_clone(result)),
            other => panic!("a command result, not {other:?}"),
        }
    }

    /// The newest command result.
    pub fn newest(&mut self) -> CommandResult {
        match self.agent(Operation::List) {
            Ok(AgentReply::Commands(results)) => {
                results.last().map(|newest| (**newest).clone()).expect("a result")
            }
            other => panic!("results, not {other:?}"),
        }
    }
}
