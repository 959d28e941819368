//! From a request to a node, and from a node to an answer: entity tags, preconditions, headers.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    LINK,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::bmc::BmcCommand;
use metalsim_actors::node::{Event, Node, Reply};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::time::SimInstant;
use metalsim_actors::wire::redfish::message;
use metalsim_actors::wire::redfish::{Collection, EntityTag, Link, Typed, Uri};
use serde::Serialize;
use uuid::Uuid;

use super::error::RedfishError;
use super::state::RedfishState;

/// What a handler returns.
pub(super) type Answer = Result<HttpResponse, RedfishError>;

/// URIs of the systems start with it.
pub(super) const SYSTEMS: &str = "/redfish/v1/Systems/";
/// URIs of the chassis start with it.
pub(super) const CHASSIS: &str = "/redfish/v1/Chassis/";
/// URIs of the managers start with it.
pub(super) const MANAGERS: &str = "/redfish/v1/Managers/";

/// Room for a `ComputerSystem`, which is the largest payload that is asked for often.
const BODY_CAPACITY: usize = 3584;

/// A link to something of a node.
pub(super) fn link<'a>(collection: &'static str, id: &'a str, tail: &'a str) -> Link<'a> {
    Link {
        odata_id: Uri(collection, id, tail),
    }
}

/// The node that the request's path names.
///
/// # Errors
/// 404; 307 to the id if the path has the node's name, as sushy-tools answers.
pub(super) fn node(state: &RedfishState, request: &HttpRequest) -> Result<Arc<NodeRef>, RedfishError> {
    let given = request.match_info().get("id").unwrap_or_default();
    // The other spellings of a UUID are no ids here.
    if given.len() == 36
        && let Ok(id) = given.parse::<NodeId>()
        && let Some(node) = state.directory.get(&id)
    {
        return Ok(node);
    }
    let path = request.path();
    match state.directory.by_name(given) {
        Some(node) if !given.is_empty() => {
            let id = node.identity().id;
            let mut location = path.replacen(&format!("/{given}"), &format!("/{id}"), 1);
            if !request.query_string().is_empty() {
                location.push('?');
                location.push_str(request.query_string());
            }
            Err(RedfishError::redirect(false, &location))
        }
        _ => Err(RedfishError::missing(path)),
    }
}

/// A node while its actor is looked into.
pub(super) struct View<'a> {
    pub(super) node: &'a Node,
    pub(super) now: SimInstant,
    /// The UUID as text.
    pub(super) id: &'a str,
    pub(super) etag: EntityTag,
}

/// How strongly a resource is tagged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tagged {
    /// All that it shows changes the node's revision.
    Strong,
    /// It shows values that move by themselves, such as the time.
    Weak,
}

/// Answers with what `write` writes of the node.
///
/// # Errors
/// The node does not answer, or the error of `write`.
pub(super) async fn show<F>(
    request: &HttpRequest,
    node: &Arc<NodeRef>,
    (tagged, allow, odata_type): (Tagged, &'static str, &'static str),
    write: F,
) -> Answer
where
    F: FnOnce(&View<'_>, &mut Vec<u8>) -> Result<(), RedfishError> + Send + 'static,
{
    let unless = Tags::of(request.headers().get(IF_NONE_MATCH));
    let shown = node.read(move |node, now| {
        let revision = node.revision();
        let etag = match tagged {
            Tagged::Strong => EntityTag::Strong(revision),
            Tagged::Weak => EntityTag::Weak(revision),
        };
        if unless.is_some_and(|tags| tags.contain(revision)) {
            return Ok((etag, None));
        }
        let mut buffer = Uuid::encode_buffer();
        let id = node.identity().id.as_uuid().as_hyphenated();
        let id = &*id.encode_lower(&mut buffer);
        let mut body = Vec::with_capacity(BODY_CAPACITY);
        let view = View { node, now, id, etag };
        write(&view, &mut body).map(|()| (etag, Some(body)))
    });
    let (etag, body) = shown.await??;
    Ok(match body {
        Some(body) => head(StatusCode::OK, allow)
            .insert_header((ETAG, etag.to_string()))
            .insert_header(described_by(odata_type))
            .body(body),
        None => head(StatusCode::NOT_MODIFIED, allow)
            .insert_header((ETAG, etag.to_string()))
            .finish(),
    })
}

/// The headers of every answer with a body.
pub(super) fn head(status: StatusCode, allow: &'static str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header(("OData-Version", "4.0"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ALLOW, allow));
    response
}

/// `Link` header to the schema of an `@odata.type`, which has the form `#Name.v1_0_0.Name` or `#Name.Name`.
pub(super) fn described_by(odata_type: &str) -> (HeaderName, String) {
    let name = odata_type.strip_prefix('#').unwrap_or(odata_type);
    let schema = name.rsplit_once('.').map_or(name, |(schema, _)| schema);
    let link = format!("<http://redfish.dmtf.org/schemas/v1/{schema}.json>; rel=describedby");
    (LINK, link)
}

/// 200 with a payload.
pub(super) fn json<T: Typed>(allow: &'static str, payload: &T) -> Answer {
    let body = serde_json::to_vec(payload)?;
    Ok(head(StatusCode::OK, allow)
        .insert_header(described_by(payload.odata_type()))
        .body(body))
}

/// 200 with a body that is ready.
pub(super) fn ready(allow: &'static str, odata_type: &str, body: Bytes) -> HttpResponse {
    head(StatusCode::OK, allow)
        .insert_header(described_by(odata_type))
        .body(body)
}

/// 204.
pub(super) fn no_content() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header(("OData-Version", "4.0"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .finish()
}

/// A collection at the request's path.
pub(super) fn collection<M: Serialize>(
    request: &HttpRequest,
    allow: &'static str,
    odata_type: &'static str,
    name: &'static str,
    members: Vec<M>,
) -> Answer {
    let path = request.path();
    json(
        allow,
        &Collection {
            odata_id: Uri(path, "", ""),
            odata_type,
            name,
            count: members.len(),
            members,
        },
    )
}

/// Members of a collection below the request's path, as links or, if the client asks for it, as they are.
pub(super) fn members<M: Serialize>(
    request: &HttpRequest,
    (odata_type, name): (&'static str, &'static str),
    ids: &[String],
    whole: impl Fn(usize) -> M,
) -> Answer {
    let allow = super::error::allow::READ;
    if expands(request) {
        let members = (0..ids.len()).map(whole).collect();
        return collection(request, allow, odata_type, name, members);
    }
    let path = request.path();
    let links = ids
        .iter()
        .map(|id| Link {
            odata_id: Uri(path, "/", id),
        })
        .collect();
    collection(request, allow, odata_type, name, links)
}

/// Whether the query asks for members instead of links: `$expand` with `.` or `*`, whatever the level.
pub(super) fn expands(request: &HttpRequest) -> bool {
    request.query_string().split('&').any(|part| {
        let value = part
            .strip_prefix("$expand=")
            .or_else(|| part.strip_prefix("%24expand="));
        value.is_some_and(|value| {
            value.starts_with(['.', '*']) || value.starts_with("%2A") || value.starts_with("%2E")
        })
    })
}

/// The position of the member that the path names by `key`.
///
/// # Errors
/// 404.
pub(super) fn position(request: &HttpRequest, key: &str, ids: &[String]) -> Result<usize, RedfishError> {
    let given = request.match_info().get(key).unwrap_or_default();
    ids.iter()
        .position(|id| id == given)
        .ok_or_else(|| RedfishError::missing(request.path()))
}

/// The entity tags of a header. Weak and strong ones are the same here: sushy sends a weak tag back as a strong one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// `*`
    Any,
    /// Those that this service may have given out.
    Some(Vec<u32>),
}

impl Tags {
    fn of(header: Option<&HeaderValue>) -> Option<Self> {
        const MOST_TAGS: usize = 16;
        let text = header?.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Some(Self::Any);
        }
        let tags = text
            .split(',')
            .take(MOST_TAGS)
            .filter_map(|tag| {
                let tag = tag.trim();
                let tag = tag.strip_prefix("W/").unwrap_or(tag);
                tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
            })
            .collect();
        Some(Self::Some(tags))
    }

    fn contain(&self, revision: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Some(tags) => tags.contains(&revision),
        }
    }
}

/// Whether a client that has `tags` (`If-None-Match`) needs no answer whose entity tag is `etag`.
pub(super) fn has(tags: Option<&HeaderValue>, etag: Option<&HeaderValue>) -> bool {
    match (Tags::of(tags), Tags::of(etag)) {
        (Some(known), Some(Tags::Some(shown))) => shown.first().is_some_and(|shown| known.contain(*shown)),
        _ => false,
    }
}

/// The revision that a change depends on: `None` without `If-Match`, or with one that takes any.
///
/// A tag that does not match is refused before the body is read. The node checks again as it makes the change.
///
/// # Errors
/// 412.
pub(super) async fn precondition(
    headers: &HeaderMap,
    node: &Arc<NodeRef>,
) -> Result<Option<u32>, RedfishError> {
    match Tags::of(headers.get(IF_MATCH)) {
        None | Some(Tags::Any) => Ok(None),
        Some(tags) => {
            let revision = node.read(|node, _| node.revision()).await?;
            if tags.contain(revision) {
                Ok(Some(revision))
            } else {
                Err(RedfishError::precondition_failed())
            }
        }
    }
}

/// A calendar time as Redfish writes it, in whole seconds: Ironic compares it with what it wrote byte for byte.
pub(super) fn date_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// Has the BMC carry out a command.
///
/// # Errors
/// The node refuses, or does not answer.
pub(super) async fn command(
    node: &Arc<NodeRef>,
    if_match: Option<u32>,
    command: BmcCommand,
) -> Result<(), RedfishError> {
    match node.act(Event::Bmc { if_match, command }).await? {
        Reply::Failed(status) => Err(RedfishError::new(
            StatusCode::from_u16(status.get()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            &message::INTERNAL_ERROR,
            &[],
        )),
        Reply::Done | Reply::Agent(_) | Reply::Task(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn entity_tags_of_a_header() {
        let tags = |text: &str| Tags::of(Some(&HeaderValue::from_str(text).unwrap())).unwrap();
        assert_eq!(Tags::of(None), None);
        assert!(tags("*").contain(7));
        for text in ["\"7\"", "W/\"7\"", "\"1\", \"7\"", " \"abc\",W/\"7\" "] {
            assert!(tags(text).contain(7), "{text}");
        }
        for text in ["", "7", "\"8\"", "\"abc\"", "\"7", "W/7"] {
            assert!(!tags(text).contain(7), "{text}");
        }
    }

    #[test]
    fn schemas_of_types() {
        for (odata_type, schema) in [
            ("#ComputerSystem.v1_22_0.ComputerSystem", "ComputerSystem.v1_22_0"),
            ("#ChassisCollection.ChassisCollection", "ChassisCollection"),
        ] {
            let (_, link) = described_by(odata_type);
            let expected = format!("<http://redfish.dmtf.org/schemas/v1/{schema}.json>; rel=describedby");
            assert_eq!(link, expected);
        }
    }

    #[test]
    fn expand_as_sushy_writes_it() {
        for (query, expected) in [
            ("$expand=.($levels=1)", true),
            ("%24expand=.(%24levels=1)", true),
            ("$expand=*", true),
            ("$select=Name&$expand=.", true),
            ("$expand=~", false),
            ("expand=.", false),
            ("", false),
        ] {
            let request = TestRequest::with_uri(&format!("/x?{query}")).to_http_request();
            assert_eq!(expands(&request), expected, "{query}");
        }
    }
}
