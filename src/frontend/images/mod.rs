//! Simulated images: deterministic bytes of any name, so that a deployment needs no image server.
//!
//! `GET` or `HEAD` of `/<name>` for names that end in `.raw`, `.qcow2`, `.iso`, `.kernel` or `.initramfs`, with ranges;
//! `?mib=<n>` sets the size. `/<name>.sha256` is the checksum, in the form that `sha256sum` prints.

mod content;

use std::sync::Arc;

use actix_web::http::header::{self, ContentRangeSpec, Header as _, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, guard, web};
use bytes::Bytes;
use futures_util::stream;

use self::content::Content;
use super::measure::NoRoute;

const ENDINGS: [&str; 5] = [".raw", ".qcow2", ".iso", ".kernel", ".initramfs"];
/// Suffix of a name that asks for the checksum.
const CHECKSUM: &str = ".sha256";
/// Bytes of one piece of an answer.
const PIECE: u64 = 64 * 1024;
const MIB: u64 = 1024 * 1024;

/// Sizes of images.
#[derive(Clone, Copy, Debug)]
pub struct ImageSizes {
    /// Unless the request says, in MiB.
    pub usual_mib: u64,
    /// Largest that a request may ask for, in MiB.
    pub largest_mib: u64,
}

impl Default for ImageSizes {
    fn default() -> Self {
        Self {
            usual_mib: 1,
            largest_mib: 64 * 1024,
        }
    }
}

/// Checksums are computed for images up to this size only: they cost a pass over all bytes.
const LARGEST_CHECKED_MIB: u64 = 1024;

/// The routes.
pub fn configure(sizes: ImageSizes) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let checksums = Arc::new(tokio::sync::Semaphore::new(1));
    move |config| {
        config
            .app_data(web::Data::new(sizes))
            .app_data(web::Data::from(Arc::clone(&checksums)))
            .service(
                web::resource("/{name:.*}")
                    .route(
                        web::route()
                            .guard(guard::Any(guard::Get()).or(guard::Head()))
                            .to(get),
                    )
                    .default_service(web::to(|| async { text(405, "only GET and HEAD") })),
            )
            .default_service(web::to(|request: HttpRequest| async move {
                request.extensions_mut().insert(NoRoute);
                text(404, "no such image")
            }));
    }
}

fn text(status: u16, text: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status);
    let mut response =
        HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR));
    response.content_type("text/plain").body(format!("{text}\n"))
}

async fn get(
    request: HttpRequest,
    name: web::Path<String>,
    sizes: web::Data<ImageSizes>,
    checksums: web::Data<tokio::sync::Semaphore>,
) -> HttpResponse {
    let name = name.into_inner();
    let image = name.strip_suffix(CHECKSUM).unwrap_or(&name);
    if !ENDINGS.iter().any(|ending| image.ends_with(ending)) {
        return text(404, &format!("names of images end in {}", ENDINGS.join(", ")));
    }
    let mib = match asked_size(&request, &sizes) {
        Ok(mib) => mib,
        Err(why) => return text(400, &why),
    };
    let content = Content::new(image, mib * MIB);
    if name.len() != image.len() {
        return checksum(image, content, mib, &checksums).await;
    }
    serve(&request, content)
}

fn asked_size(request: &HttpRequest, sizes: &ImageSizes) -> Result<u64, String> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .unwrap_or_default();
    match query.iter().find(|(name, _)| name == "mib") {
        None => Ok(sizes.usual_mib),
        Some((_, value)) => value
            .parse()
            .ok()
            .filter(|mib| *mib <= sizes.largest_mib)
            .ok_or_else(|| format!("mib is a number up to {}", sizes.largest_mib)),
    }
}

async fn checksum(
    image: &str,
    content: Content,
    mib: u64,
    checksums: &tokio::sync::Semaphore,
) -> HttpResponse {
    if mib > LARGEST_CHECKED_MIB {
        return text(
            400,
            &format!("checksums are made up to {LARGEST_CHECKED_MIB} MiB"),
        );
    }
    // One at a time: each keeps a processor busy.
    let Ok(_turn) = checksums.acquire().await else {
        return text(503, "stopping");
    };
    match web::block(move || content.sha256()).await {
        Ok(sum) => text(200, &format!("{sum}  {image}")),
        Err(_) => text(500, "internal error"),
    }
}

fn serve(request: &HttpRequest, content: Content) -> HttpResponse {
    let size = content.size();
    let asked = header::Range::parse(request).ok();
    let range = match asked {
        // Several ranges at once would need a multipart answer; the whole is always allowed instead.
        Some(header::Range::Bytes(ranges)) if ranges.len() == 1 => {
            match ranges[0].to_satisfiable_range(size) {
                Some(range) => Some(range),
                None => {
                    let mut response = text(416, "no such range");
                    insert_range(&mut response, None, size);
                    return response;
                }
            }
        }
        _ => None,
    };
    let (first, last) = range.unwrap_or((0, size.saturating_sub(1)));
    let length = if size == 0 { 0 } else { last - first + 1 };
    let mut response = if range.is_some() {
        HttpResponse::PartialContent()
    } else {
        HttpResponse::Ok()
    };
    response
        .content_type("application/octet-stream")
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .no_chunking(length);
    let pieces = stream::unfold((content, first), move |(content, at)| async move {
        let left = (first + length).saturating_sub(at);
        let take = left.min(PIECE);
        (take > 0).then(|| {
            let piece = Bytes::from(content.read(at, take));
            (Ok::<_, actix_web::Error>(piece), (content, at + take))
        })
    });
    let mut response = response.streaming(Box::pin(pieces));
    if range.is_some() {
        insert_range(&mut response, range, size);
    }
    response
}

fn insert_range(response: &mut HttpResponse, range: Option<(u64, u64)>, size: u64) {
    let range = ContentRangeSpec::Bytes {
        range,
        instance_length: Some(size),
    };
    if let Ok(value) = HeaderValue::try_from(range.to_string()) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}
