//! Reads from web servers what nodes boot: ranges of images, boot scripts, config drives.
//!
//! Everything that is read is bounded in bytes and time, and so is the number of readers of a server.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use metalsim_actors::node::bmc::Secret;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, RANGE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::OwnedSemaphorePermit;

use super::endpoints::Endpoints;
use super::trust::{ClientOptions, Clients, Trust};

/// Redirects that are followed: image servers in front of object stores send one.
const REDIRECTS: usize = 5;

/// Limits of what one boot may read.
#[derive(Clone, Copy, Debug)]
pub struct WebLimits {
    /// Most readers of one server at once; others wait in order.
    pub max_in_flight: usize,
    /// A request without a complete answer for this long has failed; real time.
    pub timeout: Duration,
    /// Most bytes of one image that are read.
    pub max_read: u64,
    /// Most bytes of one image that are skipped on a server that serves no ranges.
    pub max_skipped: u64,
}

/// User and password for an image's server.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) username: Box<str>,
    pub(super) password: Option<Secret>,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebError {
    /// Not an `http` or `https` URL.
    #[error("not an http or https URL")]
    Url,
    /// The certificates to trust are unusable.
    #[error("the certificates to trust are unusable")]
    Trust,
    /// The server's answer.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// No connection, none in time, or it broke.
    #[error("{0}")]
    Connection(Box<str>),
    /// The server's answer makes no sense.
    #[error("the server's answer to a range request makes no sense")]
    Range,
    /// Another file than before lies at the URL.
    #[error("the image changed while it was read")]
    Changed,
    /// More than the limit.
    #[error("more than {0} bytes")]
    TooLarge(u64),
}

impl WebError {
    fn connection(error: &reqwest::Error) -> Self {
        // The innermost cause says what happened; the outer ones repeat the URL, which may hold a secret query.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Connection(if error.is_timeout() {
            "no complete answer in time".into()
        } else {
            cause.to_string().into()
        })
    }
}

/// Connections to web servers, shared by all boots of a process.
pub(super) struct Web {
    clients: Clients,
    endpoints: Endpoints,
    limits: WebLimits,
}

impl Web {
    pub(super) fn new(limits: WebLimits) -> Self {
        Self {
            clients: Clients::new(ClientOptions {
                timeout: limits.timeout,
                idle: limits.max_in_flight.min(64),
                redirects: REDIRECTS,
            }),
            endpoints: Endpoints::new(limits.max_in_flight),
            limits,
        }
    }

    /// The limits.
    pub(super) fn limits(&self) -> WebLimits {
        self.limits
    }

    /// A turn at the server of `url`, kept for as long as the visit lives.
    pub(super) async fn visit(
        &self,
        url: &str,
        trust: &Trust,
        credentials: Option<Credentials>,
    ) -> Result<Visit, WebError> {
        let url = Url::parse(url).map_err(|_| WebError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(WebError::Url);
        }
        let client = self.clients.get(trust).ok_or(WebError::Trust)?;
        let turns = self.endpoints.turns(&super::wire::endpoint(&url));
        let turn = turns
            .acquire_owned()
            .await
            .map_err(|_| WebError::Connection("stopping".into()))?;
        Ok(Visit {
            client,
            url,
            credentials,
            limits: self.limits,
            _turn: turn,
        })
    }
}

/// A place on a web server, and the turn to read there.
pub(super) struct Visit {
    client: Client,
    url: Url,
    credentials: Option<Credentials>,
    limits: WebLimits,
    _turn: OwnedSemaphorePermit,
}

impl Visit {
    fn request(&self, method: reqwest::Method) -> RequestBuilder {
        let request = self.client.request(method, self.url.clone());
        match &self.credentials {
            Some(Credentials { username, password }) => {
                request.basic_auth(username, password.as_ref().map(Secret::expose))
            }
            None => request,
        }
    }

    /// The whole of a small file.
    pub(super) async fn get(&self, limit: u64) -> Result<Bytes, WebError> {
        let mut response = send(self.request(reqwest::Method::GET)).await?;
        if !response.status().is_success() {
            return Err(WebError::Status(response.status()));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = chunk(&mut response).await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(WebError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Whether the file is there. A server that does not know `HEAD` is taken at its word in the URL.
    pub(super) async fn exists(&self) -> Result<(), WebError> {
        let status = send(self.request(reqwest::Method::HEAD)).await?.status();
        let unknown = matches!(
            status,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        if status.is_success() || unknown {
            Ok(())
        } else {
            Err(WebError::Status(status))
        }
    }

    /// The image there, to be read by ranges.
    pub(super) fn image(self) -> RemoteImage {
        RemoteImage {
            visit: self,
            version: None,
            length: None,
            read: 0,
            skipped: 0,
        }
    }
}

/// What tells one version of a file from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
    length: Option<u64>,
}

/// An image on a web server, read by ranges.
pub(super) struct RemoteImage {
    visit: Visit,
    version: Option<Version>,
    length: Option<u64>,
    read: u64,
    skipped: u64,
}

impl RemoteImage {
    /// The bytes of `range`, or fewer if the image ends before. All reads of one image are of the same version of it.
    pub(super) async fn read(&mut self, range: Range<u64>) -> Result<Bytes, WebError> {
        let end = self.length.map_or(range.end, |length| range.end.min(length));
        let wanted = end.saturating_sub(range.start);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let limit = self.visit.limits.max_read;
        if self.read.saturating_add(wanted) > limit {
            return Err(WebError::TooLarge(limit));
        }
        let header = format!("bytes={}-{}", range.start, end - 1);
        let response = send(self.visit.request(reqwest::Method::GET).header(RANGE, header)).await?;
        let (skip, length) = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (start, length) = content_range(response.headers()).ok_or(WebError::Range)?;
                if start != range.start {
                    return Err(WebError::Range);
                }
                (0, length)
            }
            StatusCode::OK => (range.start, response.content_length()),
            StatusCode::RANGE_NOT_SATISFIABLE if self.version.is_none() || self.length.is_none() => {
                return Ok(Bytes::new());
            }
            status => return Err(WebError::Status(status)),
        };
        self.check_version(response.headers(), length)?;
        self.take(response, skip, wanted).await
    }

    /// Size in bytes, once the server has told it.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    fn check_version(&mut self, headers: &HeaderMap, length: Option<u64>) -> Result<(), WebError> {
        let version = Version {
            etag: headers.get(ETAG).cloned(),
            modified: headers.get(LAST_MODIFIED).cloned(),
            length,
        };
        match &self.version {
            Some(known) if *known != version => return Err(WebError::Changed),
            Some(_) => {}
            None => {
                self.length = length;
                self.version = Some(version);
            }
        }
        Ok(())
    }

    /// Skips, takes, and lets go of the rest.
    async fn take(&mut self, mut response: Response, mut skip: u64, wanted: u64) -> Result<Bytes, WebError> {
        let mut taken = BytesMut::new();
        while let Some(mut chunk) = chunk(&mut response).await? {
            if skip > 0 {
                let passed = skip.min(chunk.len() as u64);
                self.skipped = self.skipped.saturating_add(passed);
                let limit = self.visit.limits.max_skipped;
                if self.skipped > limit {
                    return Err(WebError::TooLarge(limit));
                }
                skip -= passed;
                drop(chunk.split_to(usize::try_from(passed).unwrap_or(usize::MAX)));
            }
            let missing = usize::try_from(wanted).unwrap_or(usize::MAX) - taken.len();
            chunk.truncate(missing);
            self.read = self.read.saturating_add(chunk.len() as u64);
            taken.extend_from_slice(&chunk);
            if taken.len() as u64 >= wanted {
                break;
            }
        }
        Ok(taken.freeze())
    }
}

async fn send(request: RequestBuilder) -> Result<Response, WebError> {
    request.send().await.map_err(|error| WebError::connection(&error))
}

async fn chunk(response: &mut Response) -> Result<Option<Bytes>, WebError> {
    response
        .chunk()
        .await
        .map_err(|error| WebError::connection(&error))
}

/// First byte and whole length of `Content-Range: bytes 0-99/1234` (RFC 9110, section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let length = if length == "*" {
        None
    } else {
        Some(length.parse().ok()?)
    };
    Some((start.trim().parse().ok()?, length))
}

/// Certificates of the settings, for servers that Redfish asks to be verified.
pub(super) fn media_trust(verify: bool, ca_pem: Option<&Arc<str>>) -> Trust {
    Trust {
        insecure: !verify,
        ca_pem: ca_pem.filter(|_| verify).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_as_the_rfc_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_str(text).unwrap());
            content_range(&headers)
        };
        assert_eq!(read("bytes 0-99/1234"), Some((0, Some(1234))));
        assert_eq!(read("bytes 42-1233/*"), Some((42, None)));
        for bad in [
            "bytes */1234",
            "0-99/1234",
            "bytes 0-99",
            "bytes a-b/c",
            "bytes 1-2/-3",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
