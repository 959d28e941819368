//! What BMCs answered before, for faults that have them answer it again.
//!
//! Only answers are kept that such a fault could ask for: of the nodes and routes that it picks. They are bounded in number and bytes, for a
//! node and in all; the oldest go first. When the faults in force change, the next request to the service drops what none of them picks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody as _, to_bytes_limited};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderMap, HeaderValue};
use bytes::Bytes;
use metalsim_actors::fault::{NodeIndex, Site};
use metalsim_actors::time::SimInstant;

use super::respond;
use crate::directory::Directory;

/// Largest answer that is kept; the resources of a node are a few KiB.
const LARGEST: usize = 64 << 10;
/// Longest path and query whose answer is kept.
const LONGEST_PATH: usize = 1024;
/// What an answer takes besides its body and path: its headers and its places in the maps.
const OVERHEAD: usize = 1024;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    answers: usize,
    bytes: usize,
}

/// Of one node: more than it has resources that anybody reads.
const OF_NODE: Bounds = Bounds {
    answers: 128,
    bytes: 512 << 10,
};
/// Of all nodes.
const IN_ALL: Bounds = Bounds {
    answers: 32 << 10,
    bytes: 64 << 20,
};

/// The answers that may be given again.
#[derive(Default)]
pub(super) struct StaleReads {
    kept: Mutex<Kept>,
    /// Whether there are any: spares the lock.
    any: AtomicBool,
}

#[derive(Default)]
struct Kept {
    /// Of the faults that the answers were last compared with.
    version: u64,
    nodes: HashMap<NodeIndex, Answers>,
    /// Where each answer is, oldest first.
    order: BTreeMap<u64, (NodeIndex, Arc<str>)>,
    number: u64,
    bytes: usize,
}

#[derive(Default)]
struct Answers {
    by_path: HashMap<Arc<str>, Arc<Earlier>>,
    bytes: usize,
}

/// An answer with status 200.
pub(super) struct Earlier {
    number: u64,
    at: SimInstant,
    route: Box<str>,
    headers: HeaderMap,
    body: Bytes,
    bytes: usize,
}

impl Earlier {
    /// How old it is.
    pub(super) fn age(&self, now: SimInstant) -> Duration {
        now.since(self.at)
    }

    /// The answer, to a client that has the entity tags `known` (`If-None-Match`).
    pub(super) fn again(&self, known: Option<&HeaderValue>) -> HttpResponse {
        let unchanged = respond::has(known, self.headers.get(ETAG));
        let mut response = HttpResponse::build(if unchanged {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        });
        for header in &self.headers {
            response.append_header(header);
        }
        if unchanged {
            response.finish()
        } else {
            response.body(self.body.clone())
        }
    }
}

impl StaleReads {
    /// Whether nothing is kept, as without such faults.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// The latest answer for this path and query that was kept.
    pub(super) fn find(&self, node: NodeIndex, path: &str) -> Option<Arc<Earlier>> {
        self.lock().nodes.get(&node)?.by_path.get(path).cloned()
    }

    /// Keeps an answer, if it is one that can be kept. Hands it back.
    pub(super) async fn keep(
        &self,
        node: NodeIndex,
        (path, route): (&str, &str),
        at: SimInstant,
        response: ServiceResponse<BoxBody>,
    ) -> ServiceResponse<BoxBody> {
        let small =
            matches!(response.response().body().size(), BodySize::Sized(size) if size <= LARGEST as u64);
        if response.status() != StatusCode::OK || !small || path.len() > LONGEST_PATH {
            return response;
        }
        let (request, response) = response.into_parts();
        let (head, body) = response.into_parts();
        let Ok(Ok(body)) = to_bytes_limited(body, LARGEST).await else {
            let gone = HttpResponse::InternalServerError().finish();
            return ServiceResponse::new(request, gone);
        };
        self.lock()
            .keep(node, (path, route), at, head.headers().clone(), body.clone());
        self.any.store(true, Ordering::Release);
        ServiceResponse::new(request, head.set_body(BoxBody::new(body)))
    }

    /// Drops what no fault in force asks for.
    pub(super) fn review(&self, directory: &Directory) {
        if self.is_empty() {
            return;
        }
        let Some(version) = directory.nodes().first().map(|node| node.faults_version()) else {
            return;
        };
        let mut kept = self.lock();
        if kept.version == version {
            return;
        }
        kept.version = version;
        kept.retain(|index, route| {
            let node = directory.nodes().get(index.0 as usize);
            let age = Duration::ZERO;
            node.is_some_and(|node| node.concerned(Site::RedfishRead { route, age }))
        });
        self.any.store(!kept.nodes.is_empty(), Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(
        &mut self,
        node: NodeIndex,
        (path, route): (&str, &str),
        at: SimInstant,
        headers: HeaderMap,
        body: Bytes,
    ) {
        self.number += 1;
        let path: Arc<str> = path.into();
        let bytes = body.len() + path.len() + OVERHEAD;
        self.remove(node, &path);
        let earlier = Earlier {
            number: self.number,
            at,
            route: route.into(),
            headers,
            body,
            bytes,
        };
        let answers = self.nodes.entry(node).or_default();
        answers.bytes += bytes;
        answers.by_path.insert(Arc::clone(&path), Arc::new(earlier));
        let full = answers.bytes > OF_NODE.bytes || answers.by_path.len() > OF_NODE.answers;
        self.bytes += bytes;
        self.order.insert(self.number, (node, path));
        if full {
            self.shrink_node(node);
        }
        while self.bytes > IN_ALL.bytes || self.order.len() > IN_ALL.answers {
            let Some((node, path)) = self.order.first_key_value().map(|(_, place)| place.clone()) else {
                break;
            };
            self.remove(node, &path);
        }
    }

    /// Brings a node back within its bounds.
    fn shrink_node(&mut self, node: NodeIndex) {
        while let Some(answers) = self.nodes.get(&node) {
            if answers.bytes <= OF_NODE.bytes && answers.by_path.len() <= OF_NODE.answers {
                return;
            }
            let oldest = answers.by_path.iter().min_by_key(|(_, earlier)| earlier.number);
            let Some(path) = oldest.map(|(path, _)| Arc::clone(path)) else {
                return;
            };
            self.remove(node, &path);
        }
    }

    fn remove(&mut self, node: NodeIndex, path: &str) {
        let Some(answers) = self.nodes.get_mut(&node) else {
            return;
        };
        if let Some(earlier) = answers.by_path.remove(path) {
            answers.bytes -= earlier.bytes;
            self.bytes -= earlier.bytes;
            self.order.remove(&earlier.number);
        }
        if answers.by_path.is_empty() {
            self.nodes.remove(&node);
        }
    }

    fn retain(&mut self, mut wanted: impl FnMut(NodeIndex, &str) -> bool) {
        let unwanted: Vec<(NodeIndex, Arc<str>)> = self
            .order
            .values()
            .filter(|(node, path)| {
                let earlier = self.nodes.get(node).and_then(|answers| answers.by_path.get(path));
                earlier.is_some_and(|earlier| !wanted(*node, &earlier.route))
            })
            .cloned()
            .collect();
        for (node, path) in unwanted {
            self.remove(node, &path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "/redfish/v1/Systems/{id}";

    fn keep(kept: &mut Kept, node: u32, path: &str, size: usize) {
        let body = vec![b'x'; size].into();
        kept.keep(
            NodeIndex(node),
            (path, ROUTE),
            SimInstant::START,
            HeaderMap::new(),
            body,
        );
    }

    fn sound(kept: &Kept) {
        let all = || kept.nodes.values().flat_map(|answers| answers.by_path.values());
        assert_eq!(all().count(), kept.order.len());
        assert_eq!(all().map(|earlier| earlier.bytes).sum::<usize>(), kept.bytes);
        for answers in kept.nodes.values() {
            assert!(!answers.by_path.is_empty());
            assert!(answers.by_path.len() <= OF_NODE.answers && answers.bytes <= OF_NODE.bytes);
        }
        assert!(kept.order.len() <= IN_ALL.answers && kept.bytes <= IN_ALL.bytes);
    }

    #[test]
    fn a_node_keeps_its_newest_answers() {
        let mut kept = Kept::default();
        for number in 0..OF_NODE.answers + 10 {
            keep(&mut kept, 1, &format!("/{number}"), 10);
            sound(&kept);
        }
        let answers = &kept.nodes[&NodeIndex(1)];
        assert_eq!(answers.by_path.len(), OF_NODE.answers);
        assert!(!answers.by_path.contains_key("/9") && answers.by_path.contains_key("/10"));
        for number in 0..20 {
            keep(&mut kept, 1, &format!("/large/{number}"), LARGEST);
            sound(&kept);
        }
        keep(&mut kept, 1, "/large/19", 10);
        sound(&kept);
    }

    #[test]
    fn all_nodes_together_are_bounded() {
        let mut kept = Kept::default();
        for node in 0..2000 {
            keep(&mut kept, node, "/", LARGEST);
        }
        sound(&kept);
        assert!(!kept.nodes.contains_key(&NodeIndex(0)) && kept.nodes.contains_key(&NodeIndex(1999)));
        kept.retain(|node, route| node.0 == 1999 && route == ROUTE);
        sound(&kept);
        assert_eq!(kept.order.len(), 1);
    }
}
