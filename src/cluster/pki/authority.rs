//! Certificate authorities, and what they sign.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{PkiError, PrivateKey};

/// Time a new authority is valid for (kubernetes: `cmd/kubeadm/app/constants`, `CACertificateValidityPeriod`: ten years).
const AUTHORITY_DAYS: i64 = 3650;
/// Time that a certificate reaches back, for clocks that are not quite the same (`CertificateNotBefore`).
const SKEW: chrono::Duration = chrono::Duration::minutes(5);

/// A certificate authority: its certificate, and its key if that is known.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The first is the one that signs; others are trusted as well.
    certificates: Box<[CertificateDer<'static>]>,
    key: Option<PrivateKey>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKey,
    /// The certificate as PEM.
    pub pem: String,
}

/// What a serving certificate is for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerNames {
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

impl ServerNames {
    /// The names of an API server (kubernetes: `cmd/kubeadm/app/util/pkiutil`, `GetAPIServerAltNames`): those of the Service
    /// `kubernetes` with its address, and `more`: node names, the control-plane endpoint, `certSANs`; names or addresses.
    #[must_use]
    pub fn api_server<'a>(
        dns_domain: &str,
        service: Option<IpAddr>,
        more: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut names = Self::default();
        for name in ["kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
            names.add(name);
        }
        names.add(&format!("kubernetes.default.svc.{dns_domain}"));
        names.addresses.extend(service);
        for name in more {
            names.add(name);
        }
        names
    }

    /// Adds a name or an address, once.
    pub fn add(&mut self, host: &str) {
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !self.addresses.contains(&address) => self.addresses.push(address),
            Err(_) if !host.is_empty() && !self.dns.iter().any(|name| name == host) => {
                self.dns.push(host.to_owned());
            }
            _ => {}
        }
    }
}

fn offset(time: DateTime<Utc>) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

impl Authority {
    /// Reads an authority from PEM: its certificate (or several, then the first one signs) and its key, if it is known.
    ///
    /// # Errors
    /// Texts that cannot be read, or that do not belong together.
    pub fn from_pem(certificate: &str, key: Option<&str>) -> Result<Self, PkiError> {
        let certificates = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PkiError::Certificate(error.to_string().into()))?;
        let first = certificates.first().ok_or(PkiError::NoPem("certificate"))?;
        let (_, parsed) = X509Certificate::from_der(first)
            .map_err(|error| PkiError::Certificate(error.to_string().into()))?;
        let key = key.map(PrivateKey::from_pem).transpose()?;
        if let Some(key) = &key
            && key.public_info()? != parsed.public_key().raw
        {
            return Err(PkiError::Mismatch);
        }
        Ok(Self {
            certificates: certificates.into(),
            key,
        })
    }

    /// A new one as kubeadm makes it, but on P-256.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(common_name: &str, now: DateTime<Utc>) -> Result<Self, PkiError> {
        let key = PrivateKey::generate()?;
        let mut params = CertificateParams::new([common_name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        params.not_before = offset(now - SKEW);
        params.not_after = offset(now + chrono::Duration::days(AUTHORITY_DAYS));
        let certificate = params.self_signed(&key.pair()?)?;
        Ok(Self {
            certificates: [certificate.der().clone()].into(),
            key: Some(key),
        })
    }

    /// The certificates as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificates
            .iter()
            .map(|certificate| super::pem::encode("CERTIFICATE", certificate))
            .collect()
    }

    /// The key, if it is known.
    #[must_use]
    pub const fn key(&self) -> Option<&PrivateKey> {
        self.key.as_ref()
    }

    /// The trusted certificates; the first is the one that signs.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// A serving certificate; `kube-apiserver` is the name that Cluster API looks for.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate, or an authority without key.
    pub fn issue_server(
        &self,
        common_name: &str,
        names: &ServerNames,
        now: DateTime<Utc>,
        validity: chrono::Duration,
    ) -> Result<Issued, PkiError> {
        let mut params = CertificateParams::new(names.dns.clone())?;
        params
            .subject_alt_names
            .extend(names.addresses.iter().map(|address| SanType::IpAddress(*address)));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, common_name, &[], now, validity)
    }

    /// A client certificate for a user and groups.
    ///
    /// # Errors
    /// More than one group (which the maker of certificates cannot write), or an authority without key.
    pub fn issue_client(
        &self,
        user: &str,
        groups: &[&str],
        now: DateTime<Utc>,
        validity: chrono::Duration,
    ) -> Result<Issued, PkiError> {
        if groups.len() > 1 {
            return Err(PkiError::Certificate("at most one group".into()));
        }
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, user, groups, now, validity)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        organizations: &[&str],
        now: DateTime<Utc>,
        validity: chrono::Duration,
    ) -> Result<Issued, PkiError> {
        let signer = self.key.as_ref().ok_or(PkiError::NoKey)?;
        let authority = self.certificates.first().ok_or(PkiError::NoPem("certificate"))?;
        let issuer = Issuer::from_ca_cert_der(authority, signer.pair()?)?;
        let key = PrivateKey::generate()?;
        params.distinguished_name = DistinguishedName::new();
        for organization in organizations {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *organization);
        }
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.use_authority_key_identifier_extension = true;
        params.not_before = offset(now - SKEW);
        params.not_after = offset(now.checked_add_signed(validity).unwrap_or(now));
        let certificate: Certificate = params.signed_by(&key.pair()?, &issuer)?;
        Ok(Issued {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        })
    }

    /// SHA-256 of the public key, `sha256:` and hexadecimal: what `caCertHashes` of a join names.
    ///
    /// # Errors
    /// A certificate that cannot be read.
    pub fn public_key_hash(&self) -> Result<String, PkiError> {
        let first = self.certificates.first().ok_or(PkiError::NoPem("certificate"))?;
        let (_, parsed) = X509Certificate::from_der(first)
            .map_err(|error| PkiError::Certificate(error.to_string().into()))?;
        Ok(format!(
            "sha256:{}",
            super::peer::hexadecimal(parsed.public_key().raw)
        ))
    }
}
