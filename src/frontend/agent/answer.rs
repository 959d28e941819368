//! The handlers.
//!
//! A request that is never to be answered is held for [`LONGEST_HANG`] at most; its client gives up long before.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use metalsim_actors::fault::words::Unreachable;
use metalsim_actors::fault::{Site, SiteKind, Struck, What};
use metalsim_actors::ids::{CommandId, NodeId};
use metalsim_actors::node::agent::command::Operation;
use metalsim_actors::node::agent::{AgentError, AgentReply, AgentRequest};
use metalsim_actors::node::bmc::Secret;
use metalsim_actors::node::{Event, Refused, Reply};
use metalsim_actors::shell::{AskError, NodeRef};
use metalsim_actors::wire::agent::{CommandRequest, CommandResult, CommandStatus};
use serde::Serialize;
use serde_json::{Value, json};

use super::fault::Fault;
use super::{AgentApi, documents};
use crate::frontend::body;
use crate::frontend::measure::NoRoute;

/// A body larger than this is parsed outside the threads that serve requests.
const LARGE_BODY: usize = 256 * 1024;
/// Longest time for which a request is left without an answer.
const LONGEST_HANG: Duration = Duration::from_secs(600);

type Api = web::Data<AgentApi>;

/// What a request says about its sender, and the agent that it is for.
struct Call {
    node: Arc<NodeRef>,
    token: Option<Secret>,
    wait: bool,
}

impl Call {
    /// Reads path and query, and reaches the agent's address. Whether the agent runs is not known yet.
    async fn of(request: &HttpRequest, api: &AgentApi) -> Result<Self, Fault> {
        let call = Self::read(request, api)?;
        match call.node.strike(Site::Plain(SiteKind::AgentConnection)) {
            Some(Struck {
                what: What::AgentUnreachable { how },
                ..
            }) => {
                match how {
                    Unreachable::Refuse => {}
                    Unreachable::Drop | Unreachable::Hang => actix_rt::time::sleep(LONGEST_HANG).await,
                }
                Err(Fault::Unanswered)
            }
            _ => Ok(call),
        }
    }

    fn read(request: &HttpRequest, api: &AgentApi) -> Result<Self, Fault> {
        // Unmatched paths have no parameters.
        let first = request.path().split('/').nth(1).unwrap_or_default();
        let node = first.parse::<NodeId>().ok().and_then(|id| api.directory.get(&id));
        let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        let query = query.map(web::Query::into_inner).unwrap_or_default();
        let value = |name: &str| {
            query
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value)
        };
        Ok(Self {
            node: node.ok_or(Fault::Unanswered)?,
            token: value("agent_token").map(|token| Secret::new(token)),
            wait: value("wait").is_some_and(|wait| wait.eq_ignore_ascii_case("true")),
        })
    }

    fn event(&self, operation: Operation) -> Event {
        Event::Agent(AgentRequest {
            token: self.token.clone(),
            operation,
        })
    }

    async fn ask(&self, operation: Operation) -> Result<AgentReply, Fault> {
        reply(self.node.act(self.event(operation)).await)
    }

    /// Like [`Self::ask`], but with `wait=true` answers when the command has ended, or, after `longest`, with the
    /// command as it is then. There is no answer while a synchronous command hangs.
    async fn ask_for_command(&self, operation: Operation, longest: Duration) -> Result<AgentReply, Fault> {
        let asked = self.node.act(self.event(operation)).await;
        if let Err(AskError::Refused(Refused::Agent(AgentError::Stuck(id)))) = asked {
            return self.hang(id).await;
        }
        let reply = reply(asked)?;
        if let Some(id) = reply.stuck() {
            return self.hang(id).await;
        }
        match &reply {
            AgentReply::Command(command) if self.wait && command.command_status == CommandStatus::Running => {
                let ended = tokio::time::timeout(longest, self.end_of(command.id)).await;
                ended.unwrap_or(Ok(reply))
            }
            _ => Ok(reply),
        }
    }

    /// Waits until the command has ended.
    async fn end_of(&self, command: CommandId) -> Result<AgentReply, Fault> {
        let event = self.event(Operation::Get(command.to_string().into()));
        reply(self.node.act_and_wait(event).await)
    }

    /// Waits as long as the command hangs; then there is nobody who could answer.
    async fn hang(&self, command: CommandId) -> Result<AgentReply, Fault> {
        // However it ends: only with the agent.
        drop(tokio::time::timeout(LONGEST_HANG, self.end_of(command)).await);
        Err(Fault::Unanswered)
    }

    /// Makes sure that somebody is there before an answer that needs no agent is given.
    async fn alive(&self) -> Result<(), Fault> {
        self.ask(Operation::Status).await.map(drop)
    }

    /// The agent's own URL.
    fn url(&self) -> String {
        let base = &self.node.kind().agent.advertise_url;
        format!("{base}/{}", self.node.identity().id)
    }
}

fn reply(asked: Result<Reply, AskError>) -> Result<AgentReply, Fault> {
    match asked? {
        Reply::Agent(reply) => Ok(reply),
        Reply::Done | Reply::Failed(_) | Reply::Task(_) => {
            Err(Fault::Status(500, "unexpected reply".to_owned()))
        }
    }
}

/// Turns a handler's result into an answer.
fn finish(request: &HttpRequest, result: Result<impl Serialize, Fault>) -> HttpResponse {
    match result {
        Ok(document) => HttpResponse::Ok().json(document),
        Err(fault) => fault.response(request),
    }
}

/// `GET /`
pub(super) async fn root(request: HttpRequest, api: Api) -> HttpResponse {
    let document = async {
        let call = Call::of(&request, &api).await?;
        call.alive().await?;
        Ok(documents::root(&call.url()))
    };
    finish(&request, document.await)
}

/// `GET /v1/`
pub(super) async fn v1(request: HttpRequest, api: Api) -> HttpResponse {
    let document = async {
        let call = Call::of(&request, &api).await?;
        call.alive().await?;
        Ok(documents::v1(&call.url()))
    };
    finish(&request, document.await)
}

/// `GET /v1/status`
pub(super) async fn status(request: HttpRequest, api: Api) -> HttpResponse {
    let document = async {
        let call = Call::of(&request, &api).await?;
        let AgentReply::Status { started_at } = call.ask(Operation::Status).await? else {
            return Err(Fault::Status(500, "unexpected reply".to_owned()));
        };
        // Seconds since 1970 with a fraction, as Python's time() gives them.
        let millis = api.clock.calendar(started_at).timestamp_millis();
        let started_at = std::time::Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
        Ok(json!({"started_at": started_at, "version": call.node.kind().agent.version}))
    };
    finish(&request, document.await)
}

/// `GET /v1/commands/`
pub(super) async fn list(request: HttpRequest, api: Api) -> HttpResponse {
    let document = async {
        let call = Call::of(&request, &api).await?;
        match call.ask(Operation::List).await? {
            AgentReply::Commands(commands) => Ok(Commands { commands }),
            AgentReply::Command(_) | AgentReply::Status { .. } => {
                Err(Fault::Status(500, "unexpected reply".to_owned()))
            }
        }
    };
    finish(&request, document.await)
}

#[derive(Serialize)]
struct Commands {
    commands: Vec<Arc<CommandResult>>,
}

/// `GET /v1/commands/<id>`
pub(super) async fn get(request: HttpRequest, api: Api, path: web::Path<(String, String)>) -> HttpResponse {
    let document = async {
        let call = Call::of(&request, &api).await?;
        let (_, id) = path.into_inner();
        command(
            call.ask_for_command(Operation::Get(id.into()), api.longest_wait)
                .await?,
        )
    };
    finish(&request, document.await)
}

/// `POST /v1/commands/`
pub(super) async fn execute(request: HttpRequest, api: Api, payload: web::Payload) -> HttpResponse {
    let document = async {
        let call = Call::of(&request, &api).await?;
        // Nobody reads the body of a request to a host that is off.
        call.alive().await?;
        let body = body::read(&request, payload, &api.bodies).await?;
        let CommandRequest { name, params } = if body.bytes.len() > LARGE_BODY {
            let parsed = web::block(move || parse(&body.bytes)).await;
            parsed.map_err(|_| Fault::Status(500, "internal error".to_owned()))??
        } else {
            parse(&body.bytes)?
        };
        let operation = Operation::Execute { name, params };
        command(call.ask_for_command(operation, api.longest_wait).await?)
    };
    finish(&request, document.await)
}

/// Takes a body whatever its content type, as the real agent does.
fn parse(bytes: &[u8]) -> Result<CommandRequest, Fault> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            Fault::bad_request("Missing or invalid name or params")
        } else {
            Fault::bad_request(&format!("Failed to decode JSON object: {error}"))
        }
    })
}

fn command(reply: AgentReply) -> Result<Arc<CommandResult>, Fault> {
    match reply {
        AgentReply::Command(result) => Ok(result),
        AgentReply::Commands(_) | AgentReply::Status { .. } => {
            Err(Fault::Status(500, "unexpected reply".to_owned()))
        }
    }
}

/// Any other path.
pub(super) async fn not_found(request: HttpRequest, api: Api) -> HttpResponse {
    request.extensions_mut().insert(NoRoute);
    refuse(
        &request,
        &api,
        404,
        "404 Not Found: The requested URL was not found on the server.",
    )
    .await
}

/// Any other method on a known path.
pub(super) async fn method_not_allowed(request: HttpRequest, api: Api) -> HttpResponse {
    refuse(
        &request,
        &api,
        405,
        "405 Method Not Allowed: The method is not allowed for the requested URL.",
    )
    .await
}

async fn refuse(request: &HttpRequest, api: &Api, status: u16, text: &str) -> HttpResponse {
    let refused = async {
        Call::of(request, api).await?.alive().await?;
        Err::<Value, _>(Fault::Status(status, text.to_owned()))
    };
    finish(request, refused.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_no_commands_are_named_so() {
        let text = |body: &str| match parse(body.as_bytes()) {
            Err(Fault::Status(400, text)) => text,
            other => panic!("{other:?}"),
        };
        for body in [
            r#"{"name": "a.b"}"#,
            r#"{"name": "a.b", "params": []}"#,
            "[]",
            r#"{"name": 1, "params": {}}"#,
        ] {
            assert_eq!(
                text(body),
                "400 Bad Request: Missing or invalid name or params",
                "{body}"
            );
        }
        for body in ["", "{", "nonsense"] {
            assert!(
                text(body).starts_with("400 Bad Request: Failed to decode JSON object"),
                "{body}"
            );
        }
    }
}
