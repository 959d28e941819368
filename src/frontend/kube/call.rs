//! A request whose head has been read: who asks which cluster for what.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, USER_AGENT};
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use metalsim_actors::kube::auth::UserInfo;
use metalsim_actors::kube::resource::{Resource, Subresource};
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{Store, Target, WriteOptions};
use serde_json::Value;

use super::body::{self, Document};
use super::query::{FieldValidation, Query};
use super::request::ResourcePath;
use crate::cluster::api_server::ApiServer;
use crate::frontend::body::BodyLimits;

/// A request for a resource that is allowed.
pub(super) struct Call<'a> {
    pub(super) server: &'a Server,
    pub(super) request: &'a HttpRequest,
    pub(super) path: ResourcePath<'a>,
    pub(super) query: &'a Query<'a>,
    pub(super) bodies: &'a BodyLimits,
    pub(super) user: Arc<UserInfo>,
}

impl Call<'_> {
    /// What goes with a write; `options` is the kind of the options (`PatchOptions`).
    ///
    /// # Errors
    /// 422.
    pub(super) fn parameters(&self, options: &str) -> Result<WriteParameters, Status> {
        WriteParameters::of(self.query, self.request.headers(), options, &self.user)
    }

    /// The body of a write.
    ///
    /// # Errors
    /// 400, 413, 415.
    pub(super) async fn document(
        &self,
        payload: web::Payload,
        place: &Place,
        parameters: &WriteParameters,
    ) -> Result<Document, Status> {
        let bytes = self.bytes(payload).await?;
        body::document(self.request.headers(), &bytes, place, parameters.validation)
    }

    /// The body of a request that need not have one.
    ///
    /// # Errors
    /// 400, 413, 415.
    pub(super) async fn body(
        &self,
        payload: web::Payload,
        expected: (&str, &str),
    ) -> Result<Option<Value>, Status> {
        let bytes = self.bytes(payload).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        body::read(self.request.headers(), &bytes, expected).map(Some)
    }

    async fn bytes(&self, payload: web::Payload) -> Result<Bytes, Status> {
        let read = crate::frontend::body::read(self.request, payload, self.bodies).await;
        Ok(read.map_err(body::refused)?.bytes)
    }
}

/// A request for a resource, in pieces that outlive it: writes run in the cluster's actor.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) resource: Arc<Resource>,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) subresource: String,
}

impl Place {
    /// Finds what the path names among what is served.
    ///
    /// # Errors
    /// 404 as for every unknown path.
    pub(super) fn of(store: &Store, path: &ResourcePath<'_>) -> Result<Self, Status> {
        let resource = store
            .registry()
            .find(path.group, path.resource)
            .filter(|resource| resource.version(path.version).is_some())
            .ok_or_else(Status::unknown_resource)?;
        // Objects in namespaces are named with theirs, the others without; all of them can be listed.
        let misplaced = if resource.namespaced {
            path.namespace.is_none() && path.name.is_some()
        } else {
            path.namespace.is_some() && !resource.is("", "namespaces")
        };
        if misplaced {
            return Err(Status::unknown_resource());
        }
        if let Some(subresource) = path.subresource
            && resource.subresource(subresource).is_none()
        {
            return Err(Status::unknown_resource());
        }
        Ok(Self {
            resource: Arc::clone(resource),
            version: path.version.to_owned(),
            namespace: path
                .namespace
                .filter(|_| resource.namespaced)
                .map(ToOwned::to_owned),
            name: path.name.unwrap_or_default().to_owned(),
            subresource: path.subresource.unwrap_or_default().to_owned(),
        })
    }

    /// As the store names it.
    pub(super) fn target(&self) -> Target<'_> {
        Target {
            resource: &self.resource,
            version: &self.version,
            namespace: self.namespace.as_deref(),
        }
    }

    /// `apiVersion` and kind of the bodies that are written here.
    pub(super) fn expected(&self) -> (String, String) {
        match self
            .subresource()
            .and_then(|subresource| subresource.kind.as_ref())
        {
            Some((group, version, kind)) if group.is_empty() => (version.to_string(), kind.to_string()),
            Some((group, version, kind)) => (format!("{group}/{version}"), kind.to_string()),
            None => (
                self.resource.api_version(&self.version),
                self.resource.kind.to_string(),
            ),
        }
    }

    /// The subresource, if the path names one.
    pub(super) fn subresource(&self) -> Option<&Subresource> {
        self.resource.subresource(&self.subresource)
    }
}

/// What goes with a write, from the parameters.
#[derive(Clone, Debug)]
pub(super) struct WriteParameters {
    pub(super) dry_run: bool,
    pub(super) manager: String,
    pub(super) validation: FieldValidation,
    /// Who writes.
    pub(super) user: Arc<UserInfo>,
}

impl WriteParameters {
    /// Reads them; `options` is the kind of the options (`PatchOptions`).
    ///
    /// # Errors
    /// 422.
    pub(super) fn of(
        query: &Query<'_>,
        headers: &HeaderMap,
        options: &str,
        user: &Arc<UserInfo>,
    ) -> Result<Self, Status> {
        let agent = headers
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default();
        Ok(Self {
            dry_run: query.dry_run(options)?,
            manager: query.manager(options, agent)?,
            validation: query.field_validation(options)?,
            user: Arc::clone(user),
        })
    }

    /// As the store takes them.
    pub(super) fn options(&self, now: DateTime<Utc>) -> WriteOptions<'_> {
        WriteOptions {
            now,
            dry_run: self.dry_run,
            manager: Some(self.manager.as_str()).filter(|manager| !manager.is_empty()),
        }
    }
}

/// The API server that a request came to.
pub(super) type Server = Arc<ApiServer>;
