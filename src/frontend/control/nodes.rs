//! Nodes: the list from the directory, one of them from its actor.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use metalsim_actors::ids::{MacAddress, NodeId};
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::os::Stage;
use metalsim_actors::node::phase::Phase;
use metalsim_actors::node::{Labels, Node};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::time::{Clock, SimInstant};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::error::ControlError;
use super::{Api, ControlApi};

/// Nodes of a page unless the client says.
const USUAL_LIMIT: usize = 500;
/// Most nodes of a page.
const MOST_LIMIT: usize = 5000;

/// A node as the list shows it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Summary<'a> {
    name: &'a str,
    #[schemars(with = "String")]
    uuid: NodeId,
    /// Of its first network interface.
    #[schemars(with = "Option<String>")]
    mac: Option<MacAddress>,
    #[schemars(with = "Vec<String>")]
    macs: &'a [MacAddress],
    labels: Arc<Labels>,
    power: PowerState,
    phase: Phase,
    /// What the config drive of the running system made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<System>,
    redfish: Redfish<'a>,
}

/// An installed system in short.
#[derive(Serialize, JsonSchema)]
struct System {
    hostname: Option<Box<str>>,
    intent: &'static str,
}

/// Where a node's BMC is.
#[derive(Serialize, JsonSchema)]
struct Redfish<'a> {
    address: &'a str,
    system: String,
}

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<Summary<'a>>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// What a list is asked for.
#[derive(Debug, PartialEq)]
struct Query {
    limit: usize,
    start: usize,
    labels: Vec<(String, String)>,
    phase: Option<Phase>,
}

impl Query {
    fn parse(text: &str) -> Result<Self, ControlError> {
        let wrong = |name: &str, why: String| ControlError::Parameter(format!("parameter {name}: {why}"));
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|error| wrong("query", error.to_string()))?;
        let mut query = Self {
            limit: USUAL_LIMIT,
            start: 0,
            labels: Vec::new(),
            phase: None,
        };
        for (name, value) in pairs.into_inner() {
            match name.as_str() {
                "limit" => {
                    let limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MOST_LIMIT).contains(limit));
                    query.limit = limit.ok_or_else(|| {
                        wrong(
                            "limit",
                            format!("{value:?} is not a number from 1 to {MOST_LIMIT}"),
                        )
                    })?;
                }
                "continue" => {
                    query.start = value
                        .parse()
                        .map_err(|_| wrong("continue", format!("{value:?} did not come from a list")))?;
                }
                "label" => {
                    let (key, value) = value
                        .split_once('=')
                        .ok_or_else(|| wrong("label", format!("{value:?} is not of the form key=value")))?;
                    query.labels.push((key.to_owned(), value.to_owned()));
                }
                "phase" => {
                    let words = || Phase::ALL.map(Phase::as_str).join(", ");
                    let phase = value.parse();
                    query.phase = Some(
                        phase.map_err(|()| wrong("phase", format!("{value:?} is not one of {}", words())))?,
                    );
                }
                _ => {
                    return Err(wrong(
                        &name,
                        "unknown; known are limit, continue, label, phase".to_owned(),
                    ));
                }
            }
        }
        Ok(query)
    }

    fn takes(&self, api: &ControlApi, node: &NodeRef) -> bool {
        self.phase.is_none_or(|phase| node.phase() == phase)
            && (self.labels.is_empty() || self.fits(&api.directory.labels(node)))
    }

    fn fits(&self, labels: &Labels) -> bool {
        self.labels
            .iter()
            .all(|(key, value)| labels.get(key.as_str()).is_some_and(|known| **known == **value))
    }
}

/// `GET /api/v1/nodes`
pub(super) async fn list(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let query = Query::parse(request.query_string())?;
    let nodes = api.directory.nodes();
    let mut items = Vec::new();
    let mut next = None;
    for (position, node) in nodes.iter().enumerate().skip(query.start) {
        if !query.takes(&api, node) {
            continue;
        }
        if items.len() == query.limit {
            next = Some(position.to_string());
            break;
        }
        items.push(summary(&api, position, node));
    }
    Ok(HttpResponse::Ok().json(Page { items, next }))
}

fn summary<'a>(api: &'a ControlApi, position: usize, node: &'a NodeRef) -> Summary<'a> {
    let identity = node.identity();
    Summary {
        name: &identity.name,
        uuid: identity.id,
        mac: identity.macs.first().copied(),
        macs: &identity.macs,
        labels: api.directory.labels(node),
        power: node.power(),
        phase: node.phase(),
        system: node.system().map(|system| System {
            hostname: system.hostname.clone(),
            intent: system.intent.as_str(),
        }),
        redfish: Redfish {
            address: api
                .redfish
                .get(position % api.redfish.len().max(1))
                .map_or("", |address| address),
            system: format!("/redfish/v1/Systems/{}", identity.id),
        },
    }
}

/// `GET /api/v1/nodes/{name|uuid}`
pub(super) async fn get(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    if let Some((name, _)) = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .unwrap_or_default()
        .first()
    {
        return Err(ControlError::Parameter(format!("parameter {name}: unknown")));
    }
    let node = find(&api, &path)?;
    let position = api.directory.position(&node.identity().id).unwrap_or_default();
    let clock = Arc::clone(&api.clock);
    let state = node.read(move |node, now| state(node, now, &*clock)).await?;
    let mut document = serde_json::to_value(summary(&api, position, &node)).unwrap_or_default();
    if let (Value::Object(document), Value::Object(state)) = (&mut document, state) {
        document.extend(state);
    }
    Ok(HttpResponse::Ok().json(document))
}

/// The node of this id or name. A node may be called like another's id: the id wins, as in Ironic.
pub(super) fn find(api: &ControlApi, name: &str) -> Result<Arc<NodeRef>, ControlError> {
    let by_id = name.parse().ok().and_then(|id| api.directory.get(&id));
    by_id
        .or_else(|| api.directory.by_name(name))
        .ok_or_else(|| ControlError::NotFound(format!("no node {name:?}")))
}

/// What only the node itself knows. No secrets: neither tokens, nor passwords, nor the config drive.
fn state(node: &Node, now: SimInstant, clock: &dyn Clock) -> Value {
    let profile = node.profile();
    let boot = node.bmc().boot();
    let media: Vec<Value> = profile
        .virtual_media
        .iter()
        .zip(node.bmc().media())
        .map(|(slot, held)| {
            let media = held.media.as_deref();
            json!({
                "slot": slot.id,
                "image": media.map(|media| without_credentials(&media.image)),
                "inserted": media.is_some_and(|media| media.inserted && media.available_at <= now),
            })
        })
        .collect();
    let disk = node.disk();
    let image = disk.image().map(|image| {
        json!({
            "id": image.id,
            "url": without_credentials(&image.url),
            "checksum": image.checksum,
            "format": image.format,
        })
    });
    let agent = node.agent().map(|agent| {
        json!({
            "serving": agent.is_serving(),
            "busy": agent.is_busy(),
            "ironic_node": agent.node_uuid(),
        })
    });
    let deadline = node
        .next_deadline()
        .map(|deadline| clock.calendar(deadline).to_rfc3339());
    json!({
        "power": node.power_state(),
        "phase": node.phase(),
        "epoch": node.epoch(),
        "revision": node.revision(),
        "boot": {
            "target": boot.target,
            "enabled": boot.enabled,
            "mode": boot.mode,
            "progress": node.boot_progress(),
        },
        "media": media,
        "disk": {"image": image, "config_drive": disk.config_drive().is_some(), "bootloader": disk.bootloader_installed()},
        "agent": agent,
        "system": node.os().map(|os| json!({
            "up": os.stage() == Stage::Up,
            "hostname": os.hostname(),
            "intent": os.intent(),
            "warnings": os.description().map(|system| &system.warnings),
        })),
        "next_deadline": deadline,
    })
}

/// A URL without what may be a secret in it: user, password and query.
fn without_credentials(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_nonsense_is_named() {
        let query = Query::parse("limit=2&continue=7&label=rack%3Da&label=b=c=d&phase=agent_ready").unwrap();
        assert_eq!(query.limit, 2);
        assert_eq!(query.start, 7);
        assert_eq!(
            query.labels,
            [("rack".into(), "a".into()), ("b".into(), "c=d".into())]
        );
        assert_eq!(query.phase, Some(Phase::AgentReady));
        for (text, name) in [
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("limit=5001", "limit"),
            ("continue=-1", "continue"),
            ("label=rack", "label"),
            ("phase=asleep", "agent_ready"),
            ("colour=red", "colour"),
        ] {
            let error = Query::parse(text).unwrap_err().to_string();
            assert!(error.contains(name), "{text}: {error}");
        }
    }

    #[test]
    fn urls_lose_what_may_be_secret() {
        for (url, shown) in [
            ("http://u:p@h:1/a.iso?sig=x#y", "http://h:1/a.iso"),
            ("http://h/a@b", "http://h/a@b"),
            ("//h/share", "//h/share"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
