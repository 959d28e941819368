//! Who a cluster is, and whom it knows: its authority, the key of its tokens, its version.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use metalsim_actors::kube::auth::{UserInfo, Verified};
use metalsim_actors::kube::status::{Reason, Status};
use metalsim_actors::kube::store::Store;
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::ClusterRef;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use uuid::Uuid;

use super::pki::{Authority, Peer, PeerError, PkiError, PrivateKey, SignedToken, TokenIssuer, verify_bearer};
use crate::clock;

/// Issuer of service-account tokens: what kubeadm gives to `--service-account-issuer`.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// What an API server needs to know whom it talks to. Certificates and tokens are checked against the machine's clock, not the
/// simulated one: their owners are real programs, which renew them by theirs.
pub struct Identity {
    authority: Authority,
    tokens: TokenIssuer,
    version: RwLock<Arc<KubernetesVersion>>,
    seed: Seed,
    issued: AtomicU64,
}

impl Identity {
    /// An identity. `authority` signs and checks client certificates, `token_key` the tokens of service accounts.
    ///
    /// # Errors
    /// A key that cannot be used.
    pub fn new(
        authority: Authority,
        token_key: PrivateKey,
        version: KubernetesVersion,
        seed: Seed,
    ) -> Result<Self, PkiError> {
        Ok(Self {
            authority,
            tokens: TokenIssuer::new(token_key, ISSUER)?,
            version: RwLock::new(Arc::new(version)),
            seed: seed.child("token ids"),
            issued: AtomicU64::new(0),
        })
    }

    /// The authority of the cluster.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Issues and checks tokens.
    #[must_use]
    pub const fn tokens(&self) -> &TokenIssuer {
        &self.tokens
    }

    /// The version of Kubernetes.
    #[must_use]
    pub fn version(&self) -> Arc<KubernetesVersion> {
        Arc::clone(&self.version.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The API server was upgraded.
    pub fn set_version(&self, version: KubernetesVersion) {
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(version);
    }

    /// Who showed this chain of certificates.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<Option<Peer>, PeerError> {
        self.authority.authenticate(chain, clock::wall())
    }

    /// Whose token this is. `known`: a token whose signature was found to hold before; the same again is not looked at, another takes its
    /// place.
    ///
    /// # Errors
    /// 401: nobody's, or it does not hold any more.
    pub fn token_user(
        &self,
        cluster: &ClusterRef,
        token: &str,
        known: &RefCell<Option<Rc<SignedToken>>>,
    ) -> Result<UserInfo, Status> {
        let same = known.borrow().clone().filter(|known| known.is(token));
        let signed = match same {
            Some(signed) => Some(signed),
            None => self.tokens.open(token).map_err(|_| unauthorized())?.map(Rc::new),
        };
        let Some(signed) = signed else {
            return match cluster.read(|cluster| self.verify(&cluster.store, token, &[])) {
                Ok(Some(verified)) => Ok(verified.user),
                Ok(None) | Err(_) => Err(unauthorized()),
            };
        };
        let verified = cluster.read(|cluster| self.tokens.check(&cluster.store, &signed, &[], clock::wall()));
        known.replace(Some(signed));
        verified.map(|verified| verified.user).map_err(|_| unauthorized())
    }

    /// Checks a token for these audiences; none: the API server.
    ///
    /// # Errors
    /// Why a token of this cluster does not hold.
    pub fn verify(
        &self,
        store: &Store,
        token: &str,
        audiences: &[String],
    ) -> Result<Option<Verified>, String> {
        verify_bearer(&self.tokens, store, token, audiences, clock::wall())
    }

    /// Answers a TokenRequest.
    ///
    /// # Errors
    /// See [`TokenIssuer::token_request`].
    pub fn token_request(
        &self,
        store: &Store,
        namespace: &str,
        account: &str,
        body: &Value,
    ) -> Result<Value, Status> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let seed = self.seed.indexed(number);
        let id = uuid::Builder::from_random_bytes(
            (u128::from(seed.value()) << 64 | u128::from(seed.child("low").value())).to_be_bytes(),
        )
        .into_uuid();
        let id: Uuid = id;
        self.tokens
            .token_request(store, namespace, account, body, clock::wall(), id)
    }

    /// The time by which certificates and tokens are checked.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        clock::wall()
    }
}

/// 401, which says nothing of the reason.
#[must_use]
pub fn unauthorized() -> Status {
    Status::failure(Reason::Unauthorized, "Unauthorized")
}
