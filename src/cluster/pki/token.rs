//! Service-account tokens: JSON Web Tokens signed with the cluster's service-account key
//! (kubernetes: `pkg/serviceaccount`, `pkg/registry/core/serviceaccount/storage/token.go`).

mod request;
mod verify;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{KeyKind, PkiError, PrivateKey};

pub use verify::{SignedToken, verify_bearer};

/// Issuer of tokens that stand in Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// Signs and verifies the service-account tokens of one cluster.
#[derive(Clone)]
pub struct TokenIssuer {
    key: PrivateKey,
    /// As ring takes it: PKCS#1 for RSA, a point otherwise.
    public: Box<[u8]>,
    key_id: Box<str>,
    issuer: Box<str>,
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("issuer", &self.issuer)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// A thing that a token speaks of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Reference {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
}

/// The claim `kubernetes.io`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Bound {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    serviceaccount: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warnafter: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    kid: String,
}

impl TokenIssuer {
    /// An issuer with this key and name, `https://kubernetes.default.svc.cluster.local`.
    ///
    /// # Errors
    /// A key that cannot be used.
    pub fn new(key: PrivateKey, issuer: &str) -> Result<Self, PkiError> {
        let public = key.pair()?.public_key_raw().into();
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_info()?));
        Ok(Self {
            key,
            public,
            key_id: key_id.into(),
            issuer: issuer.into(),
        })
    }

    /// The name of the issuer, and the audience of tokens for the API server.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    fn algorithm(&self) -> &'static str {
        match self.key.kind() {
            KeyKind::Rsa => "RS256",
            KeyKind::P256 => "ES256",
            KeyKind::P384 => "ES384",
        }
    }

    /// A signed token with these claims.
    fn sign(&self, claims: &Value) -> Result<String, PkiError> {
        let header = Header {
            alg: self.algorithm().to_owned(),
            kid: self.key_id.to_string(),
        };
        let header = serde_json::to_vec(&header).map_err(|_| PkiError::Sign)?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let random = SystemRandom::new();
        let curve = match self.key.kind() {
            KeyKind::Rsa => {
                let pair = RsaKeyPair::from_pkcs8(self.key.pkcs8()).map_err(|_| PkiError::Sign)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| PkiError::Sign)?;
                return Ok(signature);
            }
            KeyKind::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            KeyKind::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        let pair = EcdsaKeyPair::from_pkcs8(curve, self.key.pkcs8(), &random).map_err(|_| PkiError::Sign)?;
        let signature = pair.sign(&random, message).map_err(|_| PkiError::Sign)?;
        Ok(signature.as_ref().to_vec())
    }

    fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.key.kind() {
            KeyKind::Rsa => &RSA_PKCS1_2048_8192_SHA256,
            KeyKind::P256 => &ECDSA_P256_SHA256_FIXED,
            KeyKind::P384 => &ECDSA_P384_SHA384_FIXED,
        };
        UnparsedPublicKey::new(algorithm, &self.public)
            .verify(message, signature)
            .is_ok()
    }

    /// The document at `/openid/v1/jwks`, of the media type `application/jwk-set+json`.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn key_set(&self) -> Result<Value, PkiError> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = json!({"use": "sig", "kid": &*self.key_id, "alg": self.algorithm()});
        if self.key.kind() == KeyKind::Rsa {
            let pair = RsaKeyPair::from_pkcs8(self.key.pkcs8()).map_err(|_| PkiError::Sign)?;
            let parts: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
            key["kty"] = "RSA".into();
            key["n"] = text(&parts.n).into();
            key["e"] = text(&parts.e).into();
        } else {
            // An uncompressed point: 4, x, y (SEC 1, 2.3.3).
            let point = self.public.get(1..).unwrap_or_default();
            let (x, y) = point.split_at_checked(point.len() / 2).unwrap_or_default();
            key["kty"] = "EC".into();
            key["crv"] = if self.key.kind() == KeyKind::P256 {
                "P-256"
            } else {
                "P-384"
            }
            .into();
            key["x"] = text(x).into();
            key["y"] = text(y).into();
        }
        Ok(json!({"keys": [key]}))
    }

    /// The document at `/.well-known/openid-configuration`; `host` is where the API server is reached, `HOST:PORT`
    /// (kubernetes: `pkg/serviceaccount/openidmetadata.go`).
    #[must_use]
    pub fn openid_configuration(&self, host: &str) -> Value {
        json!({
            "issuer": &*self.issuer,
            "jwks_uri": format!("https://{host}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm()],
        })
    }
}
