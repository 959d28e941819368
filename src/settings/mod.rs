//! The settings: what a user may configure, as types that cannot hold nonsense.
//!
//! Layers (built-in defaults, files, environment, flags) are merged into one tree, decoded into the raw form in which
//! unknown keys are refused, and validated into [`Settings`]. Every problem found on the way is reported, not
//! only the first. `config/default.yaml` describes each key.

mod clusters;
mod decode;
pub(crate) mod faults;
mod fleet;
mod layers;
mod members;
mod node_list;
mod problem;
mod profiles;
mod raw;
mod validate;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use metalsim_actors::fault::{Change, Fault, FaultSet};
use metalsim_actors::seed::Seed;
use metalsim_actors::timing::Timing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::clusters::Clusters;
pub(crate) use self::decode::{Decoder, nearest};
pub use self::fleet::{Labels, Member, NodeList, NodeSpec};
pub use self::layers::{ENVIRONMENT_PREFIX, Overlay, Sources};
pub(crate) use self::layers::{KeyPath, Origin, Tree};
pub use self::problem::{Invalid, Problem};
pub use self::profiles::DEFAULT_PROFILE;
pub(crate) use self::raw::{Raw, RawFleet};
pub use self::values::{HttpUrl, Secret, Size};

/// Validated settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Root of all chance.
    pub seed: u64,
    /// Simulated seconds in a real one; finite and above zero.
    pub speed: f64,
    /// The fleet, expanded; names, ids and MAC addresses are unique.
    pub nodes: Vec<NodeSpec>,
    /// BMC side.
    pub redfish: Redfish,
    /// Agent side.
    pub agent: Agent,
    /// How to reach Ironic when boot media don't say.
    pub ironic: Ironic,
    /// How boot media are read.
    pub boot: Boot,
    /// Image server; no addresses: off.
    pub images: Images,
    /// Clusters.
    pub clusters: Clusters,
    /// Control API.
    pub control: Control,
    /// Events.
    pub events: Events,
    /// Simulated durations.
    pub timing: Timing,
    /// Faults in force from the start; names are unique.
    pub faults: Vec<Fault>,
    /// Durable state.
    pub state: State,
    /// Logging.
    pub log: Log,
    /// Threads.
    pub runtime: Runtime,
    /// What was accepted but has no effect, or is risky; to be logged once.
    pub warnings: Vec<String>,
    /// The effective settings in the form of a file, secrets redacted.
    pub effective: Value,
}

/// Redfish frontend.
#[derive(Clone, Debug)]
pub struct Redfish {
    /// Addresses of all listeners, ranges expanded; at least one.
    pub listen: Vec<SocketAddr>,
    /// How a request finds its node.
    pub addressing: Addressing,
    /// Who may use it; none: everybody.
    pub auth: Option<Auth>,
    /// TLS; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// A session unused for this long ends. Real time.
    pub session_timeout: Duration,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Most open connections of one listener and worker thread.
    pub max_connections: usize,
}

/// How a Redfish request finds its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// All nodes on every listener, told apart by the system's id in the path.
    Path,
}

/// Who may use the Redfish services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// One account.
    Single {
        /// User name.
        username: Box<str>,
        /// Password.
        password: Secret,
    },
    /// Accounts of an htpasswd file: user name and bcrypt hash. At least one.
    Htpasswd(Vec<(Box<str>, Secret)>),
}

/// Certificate and key in PEM; both files were readable and held what they should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Agent API.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Where all agents of the process listen.
    pub listen: SocketAddr,
    /// Base of the agents' callback URLs, without a slash at its end; none: `http(s)://` and the address that the
    /// listener got (only if that is not a wildcard).
    pub advertise_url: Option<HttpUrl>,
    /// TLS.
    pub tls: AgentTls,
    /// Version that the agents report.
    pub version: Box<str>,
    /// Finished commands that an agent remembers.
    pub command_history: usize,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Most open connections of one worker thread.
    pub max_connections: usize,
}

/// How the agent API serves TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentTls {
    /// Plain HTTP.
    Off,
    /// A certificate made at the start, which the agents send along with their heartbeats.
    SelfSigned,
    /// Certificate and key from files.
    Files(TlsFiles),
}

/// How to reach Ironic when boot media don't say.
#[derive(Clone, Debug)]
pub struct Ironic {
    /// Base of the API.
    pub api_url: Option<HttpUrl>,
    /// Where inspection data go; follows from `api_url` if not given.
    pub inspection_callback_url: Option<HttpUrl>,
    /// Certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Don't verify Ironic's certificate.
    pub insecure: bool,
    /// Most calls in flight to one endpoint.
    pub max_in_flight: usize,
    /// A call without an answer for this long has failed. Real time.
    pub request_timeout: Duration,
}

/// How boot media are read.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Read them at all; otherwise every ramdisk is taken for one with the agent.
    pub fetch: bool,
    /// Certificates to trust besides the system's, for image servers that are to be verified.
    pub ca_file: Option<PathBuf>,
    /// Most requests in flight to one endpoint.
    pub max_in_flight: usize,
    /// A request without a complete answer for this long has failed. Real time.
    pub request_timeout: Duration,
    /// Most bytes that one boot reads and keeps.
    pub max_read: u64,
    /// Most bytes that one boot skips on a server that serves no ranges.
    pub max_skipped: u64,
}

/// Image server.
#[derive(Clone, Debug)]
pub struct Images {
    /// Addresses; none: off.
    pub listen: Vec<SocketAddr>,
}

/// Control API.
#[derive(Clone, Debug)]
pub struct Control {
    /// Addresses; at least one.
    pub listen: Vec<SocketAddr>,
    /// Bearer token; always there if an address is not loopback.
    pub token: Option<Secret>,
}

/// Events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Newest events that are kept in memory; at least one.
    pub keep: usize,
    /// File to write all events to; none: no file.
    pub file: Option<PathBuf>,
}

/// Durable state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it is kept.
    pub store: Store,
}

/// Where durable state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Nowhere: a restart begins anew.
    None,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Filter in the form of `tracing`: a level, or `target=level` pairs.
    pub filter: Box<str>,
    /// Form of a line.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Threads that run the nodes.
    pub arbiters: usize,
    /// Threads that serve HTTP, for each frontend.
    pub http_workers: usize,
}

impl Settings {
    /// The first snapshot of these faults, of this seed and fleet.
    #[must_use]
    pub fn fault_set(&self, faults: &[Fault]) -> FaultSet {
        let none = FaultSet::none(Seed::root(self.seed));
        none.changed(Change::Set(faults.to_vec()), &NodeList(&self.nodes))
            .unwrap_or(none)
    }

    /// Merges, decodes and validates the settings.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(sources: &Sources) -> Result<Self, Invalid> {
        let mut problems = Vec::new();
        let defaults = default_tree();
        let mut tree = Tree::new(defaults.clone());
        tree.lay(sources, &mut problems);
        let mut decoder = Decoder::new(tree, defaults, KeyPath::default());
        let raw = decoder.decode::<Raw>().unwrap_or_default();
        let settings = validate::validate(raw, &mut decoder);
        problems.extend(decoder.into_problems());
        if problems.is_empty() {
            return Ok(settings);
        }
        problems.sort();
        Err(Invalid(problems))
    }
}

/// The built-in defaults in the form of a file.
#[must_use]
pub fn default_tree() -> Value {
    serde_json::to_value(Raw::default()).unwrap_or_default()
}

/// The number of processors that this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
