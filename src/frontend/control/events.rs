//! The events as server-sent events (HTML standard, "Server-sent events").
//!
//! A stream goes as fast as its reader: its body makes the next piece only when the connection has room for it, so a reader that
//! does not read costs its place and one piece.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use super::Api;
use super::error::ControlError;
use crate::events::{Event, Happening, Subscription};

/// Events in one piece of the stream.
const PIECE: usize = 128;
/// A stream that has nothing to tell says so this often: shorter than the time after which a connection without progress is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Most values of a parameter.
const MOST_VALUES: usize = 100;

/// Which events a reader wants. Of one parameter's values any may fit, of the parameters all must.
#[derive(Debug, Default, PartialEq)]
struct Filter {
    after: Option<u64>,
    nodes: Vec<String>,
    clusters: Vec<String>,
    kinds: Vec<&'static str>,
}

impl Filter {
    fn parse(query: &str) -> Result<Self, ControlError> {
        let wrong = |name: &str, why: String| ControlError::Parameter(format!("parameter {name}: {why}"));
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| wrong("query", error.to_string()))?
            .into_inner();
        if pairs.len() > MOST_VALUES {
            return Err(wrong("query", format!("more than {MOST_VALUES} parameters")));
        }
        let mut filter = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "after" => {
                    filter.after = Some(place(&value).ok_or_else(|| wrong("after", no_place(&value)))?);
                }
                "node" => filter.nodes.push(value),
                "cluster" => filter.clusters.push(value),
                "kind" => {
                    let known = Happening::KINDS.into_iter().find(|known| *known == value);
                    filter.kinds.push(known.ok_or_else(|| {
                        wrong(
                            "kind",
                            format!("{value:?} is not one of {}", Happening::KINDS.join(", ")),
                        )
                    })?);
                }
                _ => {
                    return Err(wrong(
                        &name,
                        "unknown; known are after, node, kind, cluster".to_owned(),
                    ));
                }
            }
        }
        Ok(filter)
    }

    fn takes(&self, happening: &Happening) -> bool {
        // What is lost may have been wanted.
        if matches!(happening, Happening::Lagged { .. }) {
            return true;
        }
        let of_node = self.nodes.is_empty() || self.nodes.iter().any(|name| happening.is_about_node(name));
        let cluster = happening.cluster();
        let of_cluster =
            self.clusters.is_empty() || self.clusters.iter().any(|name| cluster == Some(name.as_str()));
        of_node && of_cluster && (self.kinds.is_empty() || self.kinds.contains(&happening.kind()))
    }
}

/// A place in the stream.
fn place(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn no_place(text: &str) -> String {
    format!("{text:?} is no number of an event")
}

/// `GET /api/v1/events`
pub(super) async fn stream(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let mut filter = Filter::parse(request.query_string())?;
    // A client that comes back asks for the same address, and says here how far it got.
    if let Some(last) = request.headers().get("Last-Event-ID") {
        let last = last.to_str().unwrap_or_default();
        let after = place(last)
            .ok_or_else(|| ControlError::Parameter(format!("Last-Event-ID: {}", no_place(last))))?;
        filter.after = Some(after);
    }
    // Nodes have their names in the events.
    for name in &mut filter.nodes {
        if let Ok(node) = super::nodes::find(&api, name) {
            node.identity().name.as_ref().clone_into(name);
        }
    }
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // For reverse proxies that would collect an answer before they hand it on (nginx).
        .insert_header(("X-Accel-Buffering", "no"));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let subscription = api
        .events
        .subscribe(filter.after)
        .ok_or(ControlError::TooManyReaders)?;
    let reader = Reader {
        subscription,
        filter,
        told: None,
    };
    Ok(answer.streaming(stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    })))
}

struct Reader {
    subscription: Subscription,
    filter: Filter,
    /// The last place that the client knows.
    told: Option<u64>,
}

impl Reader {
    /// The next piece; `None`: the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        if self.told.is_none() {
            // The client's stream is open before anything happens, and it knows its place.
            return Some(self.keep_alive());
        }
        loop {
            let events = match timeout(KEEP_ALIVE, self.subscription.next(PIECE)).await {
                Ok(events) if events.is_empty() => return None,
                Ok(events) => events,
                Err(_) => return Some(self.keep_alive()),
            };
            let mut piece = Vec::new();
            for event in events.iter().filter(|event| self.filter.takes(&event.happening)) {
                write(&mut piece, event);
                self.told = Some(event.sequence);
            }
            if !piece.is_empty() {
                return Some(piece.into());
            }
            // Much may be passed over: others want the thread too.
            tokio::task::yield_now().await;
        }
    }

    /// A comment; with it the client's place moves past what was not for it.
    fn keep_alive(&mut self) -> Bytes {
        let place = self.subscription.place();
        if self.told.replace(place) == Some(place) {
            Bytes::from_static(b":\n\n")
        } else {
            format!(":\nid: {place}\n\n").into()
        }
    }
}

fn write(piece: &mut Vec<u8>, event: &Arc<Event>) {
    let before = piece.len();
    piece.extend_from_slice(
        format!(
            "id: {}\nevent: {}\ndata: ",
            event.sequence,
            event.happening.kind()
        )
        .as_bytes(),
    );
    // JSON has no line breaks outside of texts, and none in them. A type without odd maps always serialises.
    if serde_json::to_writer(&mut *piece, event).is_ok() {
        piece.extend_from_slice(b"\n\n");
    } else {
        piece.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_applied() {
        let filter = Filter::parse("node=a&node=b&kind=node_power&after=7").unwrap();
        assert_eq!(filter.after, Some(7));
        let power = |node: &str| Happening::NodePower {
            node: node.into(),
            from: metalsim_actors::node::bmc::PowerState::Off,
            to: metalsim_actors::node::bmc::PowerState::On,
        };
        assert!(filter.takes(&power("a")) && filter.takes(&power("b")) && !filter.takes(&power("c")));
        assert!(filter.takes(&Happening::Lagged { missed: 1 }));
        let opened = Happening::ClusterOpened {
            cluster: "x".into(),
            endpoint: "e".into(),
        };
        assert!(!filter.takes(&opened));
        assert!(Filter::parse("cluster=x").unwrap().takes(&opened));
        assert!(!Filter::parse("cluster=y").unwrap().takes(&opened));
        assert!(Filter::parse("").unwrap().takes(&opened));
        for bad in ["after=x", "kind=nodes", "colour=red", "after=-1"] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }
}
