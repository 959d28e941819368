//! HTTP clients, one for each way of trusting servers: a client is a pool of connections, and connections that were
//! verified in one way must not be used in another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metalsim_actors::node::effect::AgentParameters;
use reqwest::{Certificate, Client, redirect};

/// Clients that are kept. Fleets have one or two; boot media may name any certificates.
const MOST_CLIENTS: usize = 16;

/// Which servers are trusted.
#[derive(Clone, Debug)]
struct Trust {
    insecure: bool,
    ca_pem: Option<Arc<str>>,
}

impl Trust {
    fn is(&self, parameters: &AgentParameters) -> bool {
        self.insecure == parameters.insecure
            && match (&self.ca_pem, &parameters.ca_pem) {
                (None, None) => true,
                (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own == other,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

/// Clients by trust, the most recently used last.
pub(super) struct Clients {
    timeout: Duration,
    idle: usize,
    known: Mutex<VecDeque<(Trust, Client)>>,
}

impl Clients {
    /// `timeout` bounds a call as a whole; `idle` connections to a host are kept for the next call.
    pub(super) fn new(timeout: Duration, idle: usize) -> Self {
        Self {
            timeout,
            idle,
            known: Mutex::default(),
        }
    }

    /// The client for a node that was booted with `parameters`; `None` if their certificates are unusable.
    pub(super) fn get(&self, parameters: &AgentParameters) -> Option<Client> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = known.iter().rposition(|(trust, _)| trust.is(parameters)) {
            if position + 1 < known.len()
                && let Some(found) = known.remove(position)
            {
                known.push_back(found);
            }
            return known.back().map(|(_, client)| client.clone());
        }
        let trust = Trust {
            insecure: parameters.insecure,
            ca_pem: parameters.ca_pem.clone(),
        };
        let client = self.build(&trust)?;
        if known.len() >= MOST_CLIENTS {
            known.pop_front();
        }
        known.push_back((trust, client.clone()));
        Some(client)
    }

    fn build(&self, trust: &Trust) -> Option<Client> {
        let given = match trust
            .ca_pem
            .as_deref()
            .map(|pem| Certificate::from_pem_bundle(pem.as_bytes()))
        {
            None => Vec::new(),
            Some(Ok(certificates)) => certificates,
            Some(Err(error)) => {
                tracing::warn!(%error, "the certificates given for Ironic are unusable");
                return None;
            }
        };
        let base = || {
            Client::builder()
                .http1_only()
                // The sockets of an agent go straight to Ironic, whatever this process's environment says.
                .no_proxy()
                .redirect(redirect::Policy::none())
                .connect_timeout(self.timeout)
                .timeout(self.timeout)
                .pool_max_idle_per_host(self.idle)
                // Below the keep-alive time of the servers that Ironic runs behind.
                .pool_idle_timeout(Duration::from_secs(4))
        };
        if trust.insecure {
            return base().tls_danger_accept_invalid_certs(true).build().ok();
        }
        let merged = base().tls_certs_merge(given.iter().cloned()).build();
        match merged {
            Ok(client) => Some(client),
            // A system without any certificates, such as an empty container image: plain HTTP must still work.
            Err(error) => {
                tracing::warn!(%error, "cannot use the system's certificates");
                base().tls_certs_only(given).build().ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_shared_by_trust_and_bounded() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let clients = Clients::new(Duration::from_secs(1), 1);
        let parameters = AgentParameters::default();
        assert!(clients.get(&parameters).is_some());
        assert!(clients.get(&AgentParameters::default()).is_some());
        let insecure = AgentParameters {
            insecure: true,
            ..AgentParameters::default()
        };
        assert!(clients.get(&insecure).is_some());
        assert_eq!(clients.known.lock().unwrap().len(), 2);
        assert!(clients.get(&parameters).is_some());
        assert!(
            !clients.known.lock().unwrap().back().unwrap().0.insecure,
            "most recently used"
        );
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let broken = AgentParameters {
            ca_pem: Some(nonsense.into()),
            ..AgentParameters::default()
        };
        assert!(clients.get(&broken).is_none());
    }
}
