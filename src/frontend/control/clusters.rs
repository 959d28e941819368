//! Clusters: the list, one's end, one's kubeconfig.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::error::ControlError;
use super::{Api, ControlApi, fkas};
use crate::cluster::census::Census;
use crate::cluster::names::ClusterName;
use crate::cluster::registered::RegisterError;
use crate::cluster::simulated::SimulatedCluster;

/// Clusters of a page unless the client says.
const USUAL_LIMIT: usize = 500;
/// Most clusters of a page.
const MOST_LIMIT: usize = 5000;

/// A cluster as the list shows it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Summary {
    name: String,
    /// Where the Cluster object is; only of registered clusters.
    namespace: Option<String>,
    endpoint: String,
    version: Option<String>,
    /// Whether it gets its nodes by calls.
    registered: bool,
    /// Whether its API is served.
    open: bool,
    /// Machines of the control plane that run.
    control_planes: usize,
    machines: usize,
    nodes: usize,
    ready_nodes: usize,
    objects: usize,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Summary>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// A cluster by its endpoint; without one if its keys are not there yet.
struct Known {
    endpoint: String,
    name: Option<ClusterName>,
    cluster: Option<Arc<SimulatedCluster>>,
}

impl Known {
    fn name(&self) -> &str {
        match (&self.name, &self.cluster) {
            (Some(name), _) => name.name(),
            (None, Some(cluster)) => &cluster.founding().name,
            (None, None) => "",
        }
    }

    fn summary(self) -> Summary {
        let name = self.name().to_owned();
        let cluster = self.cluster.as_deref();
        let (control_planes, machines) = cluster.map_or((0, 0), SimulatedCluster::machines);
        let census = cluster.map_or_else(Census::default, |cluster| cluster.cluster().read(Census::of));
        Summary {
            name,
            namespace: self.name.map(|name| name.namespace().to_owned()),
            endpoint: self.endpoint,
            version: cluster.map(|cluster| cluster.founding().version.to_string()),
            registered: cluster.is_none_or(|cluster| cluster.founding().registered.is_some()),
            open: cluster.is_some_and(SimulatedCluster::is_open),
            control_planes,
            machines,
            nodes: census.nodes,
            ready_nodes: census.ready_nodes,
            objects: census.objects,
        }
    }
}

impl ControlApi {
    /// All clusters in the order of their endpoints.
    fn known(&self) -> Vec<Known> {
        let mut all: Vec<Known> = self
            .clusters
            .all()
            .into_iter()
            .map(|(endpoint, cluster)| Known {
                name: self.clusters.registered_name(&endpoint),
                endpoint: endpoint.into(),
                cluster: Some(cluster),
            })
            .collect();
        all.extend(self.clusters.waiting().into_iter().map(|(name, endpoint)| Known {
            endpoint: endpoint.to_string(),
            name: Some(name),
            cluster: None,
        }));
        all.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
        // One that was founded between the two looks is in both.
        all.dedup_by(|one, other| one.endpoint == other.endpoint);
        all
    }

    /// The one cluster of that name, or at that endpoint.
    fn one(&self, text: &str, namespace: Option<&str>) -> Result<Known, ControlError> {
        let mut found: Vec<Known> = self
            .known()
            .into_iter()
            .filter(|known| known.endpoint == text || known.name() == text)
            .filter(|known| {
                namespace.is_none() || known.name.as_ref().map(ClusterName::namespace) == namespace
            })
            .collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(ControlError::NotFound(format!("no cluster {text:?}"))),
            (Some(known), true) => Ok(known),
            (Some(last), false) => {
                let mut endpoints: Vec<String> = found.into_iter().map(|known| known.endpoint).collect();
                endpoints.push(last.endpoint);
                Err(ControlError::Ambiguous(format!(
                    "several clusters are named {text:?}: give the parameter namespace, or in the place of the name one of {}",
                    endpoints.join(", ")
                )))
            }
        }
    }
}

/// The parameters of a query that are known.
fn parameters<const N: usize>(
    query: &str,
    known: [&'static str; N],
) -> Result<[Option<String>; N], ControlError> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|error| ControlError::Parameter(format!("parameter query: {error}")))?;
    let mut values = [const { None }; N];
    for (name, value) in pairs.into_inner() {
        let slot = known.iter().zip(&mut values).find(|(known, _)| **known == name);
        let Some((_, slot)) = slot else {
            return Err(ControlError::Parameter(format!(
                "parameter {name}: unknown; known are {}",
                known.join(", ")
            )));
        };
        *slot = Some(value);
    }
    Ok(values)
}

/// `GET /api/v1/clusters`
pub(super) async fn list(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let [limit, start] = parameters(request.query_string(), ["limit", "continue"])?;
    let limit = match limit {
        None => USUAL_LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MOST_LIMIT).contains(limit))
            .ok_or_else(|| {
                ControlError::Parameter(format!(
                    "parameter limit: {text:?} is not a number from 1 to {MOST_LIMIT}"
                ))
            })?,
    };
    let mut rest = api
        .known()
        .into_iter()
        .filter(|known| start.as_ref().is_none_or(|start| known.endpoint > *start));
    let items: Vec<Summary> = rest.by_ref().take(limit).map(Known::summary).collect();
    let next = match (rest.next(), items.last()) {
        (Some(_), Some(last)) => Some(last.endpoint.clone()),
        _ => None,
    };
    Ok(HttpResponse::Ok().json(Page { items, next }))
}

/// `DELETE /api/v1/clusters/<name>`
pub(super) async fn delete(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let [namespace] = parameters(request.query_string(), ["namespace"])?;
    let text = path.into_inner();
    let known = api.one(&text, namespace.as_deref())?;
    let Some(name) = known.name else {
        return Err(RegisterError::Formed(known.endpoint.into()).into());
    };
    let clusters = Arc::clone(&api.clusters);
    if fkas::detached(async move { clusters.unregister(&name).await }).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(ControlError::NotFound(format!("no cluster {text:?}")))
    }
}

/// `GET /api/v1/clusters/<name>/kubeconfig`
pub(super) async fn kubeconfig(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let is_here = request.peer_addr().is_some_and(|peer| peer.ip().is_loopback());
    if api.token.is_none() && !is_here {
        return Err(ControlError::Remote);
    }
    let [namespace] = parameters(request.query_string(), ["namespace"])?;
    let text = path.into_inner();
    let known = api.one(&text, namespace.as_deref())?;
    let cluster = known
        .cluster
        .ok_or_else(|| ControlError::NotFound(format!("cluster {text:?} has no keys yet")))?;
    let kubeconfig = cluster
        .kubeconfig(&known.endpoint)
        .map_err(|error| ControlError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .content_type("application/yaml")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(kubeconfig.to_yaml()))
}
