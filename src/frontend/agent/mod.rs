//! The agents' command API: every agent of the process on one port, told apart by `/<node id>/` in front of the path.
//!
//! Paths, checks and answers are those of ironic-python-agent (`api/app.py`). A request for an agent that does not run,
//! or no longer serves, gets no answer: its connection is dropped, since that is what Ironic
//! takes for "the host is gone".

mod answer;
mod documents;
mod fault;

use std::sync::Arc;
use std::time::Duration;

use actix_web::{guard, web};
use metalsim_actors::time::Clock;

use super::body::BodyLimits;
use crate::directory::Directory;

/// What the API needs.
#[derive(Clone)]
pub struct AgentApi {
    /// The nodes.
    pub directory: Arc<Directory>,
    /// For `started_at`.
    pub clock: Arc<dyn Clock>,
    /// Limits of request bodies; a command may carry a config drive.
    pub bodies: BodyLimits,
    /// How long a request with `wait=true` is held at most. Ironic gives up after 60 s (its `[agent]command_timeout`).
    pub longest_wait: Duration,
}

impl AgentApi {
    /// The time for which requests with `wait=true` are held unless configured otherwise.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(50);
}

/// The routes.
pub fn configure(api: AgentApi) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(web::Data::new(api.clone()))
            .service(readable(["/{node}", "/{node}/"]).route(reading().to(answer::root)))
            .service(readable(["/{node}/v1", "/{node}/v1/"]).route(reading().to(answer::v1)))
            .service(
                readable([
                    "/{node}/v1/status",
                    "/{node}/v1/status/",
                    "/{node}/status",
                    "/{node}/status/",
                ])
                .route(reading().to(answer::status)),
            )
            .service(
                readable([
                    "/{node}/v1/commands/",
                    "/{node}/v1/commands",
                    "/{node}/commands/",
                    "/{node}/commands",
                ])
                .route(reading().to(answer::list))
                .route(web::post().to(answer::execute)),
            )
            .service(
                readable([
                    "/{node}/v1/commands/{command}",
                    "/{node}/v1/commands/{command}/",
                    "/{node}/commands/{command}",
                    "/{node}/commands/{command}/",
                ])
                .route(reading().to(answer::get)),
            )
            .default_service(web::to(answer::not_found));
    }
}

fn readable<const N: usize>(paths: [&str; N]) -> actix_web::Resource {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    web::resource(paths).default_service(web::to(answer::method_not_allowed))
}

/// werkzeug answers HEAD wherever it answers GET.
fn reading() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
