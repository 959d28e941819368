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
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// All of them.
    pub(super) insecure: bool,
    /// Certificates to trust besides the system's, as PEM.
    pub(super) ca_pem: Option<Arc<str>>,
}

impl Trust {
    /// Whom an agent trusts that was booted with `parameters`.
    pub(super) fn of(parameters: &AgentParameters) -> Self {
        Self {
            insecure: parameters.insecure,
            ca_pem: parameters.ca_pem.clone(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.insecure == other.insecure
            && match (&self.ca_pem, &other.ca_pem) {
                (None, None) => true,
                (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own == other,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

/// How clients behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientOptions {
    /// Bounds a call as a whole; real time.
    pub(super) timeout: Duration,
    /// Connections to a host that are kept for the next call.
    pub(super) idle: usize,
    /// Redirects that are followed.
    pub(super) redirects: usize,
}

/// Clients by trust, the most recently used last.
pub(super) struct Clients {
    options: ClientOptions,
    known: Mutex<VecDeque<(Trust, Client)>>,
}

impl Clients {
    /// No clients yet.
    pub(super) fn new(options: ClientOptions) -> Self {
        Self {
            options,
            known: Mutex::default(),
        }
    }

    /// The client that trusts like this; `None` if the certificates are unusable.
    pub(super) fn get(&self, wanted: &Trust) -> Option<Client> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = known.iter().rposition(|(trust, _)| trust.is(wanted)) {
            if position + 1 < known.len()
                && let Some(found) = known.remove(position)
            {
                known.push_back(found);
            }
            return known.back().map(|(_, client)| client.clone());
        }
        let client = self.build(wanted)?;
        if known.len() >= MOST_CLIENTS {
            known.pop_front();
        }
        known.push_back((wanted.clone(), client.clone()));
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
                tracing::warn!(%error, "the certificates given are unusable");
                return None;
            }
        };
        let ClientOptions {
            timeout,
            idle,
            redirects,
        } = self.options;
        let base = || {
            Client::builder()
                .http1_only()
                // The sockets of a node go straight out, whatever this process's environment says.
                .no_proxy()
                .redirect(match redirects {
                    0 => redirect::Policy::none(),
                    most => redirect::Policy::limited(most),
                })
                .connect_timeout(timeout)
                .timeout(timeout)
                .pool_max_idle_per_host(idle)
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
        let clients = Clients::new(ClientOptions {
            timeout: Duration::from_secs(1),
            idle: 1,
            redirects: 0,
        });
        let usual = Trust::default();
        assert!(clients.get(&usual).is_some());
        assert!(clients.get(&Trust::default()).is_some());
        let insecure = Trust {
            insecure: true,
            ..Trust::default()
        };
        assert!(clients.get(&insecure).is_some());
        assert_eq!(clients.known.lock().unwrap().len(), 2);
        assert!(clients.get(&usual).is_some());
        assert!(
            !clients.known.lock().unwrap().back().unwrap().0.insecure,
            "most recently used"
        );
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let broken = Trust {
            ca_pem: Some(nonsense.into()),
            ..Trust::default()
        };
        assert!(clients.get(&broken).is_none());
    }
}
