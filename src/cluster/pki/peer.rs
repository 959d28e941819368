//! Who a client certificate stands for.

use chrono::{DateTime, Utc};
use metalsim_actors::kube::auth::UserInfo;
use rustls::pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext,
};
use x509_parser::der_parser::{Oid, oid};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Authority;
use super::server::provider;

/// Attribute of a subject that holds the uid of the user (kubernetes: `apimachinery/pkg/apis/asn1/oid.go`).
const UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

/// A client that showed a certificate of the cluster's authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The user.
    pub user: UserInfo,
    /// When the certificate, or one above it, stops being valid: a connection may live longer.
    pub not_after: DateTime<Utc>,
}

/// Why a client certificate identifies nobody. The real server answers 401 to it, whatever else the request carries.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeerError {
    /// A certificate that cannot be read.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// It was not issued by the authority, is not valid at this time, or not for clients.
    #[error("x509: {0}")]
    Untrusted(Box<str>),
    /// The uid stands in it more than once, or is empty.
    #[error("the client certificate has no single uid")]
    Uid,
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Certificates without the extension are for everything, as for Go; those with it have to name client authentication
/// or any purpose (RFC 5280, 4.2.1.12).
struct ClientOrAny;

impl ExtendedKeyUsageValidator for ClientOrAny {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        const ANY: &[usize] = &[2, 5, 29, 37, 0];
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?.to_decoded_oid();
            if purpose == KeyUsage::CLIENT_AUTH_REPR || purpose == ANY {
                return Ok(());
            }
            present.push(purpose);
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = KeyUsage::client_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(
            RequiredEkuNotFoundContext { required, present },
        ))
    }
}

fn untrusted(error: impl std::fmt::Display) -> PeerError {
    PeerError::Untrusted(error.to_string().into())
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PeerError> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|_| PeerError::Unreadable)
}

impl Authority {
    /// Who the certificate chain of a client stands for; the first is the client's own. `None` when its subject has no
    /// common name: then it says nothing (kubernetes: `apiserver/pkg/authentication/request/x509`).
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn authenticate(
        &self,
        chain: &[CertificateDer<'_>],
        now: DateTime<Utc>,
    ) -> Result<Option<Peer>, PeerError> {
        let Some((own, intermediates)) = chain.split_first() else {
            return Ok(None);
        };
        let second = u64::try_from(now.timestamp()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(second));
        let entity = EndEntityCert::try_from(own).map_err(|_| PeerError::Unreadable)?;
        let anchors: Vec<_> = self
            .certificates()
            .iter()
            .filter_map(|certificate| {
                Some((certificate, webpki::anchor_from_trusted_cert(certificate).ok()?))
            })
            .collect();
        // Of a trust anchor only name and key are looked at, but the real server wants it to be valid, too.
        let valid = |certificate: &CertificateDer<'_>| {
            let parsed = parsed(certificate).ok()?;
            let validity = parsed.validity();
            let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
            (from..=to).contains(&now.timestamp()).then_some(to)
        };
        let mut not_after = i64::MAX;
        let mut usable = Vec::new();
        for (certificate, anchor) in &anchors {
            if let Some(end) = valid(certificate) {
                not_after = not_after.min(end);
                usable.push(anchor.clone());
            }
        }
        if usable.is_empty() {
            return Err(untrusted(
                "the certificate of the authority is not valid at this time",
            ));
        }
        entity
            .verify_for_usage(
                provider().signature_verification_algorithms.all,
                &usable,
                intermediates,
                time,
                ClientOrAny,
                None,
                None,
            )
            .map_err(untrusted)?;
        let own_parsed = parsed(own)?;
        not_after = not_after.min(own_parsed.validity().not_after.timestamp());
        let Some(user) = user_of(own, &own_parsed)? else {
            return Ok(None);
        };
        let not_after = DateTime::from_timestamp(not_after, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Ok(Some(Peer { user, not_after }))
    }
}

fn user_of(own: &CertificateDer<'_>, parsed: &X509Certificate<'_>) -> Result<Option<UserInfo>, PeerError> {
    let subject = parsed.subject();
    // Go takes the last common name where there are several.
    let name = subject
        .iter_common_name()
        .filter_map(|attribute| attribute.as_str().ok())
        .last()
        .unwrap_or("");
    let organizations = subject
        .iter_organization()
        .filter_map(|attribute| attribute.as_str().ok().map(str::to_owned));
    let uids: Vec<&str> = subject
        .iter_by_oid(&UID)
        .map(|attribute| attribute.as_str().unwrap_or(""))
        .collect();
    let uid = match uids.as_slice() {
        [] => "",
        [uid] if !uid.is_empty() => uid,
        _ => return Err(PeerError::Uid),
    };
    Ok(UserInfo::from_certificate(
        name,
        organizations,
        uid,
        &hexadecimal(own),
    ))
}
