//! Serving certificates that no client should accept. Clients are real, so it is the machine's clock by which they are judged.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Duration;
use metalsim_actors::fault::words::BadCertificate;
use rustls::ServerConfig;

use super::pki::{Authority, PkiError, ServerNames};
use super::simulated::CERTIFICATE;
use crate::clock;

/// How long ago a certificate ended that has expired.
const OVER_SINCE: Duration = Duration::hours(1);
/// A name and an address that are nobody's (RFC 2606, RFC 5737).
const ELSEWHERE: (&str, Ipv4Addr) = ("kube-apiserver.elsewhere.invalid", Ipv4Addr::new(192, 0, 2, 1));

/// The bad certificates of a cluster: each kind is made when it is first shown, and kept.
#[derive(Default)]
pub(super) struct BadCertificates(Mutex<BTreeMap<usize, Arc<ServerConfig>>>);

impl BadCertificates {
    /// TLS with a certificate for `names` that is bad in this way.
    pub(super) fn of(
        &self,
        how: BadCertificate,
        authority: &Authority,
        names: &ServerNames,
    ) -> Result<Arc<ServerConfig>, PkiError> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(&(how as usize)) {
            return Ok(Arc::clone(config));
        }
        let config = make(how, authority, names)?;
        made.insert(how as usize, Arc::clone(&config));
        Ok(config)
    }
}

/// The name of an authority that no client knows.
const OTHER_AUTHORITY: &str = "another-ca";

fn make(
    how: BadCertificate,
    authority: &Authority,
    names: &ServerNames,
) -> Result<Arc<ServerConfig>, PkiError> {
    let now = clock::wall();
    let issue = |authority: &Authority, names: &ServerNames, from| {
        authority.issue_server("kube-apiserver", names, from, CERTIFICATE)
    };
    let issued = match how {
        BadCertificate::Expired => issue(authority, names, now - CERTIFICATE - OVER_SINCE),
        BadCertificate::NotYetValid => issue(authority, names, now + CERTIFICATE),
        BadCertificate::WrongName => {
            let mut elsewhere = ServerNames::default();
            elsewhere.add(ELSEWHERE.0);
            elsewhere.addresses.push(IpAddr::V4(ELSEWHERE.1));
            issue(authority, &elsewhere, now)
        }
        BadCertificate::WrongIssuer => issue(&Authority::generate(OTHER_AUTHORITY, now)?, names, now),
    }?;
    authority.server_config(&issued)
}
