//! `log` of pods: what there is, and with `follow` what comes, until the container ends or the client goes.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controllers::pod_log::{self, Follower, LogQuery};
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::status::Status;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;

use super::answer::{self, Answer};
use super::call::{Call, Place};
use crate::cluster::api_server::{StreamKind, StreamPermit};
use crate::frontend::connection::{Connection, InRequest};

const TEXT: &str = "text/plain";

/// Answers with the log of a container.
///
/// # Errors
/// 400 for a container that does not exist, has not started or has to be named; 404 without the pod; 429 when too many logs are
/// followed; 500 when the kubelet of the node is silent.
pub(super) fn serve(call: &Call<'_>, place: Place) -> Answer {
    let server = call.server;
    let query = LogQuery::parse(&place.name, call.query.pairs())?;
    let wake = server.cluster.subscribe(place.resource.home);
    let (bytes, follower) = server.cluster.read(|cluster| {
        let pod = cluster.store.get(place.target(), &place.name)?;
        reachable(cluster, pod, &query.container)?;
        pod_log::follow(pod, &query.container, &query, server.cluster.now())
    })?;
    let Some(follower) = follower else {
        return Ok(answer::body(200, TEXT, bytes));
    };
    let permit = server.stream(StreamKind::Log).ok_or_else(|| {
        Status::too_many_requests("too many logs are followed, please try again later.").retry_after(1)
    })?;
    let state = Followed {
        server: Arc::clone(server),
        place,
        follower,
        wake,
        first: Some(bytes.into()),
        next: Some(server.cluster.now()),
        _permit: permit,
        _busy: Connection::of(call.request).map(|connection| connection.enter()),
    };
    let body = stream::unfold(state, |mut state| async move {
        let piece = state.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), state))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, TEXT))
        .streaming(body))
}

/// Logs come from the kubelet: there are none while it is silent.
fn reachable(cluster: &Cluster, pod: &Object, container: &str) -> Result<(), Status> {
    super::kubelet::silent(cluster, pod).map_or(Ok(()), |address| {
        Err(pod_log::unreachable(pod, container, &address))
    })
}

/// A log that is followed.
struct Followed {
    server: super::call::Server,
    place: Place,
    follower: Follower,
    wake: Receiver<()>,
    first: Option<Bytes>,
    next: Option<DateTime<Utc>>,
    _permit: StreamPermit,
    _busy: Option<InRequest>,
}

impl Followed {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some(first);
        }
        loop {
            let next = self.next?;
            let cluster = &self.server.cluster;
            let wait = cluster.real_time_until(next);
            self.wake.mark_unchanged();
            tokio::select! {
                () = sleep(wait) => {}
                changed = self.wake.changed() => changed.ok()?,
            }
            let now = cluster.now();
            let (bytes, next) = cluster.read(|cluster| {
                let pod = cluster.store.get(self.place.target(), &self.place.name).ok();
                self.follower.poll(pod.map(|pod| &**pod), now)
            });
            self.next = next;
            if !bytes.is_empty() {
                return Some(bytes.into());
            }
        }
    }
}
