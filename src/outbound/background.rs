//! A thread for what nodes wait for from outside.
//!
//! Connections of a pool live on the runtime that opened them, and the nodes have one runtime a thread; so outgoing
//! work runs here. A node's future only waits for the result, and dropping it calls the work off.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// The thread.
pub(super) struct Background {
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(name: &'static str) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(super::BLOCKING_THREADS)
            .thread_name(name)
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs `work` on the thread. `None`: it panicked, or the process stops.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        let (mut result, waiting) = oneshot::channel();
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // A node that lost its power does not go on.
                let outcome = tokio::select! {
                    outcome = work => outcome,
                    () = result.closed() => return,
                };
                drop(result.send(outcome));
            });
        }
        async move { waiting.await.ok() }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for work that hangs is not possible here, and nobody waits for its results any more.
            runtime.shutdown_background();
        }
    }
}
