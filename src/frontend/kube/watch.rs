//! Watches: a stream of events that goes as fast as its reader.
//!
//! A watch is a place in the cluster's history. Its body makes the next piece only when the connection has room for it, so a
//! reader that does not read costs its place and one piece, and once it has fallen out of the history it is told 410.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, stream};
use metalsim_actors::fault::{Site, SiteKind, What};
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::status::{Reason, Status};
use metalsim_actors::kube::store::{VersionMatch, WatchEvent, WatchQuery, Watcher};
use tokio::sync::watch::Receiver;
use tokio::time::{Sleep, sleep};

use super::answer::{Answer, JSON};
use super::call::{Place, Server};
use super::query::Query;
use super::read::selectors;
use super::render::{self, View};
use super::storage;
use crate::cluster::api_server::{StreamKind, StreamPermit};
use crate::frontend::connection::InRequest;

/// Events in one piece of the stream.
const PIECE: usize = 128;
/// How often a quiet watch tells its place (kubernetes: `apiserver/pkg/storage/cacher`, about a minute).
const BOOKMARK: Duration = Duration::from_secs(60);
/// A watch without `timeoutSeconds` ends after this time, and up to as long again (kube-apiserver: `--min-request-timeout`).
const SHORTEST: u64 = 1800;

/// Starts a watch. A version that is too old is told in the stream: clients that are refused without one try the same version again
/// (kubernetes: `apiserver/pkg/storage/cacher/cacher.go`, Watch).
///
/// # Errors
/// 400, 422, 504 for the parameters; 429 when there are too many watches.
pub(super) fn start(
    server: &Server,
    place: Place,
    query: &Query<'_>,
    view: View,
    busy: Option<InRequest>,
) -> Answer {
    let (labels, fields) = selectors(&place, query)?;
    storage::watchable(server)?;
    let permit = server.stream(StreamKind::Watch).ok_or_else(|| {
        Status::too_many_requests("too many watches are open, please try again later.").retry_after(1)
    })?;
    let wanted = WatchQuery {
        labels,
        // `GET .../<name>?watch` and `/watch/.../<name>` watch one object.
        fields,
        resource_version: query.text("resourceVersion"),
        version_match: VersionMatch::parse(query.text("resourceVersionMatch"))?,
        send_initial_events: query.maybe_flag("sendInitialEvents"),
        allow_bookmarks: query.flag("allowWatchBookmarks"),
        continue_token: query.text("continue"),
    };
    let wake = server.cluster.subscribe(place.resource.home);
    let watcher = match server
        .cluster
        .read(|cluster| cluster.store.watch(place.target(), wanted))
    {
        Ok(watcher) => watcher,
        Err(status) if status.is(Reason::Expired) => {
            return Ok(ended(&status));
        }
        Err(status) => return Err(status),
    };
    let seconds = match query.number("timeoutSeconds")? {
        Some(seconds @ 1..) => seconds.unsigned_abs(),
        _ => SHORTEST + watcher.position() % SHORTEST,
    };
    if let Some(gone) = server.cluster.expired(place.resource.home)
        && watcher.position() <= gone
    {
        return Ok(ended(&Status::too_old(
            watcher.position(),
            gone.saturating_add(1),
        )));
    }
    let seconds = Duration::from_secs(seconds);
    let cut = cut(server, &place).filter(|cut| cut.after < seconds);
    let end = Box::pin(sleep(cut.as_ref().map_or(seconds, |cut| cut.after)));
    let minute = Box::pin(sleep(BOOKMARK));
    let state = Watch {
        server: Arc::clone(server),
        view,
        place,
        watcher,
        wake,
        end,
        cut,
        minute,
        first: true,
        over: false,
        _permit: permit,
        _busy: busy,
    };
    let body = stream::unfold(state, |mut state| async move {
        let piece = state.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), state))
    });
    Ok(streamed(body))
}

/// How a fault ends a watch.
struct Cut {
    /// In real time.
    after: Duration,
    /// Its versions are gone too.
    expired: bool,
}

/// A watch begins: whether a fault is going to end it.
fn cut(server: &Server, place: &Place) -> Option<Cut> {
    if !server.cluster.may_strike(SiteKind::ApiWatch) {
        return None;
    }
    let resource = place.resource.to_string();
    let struck = server.cluster.strike(Site::ApiWatch { resource: &resource })?;
    match struck.what {
        What::ApiWatchCut { after, expired, .. } => Some(Cut {
            after: server.cluster.real_time(after.draw(struck.seed.child("after"))),
            expired,
        }),
        _ => None,
    }
}

/// A stream of nothing but a status.
fn ended(status: &Status) -> HttpResponse {
    let only = Ok::<_, std::convert::Infallible>(error(status));
    streamed(stream::once(std::future::ready(only)))
}

fn streamed(body: impl Stream<Item = Result<Bytes, std::convert::Infallible>> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, JSON))
        .streaming(body)
}

struct Watch {
    server: Server,
    place: Place,
    view: View,
    watcher: Watcher,
    wake: Receiver<()>,
    end: Pin<Box<Sleep>>,
    /// A fault makes its end.
    cut: Option<Cut>,
    /// When its place is to be told again.
    minute: Pin<Box<Sleep>>,
    /// Nothing was told yet.
    first: bool,
    over: bool,
    _permit: StreamPermit,
    /// The connection lives while the watch does, however quiet it is.
    _busy: Option<InRequest>,
}

impl Watch {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            // Also a watch that always has something to tell ends.
            if self.end.as_mut().now_or_never().is_some() {
                self.over = true;
                if let Some(cut) = self.cut.take() {
                    return self.end_by(&cut).await;
                }
                return self.watcher.bookmark().map(|bookmark| self.write(&[bookmark]));
            }
            // From here on a change wakes, so none is missed.
            self.wake.mark_unchanged();
            if storage::watchable(&self.server).is_err() {
                return None;
            }
            match self.poll() {
                Ok(events) if !events.is_empty() => return Some(self.write(&events)),
                Ok(_) => {}
                Err(status) => {
                    self.over = true;
                    return Some(error(&status));
                }
            }
            tokio::select! {
                changed = self.wake.changed() => {
                    // The cluster is gone.
                    self.over = changed.is_err();
                }
                () = &mut self.minute => {
                    self.minute.set(sleep(BOOKMARK));
                    // What happened since is told before the place is.
                    match self.poll() {
                        Ok(events) if !events.is_empty() => return Some(self.write(&events)),
                        Ok(_) => {}
                        Err(_) => continue,
                    }
                    if let Some(bookmark) = self.watcher.bookmark() {
                        return Some(self.write(&[bookmark]));
                    }
                }
                () = &mut self.end => {}
            }
        }
        None
    }

    /// The last piece of a watch that a fault ends: nothing, or that its versions are gone.
    async fn end_by(&mut self, cut: &Cut) -> Option<Bytes> {
        if !cut.expired {
            return None;
        }
        let place = self.watcher.position();
        // A cluster that is gone, or too busy, has the watch end without a word.
        self.server.cluster.expire(self.place.resource.home).await.ok()?;
        Some(error(&Status::too_old(place, place.saturating_add(1))))
    }

    fn poll(&mut self) -> Result<Vec<WatchEvent>, Status> {
        let (place, watcher) = (&self.place, &mut self.watcher);
        let now = self.server.cluster.now();
        self.server.cluster.read(|cluster| {
            let mut events = cluster.store.poll(watcher, PIECE)?;
            for event in &mut events {
                let shown = event
                    .object
                    .as_ref()
                    .map(|object: &Arc<Object>| cluster.present(&place.resource, object, now));
                event.object = shown;
            }
            Ok(events)
        })
    }

    fn write(&mut self, events: &[WatchEvent]) -> Bytes {
        let now = self.server.cluster.now();
        let mut out = Vec::with_capacity(events.len().saturating_mul(1024));
        for event in events {
            render::event(self.view, &self.place, event, now, self.first, &mut out);
            self.first = false;
        }
        out.into()
    }
}

/// A status as the last event of a stream.
fn error(status: &Status) -> Bytes {
    let event = serde_json::json!({"type": "ERROR", "object": status});
    let mut text = event.to_string().into_bytes();
    text.push(b'\n');
    text.into()
}
