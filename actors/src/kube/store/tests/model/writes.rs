//! Writes, and what must come of them.

use super::change::{fresh, json_patch, merge_patch, set_status, stray};
use super::*;
use crate::kube::scale;
use crate::kube::schema::Schema;

/// Kind, namespace and name, as indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) kind: usize,
    namespace: usize,
    name: usize,
    /// Stands for one of the objects that there are, if there are any.
    pick: Option<usize>,
}

/// What a writer says about a version or a uid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stated {
    Right,
    Missing,
    Wrong,
    Malformed,
}

/// What a write gave: the object, whether it is gone, whether it was created.
type Done = Result<(Arc<Object>, bool, bool), Status>;

pub(super) const MANAGERS: [&str; 3] = ["one", "two", "three"];

pub(super) fn slot(kinds: std::ops::Range<usize>) -> impl Strategy<Value = Slot> {
    // Most of it happens in one place, or nothing would ever meet.
    let kind = prop_oneof![2 => Just(CONFIG_MAPS), 1 => Just(DEPLOYMENTS), 3 => kinds];
    let namespace = prop_oneof![4 => Just(0), 2 => Just(1), 1 => Just(2)];
    (kind, namespace, 0..3_usize).prop_map(|(kind, namespace, name)| Slot {
        kind,
        namespace,
        name,
        pick: None,
    })
}

/// Mostly a slot with an object in it.
pub(super) fn taken(kinds: std::ops::Range<usize>) -> impl Strategy<Value = Slot> {
    (slot(kinds), prop::option::weighted(0.9, any::<usize>())).prop_map(|(slot, pick)| Slot { pick, ..slot })
}

pub(super) fn stated() -> impl Strategy<Value = Stated> {
    prop_oneof![
        4 => Just(Stated::Right),
        6 => Just(Stated::Missing),
        1 => Just(Stated::Wrong),
        1 => Just(Stated::Malformed),
    ]
}

impl Slot {
    pub(super) const fn namespace(self) -> &'static str {
        NAMESPACES[self.namespace]
    }

    pub(super) const fn name(self) -> &'static str {
        NAMES[self.name]
    }
}

pub(super) fn written(done: Result<Written, Status>) -> Done {
    done.map(|written| (written.object, written.gone, written.created))
}

/// What the store keeps of an object that it is sent: of built-in kinds what Go reads and writes, without nulls.
fn kept(resource: &Resource, mut value: Value) -> Value {
    let schema = Schema::built_in();
    let message = schema.kind_of(&resource.group, resource.storage_version(), &resource.kind);
    if let Some(message) = message.filter(|_| !resource.custom) {
        let object = value.as_object_mut().unwrap();
        schema.normalise(message, object).unwrap();
        object.retain(|_, value| !value.is_null());
    }
    value
}

impl World {
    pub(super) fn key(&self, slot: Slot) -> Key {
        let resource = &self.kinds[slot.kind];
        (
            resource.home,
            resource.key(Some(slot.namespace()), slot.name()).into(),
        )
    }

    pub(super) fn live(&self, slot: Slot) -> Option<Arc<Value>> {
        self.state().get(&self.key(slot)).cloned()
    }

    /// Does a write, first as a dry run if it is to be rehearsed, and checks that both say the same.
    pub(super) fn perform(&mut self, rehearse: bool, write: impl Fn(&mut Store, bool) -> Done) -> Done {
        let rehearsal = rehearse.then(|| {
            let version = self.store.version();
            let done = write(&mut self.store, true);
            assert_eq!(self.store.version(), version, "a dry run leaves no trace");
            self.observe();
            done
        });
        let version = self.store.version();
        let done = write(&mut self.store, false);
        self.observe();
        if let Err(status) = &done {
            assert_eq!(
                self.store.version(),
                version,
                "a refusal leaves no trace: {status}"
            );
        }
        match (rehearsal, &done) {
            (Some(Ok(dry)), Ok(real)) => {
                let plain = |object: &Object| without(&object.to_value("", ""), &["resourceVersion"]);
                assert_eq!(
                    (plain(&dry.0), dry.1, dry.2),
                    (plain(&real.0), real.1, real.2),
                    "a dry run tells what the write does"
                );
            }
            (Some(Err(dry)), Err(real)) => {
                assert_eq!(&dry, real, "a dry run is refused as the write is");
            }
            (Some(dry), real) => panic!("a dry run tells what the write does: {dry:?} {real:?}"),
            (None, _) => {}
        }
        done
    }

    /// Whether the write went as it had to: refused with one of the codes, or not if there are none. Gives the object's JSON.
    pub(super) fn judge(&self, slot: Slot, done: Done, codes: &[u16], what: &str) -> Option<Value> {
        match done {
            Err(status) => {
                assert!(
                    codes.contains(&status.code),
                    "{what}: {codes:?} expected, got {status}"
                );
                None
            }
            Ok((object, gone, _)) => {
                assert!(
                    codes.is_empty(),
                    "{what}: {codes:?} expected, got {}",
                    object.to_value("", "")
                );
                let home = self.kinds[slot.kind].home;
                let key = (
                    home,
                    self.kinds[slot.kind]
                        .key(object.namespace(), object.name())
                        .into(),
                );
                let value = self.render(home, &object);
                let found = self.state().get(&key).map(|value| &**value);
                assert_eq!(
                    found,
                    Some(&value).filter(|_| !gone),
                    "{what}: the answer is the object"
                );
                Some(value)
            }
        }
    }

    /// Why a creation would be refused.
    pub(super) fn refused_creation(&self, slot: Slot) -> Vec<u16> {
        let mut codes = Vec::new();
        if self.kinds[slot.kind].namespaced {
            let namespace = self.state().get(&(self.kinds[9].id, Arc::from(slot.namespace())));
            match namespace {
                None => codes.push(404),
                Some(namespace) if is_terminating(namespace) => codes.push(403),
                Some(_) => {}
            }
        }
        codes
    }

    /// The slot itself, or that of the object that it stands for.
    pub(super) fn place(&self, slot: Slot) -> Slot {
        let slots: Vec<Slot> = self
            .state()
            .iter()
            .filter_map(|(key, value)| {
                let place = |names: &[&str], pointer: &str| {
                    names.iter().position(|name| *name == text(value, pointer))
                };
                Some(Slot {
                    kind: (0..WRITTEN).find(|kind| self.kinds[*kind].home == key.0)?,
                    namespace: place(&NAMESPACES, "/metadata/namespace").unwrap_or(0),
                    name: place(&NAMES, "/metadata/name")?,
                    pick: None,
                })
            })
            .collect();
        match slot.pick {
            Some(index) if !slots.is_empty() => slots[index % slots.len()],
            _ => slot,
        }
    }

    pub(super) fn write(&mut self, op: Op) {
        match op {
            Op::Create {
                at,
                payload,
                changes,
                generate,
                rehearse,
            } => self.create(at, payload, &changes, generate, rehearse),
            Op::Write {
                at,
                way,
                changes,
                version,
                uid,
                rehearse,
            } => self.update(self.place(at), way, &changes, (version, uid), rehearse),
            Op::Status { at, way, value } => self.status(self.place(at), way, value),
            Op::Scale {
                at,
                replicas,
                version,
            } => self.scale(self.place(at), replicas, version),
            Op::Apply {
                at,
                manager,
                force,
                fields,
                value,
                rehearse,
            } => self.apply(
                self.place(at),
                MANAGERS[manager],
                force,
                (fields, value),
                rehearse,
            ),
            Op::Delete {
                at,
                grace,
                propagation,
                version,
                uid,
                rehearse,
            } => self.delete(self.place(at), grace, propagation, (version, uid), rehearse),
            Op::DeleteCollection {
                of,
                limit,
                propagation,
            } => self.delete_collection(of, limit, propagation),
            Op::MakeNamespace(which) => {
                let name = NAMESPACES[which];
                let known = self.state().contains_key(&(self.kinds[9].id, Arc::from(name)));
                let body = json!({"metadata": {"name": name}});
                let options = self.options("admin", false);
                let done = self.store.create(target("", "namespaces"), body, options);
                assert_eq!(done.is_err(), known);
            }
            Op::DropNamespace(which) => {
                let options = DeleteOptions::default();
                let now = self.now();
                let done = self
                    .store
                    .delete(target("", "namespaces"), NAMESPACES[which], &options, now);
                match done {
                    Ok(deleted) => assert!(!deleted.gone, "a namespace waits for its content"),
                    Err(status) => assert_eq!(status.code, if which == 0 { 403 } else { 404 }),
                }
            }
            other => panic!("{other:?} is no write"),
        }
    }

    fn create(&mut self, slot: Slot, payload: u8, changes: &[Change], generate: bool, rehearse: bool) {
        let mut body = fresh(slot.kind, slot.namespace(), payload);
        for change in changes {
            self.change(slot.kind, slot.namespace(), *change, &mut body);
        }
        let key = if generate { "generateName" } else { "name" };
        body["metadata"][key] = slot.name().into();
        let mut codes = self.refused_creation(slot);
        if !generate && self.live(slot).is_some() {
            codes.push(409);
        }
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let (dry, real) = (self.options("creator", true), self.options("creator", false));
        let done = self.perform(rehearse, |store, rehearsal| {
            let target = Target::stored(&resource, resource.namespaced.then_some(slot.namespace()));
            let options = if rehearsal { dry } else { real };
            store
                .create(target, body.clone(), options)
                .map(|object| (object, false, true))
        });
        if let Some(created) = self.judge(slot, done, &codes, "create") {
            assert_eq!(
                created.pointer("/metadata/labels"),
                body.pointer("/metadata/labels")
            );
            assert_eq!(
                created.pointer("/metadata/ownerReferences"),
                body.pointer("/metadata/ownerReferences")
            );
        }
    }

    fn update(
        &mut self,
        slot: Slot,
        way: Way,
        changes: &[Change],
        (version, uid): (Stated, Stated),
        rehearse: bool,
    ) {
        let Some(before) = self.live(slot) else {
            return self.update_nothing(slot, way);
        };
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let mut after = (*before).clone();
        for change in changes {
            self.change(slot.kind, slot.namespace(), *change, &mut after);
        }
        let mut codes = Vec::new();
        let added = finalizers(&after)
            .iter()
            .any(|name| !finalizers(&before).contains(name));
        if is_terminating(&before) && added {
            codes.push(422);
        }
        let mut sent = after.clone();
        match version {
            Stated::Right => {}
            Stated::Missing if way == Way::Put => {
                sent["metadata"]
                    .as_object_mut()
                    .unwrap()
                    .remove("resourceVersion");
                if !resource.traits.unconditional_update {
                    codes.push(422);
                }
            }
            Stated::Missing => {}
            Stated::Wrong => {
                let right: u64 = text(&before, "/metadata/resourceVersion").parse().unwrap();
                sent["metadata"]["resourceVersion"] = (right - 1).to_string().into();
                codes.push(409);
            }
            Stated::Malformed => {
                sent["metadata"]["resourceVersion"] = "x".into();
                codes.push(400);
            }
        }
        match uid {
            Stated::Right | Stated::Missing => {}
            Stated::Wrong | Stated::Malformed => {
                sent["metadata"]["uid"] = "00000000-0000-4000-8000-00000000000f".into();
                codes.push(409);
            }
        }
        if way == Way::Strategic && resource.custom {
            codes = vec![415];
        }
        let done = self.send(slot, Part::Main, way, (&before, &sent), rehearse);
        let Some(result) = self.judge(slot, done, &codes, "update") else {
            return;
        };
        let mut expected = kept(&resource, after);
        if resource.has_status() {
            let map = expected.as_object_mut().unwrap();
            match before.get("status") {
                Some(status) => map.insert("status".to_owned(), status.clone()),
                None => map.remove("status"),
            };
        }
        let plain = |value: &Value| without(value, &["resourceVersion", "generation", "managedFields"]);
        assert_eq!(
            plain(&result),
            plain(&expected),
            "all ways of writing agree: {way:?}"
        );
    }

    /// Writes an object's new form, whole or as a patch.
    fn send(
        &mut self,
        slot: Slot,
        part: Part,
        way: Way,
        (before, after): (&Value, &Value),
        rehearse: bool,
    ) -> Done {
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let (dry, real) = (self.options("writer", true), self.options("writer", false));
        let (kind, body) = match way {
            Way::Put => (None, after.clone()),
            Way::Json => (Some(PatchKind::Json), json_patch(before, after)),
            Way::Merge => (Some(PatchKind::Merge), merge_patch(before, after, false)),
            Way::Strategic => {
                // The merge key of lists in `metadata` is known to every kind.
                let mut body = merge_patch(before, &without(after, &["managedFields"]), true);
                let metadata = body.get_mut("metadata").and_then(Value::as_object_mut);
                if let Some(metadata) = metadata {
                    metadata.remove("managedFields");
                }
                (Some(PatchKind::Strategic), body)
            }
        };
        self.perform(rehearse, |store, rehearsal| {
            let target = Target::stored(&resource, resource.namespaced.then_some(slot.namespace()));
            let options = if rehearsal { dry } else { real };
            written(match kind {
                None => store.update(target, slot.name(), part, body.clone(), options),
                Some(kind) => store.patch(target, slot.name(), part, kind, &body, options),
            })
        })
    }

    fn update_nothing(&mut self, slot: Slot, way: Way) {
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let codes = if way == Way::Put && resource.traits.create_on_update {
            self.refused_creation(slot)
        } else {
            vec![404]
        };
        let mut body = fresh(slot.kind, slot.namespace(), 1);
        body["metadata"]["name"] = slot.name().into();
        let done = self.send(slot, Part::Main, way, (&body, &body.clone()), true);
        assert!(
            done.as_ref().is_ok_and(|done| done.2) || done.is_err(),
            "what was not there is created"
        );
        self.judge(slot, done, &codes, "update of nothing");
    }

    fn status(&mut self, slot: Slot, way: Way, value: u8) {
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let Some(before) = self.live(slot).filter(|_| resource.has_status()) else {
            return;
        };
        let mut after = (*before).clone();
        set_status(slot.kind, value, &mut after);
        let mut sent = after.clone();
        stray(slot.kind, &mut sent);
        let codes: &[u16] = if way == Way::Strategic && resource.custom {
            &[415]
        } else {
            &[]
        };
        let done = self.send(slot, Part::Status, way, (&before, &sent), true);
        if let Some(result) = self.judge(slot, done, codes, "status") {
            let plain = |value: &Value| without(value, &["resourceVersion", "managedFields"]);
            assert_eq!(
                plain(&result),
                plain(&kept(&resource, after)),
                "a status write writes the status"
            );
        }
    }

    fn scale(&mut self, slot: Slot, replicas: u8, version: Stated) {
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let Some(before) = self.live(slot).filter(|_| resource.scale.is_some()) else {
            return;
        };
        let mut codes = Vec::new();
        let mut body = json!({"metadata": {"name": slot.name()}, "spec": {"replicas": replicas}});
        match version {
            Stated::Right => {
                body["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            }
            Stated::Missing => {}
            Stated::Wrong => {
                body["metadata"]["resourceVersion"] = "1".into();
                codes.push(409);
            }
            Stated::Malformed => {
                body["metadata"]["resourceVersion"] = "x".into();
                codes.push(400);
            }
        }
        let (dry, real) = (self.options("scaler", true), self.options("scaler", false));
        let done = self.perform(true, |store, rehearsal| {
            let target = Target::stored(&resource, Some(slot.namespace()));
            let options = if rehearsal { dry } else { real };
            written(scale::set(store, target, slot.name(), &body, options))
        });
        if let Some(result) = self.judge(slot, done, &codes, "scale") {
            let mut expected = (*before).clone();
            expected["spec"]["replicas"] = replicas.into();
            let expected = kept(&resource, expected);
            let plain = |value: &Value| without(value, &["resourceVersion", "generation", "managedFields"]);
            assert_eq!(plain(&result), plain(&expected), "a scale changes the replicas");
        }
    }
}
