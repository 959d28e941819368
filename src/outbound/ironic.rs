//! Calls to Ironic, for all nodes of the process.
//!
//! They run on a thread of their own; dropping a call's future cancels it.

use std::sync::Arc;
use std::time::Duration;

use metalsim_actors::ids::NodeId;
use metalsim_actors::node::effect::{CallError, IronicRequest, Outcome};
use metalsim_actors::ports::{Ironic, LocalFuture};
use metalsim_actors::seed::Seed;
use metalsim_actors::time::Clock;
use tokio::sync::Semaphore;

use super::background::Background;
use super::endpoints::Endpoints;
use super::trust::{ClientOptions, Clients, Trust};
use super::wire;
use crate::observer::CallObserver;

/// A call that had to wait its turn is sent up to this much later, so that those who waited together don't arrive
/// together.
const JITTER: Duration = Duration::from_millis(20);

/// Limits of the calls.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Most calls on their way to one host and port; others wait in order.
    pub max_in_flight: usize,
    /// A call without a complete answer for this long has failed; real time. Waiting for a turn does not count.
    pub timeout: Duration,
}

/// The nodes' way to Ironic.
pub struct IronicClient {
    background: Background,
    shared: Arc<Shared>,
}

struct Shared {
    clients: Clients,
    endpoints: Endpoints,
    observer: Arc<dyn CallObserver>,
    clock: Arc<dyn Clock>,
    jitter: Seed,
}

impl IronicClient {
    /// Starts the thread that makes the calls. Expects rustls' process-wide provider to be installed.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        limits: CallLimits,
        seed: Seed,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn CallObserver>,
    ) -> std::io::Result<Self> {
        let background = Background::start("ironic")?;
        let shared = Arc::new(Shared {
            clients: Clients::new(ClientOptions {
                timeout: limits.timeout,
                idle: limits.max_in_flight,
                redirects: 0,
            }),
            endpoints: Endpoints::new(limits.max_in_flight),
            observer,
            clock,
            jitter: seed.child("ironic-jitter"),
        });
        Ok(Self { background, shared })
    }
}

impl Ironic for IronicClient {
    fn call(&self, node: NodeId, request: IronicRequest) -> LocalFuture<Outcome> {
        let kind = wire::kind(&request.call);
        let shared = Arc::clone(&self.shared);
        let called = self
            .background
            .run(async move { shared.call(node, request).await });
        Box::pin(async move {
            called
                .await
                .unwrap_or_else(|| wire::failed(kind, CallError::Connection))
        })
    }
}

impl Shared {
    async fn call(&self, node: NodeId, request: IronicRequest) -> Outcome {
        let IronicRequest {
            parameters,
            due,
            call,
        } = request;
        let kind = wire::kind(&call);
        let no_connection = || wire::failed(kind, CallError::Connection);
        let Some(url) = wire::url(&call) else {
            tracing::warn!(%node, ?kind, "not an HTTP URL");
            return no_connection();
        };
        let Some(client) = self.clients.get(&Trust::of(&parameters)) else {
            return no_connection();
        };
        let turns = self.endpoints.turns(&wire::endpoint(&url));
        let Some(_turn) = self.turn(&turns, node).await else {
            return no_connection();
        };
        let request = match wire::request(&client, &parameters, url, &call) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%node, ?kind, %error, "a call cannot be made");
                return no_connection();
            }
        };
        // What it was made of is not held while waiting for the answer.
        drop(call);
        self.observer.sent(kind, self.clock.now().since(due));
        let _flying = Mark::new(&*self.observer, CallObserver::in_flight);
        let sent = self.clock.real();
        let outcome = match client.execute(request).await {
            Ok(response) => wire::outcome(kind, response).await,
            Err(error) => {
                tracing::debug!(%node, ?kind, %error, "no answer");
                no_connection()
            }
        };
        self.observer.ended(kind, self.clock.real().saturating_sub(sent));
        outcome
    }

    /// Waits for a turn; `None` never happens, since nobody closes the semaphores.
    async fn turn<'a>(&self, turns: &'a Semaphore, node: NodeId) -> Option<tokio::sync::SemaphorePermit<'a>> {
        if let Ok(turn) = turns.try_acquire() {
            return Some(turn);
        }
        let turn = {
            let _queued = Mark::new(&*self.observer, CallObserver::queued);
            turns.acquire().await.ok()?
        };
        let draw = self
            .jitter
            .child(&node.to_string())
            .indexed(self.clock.now().as_millis())
            .value();
        let spread = u64::try_from(JITTER.as_micros()).unwrap_or(1).max(1);
        tokio::time::sleep(Duration::from_micros(draw % spread)).await;
        Some(turn)
    }
}

/// Counts up now and down when dropped, also when a call is cancelled.
struct Mark<'a> {
    observer: &'a dyn CallObserver,
    count: fn(&dyn CallObserver, bool),
}

impl<'a> Mark<'a> {
    fn new(observer: &'a dyn CallObserver, count: fn(&dyn CallObserver, bool)) -> Self {
        count(observer, true);
        Self { observer, count }
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        (self.count)(self.observer, false);
    }
}
