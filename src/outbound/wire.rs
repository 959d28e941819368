//! The calls as HTTP: what is sent, and what an answer means.

use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::effect::{AgentParameters, CallError, CallKind, IronicCall, Outcome};
use metalsim_actors::wire::agent::{ApiVersion, InspectionAccepted, LookupReply};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Largest answer that is read, in bytes. A look-up's carries a node record of a few KiB.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// What is read of an answer that is not used, so that its connection can be.
const LARGEST_REMNANT: usize = 64 * 1024;

const VERSION: HeaderName = HeaderName::from_static("x-openstack-ironic-api-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Kind of a call.
pub(super) fn kind(call: &IronicCall) -> CallKind {
    match call {
        IronicCall::Inspect { .. } => CallKind::Inspect,
        IronicCall::Discover { .. } => CallKind::Discover,
        IronicCall::Lookup { .. } => CallKind::Lookup,
        IronicCall::Heartbeat { .. } => CallKind::Heartbeat,
    }
}

/// The failed outcome of a call of this kind.
pub(super) fn failed(kind: CallKind, error: CallError) -> Outcome {
    match kind {
        CallKind::Inspect => Outcome::Inspected(Err(error)),
        CallKind::Discover => Outcome::Discovered(Err(error)),
        CallKind::Lookup => Outcome::LookedUp(Err(error)),
        CallKind::Heartbeat => Outcome::Beat(Err(error)),
    }
}

/// Where a call goes: its URL without a query. `None` if that is no HTTP URL.
pub(super) fn url(call: &IronicCall) -> Option<Url> {
    let text = match call {
        IronicCall::Inspect { url, .. } => url.to_string(),
        IronicCall::Discover { api_url } => format!("{}/", base(api_url)),
        IronicCall::Lookup { api_url, .. } => format!("{}/v1/lookup", base(api_url)),
        IronicCall::Heartbeat {
            api_url, node_uuid, ..
        } => format!("{}/v1/heartbeat/{node_uuid}", base(api_url)),
    };
    let url = Url::parse(&text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn base(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// Host and port of a URL.
pub(super) fn endpoint(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// The call as an HTTP request. Sources of the headers: ironic-python-agent `ironic_api_client.py`, `inspector.py`.
pub(super) fn request(
    client: &Client,
    parameters: &AgentParameters,
    url: Url,
    call: &IronicCall,
) -> reqwest::Result<Request> {
    let version = |version: &ApiVersion| HeaderValue::try_from(version.to_string()).ok();
    let (builder, version) = match call {
        IronicCall::Inspect { data, .. } => (client.post(url).json(data), None),
        IronicCall::Discover { .. } => (client.get(url), None),
        IronicCall::Lookup {
            addresses,
            node_uuid,
            version: wanted,
            ..
        } => {
            let addresses: Vec<String> = addresses.iter().map(MacAddress::to_string).collect();
            let mut query = vec![("addresses", addresses.join(","))];
            query.extend(node_uuid.map(|uuid| ("node_uuid", uuid.to_string())));
            let mut url = url;
            url.query_pairs_mut().extend_pairs(query);
            (client.get(url), version(wanted))
        }
        IronicCall::Heartbeat {
            version: wanted,
            body,
            ..
        } => (client.post(url).json(body), version(wanted)),
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(version) = version {
        headers.insert(VERSION, version);
    }
    let id = parameters.global_request_id.as_deref();
    // An id that cannot stand in a header is left out: it only serves to find things in logs.
    if let Some(id) = id.and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    builder.headers(headers).build()
}

/// What an answer means.
pub(super) async fn outcome(kind: CallKind, response: Response) -> Outcome {
    let status = response.status();
    if !status.is_success() {
        discard(response).await;
        return failed(kind, CallError::Status(status.as_u16()));
    }
    match kind {
        CallKind::Inspect => Outcome::Inspected(json::<InspectionAccepted>(response).await),
        CallKind::Discover => {
            Outcome::Discovered(json::<Versions>(response).await.and_then(Versions::newest))
        }
        CallKind::Lookup => Outcome::LookedUp(json::<LookupReply>(response).await.map(Box::new)),
        CallKind::Heartbeat => {
            discard(response).await;
            // The real agent takes 202 and nothing else, so that a proxy's error page is not taken for Ironic's answer.
            Outcome::Beat(if status == StatusCode::ACCEPTED {
                Ok(())
            } else {
                Err(CallError::Body)
            })
        }
    }
}

async fn json<T: DeserializeOwned>(mut response: Response) -> Result<T, CallError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST_ANSWER => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(CallError::Body),
            Ok(None) => break,
            Err(_) => return Err(CallError::Connection),
        }
    }
    serde_json::from_slice(&body).map_err(|_| CallError::Body)
}

async fn discard(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > LARGEST_REMNANT {
            return;
        }
    }
}

/// Answer to `GET /`, of which either part may be missing or of another shape.
#[derive(Deserialize)]
struct Versions {
    #[serde(default)]
    default_version: Option<serde_json::Value>,
    #[serde(default)]
    versions: Vec<serde_json::Value>,
}

impl Versions {
    /// The newest version. `default_version` is the newest, in spite of its name.
    fn newest(self) -> Result<ApiVersion, CallError> {
        let version = |entry: &serde_json::Value| entry.get("version")?.as_str()?.parse::<ApiVersion>().ok();
        self.default_version
            .as_ref()
            .and_then(version)
            .or_else(|| self.versions.iter().filter_map(version).max())
            .ok_or(CallError::Body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn newest(body: serde_json::Value) -> Result<ApiVersion, CallError> {
        serde_json::from_value::<Versions>(body)
            .map_err(|_| CallError::Body)
            .and_then(Versions::newest)
    }

    #[test]
    fn the_newest_version_is_found_wherever_it_stands() {
        let v = |minor| Ok(ApiVersion { minor });
        let entry = |version: &str| json!({"id": "v1", "version": version, "min_version": "1.1"});
        assert_eq!(
            newest(json!({"default_version": entry("1.115"), "versions": [entry("1.9")]})),
            v(115)
        );
        assert_eq!(newest(json!({"versions": [entry("1.9"), entry("1.72")]})), v(72));
        assert_eq!(
            newest(json!({"default_version": {"id": "v1"}, "versions": [entry("1.72")]})),
            v(72)
        );
        for bad in [
            json!({}),
            json!({"versions": []}),
            json!({"default_version": entry("2.0")}),
            json!([]),
        ] {
            assert_eq!(newest(bad), Err(CallError::Body));
        }
    }

    #[test]
    fn only_http_urls_are_called() {
        let discover = |api_url: &str| {
            url(&IronicCall::Discover {
                api_url: api_url.into(),
            })
        };
        assert_eq!(discover("http://a:6385/").unwrap().as_str(), "http://a:6385/");
        assert_eq!(endpoint(&discover("https://[::1]/x").unwrap()), "[::1]:443");
        for bad in ["", "ironic", "mdns", "file:///etc/passwd", "http://"] {
            assert!(discover(bad).is_none(), "{bad}");
        }
    }
}
