//! Measures requests: one middleware around every frontend. It also marks the connection as busy while a handler works.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage as _, HttpRequest};

use super::connection::Connection;
use crate::clock::Stopwatch;
use crate::observer::{Protocol, RequestObserver, RouteObserver};

/// Routes that a worker remembers; a frontend has fewer.
const MOST_ROUTES: usize = 1024;

/// The middleware.
#[derive(Clone)]
pub(super) struct Measure {
    protocol: Protocol,
    observer: Arc<dyn RequestObserver>,
}

impl Measure {
    pub(super) fn new(protocol: Protocol, observer: Arc<dyn RequestObserver>) -> Self {
        Self { protocol, observer }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Measure
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = Measured<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Measured {
            service,
            routes: Rc::new(Routes {
                measure: self.clone(),
                known: RefCell::default(),
                key: RefCell::default(),
            }),
        }))
    }
}

/// The service that is measured.
pub(super) struct Measured<S> {
    service: S,
    routes: Rc<Routes>,
}

impl<S, B> Service<ServiceRequest> for Measured<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let busy = Connection::of(request.request()).map(|connection| connection.enter());
        let watch = Stopwatch::start();
        let routes = Rc::clone(&self.routes);
        let answer = self.service.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            drop(busy);
            let request = answer.request();
            let dropped = Connection::of(request).is_some_and(|connection| connection.is_dropped());
            let status = if dropped { 0 } else { answer.status().as_u16() };
            let (route, api) = routes.of(request);
            route.answered(status, watch.elapsed());
            if let Some(api) = api {
                api.answered(status, watch.elapsed());
            }
            Ok(answer)
        })
    }
}

/// Who counts a request: for its route, and for what it asks of an API server.
type Counted = (Arc<dyn RouteObserver>, Option<Arc<dyn RouteObserver>>);

/// The counters of routes by method and template, of one worker.
struct Routes {
    measure: Measure,
    known: RefCell<HashMap<Box<str>, Counted>>,
    key: RefCell<String>,
}

impl Routes {
    fn of(&self, request: &HttpRequest) -> Counted {
        let mut key = self.key.borrow_mut();
        let told = request.extensions().get::<Template>().cloned();
        match &told {
            Some(template) => {
                key.clear();
                for part in [request.method().as_str(), template.verb, &template.route] {
                    key.push_str(part);
                    key.push(' ');
                }
            }
            None => write_key(&mut key, request),
        }
        let mut known = self.known.borrow_mut();
        if let Some(counted) = known.get(key.as_str()) {
            return counted.clone();
        }
        let Measure { protocol, observer } = &self.measure;
        let api = (*protocol == Protocol::Kube).then(|| match &told {
            Some(template) => observer.api(template.verb, Some(&template.group)),
            None => observer.api("", None),
        });
        // Asked once a route: it walks through all patterns.
        let template = told
            .map(|template| template.route.to_string())
            .or_else(|| request.match_pattern());
        let route = observer.route(*protocol, request.method().as_str(), template.as_deref());
        let counted = (route, api);
        // What no route took has as many keys as paths.
        if template.is_some() && known.len() < MOST_ROUTES {
            known.insert(key.as_str().into(), counted.clone());
        }
        counted
    }
}

/// Method and path, the values of the route's parameters cut out: the same for all requests of a route.
fn write_key(key: &mut String, request: &HttpRequest) {
    key.clear();
    key.push_str(request.method().as_str());
    let matched = request.match_info();
    let path = matched.as_str();
    let mut end = 0;
    for (name, value) in matched.iter() {
        let start = (value.as_ptr() as usize).wrapping_sub(path.as_ptr() as usize);
        if start < end || start + value.len() > path.len() {
            continue;
        }
        key.push_str(path.get(end..start).unwrap_or_default());
        key.push('{');
        key.push_str(name);
        key.push('}');
        end = start + value.len();
    }
    key.push_str(path.get(end..).unwrap_or_default());
    // A default service below a route with parameters is no route, though its path may look like one.
    if request.extensions().contains::<NoRoute>() {
        key.push('\0');
    }
}

/// Set by a default service in the request's extensions, so that its requests are not taken for those of a route.
#[derive(Clone, Copy, Debug)]
pub struct NoRoute;

/// Set by the API servers, which read paths themselves. All of it is of closed sets.
#[derive(Clone, Debug)]
pub struct Template {
    /// What stands for a route's pattern.
    pub route: Arc<str>,
    /// What is wanted, in the words of RBAC.
    pub verb: &'static str,
    /// The resource's group; `custom` for those that are not built in.
    pub group: Cow<'static, str>,
}
