//! How objects are laid out: which lists are keyed, which are sets, which parts are one unit.
//!
//! Strategic merge patch and server-side apply both ask this. The built-in kinds come from a table (`structure.txt`) that names
//! only what differs from the plain case; custom resources bring an `OpenAPI` schema with `x-kubernetes-*` marks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use serde_json::Value;

/// Deepest nesting that is read out of a custom resource's schema.
const SCHEMA_DEPTH: usize = 64;

/// Layout of a value, for server-side apply.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Shape {
    /// Nothing special: an object is a struct of plain fields, a list is atomic, the rest are scalars.
    #[default]
    Plain,
    /// No schema: an object is a map with free keys all the way down, a list is atomic.
    Free,
    /// A struct with these special fields.
    Struct(Arc<Type>),
    /// An object that is owned as a whole.
    Atomic(Option<Arc<Type>>),
    /// An object with free keys.
    Map(Option<Arc<Type>>),
    /// A list whose items are told apart by the values of these fields.
    Keyed {
        /// The fields, sorted by name.
        keys: Arc<[Key]>,
        /// Type of the items.
        item: Option<Arc<Type>>,
    },
    /// A list of scalars without order.
    Set,
    /// A list that is owned as a whole.
    List(Option<Arc<Type>>),
}

/// One key of a keyed list.
#[derive(Clone, PartialEq, Debug)]
pub struct Key {
    /// Name of the field.
    pub name: Box<str>,
    /// What counts if an item leaves it out.
    pub default: Option<Value>,
}

/// How a strategic merge patch treats a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Merge {
    /// Objects are matched by the value of this field.
    ByKey(Box<str>),
    /// Scalars are added.
    Scalars,
}

/// What stands in a field.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Slot {
    /// Its layout.
    pub shape: Shape,
    /// Strategic merge of a list; `None` replaces it.
    pub merge: Option<Merge>,
    /// Strategic merge with `$retainKeys`.
    pub retain_keys: bool,
}

/// A struct: its special fields.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Type {
    fields: BTreeMap<Box<str>, Slot>,
}

impl Type {
    /// The slot of a field; `None` when it is plain.
    #[must_use]
    pub fn slot(&self, field: &str) -> Option<&Slot> {
        self.fields.get(field)
    }
}

impl Shape {
    /// The shape of what stands in `field` of an object of this shape.
    #[must_use]
    pub fn field(&self, field: &str) -> Self {
        match self {
            Self::Free => Self::Free,
            Self::Struct(of) | Self::Atomic(Some(of)) => {
                of.slot(field).map_or(Self::Plain, |slot| slot.shape.clone())
            }
            Self::Map(value) => Self::of(value.as_ref()),
            _ => Self::Plain,
        }
    }

    /// The shape of an item of a list of this shape.
    #[must_use]
    pub fn item(&self) -> Self {
        match self {
            Self::Keyed { item, .. } | Self::List(item) => Self::of(item.as_ref()),
            _ => Self::Plain,
        }
    }

    /// Whether fields of an object of this shape have names that the schema gives, as opposed to free keys.
    #[must_use]
    pub const fn has_named_fields(&self) -> bool {
        !matches!(self, Self::Free | Self::Map(_))
    }

    /// Whether a value of this shape is owned as a whole. `list` tells whether the value is a list.
    #[must_use]
    pub const fn is_atomic(&self, list: bool) -> bool {
        match self {
            Self::Atomic(_) | Self::List(_) => true,
            Self::Plain | Self::Free | Self::Struct(_) | Self::Map(_) => list,
            Self::Keyed { .. } | Self::Set => false,
        }
    }

    fn of(of: Option<&Arc<Type>>) -> Self {
        of.map_or(Self::Plain, |of| Self::Struct(Arc::clone(of)))
    }

    /// The type of the struct, of the items or of the values.
    #[must_use]
    pub const fn inner(&self) -> Option<&Arc<Type>> {
        match self {
            Self::Struct(of) => Some(of),
            Self::Atomic(of) | Self::Map(of) | Self::List(of) | Self::Keyed { item: of, .. } => of.as_ref(),
            Self::Plain | Self::Free | Self::Set => None,
        }
    }
}

/// The layout of a built-in kind.
#[must_use]
pub fn built_in(group: &str, version: &str, kind: &str) -> Arc<Type> {
    static KINDS: LazyLock<HashMap<Box<str>, Arc<Type>>> =
        LazyLock::new(|| read_table(include_str!("structure.txt")));
    let short = group.split('.').next().unwrap_or("");
    let name = if short.is_empty() {
        kind.to_owned()
    } else {
        format!("{short}.{version}.{kind}")
    };
    let found = KINDS.get(name.as_str()).or_else(|| {
        // The group's name in Go's package differs from its name on the wire.
        let package = match group {
            "rbac.authorization.k8s.io" => "rbac",
            "flowcontrol.apiserver.k8s.io" => "flowcontrol",
            _ => return None,
        };
        KINDS.get(format!("{package}.{version}.{kind}").as_str())
    });
    let metadata = KINDS.get("meta.ObjectMeta").cloned().unwrap_or_default();
    with_metadata(found.map(Arc::as_ref), metadata)
}

fn with_metadata(of: Option<&Type>, metadata: Arc<Type>) -> Arc<Type> {
    let mut whole = of.cloned().unwrap_or_default();
    whole.fields.insert(
        "metadata".into(),
        Slot {
            shape: Shape::Struct(metadata),
            ..Slot::default()
        },
    );
    Arc::new(whole)
}

/// The layout of a custom resource from its `openAPIV3Schema`.
#[must_use]
pub fn from_schema(schema: &Value) -> Arc<Type> {
    let of = match shape_of_schema(schema, 0) {
        Shape::Struct(of) => Some(of),
        _ => None,
    };
    let metadata = built_in("", "v1", "ConfigMap")
        .slot("metadata")
        .and_then(|slot| slot.shape.inner().cloned())
        .unwrap_or_default();
    with_metadata(of.as_deref(), metadata)
}

/// A type from a schema with `properties`.
fn shape_of_schema(schema: &Value, depth: usize) -> Shape {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
    if depth > SCHEMA_DEPTH {
        return Shape::Free;
    }
    let inner = |value: Option<&Value>| match value.map(|value| shape_of_schema(value, depth + 1)) {
        Some(Shape::Struct(of)) => Some(of),
        _ => None,
    };
    match text("type") {
        Some("array") => {
            let items = schema.get("items");
            match text("x-kubernetes-list-type") {
                Some("map") => {
                    let mut keys: Vec<Key> = schema
                        .get("x-kubernetes-list-map-keys")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .map(|name| Key {
                            name: name.into(),
                            default: items
                                .and_then(|items| items.get("properties")?.get(name)?.get("default"))
                                .cloned(),
                        })
                        .collect();
                    keys.sort_by(|one, two| one.name.cmp(&two.name));
                    Shape::Keyed {
                        keys: keys.into(),
                        item: inner(items),
                    }
                }
                Some("set") => Shape::Set,
                _ => Shape::List(inner(items)),
            }
        }
        Some("object") | None => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let mut of = Type::default();
            for (name, property) in properties.into_iter().flatten() {
                let shape = shape_of_schema(property, depth + 1);
                if shape != Shape::Plain {
                    of.fields.insert(
                        name.as_str().into(),
                        Slot {
                            shape,
                            ..Slot::default()
                        },
                    );
                }
            }
            if text("x-kubernetes-map-type") == Some("atomic") {
                Shape::Atomic(Some(Arc::new(of)))
            } else if let Some(additional) = schema
                .get("additionalProperties")
                .filter(|value| value.is_object())
            {
                Shape::Map(inner(Some(additional)))
            } else if properties.is_none()
                && (flag("x-kubernetes-preserve-unknown-fields") || text("type").is_none())
            {
                Shape::Free
            } else {
                Shape::Struct(Arc::new(of))
            }
        }
        Some(_) => Shape::Plain,
    }
}

/// Reads the table. A type may name types that stand anywhere in it; a cycle would be cut (there is none, a test sees to it).
fn read_table(text: &str) -> HashMap<Box<str>, Arc<Type>> {
    let lines: HashMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .collect();
    let mut done = HashMap::new();
    for name in lines.keys() {
        resolve(name, &lines, &mut done, 0);
    }
    done
}

fn resolve(
    name: &str,
    lines: &HashMap<&str, &str>,
    done: &mut HashMap<Box<str>, Arc<Type>>,
    depth: usize,
) -> Option<Arc<Type>> {
    if let Some(known) = done.get(name) {
        return Some(Arc::clone(known));
    }
    let line = lines.get(name).filter(|_| depth < SCHEMA_DEPTH)?;
    let mut of = Type::default();
    for token in line.split(' ') {
        let end = token
            .find([':', '!', '*', '{', '[', '?', '<', '~'])
            .unwrap_or(token.len());
        let (field, rest) = token.split_at(end);
        let (inner, rest) = match rest.strip_prefix(':') {
            Some(rest) => {
                let end = rest
                    .find(['!', '*', '{', '[', '?', '<', '~'])
                    .unwrap_or(rest.len());
                let (inner, rest) = rest.split_at(end);
                (resolve(inner, lines, done, depth + 1), rest)
            }
            None => (None, rest),
        };
        of.fields.insert(field.into(), slot(inner, rest));
    }
    let of = Arc::new(of);
    done.insert(name.into(), Arc::clone(&of));
    Some(of)
}

fn slot(inner: Option<Arc<Type>>, text: &str) -> Slot {
    let start = text.find(['<', '~']).unwrap_or(text.len());
    let (topology, strategy) = text.split_at(start);
    let shape = match topology {
        "!" | "*!" => Shape::Atomic(inner),
        "*" => Shape::Map(inner),
        "[]" => Shape::List(inner),
        "{}" => Shape::Set,
        "?" => Shape::Free,
        _ => match topology.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(keys) => Shape::Keyed {
                keys: keys
                    .split(',')
                    .map(|key| {
                        let (name, default) = key.split_once('=').unzip();
                        Key {
                            name: name.unwrap_or(key).into(),
                            default: default.map(Value::from),
                        }
                    })
                    .collect(),
                item: inner,
            },
            None => inner.map_or(Shape::Plain, Shape::Struct),
        },
    };
    let merge = strategy
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
        .map(|(key, _)| {
            if key.is_empty() {
                Merge::Scalars
            } else {
                Merge::ByKey(key.into())
            }
        });
    Slot {
        shape,
        merge,
        retain_keys: strategy.ends_with('~'),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slot_at(of: &Arc<Type>, path: &[&str]) -> Slot {
        let (last, init) = path.split_last().unwrap();
        let mut of = Arc::clone(of);
        for field in init {
            of = Arc::clone(of.slot(field).unwrap().shape.inner().unwrap());
        }
        of.slot(last).cloned().unwrap_or_default()
    }

    #[test]
    fn every_type_that_the_table_names_is_in_it() {
        let lines: HashMap<&str, &str> = include_str!("structure.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once(' ').unwrap())
            .collect();
        for (name, fields) in &lines {
            for token in fields.split(' ') {
                if let Some((_, rest)) = token.split_once(':') {
                    let end = rest
                        .find(['!', '*', '{', '[', '?', '<', '~'])
                        .unwrap_or(rest.len());
                    let known = lines.contains_key(&rest[..end]);
                    assert!(known, "{name}: {token}");
                }
            }
        }
    }

    #[test]
    fn lists_of_built_in_kinds() {
        let pod = built_in("", "v1", "Pod");
        let containers = slot_at(&pod, &["spec", "containers"]);
        assert_eq!(containers.merge, Some(Merge::ByKey("name".into())));
        let ports = slot_at(&pod, &["spec", "containers", "ports"]);
        assert_eq!(ports.merge, Some(Merge::ByKey("containerPort".into())));
        let Shape::Keyed { keys, .. } = &ports.shape else {
            panic!("{ports:?}")
        };
        assert_eq!(keys[1].default, Some(json!("TCP")));
        assert!(slot_at(&pod, &["spec", "volumes"]).retain_keys);
        assert_eq!(slot_at(&pod, &["spec", "tolerations"]), Slot::default());
        let deployment = built_in("apps", "v1", "Deployment");
        assert_eq!(
            slot_at(&deployment, &["spec", "template", "spec", "containers"]),
            containers
        );
        assert_eq!(
            slot_at(&deployment, &["spec", "template", "metadata", "labels"]).shape,
            Shape::Map(None)
        );
        assert_eq!(
            slot_at(&deployment, &["metadata", "finalizers"]).merge,
            Some(Merge::Scalars)
        );
        let role = built_in("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding");
        assert_ne!(role.slot("roleRef"), None);
    }

    #[test]
    fn a_schema_of_a_custom_resource() {
        let of = from_schema(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["protocol", "port"],
                "items": {"type": "object", "properties": {"protocol": {"type": "string", "default": "TCP"}, "port": {"type": "integer"}}}},
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "one": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {}},
            "free": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "string"}},
        }}}}));
        let Shape::Keyed { keys, .. } = slot_at(&of, &["spec", "ports"]).shape else {
            panic!()
        };
        assert_eq!((&*keys[0].name, &*keys[1].name), ("port", "protocol"));
        assert_eq!(keys[1].default, Some(json!("TCP")));
        assert_eq!(slot_at(&of, &["spec", "tags"]).shape, Shape::Set);
        assert_eq!(slot_at(&of, &["spec", "any"]).shape, Shape::Free);
        assert!(matches!(slot_at(&of, &["spec", "one"]).shape, Shape::Atomic(_)));
        assert_eq!(slot_at(&of, &["spec", "free"]).shape, Shape::Map(None));
        assert!(slot_at(&of, &["spec", "list"]).shape.is_atomic(true));
        assert_eq!(slot_at(&of, &["metadata", "labels"]).shape, Shape::Map(None));
    }
}
