//! The two calls of FKAS (cluster-api-provider-metal3: `hack/fake-apiserver/cmd/metal3-fkas/main.go`), so that what was written for
//! it works unchanged: same paths, methods, fields and codes. Both may be repeated. Errors have the form of the control API.
//!
//! `POST /register` `{"cluster", "namespace"}` leases an endpoint: `{"ResourceName": "<namespace>/<cluster>", "Host", "Port"}`. Keys may
//! be given as its older versions took them: `caCert`, `caKey`, `etcdCert`, `etcdKey`, PEM in base64, and `resource` for the name.
//! `PUT /updateNode` `{"cluster", "namespace", "nodeName", "providerID", "uuid", "labels", "k8sversion"}` adds a node.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::shell::AskError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ControlError;
use super::{Api, read_body};
use crate::cluster::keys::GivenKeys;
use crate::cluster::names::ClusterName;
use crate::cluster::registered::{RegisterError, RegisteredNode, Registering};

/// The namespace of a cluster for which none is named.
const USUAL_NAMESPACE: &str = "default";

/// The name of a cluster in a request.
#[derive(Deserialize, JsonSchema)]
struct Named {
    cluster: Option<String>,
    namespace: Option<String>,
    /// `<namespace>/<cluster>`, of older versions.
    resource: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct RegisterRequest {
    #[serde(flatten)]
    named: Named,
    #[serde(flatten)]
    keys: GivenKeys,
    k8sversion: Option<String>,
}

/// What `POST /register` answers: Go's names of the fields.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Registered {
    resource_name: String,
    host: String,
    port: u16,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeRequest {
    #[serde(flatten)]
    named: Named,
    node_name: Option<String>,
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    uuid: Option<String>,
    labels: Option<GivenLabels>,
    k8sversion: Option<String>,
}

/// Labels: a table, or a text as `kubectl get --show-labels` prints them.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum GivenLabels {
    Table(BTreeMap<String, Option<String>>),
    Text(String),
}

impl Named {
    fn read(&self) -> Result<ClusterName, ControlError> {
        let given =
            |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
        let (namespace, name) = match (given(&self.cluster), given(&self.resource)) {
            (Some(name), _) => (given(&self.namespace), name),
            (None, Some(resource)) => match resource.split_once('/') {
                Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
                None => (given(&self.namespace), resource),
            },
            (None, None) => return Err(ControlError::Json("cluster is missing".to_owned())),
        };
        let namespace = namespace.as_deref().unwrap_or(USUAL_NAMESPACE);
        ClusterName::new(namespace, &name).map_err(|error| ControlError::Json(error.to_string()))
    }
}

impl GivenLabels {
    fn read(self) -> Result<Vec<(String, String)>, ControlError> {
        match self {
            Self::Table(table) => Ok(table
                .into_iter()
                .map(|(key, value)| (key, value.unwrap_or_default()))
                .collect()),
            Self::Text(text) => text
                .split(',')
                .map(str::trim)
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').ok_or_else(|| {
                        ControlError::Json(format!("labels: {pair:?} is not of the form key=value"))
                    })?;
                    Ok((key.to_owned(), value.to_owned()))
                })
                .collect(),
        }
    }
}

fn version(text: Option<String>) -> Result<Option<KubernetesVersion>, ControlError> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map_err(|error| ControlError::Json(format!("k8sversion: {error}")))
        })
        .transpose()
}

/// Carries something out even if the client hangs up.
pub(super) async fn detached<T: 'static>(
    work: impl Future<Output = Result<T, RegisterError>> + 'static,
) -> Result<T, ControlError> {
    let done = actix_web::rt::spawn(work).await;
    Ok(done.map_err(|_| AskError::Fault)??)
}

/// `POST /register`
pub(super) async fn register(
    request: HttpRequest,
    api: Api,
    payload: web::Payload,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let asked: RegisterRequest = read_body(&request, &api, payload).await?;
    let name = asked.named.read()?;
    let wanted = Registering {
        name: name.clone(),
        keys: asked
            .keys
            .read()
            .map_err(|error| ControlError::Json(error.to_string()))?,
        version: version(asked.k8sversion)?,
    };
    let clusters = std::sync::Arc::clone(&api.clusters);
    let endpoint = detached(async move { clusters.register(wanted).await }).await?;
    Ok(HttpResponse::Ok().json(Registered {
        resource_name: name.to_string(),
        host: endpoint.host.into(),
        port: endpoint.port,
    }))
}

/// `PUT /updateNode`
pub(super) async fn update_node(
    request: HttpRequest,
    api: Api,
    payload: web::Payload,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let asked: NodeRequest = read_body(&request, &api, payload).await?;
    let name = asked
        .node_name
        .filter(|name| !name.is_empty())
        .ok_or_else(|| ControlError::Json("nodeName is missing".to_owned()))?;
    let node = RegisteredNode {
        cluster: asked.named.read()?,
        name,
        provider_id: asked.provider_id.unwrap_or_default(),
        host: asked.uuid.unwrap_or_default(),
        labels: asked.labels.map_or(Ok(Vec::new()), GivenLabels::read)?,
        version: version(asked.k8sversion)?,
    };
    let clusters = std::sync::Arc::clone(&api.clusters);
    detached(async move { clusters.add_registered_node(node).await }).await?;
    Ok(HttpResponse::Ok().finish())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(value: serde_json::Value) -> NodeRequest {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn names_are_read_in_both_forms() {
        for (body, expected) in [
            (json!({"cluster": "c", "namespace": "n"}), Some("n/c")),
            (json!({"cluster": "c", "namespace": null}), Some("default/c")),
            (json!({"resource": "n/c"}), Some("n/c")),
            (
                json!({"resource": "c", "namespace": "n", "cluster": ""}),
                Some("n/c"),
            ),
            (json!({"namespace": "n"}), None),
            (json!({"resource": "n/m/c"}), None),
            (json!({"cluster": "C", "namespace": "n"}), None),
        ] {
            let read = node(body.clone()).named.read();
            assert_eq!(
                read.ok().map(|name| name.to_string()).as_deref(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn labels_are_a_table_or_a_text() {
        let expected = vec![
            ("a".to_owned(), "1".to_owned()),
            ("b/c".to_owned(), String::new()),
        ];
        for labels in [
            json!({"a": "1", "b/c": null}),
            json!("a=1, b/c="),
            json!("a=1,b/c=,"),
        ] {
            let given = node(json!({"labels": labels})).labels.unwrap();
            assert_eq!(given.read().unwrap(), expected);
        }
        assert!(node(json!({"labels": "a"})).labels.unwrap().read().is_err());
        assert!(node(json!({"labels": null})).labels.is_none());
        assert!(serde_json::from_value::<NodeRequest>(json!({"labels": [1]})).is_err());
    }
}
