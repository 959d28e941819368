//! The keys of a cluster that is not formed by its nodes: given by a call, found in the management cluster, or made.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use super::names::ClusterName;
use super::pki::{Authority, PkiError, PrivateKey};
use crate::clock;

/// The keys of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterKeys {
    /// Signs certificates of the API server and of its clients.
    pub authority: Authority,
    /// Signs certificates of etcd's members and clients.
    pub etcd_authority: Authority,
    /// Signs tokens of service accounts.
    pub token_key: PrivateKey,
}

/// Keys that cannot be used, and which.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct KeyError {
    /// Which.
    pub what: &'static str,
    /// Why.
    pub source: PkiError,
}

impl ClusterKeys {
    /// New keys, on P-256.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, PkiError> {
        let now = clock::wall();
        Ok(Self {
            authority: Authority::generate("kubernetes", now)?,
            etcd_authority: Authority::generate("etcd-ca", now)?,
            token_key: PrivateKey::generate()?,
        })
    }

    /// From PEM: certificate and key of both authorities, and the key of service accounts, which is made if it is not there.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(
        authority: (&str, &str),
        etcd_authority: (&str, &str),
        token_key: Option<&str>,
    ) -> Result<Self, KeyError> {
        let failed = |what| move |source| KeyError { what, source };
        let read = |(certificate, key): (&str, &str)| Authority::from_pem(certificate, Some(key));
        Ok(Self {
            authority: read(authority).map_err(failed("the cluster's authority"))?,
            etcd_authority: read(etcd_authority).map_err(failed("etcd's authority"))?,
            token_key: match token_key {
                Some(pem) => PrivateKey::from_pem(pem),
                None => PrivateKey::generate(),
            }
            .map_err(failed("the key of service accounts"))?,
        })
    }

    /// Whether certificates of one are taken by the other.
    #[must_use]
    pub fn same_authorities(&self, other: &Self) -> bool {
        self.authority.certificates() == other.authority.certificates()
            && self.etcd_authority.certificates() == other.etcd_authority.certificates()
    }
}

/// Keys as a call gives them: PEM in base64, as in the `data` of a Secret (cluster-api-provider-metal3: `hack/fake-apiserver`,
/// `cmd/metal3-fkas/main.go` before September 2024).
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenKeys {
    ca_cert: Option<String>,
    ca_key: Option<String>,
    etcd_cert: Option<String>,
    etcd_key: Option<String>,
}

/// Keys that were given and cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GivenKeysError {
    /// Some are given and others are not.
    #[error("{0} is missing: caCert, caKey, etcdCert and etcdKey are given together or not at all")]
    Missing(&'static str),
    /// No PEM in base64.
    #[error("{0} is no PEM text in base64")]
    NoText(&'static str),
    /// Not what they should be.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl GivenKeys {
    /// The keys; `None` if none were given.
    ///
    /// # Errors
    /// See [`GivenKeysError`].
    pub fn read(&self) -> Result<Option<ClusterKeys>, GivenKeysError> {
        let fields = [
            ("caCert", &self.ca_cert),
            ("caKey", &self.ca_key),
            ("etcdCert", &self.etcd_cert),
            ("etcdKey", &self.etcd_key),
        ];
        let is_there = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !fields.iter().any(|(_, text)| is_there(text)) {
            return Ok(None);
        }
        let text = |(name, text): (&'static str, &Option<String>)| {
            let text = text
                .as_ref()
                .filter(|text| !text.is_empty())
                .ok_or(GivenKeysError::Missing(name))?;
            // Tools break lines, and Go's decoder does not mind.
            let bytes = STANDARD
                .decode(text.split_ascii_whitespace().collect::<String>())
                .map_err(|_| GivenKeysError::NoText(name))?;
            String::from_utf8(bytes).map_err(|_| GivenKeysError::NoText(name))
        };
        let [ca_cert, ca_key, etcd_cert, etcd_key] = fields;
        let (ca_cert, ca_key) = (text(ca_cert)?, text(ca_key)?);
        let (etcd_cert, etcd_key) = (text(etcd_cert)?, text(etcd_key)?);
        let keys = ClusterKeys::from_pem((&ca_cert, &ca_key), (&etcd_cert, &etcd_key), None)?;
        Ok(Some(keys))
    }
}

/// Where keys are looked for that no call gives: the management cluster.
pub trait KeySource: Send + Sync + 'static {
    /// The keys of a cluster; `None` while they are not there.
    ///
    /// # Errors
    /// In words: why nobody can tell.
    fn keys<'a>(&'a self, cluster: &'a ClusterName) -> BoxFuture<'a, Result<Option<ClusterKeys>, String>>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_given_whole_or_not_at_all() {
        let keys = ClusterKeys::generate().unwrap();
        let given = |change: &dyn Fn(&mut serde_json::Value)| {
            let pem = |authority: &Authority| {
                let key = authority.key().unwrap().to_older_pem().unwrap();
                (STANDARD.encode(authority.pem()), STANDARD.encode(key))
            };
            let ((ca_cert, ca_key), (etcd_cert, etcd_key)) =
                (pem(&keys.authority), pem(&keys.etcd_authority));
            let mut value =
                json!({"caCert": ca_cert, "caKey": ca_key, "etcdCert": etcd_cert, "etcdKey": etcd_key});
            change(&mut value);
            serde_json::from_value::<GivenKeys>(value).unwrap().read()
        };
        assert!(given(&|_| ()).unwrap().unwrap().same_authorities(&keys));
        assert!(
            given(&|value| *value = json!({"caCert": null, "caKey": ""}))
                .unwrap()
                .is_none()
        );
        for (change, words) in [
            (&|value: &mut serde_json::Value| value["etcdKey"] = json!(null)) as &dyn Fn(&mut _),
            &|value: &mut serde_json::Value| value["caCert"] = json!("%"),
            &|value: &mut serde_json::Value| value["caKey"] = value["etcdKey"].clone(),
        ]
        .into_iter()
        .zip([
            "etcdKey is missing",
            "caCert is no PEM text",
            "the cluster's authority",
        ]) {
            let error = given(change).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
