//! Create, update, patch.

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::commit::Prepared;
use super::parts::{
    check_preconditions, counts_as_generation, drop_nulls, holds_content, keep_other_parts, strip_part,
    uid_conflict, value_for_fields,
};
use super::shape::{
    check_applied, check_name, draft, draft_with_unknown, in_patch, set_namespace, shown, wrong_patch,
};
use super::{Store, Target, WriteOptions};
use crate::kube::apply::{self, Writer};
use crate::kube::object::{Draft, Head, ManagedEntry, Object, Second, Sections};
use crate::kube::resource::Resource;
use crate::kube::status::{Cause, FieldError, Reason, Status};
use crate::kube::{convert, crd, defaulting, limit_range, patch, quota, validate};

/// Characters of generated names: no vowels, no look-alikes (kubernetes: `apimachinery/pkg/util/rand`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Characters that are appended to `generateName`.
const SUFFIX: usize = 5;
/// Bytes of `generateName` that are used.
const PREFIX_MAX: usize = 58;
/// Names that are tried before giving up (kubernetes: `apiserver/pkg/registry/generic/registry/store.go`).
const ATTEMPTS: u64 = 8;

/// Which part of an object a write is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The resource itself: everything but `status`.
    Main,
    /// `/status`: only `status`, and labels and annotations where the real server lets them through.
    Status,
    /// `/finalize` of namespaces: only `spec.finalizers`.
    Finalize,
    /// `/approval` of certificate signing requests: only `status.conditions`.
    Approval,
    /// `/ephemeralcontainers` of pods: only `spec.ephemeralContainers`.
    EphemeralContainers,
    /// `/resize` of pods: only the resources of containers.
    Resize,
    /// `/scale`, once its number has been put into the object.
    Scale,
    /// `/binding` of pods, once the node has been put into the object: only `spec.nodeName`, `status.conditions` and annotations.
    /// The caller answers 409 for a pod that has a node.
    Binding,
}

impl Part {
    /// The name of the subresource, empty for the main resource.
    #[must_use]
    pub const fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Finalize => "finalize",
            Self::Approval => "approval",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Resize => "resize",
            Self::Scale => "scale",
            Self::Binding => "binding",
        }
    }
}

/// The four kinds of a patch, by their media types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchKind {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
    /// `application/apply-patch+yaml`.
    Apply {
        /// Take fields from other managers.
        force: bool,
    },
}

/// What a write gave.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object as it is now, or, if it is gone, its last state.
    pub object: Arc<Object>,
    /// Whether the write created it (201 instead of 200).
    pub created: bool,
    /// Whether the write took the last finalizer of an object that was being deleted.
    pub gone: bool,
}

impl Store {
    /// Creates an object from `body`, which is in the target's version.
    ///
    /// # Errors
    /// 400 for a body of the wrong shape or namespace, 403 in a namespace that is going away, 404 without the namespace, 409 if
    /// the name is taken, 413 for an object that is too large, 422 for bad metadata.
    pub fn create(
        &mut self,
        target: Target<'_>,
        body: Value,
        options: WriteOptions<'_>,
    ) -> Result<Arc<Object>, Status> {
        let resource = target.resource;
        let draft = draft(target, body)?;
        let prepared = self.prepare_create(target, draft, options, None)?;
        Ok(self.finish(resource, prepared, options.dry_run)?.0)
    }

    /// Replaces an object, or one part of it.
    ///
    /// # Errors
    /// As [`Self::create`], and 409 when the body's `resourceVersion` or `uid` is not the present one.
    pub fn update(
        &mut self,
        target: Target<'_>,
        name: &str,
        part: Part,
        body: Value,
        options: WriteOptions<'_>,
    ) -> Result<Written, Status> {
        let mut draft = draft(target, body)?;
        set_namespace(target, &mut draft)?;
        check_name(&draft, name)?;
        let Some(existing) = self.live(target, name) else {
            if !target.resource.traits.create_on_update || part != Part::Main {
                return Err(Status::not_found(target.resource.named(), name));
            }
            if !draft.meta.uid.is_empty() {
                return Err(uid_conflict(target.resource, name, &draft.meta.uid, ""));
            }
            draft.meta.resource_version.clear();
            let prepared = self.prepare_create(target, draft, options, None)?;
            return self.written(target.resource, prepared, true, options);
        };
        let prepared = self.prepare_update(target, &existing, draft, part, options, None)?;
        self.written(target.resource, prepared, false, options)
    }

    /// Writes a draft that came from [`Object::draft`]: for controllers, which work on stored objects.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn replace(
        &mut self,
        resource: &Arc<Resource>,
        part: Part,
        draft: Draft,
        options: WriteOptions<'_>,
    ) -> Result<Written, Status> {
        let namespace = Some(draft.meta.namespace.clone()).filter(|_| resource.namespaced);
        let target = Target::stored(resource, namespace.as_deref());
        let existing = self.dated(self.get(target, &draft.meta.name)?);
        let prepared = self.prepare_update(target, &existing, draft, part, options, None)?;
        self.written(resource, prepared, false, options)
    }

    /// Patches an object, or one part of it. An apply creates what is missing.
    ///
    /// # Errors
    /// As [`Self::update`], and what the kind of patch brings: 400 for a malformed one, 409 with causes for an apply that meets other
    /// managers' fields, 415 for a strategic merge of a custom resource, 422 for a failed `test`.
    pub fn patch(
        &mut self,
        target: Target<'_>,
        name: &str,
        part: Part,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions<'_>,
    ) -> Result<Written, Status> {
        self.patch_and_tell(target, name, part, kind, body, options, &|_| Ok(()))
    }

    /// Patches an object, or one part of it, as [`Self::patch`]. `tell` hears of fields in the patched object that its kind does not have
    /// (`unknown field "spec.foo"`), before anything is written; with `Err` it refuses them in its own words. It is not asked about an
    /// apply, which never may bring such.
    ///
    /// # Errors
    /// As [`Self::patch`], and 422 for what `tell` refuses.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    pub fn patch_and_tell(
        &mut self,
        target: Target<'_>,
        name: &str,
        part: Part,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions<'_>,
        tell: &dyn Fn(Vec<String>) -> Result<(), String>,
    ) -> Result<Written, Status> {
        let resource = target.resource;
        let existing = self.live(target, name);
        if let PatchKind::Apply { force } = kind {
            return self.apply(target, name, part, existing, body, force, options);
        }
        let existing = existing.ok_or_else(|| Status::not_found(resource.named(), name))?;
        let version = resource
            .version(target.version)
            .ok_or_else(Status::unknown_resource)?;
        let current = convert::to_version(resource, target.version, existing.as_ref());
        let patched = match kind {
            PatchKind::Json => patch::json(current, body, self.settings.limits.json_patch_operations)?,
            PatchKind::Merge => patch::merge(current, body)?,
            PatchKind::Strategic if resource.custom => {
                return Err(Status::unsupported_media_type(
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                ));
            }
            PatchKind::Strategic | PatchKind::Apply { .. } => {
                patch::strategic(current, body, &version.layout)?
            }
        };
        let (mut draft, unknown) = draft_with_unknown(target, patched.clone())
            .map_err(|status| in_patch(status, &shown(kind, body, &patched)))?;
        tell(unknown).map_err(|why| wrong_patch(&shown(kind, body, &patched), &why))?;
        set_namespace(target, &mut draft)?;
        check_name(&draft, name)?;
        let prepared = self.prepare_update(target, &existing, draft, part, options, None)?;
        self.written(resource, prepared, false, options)
    }

    /// Server-side apply.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn apply(
        &mut self,
        target: Target<'_>,
        name: &str,
        part: Part,
        existing: Option<Arc<Object>>,
        body: &Value,
        force: bool,
        options: WriteOptions<'_>,
    ) -> Result<Written, Status> {
        let resource = target.resource;
        let Some(manager) = options.manager.filter(|manager| !manager.is_empty()) else {
            return Err(Status::invalid(
                crate::kube::status::Named {
                    group: "meta.k8s.io",
                    resource: "PatchOptions",
                },
                "",
                &[FieldError::required(
                    "fieldManager",
                    "is required for apply patch",
                )],
            ));
        };
        if body.is_object() {
            convert::check_type(resource, target.version, body)?;
            check_applied(target, body)?;
        }
        let mut wanted = draft(target, body.clone())?;
        if wanted
            .meta
            .managed_fields
            .as_ref()
            .is_some_and(|entries| !entries.is_empty())
        {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        if wanted.meta.name.is_empty() {
            name.clone_into(&mut wanted.meta.name);
        }
        check_name(&wanted, name)?;
        if existing.is_none() && part != Part::Main {
            return Err(Status::not_found(resource.named(), name));
        }
        let writer = Writer {
            manager,
            api_version: &resource.api_version(target.version),
            subresource: part.subresource(),
            now: Second::of(options.now),
        };
        let mut config = convert::to_storage(resource, target.version, body.clone());
        strip_part(&mut config, resource, part);
        let layout = resource.layout();
        let (api_version, kind) = (resource.api_version(resource.storage_version()), &resource.kind);
        let Some(existing) = existing else {
            if !wanted.meta.uid.is_empty() {
                return Err(Status::conflict(
                    resource.named(),
                    name,
                    &format!(
                        "uid mismatch: the provided object specified uid {}, and no existing object was found",
                        wanted.meta.uid
                    ),
                ));
            }
            let (value, managed) =
                apply::apply(&layout, &Value::Object(Map::new()), &config, &[], &writer, force)?;
            let mut draft = Draft::from_value(value, kind)?;
            name.clone_into(&mut draft.meta.name);
            draft.meta.resource_version.clear();
            let prepared = self.prepare_create(target, draft, options, Some(managed))?;
            return self.written(resource, prepared, true, options);
        };
        let live = existing.to_value(&api_version, kind);
        let (value, managed) = apply::apply(&layout, &live, &config, &existing.managed, &writer, force)?;
        let mut draft = Draft::from_value(value, kind)?;
        existing.name().clone_into(&mut draft.meta.name);
        if wanted.meta.resource_version.is_empty() {
            draft.meta.resource_version = existing.resource_version.to_string();
        }
        let prepared = self.prepare_update(target, &existing, draft, part, options, Some(managed))?;
        self.written(resource, prepared, false, options)
    }

    fn written(
        &mut self,
        resource: &Resource,
        prepared: Prepared,
        created: bool,
        options: WriteOptions<'_>,
    ) -> Result<Written, Status> {
        let (object, gone) = self.finish(resource, prepared, options.dry_run)?;
        Ok(Written {
            object,
            created,
            gone,
        })
    }

    fn prepare_create(
        &self,
        target: Target<'_>,
        mut draft: Draft,
        options: WriteOptions<'_>,
        applied: Option<Vec<ManagedEntry>>,
    ) -> Result<Prepared, Status> {
        let resource = target.resource;
        if !resource.traits.stored {
            return Err(Status::method_not_supported(resource.named(), "create"));
        }
        set_namespace(target, &mut draft)?;
        if !matches!(draft.meta.resource_version.as_str(), "" | "0") {
            return Err(Status::failure(
                Reason::InternalError,
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if draft.meta.name.is_empty() && !draft.meta.generate_name.is_empty() {
            draft.meta.name = self.generate_name(resource, &draft.meta)?;
        }
        self.check_namespace(resource, &draft)?;
        let meta = &draft.meta;
        if self.find(resource, Some(&meta.namespace), &meta.name).is_some() {
            return Err(Status::already_exists(resource.named(), &meta.name));
        }
        if resource.has_status() && !resource.traits.status_on_create {
            draft.body.remove("status");
        }
        if resource.custom {
            crd::prepare(resource, target.version, &mut draft);
        } else {
            drop_nulls(&mut draft.body);
        }
        defaulting::create(self, resource, &mut draft)?;
        validate::object(resource, target.version, Part::Main, &draft, None)?;
        let mut object = Object {
            head: self.interner.head(Head::of(&draft.meta)),
            sections: Sections::seal(&draft.body, None, &self.interner),
            managed: Arc::new([]),
            uid: self.upcoming_uid(),
            resource_version: 0,
            generation: i64::from(resource.traits.generation || resource.custom),
            created: Second::of(options.now),
            deletion: None,
        };
        limit_range::admit(self, resource, &object)?;
        quota::admit(self, resource, &object, options.now)?;
        object.managed = match (applied, options.manager) {
            (Some(managed), _) => managed.into(),
            (None, Some(manager)) => {
                let writer = Writer {
                    manager,
                    api_version: &resource.api_version(target.version),
                    subresource: "",
                    now: Second::of(options.now),
                };
                let new = Value::Object(value_for_fields(&object));
                apply::track(&resource.layout(), &Value::Object(Map::new()), &new, &[], &writer).into()
            }
            (None, None) => Arc::new([]),
        };
        object.managed = self.interner.managed(&object.managed);
        Ok(Prepared::Put(Box::new(object)))
    }

    fn prepare_update(
        &self,
        target: Target<'_>,
        existing: &Arc<Object>,
        mut draft: Draft,
        part: Part,
        options: WriteOptions<'_>,
        applied: Option<Vec<ManagedEntry>>,
    ) -> Result<Prepared, Status> {
        let resource = target.resource;
        set_namespace(target, &mut draft)?;
        check_preconditions(resource, existing, &draft)?;
        draft.meta.uid = existing.uid_text();
        if resource.custom {
            crd::prepare(resource, target.version, &mut draft);
        } else {
            drop_nulls(&mut draft.body);
        }
        let old_body = existing.body();
        keep_other_parts(resource, existing, &old_body, &mut draft, part);
        if part != Part::Status {
            defaulting::update(self, resource, &mut draft, &old_body)?;
        }
        validate::object(
            resource,
            target.version,
            part,
            &draft,
            Some((existing, &old_body)),
        )?;
        let head = Head::of(&draft.meta);
        let mut object = Object {
            head: if head == *existing.head {
                Arc::clone(&existing.head)
            } else {
                Arc::new(head)
            },
            sections: Sections::seal(&draft.body, Some(&existing.sections), &self.interner),
            managed: Arc::clone(&existing.managed),
            uid: existing.uid,
            resource_version: existing.resource_version,
            generation: existing.generation,
            created: existing.created,
            deletion: existing.deletion,
        };
        if !matches!(part, Part::Status | Part::Binding) && counts_as_generation(resource, existing, &object)
        {
            object.generation = object.generation.saturating_add(1);
        }
        let managed = self.managed_after_update(target, existing, &object, &draft, part, options, applied);
        let timeless = |entries: &[ManagedEntry]| -> Vec<ManagedEntry> {
            let mut entries = entries.to_vec();
            entries.iter_mut().for_each(|entry| entry.time = None);
            entries
        };
        if timeless(&managed) != timeless(&existing.managed) || object != **existing {
            object.managed = self.interner.managed(&managed);
        }
        let emptied = object.head.finalizers.is_empty()
            && existing
                .deletion
                .is_some_and(|deletion| deletion.grace.unwrap_or(0) == 0);
        if emptied && !holds_content(resource, &draft) {
            return Ok(Prepared::Remove(Box::new(object)));
        }
        if object == **existing {
            return Ok(Prepared::Same(Arc::clone(existing)));
        }
        Ok(Prepared::Put(Box::new(object)))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn managed_after_update(
        &self,
        target: Target<'_>,
        existing: &Arc<Object>,
        object: &Object,
        draft: &Draft,
        part: Part,
        options: WriteOptions<'_>,
        applied: Option<Vec<ManagedEntry>>,
    ) -> Vec<ManagedEntry> {
        let resource = target.resource;
        if let Some(applied) = applied {
            return applied;
        }
        // A writer may drop the account of fields by sending an empty one, and may send it changed.
        let given = draft.meta.managed_fields.as_deref();
        if given.is_some_and(|entries| entries.is_empty() || entries == [Default::default()])
            && !existing.managed.is_empty()
        {
            return Vec::new();
        }
        let before = given
            .and_then(apply::from_wire)
            .filter(|entries| !entries.is_empty())
            .unwrap_or_else(|| existing.managed.to_vec());
        let Some(manager) = options.manager else {
            return before;
        };
        let unchanged = Arc::ptr_eq(&object.head, &existing.head) && object.sections.is(&existing.sections);
        if before.is_empty() || unchanged {
            return before;
        }
        let writer = Writer {
            manager,
            api_version: &resource.api_version(target.version),
            subresource: part.subresource(),
            now: Second::of(options.now),
        };
        let (live, new) = (value_for_fields(existing), value_for_fields(object));
        apply::track(
            &resource.layout(),
            &Value::Object(live),
            &Value::Object(new),
            &before,
            &writer,
        )
    }

    /// A uid that follows from the seed and the version that the write will make: a dry run does not change it.
    pub(in crate::kube) fn upcoming_uid(&self) -> Uuid {
        let seed = self.settings.seed.child("uid").indexed(self.version);
        let high = u128::from(seed.value()) << 64;
        let low = u128::from(seed.child("low").value());
        uuid::Builder::from_random_bytes((high | low).to_be_bytes()).into_uuid()
    }

    fn generate_name(
        &self,
        resource: &Resource,
        meta: &crate::kube::object::Metadata,
    ) -> Result<String, Status> {
        let mut end = meta.generate_name.len().min(PREFIX_MAX);
        while !meta.generate_name.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let prefix = meta.generate_name.get(..end).unwrap_or("");
        let seed = self.settings.seed.child("name").indexed(self.version);
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            let mut draw = seed.indexed(attempt).value();
            let mut name = prefix.to_owned();
            for _ in 0..SUFFIX {
                let count = ALPHABET.len() as u64;
                let place = usize::try_from(draw % count).unwrap_or(0);
                draw /= count;
                name.push(char::from(ALPHABET.get(place).copied().unwrap_or(b'b')));
            }
            if self.find(resource, Some(&meta.namespace), &name).is_none() {
                return Ok(name);
            }
            last = name;
        }
        Err(Status::generate_name_conflict(resource.named(), &last))
    }

    /// The admission of namespaces (kubernetes: `apiserver/pkg/admission/plugin/namespace/lifecycle`).
    fn check_namespace(&self, resource: &Resource, draft: &Draft) -> Result<(), Status> {
        if !resource.namespaced {
            return Ok(());
        }
        let name = draft.meta.namespace.as_str();
        let Some(namespace) = self.look_up("", "namespaces", None, name) else {
            let named = crate::kube::status::Named {
                group: "",
                resource: "namespaces",
            };
            return Err(Status::not_found(named, name));
        };
        if namespace.is_terminating() {
            let why =
                format!("unable to create new content in namespace {name} because it is being terminated");
            return Err(
                Status::forbidden(resource.named(), &draft.meta.name, &why).with_cause(Cause {
                    kind: "NamespaceTerminating".to_owned(),
                    message: format!("namespace {name} is being terminated"),
                    field: "metadata.namespace".to_owned(),
                }),
            );
        }
        Ok(())
    }
}
