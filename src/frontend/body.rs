//! Request bodies: bounded in size, in time, and together in memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is lent in pieces of this many bytes.
const PIECE: usize = 4096;
/// This much of a body needs no loan: the number of connections bounds it, and many clients that send a few bytes and
/// stop must not keep others from sending a command.
const FREE: usize = 16 * 1024;

/// Limits of request bodies. Clones share the memory.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Largest body in bytes.
    pub max: usize,
    /// Longest time from the head of a request to the end of its body.
    pub timeout: Duration,
    memory: Arc<Semaphore>,
}

impl BodyLimits {
    /// `total` bounds the bytes of all large bodies that are held at once; it is at least `max`.
    #[must_use]
    pub fn new(max: usize, timeout: Duration, total: usize) -> Self {
        let pieces = total.max(max).div_ceil(PIECE).min(Semaphore::MAX_PERMITS);
        Self {
            max,
            timeout,
            memory: Arc::new(Semaphore::new(pieces)),
        }
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than allowed: 413.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// It did not come in time: 408.
    #[error("the body did not come in time")]
    TimedOut,
    /// Too much memory is held by bodies already: 503.
    #[error("too many large requests are under way")]
    Busy,
    /// The client went away, or its framing is wrong: 400.
    #[error("the body is incomplete")]
    Incomplete,
}

impl BodyError {
    /// HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge(_) => 413,
            Self::TimedOut => 408,
            Self::Busy => 503,
            Self::Incomplete => 400,
        }
    }
}

/// A body, and the memory lent for it.
#[derive(Debug)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Reads the whole body.
///
/// # Errors
/// See [`BodyError`].
pub async fn read(
    request: &HttpRequest,
    mut payload: web::Payload,
    limits: &BodyLimits,
) -> Result<Body, BodyError> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.max) {
        return Err(BodyError::TooLarge(limits.max));
    }
    let reading = async {
        let mut memory: Option<OwnedSemaphorePermit> = None;
        // What a client announces is not yet worth memory: it grows with what came.
        let mut bytes = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
            let length = bytes.len() + chunk.len();
            if length > limits.max {
                return Err(BodyError::TooLarge(limits.max));
            }
            let held = memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let missing = length.saturating_sub(FREE).div_ceil(PIECE).saturating_sub(held);
            if missing > 0 {
                let more = u32::try_from(missing).map_err(|_| BodyError::Busy)?;
                let more = Arc::clone(&limits.memory)
                    .try_acquire_many_owned(more)
                    .map_err(|_| BodyError::Busy)?;
                match &mut memory {
                    Some(memory) => memory.merge(more),
                    None => memory = Some(more),
                }
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Body {
            bytes: bytes.freeze(),
            _memory: memory,
        })
    };
    tokio::time::timeout(limits.timeout, reading)
        .await
        .unwrap_or(Err(BodyError::TimedOut))
}
