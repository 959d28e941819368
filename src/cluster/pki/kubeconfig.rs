//! Kubeconfig files as kubeadm writes them.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Authority, Issued, PkiError};

/// A kubeconfig with one cluster and one user with a client certificate
/// (kubernetes: `cmd/kubeadm/app/util/kubeconfig`, `client-go/tools/clientcmd/api/v1`).
#[derive(Clone)]
pub struct Kubeconfig {
    /// Name of the cluster, `kubernetes`.
    pub cluster: String,
    /// `https://HOST:PORT`.
    pub server: String,
    /// Name of the user, `kubernetes-admin`.
    pub user: String,
    authority: String,
    certificate: String,
    key: String,
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("cluster", &self.cluster)
            .field("server", &self.server)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Kubeconfig {
    /// A kubeconfig for the owner of a client certificate.
    ///
    /// # Errors
    /// Never for a certificate that was issued here.
    pub fn new(
        cluster: &str,
        server: &str,
        user: &str,
        authority: &Authority,
        client: &Issued,
    ) -> Result<Self, PkiError> {
        Ok(Self {
            cluster: cluster.to_owned(),
            server: server.to_owned(),
            user: user.to_owned(),
            authority: authority.pem(),
            certificate: client.pem.clone(),
            key: client.key.to_pem()?,
        })
    }

    /// The file as YAML. It is a secret.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let context = scalar(&format!("{}@{}", self.user, self.cluster));
        let (cluster, user) = (scalar(&self.cluster), scalar(&self.user));
        let data = |text: &str| STANDARD.encode(text);
        let mut yaml = String::new();
        // Writing to a text cannot fail.
        let _ = write!(
            yaml,
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {}\n  name: {cluster}\n\
             contexts:\n- context:\n    cluster: {cluster}\n    user: {user}\n  name: {context}\n\
             current-context: {context}\nkind: Config\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    \
             client-key-data: {}\n",
            data(&self.authority),
            scalar(&self.server),
            data(&self.certificate),
            data(&self.key),
        );
        yaml
    }
}

/// A text as a YAML scalar: bare where that is safe, otherwise in the quotes of JSON, which YAML understands.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if starts && !word && !text.ends_with(':') && text.chars().all(plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// Writes a file that only its owner may read (0600), whole or not at all: it takes the place of an older one when it is complete.
///
/// # Errors
/// What the file system says.
pub fn write_private(path: &Path, content: impl AsRef<[u8]>) -> Result<(), PkiError> {
    let failed = |source| PkiError::File {
        path: path.display().to_string().into(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let scratch = folder.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        // One that an earlier process left may have other rights.
        match std::fs::remove_file(&scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&scratch)?;
        file.write_all(content.as_ref())?;
        file.sync_all()?;
        std::fs::rename(&scratch, path)
    };
    write().map_err(|error| {
        drop(std::fs::remove_file(&scratch));
        failed(error)
    })
}
