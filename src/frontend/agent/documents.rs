//! The fixed documents of the API: its root and its one version (ironic-python-agent: `api/app.py`).

use serde_json::{Value, json};

const DOCUMENTATION: &str = "https://docs.openstack.org/ironic-python-agent";

/// `GET /`; `url` is the agent's own URL.
pub(super) fn root(url: &str) -> Value {
    json!({
        "name": "OpenStack Ironic Python Agent API",
        "description": "Ironic Python Agent is a provisioning agent for OpenStack Ironic",
        "versions": [version(url)],
        "default_version": version(url),
    })
}

/// `GET /v1/`.
pub(super) fn v1(url: &str) -> Value {
    let mut document = version(url);
    document["commands"] = resource(url, "commands");
    document["status"] = resource(url, "status");
    document["media_types"] = json!([{
        "base": "application/json",
        "type": "application/vnd.openstack.ironic-python-agent.v1+json",
    }]);
    document
}

fn version(url: &str) -> Value {
    json!({
        "id": "v1",
        "links": [
            {"href": format!("{url}/v1"), "rel": "self"},
            {"href": format!("{DOCUMENTATION}/"), "rel": "describedby", "type": "text/html"},
        ],
    })
}

fn resource(url: &str, name: &str) -> Value {
    json!([
        {"href": format!("{url}/v1/{name}"), "rel": "self"},
        {"href": format!("{url}/{name}"), "rel": "bookmark"},
    ])
}
