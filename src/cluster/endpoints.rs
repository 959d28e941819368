//! Endpoints for clusters that are registered by a call: leased one by one, and given back when their clusters go.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metalsim_actors::node::os::intent::Endpoint;

pub use crate::values::addressing::Addressing;

use super::names::ClusterName;
use crate::frontend::kube::listener::{Listener, Workers};
use crate::frontend::kube::names::Names;
use crate::frontend::server::{self, BindError};
use crate::observer::Protocol;

/// Why no endpoint was leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// All are taken.
    #[error("all {0} endpoints are taken")]
    Exhausted(usize),
    /// The name belongs to another cluster.
    #[error("the name {0} belongs to another cluster")]
    NameTaken(Box<str>),
    /// The name cannot be one: too long with the domain.
    #[error("{0} is no DNS name")]
    NoName(Box<str>),
    /// The socket cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// What an API server is opened with.
#[derive(Debug)]
pub enum Opening {
    /// Sockets of its own.
    Sockets(Vec<TcpListener>),
    /// A name on the shared port.
    Name(Box<str>),
}

/// The endpoints.
pub struct Endpoints {
    addressing: Addressing,
    leases: Mutex<Leases>,
    names: Arc<Names>,
    /// Those of the shared port.
    listeners: Vec<Listener>,
}

#[derive(Default)]
struct Leases {
    /// The endpoints that are leased.
    taken: BTreeSet<Box<str>>,
    /// The index of the next one to try: what was given back is used again as late as possible.
    next: u32,
}

impl Endpoints {
    /// No leases yet. Opens the shared port if there is one.
    ///
    /// # Errors
    /// If the shared port cannot be opened.
    pub fn open(mut addressing: Addressing, workers: &Workers) -> Result<Self, BindError> {
        let names = Arc::<Names>::default();
        let mut listeners = Vec::new();
        if let Addressing::Name { listen, port, .. } = &mut addressing {
            let address = SocketAddr::new(*listen, *port);
            let failed = |source| BindError {
                address,
                protocol: Protocol::Kube.as_str(),
                source,
            };
            let socket = bind(address)?;
            // Port 0 is any free one.
            *port = socket.local_addr().map_err(failed)?.port();
            listeners = workers.open_shared(&socket, &names).map_err(failed)?;
        }
        Ok(Self {
            addressing,
            leases: Mutex::default(),
            names,
            listeners,
        })
    }

    /// The names on the shared port.
    #[must_use]
    pub const fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// The shared port's listeners: none with another addressing.
    #[must_use]
    pub fn shared(&self) -> &[Listener] {
        &self.listeners
    }

    /// Number of leases.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.lock().taken.len()
    }

    /// Leases an endpoint for a cluster, and opens its socket. `is_taken` tells of endpoints of clusters that have no lease.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub fn lease(
        &self,
        cluster: &ClusterName,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<(Endpoint, Opening), LeaseError> {
        let mut leases = self.lock();
        if let Addressing::Name { domain, port, .. } = &self.addressing {
            // Another namespace may have a cluster of the same name.
            let short = format!("{}.{domain}", cluster.name());
            let long = format!("{}.{}.{domain}", cluster.name(), cluster.namespace());
            for host in [&short, &long] {
                if !super::names::is_subdomain(host) {
                    return Err(LeaseError::NoName(host.as_str().into()));
                }
                let endpoint = endpoint(host, *port);
                let key: Box<str> = endpoint.to_string().into();
                if !is_taken(&key) && leases.taken.insert(key) {
                    return Ok((endpoint, Opening::Name(host.as_str().into())));
                }
            }
            return Err(LeaseError::NameTaken(long.into()));
        }
        let count = self.count();
        for step in 0..count {
            let index = leases.next.wrapping_add(step) % count;
            let Some((endpoint, address)) = self.at(index) else {
                break;
            };
            let key: Box<str> = endpoint.to_string().into();
            if leases.taken.contains(&key) || is_taken(&key) {
                continue;
            }
            match bind(address) {
                Ok(socket) => {
                    leases.taken.insert(key);
                    leases.next = index.wrapping_add(1);
                    return Ok((endpoint, Opening::Sockets(vec![socket])));
                }
                Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(LeaseError::Exhausted(
            usize::try_from(count).unwrap_or(usize::MAX),
        ))
    }

    /// Leases an endpoint for a cluster that opens it later, as [`Self::opening`] says.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub fn reserve(&self, cluster: &ClusterName) -> Result<Endpoint, LeaseError> {
        let (endpoint, _) = self.lease(cluster, |_| false)?;
        Ok(endpoint)
    }

    /// Takes a lease back. Tells whether there was one.
    pub fn give_back(&self, endpoint: &str) -> bool {
        self.lock().taken.remove(endpoint)
    }

    /// How to open an endpoint that is one of these, leased or not; `None`: it is somewhere else.
    ///
    /// # Errors
    /// If its socket cannot be opened.
    pub fn opening(&self, endpoint: &Endpoint) -> Result<Option<Opening>, BindError> {
        match &self.addressing {
            Addressing::Port { host, listen, .. } if *endpoint.host == **host => {
                let socket = bind(SocketAddr::new(*listen, endpoint.port))?;
                Ok(Some(Opening::Sockets(vec![socket])))
            }
            Addressing::Name { domain, port, .. } if endpoint.port == *port => {
                let host = endpoint.host.to_ascii_lowercase();
                let is_inside = host
                    .strip_suffix(&**domain)
                    .and_then(|rest| rest.strip_suffix('.'))
                    .is_some_and(|name| !name.is_empty());
                Ok(is_inside.then(|| Opening::Name(host.into())))
            }
            Addressing::Port { .. } | Addressing::Address { .. } | Addressing::Name { .. } => Ok(None),
        }
    }

    /// How many there are.
    fn count(&self) -> u32 {
        match &self.addressing {
            Addressing::Port { ports, .. } => {
                u32::from(ports.end().saturating_sub(*ports.start())).saturating_add(1)
            }
            Addressing::Address { length, .. } => 32_u32
                .checked_sub(u32::from(*length))
                .and_then(|bits| 1_u32.checked_shl(bits))
                .unwrap_or(u32::MAX)
                .saturating_sub(2),
            Addressing::Name { .. } => 0,
        }
    }

    /// One of them, and where to listen for it.
    fn at(&self, index: u32) -> Option<(Endpoint, SocketAddr)> {
        match &self.addressing {
            Addressing::Port { host, listen, ports } => {
                let port = ports.start().checked_add(u16::try_from(index).ok()?)?;
                Some((endpoint(host, port), SocketAddr::new(*listen, port)))
            }
            Addressing::Address { network, port, .. } => {
                let address = u32::from(*network).checked_add(index)?.checked_add(1)?;
                let address = Ipv4Addr::from(address);
                Some((
                    endpoint(&address.to_string(), *port),
                    SocketAddr::new(address.into(), *port),
                ))
            }
            Addressing::Name { .. } => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.into(),
        port,
    }
}

/// Opens one socket.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let nothing = || BindError {
        address,
        protocol: Protocol::Kube.as_str(),
        source: io::Error::other("no socket"),
    };
    match server::bind(Protocol::Kube, &[address]) {
        Ok(sockets) => sockets.into_iter().next().ok_or_else(nothing),
        Err(errors) => Err(errors.into_iter().next().unwrap_or_else(nothing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> ClusterName {
        ClusterName::new("ns", name).unwrap()
    }

    fn endpoints(addressing: Addressing) -> Endpoints {
        Endpoints {
            addressing,
            leases: Mutex::default(),
            names: Arc::default(),
            listeners: Vec::new(),
        }
    }

    /// An address that no other test uses, of this process or of another.
    fn own(number: u8) -> Ipv4Addr {
        let [.., high, low] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, 128 | (high & 0x3f), low, number)
    }

    fn ports(listen: Ipv4Addr, count: u16) -> Endpoints {
        endpoints(Addressing::Port {
            host: "h".into(),
            listen: listen.into(),
            ports: 42_000..=42_000 + count - 1,
        })
    }

    fn port(leased: Result<(Endpoint, Opening), LeaseError>) -> u16 {
        leased.unwrap().0.port
    }

    #[test]
    fn ports_rise_skip_taken_ones_and_come_back_late() {
        let foreign = bind(SocketAddr::new(own(1).into(), 42_001)).unwrap();
        let endpoints = ports(own(1), 4);
        let lease = |name: &str| endpoints.lease(&cluster(name), |key| key == "h:42002");
        // The sockets of the leases are closed at once: only the leases keep them.
        assert_eq!(port(lease("a")), 42_000);
        assert_eq!(port(lease("b")), 42_003);
        assert!(matches!(lease("c"), Err(LeaseError::Exhausted(4))));
        assert!(endpoints.give_back("h:42000") && !endpoints.give_back("h:42000"));
        assert_eq!(port(lease("c")), 42_000);
        drop(foreign);
        assert_eq!(port(lease("d")), 42_001);
        assert!(lease("e").is_err());
        assert_eq!(endpoints.leased(), 3);
    }

    #[test]
    fn an_address_that_is_not_ours_is_told() {
        let endpoints = endpoints(Addressing::Port {
            host: "h".into(),
            listen: [192, 0, 2, 1].into(),
            ports: 42_000..=42_001,
        });
        let error = endpoints.lease(&cluster("a"), |_| false).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:42000"), "{error}");
        assert_eq!(endpoints.leased(), 0);
    }

    #[test]
    fn addresses_are_those_of_hosts() {
        let endpoints = endpoints(Addressing::Address {
            network: own(4),
            length: 30,
            port: 42_000,
        });
        let lease = |name: &str| endpoints.lease(&cluster(name), |_| false);
        assert_eq!(lease("a").unwrap().0.to_string(), format!("{}:42000", own(5)));
        assert_eq!(lease("b").unwrap().0.to_string(), format!("{}:42000", own(6)));
        assert!(matches!(lease("c"), Err(LeaseError::Exhausted(2))));
    }

    #[test]
    fn names_belong_to_one_cluster() {
        let endpoints = endpoints(Addressing::Name {
            domain: "example.test".into(),
            listen: [127, 0, 0, 1].into(),
            port: 6443,
        });
        let lease = |namespace, name| endpoints.lease(&ClusterName::new(namespace, name).unwrap(), |_| false);
        let (endpoint, opening) = lease("one", "c").unwrap();
        assert_eq!(endpoint.to_string(), "c.example.test:6443");
        assert!(matches!(opening, Opening::Name(name) if &*name == "c.example.test"));
        // The same name in another namespace, whose own name may be taken too.
        let (other, opening) = lease("two", "c").unwrap();
        assert_eq!(other.to_string(), "c.two.example.test:6443");
        assert!(matches!(opening, Opening::Name(name) if &*name == "c.two.example.test"));
        lease("three", "c.four").unwrap();
        assert!(matches!(lease("four", "c"), Err(LeaseError::NameTaken(_))));
        assert!(endpoints.give_back("c.example.test:6443"));
        assert_eq!(lease("four", "c").unwrap().0.to_string(), "c.example.test:6443");
    }

    #[test]
    fn endpoints_of_user_data_are_recognised() {
        let named = endpoints(Addressing::Name {
            domain: "example.test".into(),
            listen: [127, 0, 0, 1].into(),
            port: 6443,
        });
        let name = |text: &str| match named.opening(&text.parse().unwrap()).unwrap() {
            Some(Opening::Name(name)) => Some(name.to_string()),
            Some(Opening::Sockets(_)) | None => None,
        };
        assert_eq!(name("C.Example.Test:6443").as_deref(), Some("c.example.test"));
        for elsewhere in [
            "example.test:6443",
            "cexample.test:6443",
            "c.example.test:443",
            "10.0.0.1:6443",
        ] {
            assert_eq!(name(elsewhere), None, "{elsewhere}");
        }
        let by_port = ports(own(2), 1);
        // Behind a proxy, what clients are told is not what is listened on; any of its ports will do.
        match by_port.opening(&"h:42100".parse().unwrap()).unwrap() {
            Some(Opening::Sockets(sockets)) => {
                assert_eq!(
                    sockets[0].local_addr().unwrap(),
                    SocketAddr::new(own(2).into(), 42_100)
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(
            by_port
                .opening(&"other:42000".parse().unwrap())
                .unwrap()
                .is_none()
        );
    }
}
