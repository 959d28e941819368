//! Serving certificates of a cluster's API servers: each machine of the control plane has one of its own, made when kubeadm ran on it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metalsim_actors::kube::node::NodeSpec;
use rustls::ServerConfig;

use super::founding::Founding;
use super::pki::PkiError;
use super::simulated::CERTIFICATE;
use crate::clock;

/// The certificates of one cluster.
pub(super) struct ServingCertificates {
    state: Mutex<State>,
    /// Connections that come through the port of an API server's pod, by the address that they come from, and what that server shows.
    forwarded: Mutex<HashMap<SocketAddr, Arc<ServerConfig>>>,
}

struct State {
    /// By the name of the node.
    of: BTreeMap<Box<str>, Serving>,
    /// What the control-plane endpoint shows: the certificate of a machine that runs, as a virtual address that one of them holds.
    endpoint: Arc<ServerConfig>,
}

struct Serving {
    config: Arc<ServerConfig>,
    running: bool,
}

impl State {
    /// The endpoint stays where it is as long as that machine runs.
    fn settle(&mut self) {
        let mut running = self.of.values().filter(|serving| serving.running).peekable();
        let Some(first) = running.peek().map(|serving| Arc::clone(&serving.config)) else {
            return;
        };
        if !running.any(|serving| Arc::ptr_eq(&serving.config, &self.endpoint)) {
            self.endpoint = first;
        }
    }
}

/// A connection through the port of an API server's pod, until this is dropped.
pub(super) struct Forwarded<'a> {
    certificates: &'a ServingCertificates,
    from: SocketAddr,
}

impl Drop for Forwarded<'_> {
    fn drop(&mut self) {
        lock(&self.certificates.forwarded).remove(&self.from);
    }
}

impl ServingCertificates {
    /// Those of a cluster without machines: what its endpoint would show.
    ///
    /// # Errors
    /// An authority without key.
    pub(super) fn new(founding: &Founding) -> Result<Self, PkiError> {
        let state = State {
            of: BTreeMap::new(),
            endpoint: issue(founding, &[])?,
        };
        Ok(Self {
            state: Mutex::new(state),
            forwarded: Mutex::default(),
        })
    }

    /// kubeadm has run on a machine of the control plane.
    ///
    /// # Errors
    /// An authority without key.
    pub(super) fn add(&self, founding: &Founding, spec: &NodeSpec) -> Result<(), PkiError> {
        let config = issue(founding, &[&spec.name, &spec.internal_ip.to_string()])?;
        let mut state = lock(&self.state);
        // Nobody has seen what the endpoint would have shown without it.
        if state.of.is_empty() {
            state.endpoint = Arc::clone(&config);
        }
        let serving = Serving {
            config,
            running: false,
        };
        state.of.insert(spec.name.as_str().into(), serving);
        Ok(())
    }

    /// A machine of the control plane has started or stopped.
    pub(super) fn run(&self, node: &str, running: bool) {
        let mut state = lock(&self.state);
        if let Some(serving) = state.of.get_mut(node) {
            serving.running = running;
            state.settle();
        }
    }

    /// A machine of the control plane has gone for good.
    pub(super) fn remove(&self, node: &str) {
        let mut state = lock(&self.state);
        state.of.remove(node);
        state.settle();
    }

    /// What the endpoint shows.
    pub(super) fn endpoint(&self) -> Arc<ServerConfig> {
        Arc::clone(&lock(&self.state).endpoint)
    }

    /// What a connection from this address is shown.
    pub(super) fn shown_to(&self, peer: SocketAddr) -> Arc<ServerConfig> {
        let forwarded = lock(&self.forwarded).get(&peer).map(Arc::clone);
        forwarded.unwrap_or_else(|| self.endpoint())
    }

    /// The connection that will come from this address goes to the API server on that node.
    pub(super) fn forward(&self, from: SocketAddr, node: &str) -> Forwarded<'_> {
        let config = lock(&self.state)
            .of
            .get(node)
            .map(|serving| Arc::clone(&serving.config));
        if let Some(config) = config {
            lock(&self.forwarded).insert(from, config);
        }
        Forwarded {
            certificates: self,
            from,
        }
    }
}

/// TLS with a new certificate: `kube-apiserver`, for the names of the cluster and these.
fn issue(founding: &Founding, more: &[&str]) -> Result<Arc<ServerConfig>, PkiError> {
    let mut names = founding.server_names();
    for name in more {
        names.add(name);
    }
    let authority = &founding.authority;
    let issued = authority.issue_server("kube-apiserver", &names, clock::wall(), CERTIFICATE)?;
    authority.server_config(&issued)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
