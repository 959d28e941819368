//! What kubeadm would do on a system, from the files and commands that its user data give it.
//!
//! Cluster API writes the documents and the certificates as files and calls kubeadm in a command (cluster-api:
//! `bootstrap/kubeadm/internal/cloudinit`, `.../ignition/clc`). Which file is read, and for what, is in the command.

mod call;
mod documents;

use std::collections::BTreeMap;

use metalsim_actors::node::bmc::Secret;
use metalsim_actors::node::os::description::{CommandStage, MetaData};
use metalsim_actors::node::os::intent::{
    Discovery, Etcd, Init, Intent, JoinControlPlane, JoinWorker, KeyPair, NodeRegistration, Pki, Role,
};

use self::call::{Call, Verb};
use self::documents::Documents;
use super::user_data::jinja_missing;

/// Where certificates are unless the `ClusterConfiguration` says otherwise.
pub(super) const CERTIFICATES_DIR: &str = "/etc/kubernetes/pki";

/// By this label Metal3 finds the node of a host (cluster-api-provider-metal3: `docs/deployment_workflow.md`).
const UUID_LABEL: &str = "metal3.io/uuid";

/// The files of a system by path, as they are after all were written.
#[derive(Default)]
pub struct FileTree(BTreeMap<Box<str>, Vec<u8>>);

impl FileTree {
    /// Writes a file, or adds to it.
    pub fn write(&mut self, path: &str, content: &[u8], append: bool) {
        let file = self.0.entry(path.into()).or_default();
        if !append {
            file.clear();
        }
        file.extend_from_slice(content);
    }

    /// A file's text.
    fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.0.get(path)?).ok()
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }
}

/// What the system is for.
#[must_use]
pub fn intent(files: &FileTree, commands: &[(CommandStage, String)], meta_data: &MetaData) -> Intent {
    let Some(call) = call::find(files, commands) else {
        return Intent::Standalone {
            reason: "no command calls kubeadm init or kubeadm join".into(),
        };
    };
    let role = match call.verb {
        Verb::Init => Role::Init,
        Verb::Join => Role::JoinWorker,
    };
    let documents = match config(files, &call) {
        Ok(documents) => documents,
        Err(missing) => {
            return Intent::Incomplete {
                role,
                missing: [missing].into(),
            };
        }
    };
    let mut missing = documents.problems.clone();
    let intent = match call.verb {
        Verb::Init => init(files, documents, meta_data, &mut missing),
        Verb::Join => join(files, documents, meta_data, &mut missing),
    };
    match intent {
        Ok(intent) if missing.is_empty() => intent,
        Ok(intent) => Intent::Incomplete {
            role: match intent {
                Intent::Init(_) => Role::Init,
                Intent::JoinControlPlane(_) => Role::JoinControlPlane,
                _ => Role::JoinWorker,
            },
            missing: missing.into(),
        },
        Err(role) => Intent::Incomplete {
            role,
            missing: missing.into(),
        },
    }
}

/// The documents that the call names.
fn config(files: &FileTree, call: &Call) -> Result<Documents, Box<str>> {
    let path = call
        .config
        .as_deref()
        .ok_or("kubeadm is called without --config")?;
    let text = files
        .text(path)
        .ok_or_else(|| format!("{path}: the file that kubeadm is called with was not written"))?;
    Ok(documents::read(path, text))
}

fn init(
    files: &FileTree,
    documents: Documents,
    meta_data: &MetaData,
    missing: &mut Vec<Box<str>>,
) -> Result<Intent, Role> {
    let cluster = documents.cluster.unwrap_or_else(documents::default_cluster);
    let init = documents.init.unwrap_or_default();
    let pki = pki(files, Some(&cluster.certificates_dir), missing);
    check_keys(&pki, cluster.etcd == Etcd::Local, missing);
    Ok(Intent::Init(Box::new(Init {
        node: named(init.node, meta_data, missing),
        local: init.local,
        bootstrap_tokens: init.tokens.into(),
        other_documents: documents.others.into(),
        pki,
        cluster,
    })))
}

fn join(
    files: &FileTree,
    documents: Documents,
    meta_data: &MetaData,
    missing: &mut Vec<Box<str>>,
) -> Result<Intent, Role> {
    let Some(join) = documents.join else {
        missing.push("no JoinConfiguration".into());
        return Err(Role::JoinWorker);
    };
    let role = if join.control_plane.is_some() {
        Role::JoinControlPlane
    } else {
        Role::JoinWorker
    };
    let node = named(join.node, meta_data, missing);
    let discovery = discovery(files, join.discovery, missing).ok_or(role)?;
    Ok(match join.control_plane {
        Some(local) => {
            let pki = pki(files, None, missing);
            if pki.cluster_ca.is_none() {
                missing.push(
                    format!("{CERTIFICATES_DIR}/ca.crt: a control plane needs the cluster's CA").into(),
                );
            }
            // A join does not name its etcd; a client certificate is written for an external one only.
            check_keys(&pki, pki.etcd_client.is_none(), missing);
            Intent::JoinControlPlane(Box::new(JoinControlPlane {
                discovery,
                node,
                local,
                pki,
            }))
        }
        None => Intent::JoinWorker(Box::new(JoinWorker { discovery, node })),
    })
}

fn discovery(
    files: &FileTree,
    given: documents::GivenDiscovery,
    missing: &mut Vec<Box<str>>,
) -> Option<Discovery> {
    match given.resolve(|path| files.text(path)) {
        Ok(discovery) => Some(discovery),
        Err(reasons) => {
            missing.extend(reasons);
            None
        }
    }
}

/// A node registration whose name, if it was not rendered, falls back on the meta data: Ignition renders nothing.
fn named(mut node: NodeRegistration, meta_data: &MetaData, missing: &mut Vec<Box<str>>) -> NodeRegistration {
    let unrendered = |name: &str| ["{{", "${", "$("].iter().any(|mark| name.contains(mark));
    if node.name.as_deref().is_some_and(unrendered) {
        node.name = meta_data
            .name
            .clone()
            .or_else(|| meta_data.local_hostname.clone());
    }
    // Nothing renders these either: what the meta data know is taken from there, the rest is left out.
    if node.provider_id.as_deref().is_some_and(unrendered) {
        node.provider_id = meta_data
            .provider_id
            .as_deref()
            .map(|id| format!("metal3://{id}").into());
    }
    if let (Some(uuid), Some(label)) = (&meta_data.uuid, node.labels.get_mut(UUID_LABEL))
        && unrendered(label)
    {
        label.clone_from(uuid);
    }
    node.labels.retain(|_, value| !unrendered(value));
    let texts = node
        .name
        .iter()
        .chain(node.provider_id.iter())
        .chain(node.labels.values());
    for variable in texts.filter_map(|text| jinja_missing(text)) {
        missing.push(
            format!("nodeRegistration uses the variable {variable}, which meta_data.json lacks").into(),
        );
    }
    node
}

/// The certificates and keys that were written.
fn pki(files: &FileTree, folder: Option<&str>, missing: &mut Vec<Box<str>>) -> Pki {
    let folder = folder
        .or_else(|| found_folder(files))
        .unwrap_or(CERTIFICATES_DIR)
        .trim_end_matches('/');
    let mut pair = |public: &str, private: &str| {
        let read = |name: &str| files.text(&format!("{folder}/{name}"));
        let (public_text, private_text) = (read(public), read(private));
        for (name, text) in [(public, public_text), (private, private_text)] {
            if text.is_some_and(|text| !text.contains("-----BEGIN ")) {
                missing.push(format!("{folder}/{name} holds no PEM").into());
            }
        }
        Some(KeyPair {
            public: public_text?.into(),
            private: private_text.map(Secret::new),
        })
    };
    Pki {
        cluster_ca: pair("ca.crt", "ca.key"),
        etcd_ca: pair("etcd/ca.crt", "etcd/ca.key"),
        front_proxy_ca: pair("front-proxy-ca.crt", "front-proxy-ca.key"),
        service_account: pair("sa.pub", "sa.key"),
        etcd_client: pair("apiserver-etcd-client.crt", "apiserver-etcd-client.key"),
    }
}

/// A CA without its key can sign nothing, so no control plane comes up with it.
fn check_keys(pki: &Pki, local_etcd: bool, missing: &mut Vec<Box<str>>) {
    let etcd_ca = pki.etcd_ca.as_ref().filter(|_| local_etcd);
    for (name, pair) in [("ca.key", pki.cluster_ca.as_ref()), ("etcd/ca.key", etcd_ca)] {
        if pair.is_some_and(|pair| pair.private.is_none()) {
            missing.push(format!("{name}: the CA's certificate was written without its key").into());
        }
    }
}

/// A join does not say where certificates are; they are where `sa.key` was written.
fn found_folder(files: &FileTree) -> Option<&str> {
    files.paths().find_map(|path| path.strip_suffix("/sa.key"))
}
