//! How the agent's API refuses (ironic-python-agent: `errors.py`, `api/app.py`).

use crate::ids::CommandId;

/// A refused call: the HTTP status and the `faultstring` that a client reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The token is missing or wrong.
    #[error("401 Unauthorized: Token invalid.")]
    InvalidToken,
    /// A command name without a dot.
    #[error("Invalid command: Command name must be of the form <extension>.<name>")]
    CommandForm,
    /// The extension has no such command.
    #[error("Invalid command: Unknown command: {0}")]
    UnknownCommand(String),
    /// Missing or wrong arguments.
    #[error("Invalid command parameters: {0}")]
    Parameters(String),
    /// No such extension.
    #[error("Not found: Extension with id {0} not found.")]
    UnknownExtension(String),
    /// No such command result.
    #[error("Not found: Command Result with id {0} not found.")]
    UnknownResult(String),
    /// The last command still runs.
    #[error("Agent is busy: executing command {0}")]
    Busy(&'static str),
    /// A synchronous command hangs, and with it every further one: the request gets no answer as long as it does.
    #[error("the synchronous command {0} hangs")]
    Stuck(CommandId),
}

impl AgentError {
    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidToken => 401,
            Self::CommandForm | Self::UnknownCommand(_) | Self::Parameters(_) => 400,
            Self::UnknownExtension(_) | Self::UnknownResult(_) => 404,
            Self::Busy(_) | Self::Stuck(_) => 409,
        }
    }
}
