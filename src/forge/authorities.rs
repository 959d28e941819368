//! The key pairs of a cluster that every control plane is given (cluster-api: `util/secret/certificates.go`).

use chrono::{DateTime, Utc};
use metalsim_actors::node::bmc::Secret;
use serde::{Deserialize, Serialize};

use super::ForgeError;
use crate::cluster::pki::{Authority, PkiError, PrivateKey};

/// Common name of all three authorities (cluster-api: `util/secret/certificates.go`, `generateCACert`).
const COMMON_NAME: &str = "kubernetes";

/// A certificate or public key with its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// PEM of the certificate or of the public key.
    pub public: Box<str>,
    /// PEM of the private key: PKCS#1, SEC 1 or PKCS#8.
    pub private: Secret,
}

/// The cluster's CA, etcd's, that of the front proxy, and the pair that signs tokens of service accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// Signs certificates of the API server and of its clients.
    pub cluster: Pair,
    /// Signs certificates of etcd's members and clients.
    pub etcd: Pair,
    /// Signs certificates of the API server as a proxy.
    pub front_proxy: Pair,
    /// Signs tokens of service accounts.
    pub service_account: Pair,
}

/// The pairs as they are kept. Unlike [`Pair`] it shows what it holds, so it does not leave this module but as text.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Kept {
    ca: KeptPair,
    etcd: KeptPair,
    front_proxy: KeptPair,
    service_account: KeptPair,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptPair {
    public: String,
    private: String,
}

impl Pair {
    fn authority(now: DateTime<Utc>) -> Result<Self, PkiError> {
        let authority = Authority::generate(COMMON_NAME, now)?;
        let key = authority.key().ok_or(PkiError::NoKey)?.to_older_pem()?;
        Ok(Self {
            public: authority.pem().into(),
            private: Secret::new(&key),
        })
    }

    fn service_account() -> Result<Self, PkiError> {
        let key = PrivateKey::generate()?;
        Ok(Self {
            public: key.public_pem()?.into(),
            private: Secret::new(&key.to_older_pem()?),
        })
    }

    fn read(kept: KeptPair) -> Self {
        Self {
            public: kept.public.into(),
            private: Secret::new(&kept.private),
        }
    }

    fn keep(&self) -> KeptPair {
        KeptPair {
            public: self.public.to_string(),
            private: self.private.expose().to_owned(),
        }
    }

    fn open(&self) -> Result<Authority, PkiError> {
        Authority::from_pem(&self.public, Some(self.private.expose()))
    }
}

impl Authorities {
    /// New ones, on P-256, valid for ten years.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(now: DateTime<Utc>) -> Result<Self, ForgeError> {
        Ok(Self {
            cluster: Pair::authority(now)?,
            etcd: Pair::authority(now)?,
            front_proxy: Pair::authority(now)?,
            service_account: Pair::service_account()?,
        })
    }

    /// Checks that keys and certificates can be read and belong together.
    pub(super) fn read(kept: Kept) -> Result<Self, ForgeError> {
        let read = Self {
            cluster: Pair::read(kept.ca),
            etcd: Pair::read(kept.etcd),
            front_proxy: Pair::read(kept.front_proxy),
            service_account: Pair::read(kept.service_account),
        };
        let authorities = [
            ("ca.crt", &read.cluster),
            ("etcd/ca.crt", &read.etcd),
            ("front-proxy-ca.crt", &read.front_proxy),
        ];
        for (name, pair) in authorities {
            pair.open().map_err(|source| ForgeError::Pair { name, source })?;
        }
        let key = PrivateKey::from_pem(read.service_account.private.expose());
        key.and_then(|key| match key.public_pem()? == *read.service_account.public {
            true => Ok(()),
            false => Err(PkiError::Mismatch),
        })
        .map_err(|source| ForgeError::Pair {
            name: "sa.pub",
            source,
        })?;
        Ok(read)
    }

    pub(super) fn keep(&self) -> Kept {
        Kept {
            ca: self.cluster.keep(),
            etcd: self.etcd.keep(),
            front_proxy: self.front_proxy.keep(),
            service_account: self.service_account.keep(),
        }
    }

    /// The cluster's CA, ready to sign.
    ///
    /// # Errors
    /// Never for pairs that were made or read here.
    pub fn cluster_authority(&self) -> Result<Authority, PkiError> {
        self.cluster.open()
    }

    /// What a joining node knows the cluster by: `sha256:` and the hash of the CA's `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// Never for pairs that were made or read here.
    pub fn ca_cert_hash(&self) -> Result<String, PkiError> {
        self.cluster.open()?.public_key_hash()
    }

    /// Paths below the folder of certificates with what they hold, and whether that is private, in Cluster API's order
    /// (cluster-api: `util/secret/certificates.go`, `AsFiles`).
    #[must_use]
    pub fn files(&self) -> [(&'static str, &str, bool); 8] {
        let (ca, etcd) = (&self.cluster, &self.etcd);
        let (proxy, account) = (&self.front_proxy, &self.service_account);
        [
            ("ca.crt", &ca.public, false),
            ("ca.key", ca.private.expose(), true),
            ("etcd/ca.crt", &etcd.public, false),
            ("etcd/ca.key", etcd.private.expose(), true),
            ("front-proxy-ca.crt", &proxy.public, false),
            ("front-proxy-ca.key", proxy.private.expose(), true),
            ("sa.pub", &account.public, false),
            ("sa.key", account.private.expose(), true),
        ]
    }
}
