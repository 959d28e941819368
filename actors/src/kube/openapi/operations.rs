//! What can be asked of each resource: paths and their operations, in no edition yet.
//!
//! Source: apiserver `pkg/endpoints/installer.go`. The watch paths, which clients have long left, are not told.

use super::definitions::{PATCH, name_of_kind};
use super::names;
use super::parameters::{
    DELETE, FORCE, LIST, NAME, NAMESPACE, PRETTY, Parameter, REST, WRITE, delete_collection, options,
};
use crate::kube::resource::{Resource, Subresource, Verb, Version};

/// A method of HTTP, as paths write it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Method {
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
}

impl Method {
    const ALL: [Self; 7] = [
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Get => "Get",
            Self::Head => "Head",
            Self::Options => "Options",
            Self::Patch => "Patch",
            Self::Post => "Post",
            Self::Put => "Put",
        }
    }
}

/// Group, version and kind.
#[derive(serde::Serialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct GroupVersionKind {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) version: String,
}

/// The body of a request: the name of its definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Body {
    pub(super) definition: String,
    pub(super) required: bool,
}

/// What an answer holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Text,
    Of(String),
}

/// An operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) id: String,
    pub(super) description: String,
    pub(super) tag: String,
    pub(super) action: Option<&'static str>,
    pub(super) kind: Option<GroupVersionKind>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) content: Content,
    /// Codes of success.
    pub(super) codes: &'static [u16],
    /// Content types of the request.
    pub(super) consumes: Vec<&'static str>,
    /// Content types of the answer.
    pub(super) produces: &'static [&'static str],
}

/// A path and what can be done there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Path {
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) operations: Vec<Operation>,
}

/// The words for what an answer code means.
pub(super) const fn meaning(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        _ => "Unauthorized",
    }
}

/// Content types of answers: those of custom resources, of discovery, of objects and of lists are the first so many.
const PRODUCES: [&str; 7] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/cbor",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/cbor-seq",
];
const FOR_CUSTOM: usize = 2;
const FOR_DISCOVERY: usize = 3;
const FOR_OBJECTS: usize = 4;

fn produces(count: usize) -> &'static [&'static str] {
    PRODUCES.get(..count).unwrap_or(&PRODUCES)
}

/// What the operations of one resource have in common.
struct Maker<'a> {
    resource: &'a Resource,
    version: &'a Version,
    /// `Namespaced` or nothing.
    scope: &'static str,
    tag: String,
}

impl Maker<'_> {
    /// The definition of a kind: of a built-in one from the table, else of the resource itself.
    fn definition(&self, kind: &GroupVersionKind) -> String {
        name_of_kind(&kind.group, &kind.version, &kind.kind)
            .unwrap_or_else(|| names::custom(&kind.group, &kind.version, &kind.kind))
    }

    fn kind(&self) -> GroupVersionKind {
        GroupVersionKind {
            group: self.resource.group.to_string(),
            kind: self.resource.kind.to_string(),
            version: self.version.name.to_string(),
        }
    }

    fn options(&self, kind: &str) -> String {
        name_of_kind("", "v1", kind).unwrap_or_else(|| self.definition(&self.kind()))
    }

    /// An operation that only reads, with an id of `verb` and `rest`.
    fn operation(&self, method: Method, verb: &str, rest: &str, action: &'static str) -> Operation {
        let kind = self.kind();
        Operation {
            method,
            id: names::operation(verb, &self.resource.group, &self.version.name, rest),
            description: String::new(),
            tag: self.tag.clone(),
            action: Some(action),
            content: Content::Of(self.definition(&kind)),
            kind: Some(kind),
            parameters: Vec::new(),
            body: None,
            codes: &[200],
            consumes: vec!["*/*"],
            produces: produces(if self.resource.custom {
                FOR_CUSTOM
            } else {
                FOR_OBJECTS
            }),
        }
    }

    /// The operation on an object or a part of it; `body` is the kind of what is written.
    fn write(&self, verb: Verb, part: &str, body: Option<&GroupVersionKind>) -> Option<Operation> {
        let name = format!("{}{}{}", self.scope, self.resource.kind, names::title(part));
        let of = if part.is_empty() {
            format!("one {}", self.resource.kind)
        } else {
            format!("{part} of one {}", self.resource.kind)
        };
        let own = self.kind();
        let definition = self.definition(body.unwrap_or(&own));
        let mut operation = match verb {
            Verb::Get => Operation {
                description: format!("Reads {of}."),
                ..self.operation(Method::Get, "read", &name, "get")
            },
            Verb::Update => Operation {
                description: format!("Replaces {of}."),
                parameters: WRITE.to_vec(),
                codes: &[200, 201],
                body: Some(Body {
                    definition: definition.clone(),
                    required: true,
                }),
                ..self.operation(Method::Put, "replace", &name, "put")
            },
            Verb::Create => Operation {
                description: format!("Creates {of}."),
                parameters: WRITE.to_vec(),
                codes: &[200, 201, 202],
                body: Some(Body {
                    definition: definition.clone(),
                    required: true,
                }),
                ..self.operation(Method::Post, "create", &name, "post")
            },
            Verb::Patch => Operation {
                description: format!("Changes {of}."),
                parameters: WRITE.iter().cloned().chain([FORCE]).collect(),
                codes: &[200, 201],
                body: Some(Body {
                    definition: PATCH.to_owned(),
                    required: true,
                }),
                consumes: self.patches(),
                ..self.operation(Method::Patch, "patch", &name, "patch")
            },
            Verb::Delete => Operation {
                description: format!("Deletes {of}."),
                parameters: DELETE.to_vec(),
                codes: &[200, 202],
                body: Some(Body {
                    definition: self.options("DeleteOptions"),
                    required: false,
                }),
                ..self.operation(Method::Delete, "delete", &name, "delete")
            },
            Verb::DeleteCollection | Verb::List | Verb::Watch => return None,
        };
        operation.content = Content::Of(match verb {
            // These answer with the object; most others with a status.
            Verb::Delete if !self.answers_deletion() => self.options("Status"),
            _ => definition,
        });
        if let Some(body) = body {
            operation.kind = Some(body.clone());
        }
        Some(operation)
    }

    /// Whether a deletion answers with the object (kubernetes: `ReturnDeletedObject` of `pkg/registry/*/*/storage`).
    fn answers_deletion(&self) -> bool {
        self.resource.group.is_empty()
            && [
                "persistentvolumeclaims",
                "persistentvolumes",
                "pods",
                "podtemplates",
                "resourcequotas",
                "serviceaccounts",
                "services",
            ]
            .contains(&&*self.resource.plural)
            || matches!(&*self.resource.group, "resource.k8s.io" | "storage.k8s.io")
    }

    fn patches(&self) -> Vec<&'static str> {
        let mut types = vec!["application/json-patch+json", "application/merge-patch+json"];
        if !self.resource.custom {
            types.push("application/strategic-merge-patch+json");
        }
        types.extend(["application/apply-patch+yaml", "application/apply-patch+cbor"]);
        types
    }

    fn list(&self, everywhere: bool) -> Operation {
        let kind = &self.resource.kind;
        let list = GroupVersionKind {
            kind: self.resource.list_kind.to_string(),
            ..self.kind()
        };
        let rest = if everywhere {
            format!("{kind}ForAllNamespaces")
        } else {
            format!("{}{kind}", self.scope)
        };
        Operation {
            description: format!("Lists or watches objects of kind {kind}."),
            parameters: LIST.to_vec(),
            content: Content::Of(self.definition(&list)),
            produces: produces(if self.resource.custom {
                FOR_CUSTOM
            } else {
                PRODUCES.len()
            }),
            ..self.operation(Method::Get, "list", &rest, "list")
        }
    }

    fn delete_many(&self) -> Operation {
        let kind = &self.resource.kind;
        Operation {
            description: format!("Deletes objects of kind {kind}."),
            parameters: delete_collection(),
            body: Some(Body {
                definition: self.options("DeleteOptions"),
                required: false,
            }),
            content: Content::Of(self.options("Status")),
            ..self.operation(
                Method::Delete,
                "delete",
                &format!("Collection{}{kind}", self.scope),
                "deletecollection",
            )
        }
    }

    fn subresource(&self, root: &str, parameters: &[Parameter], sub: &Subresource, paths: &mut Vec<Path>) {
        let kind = sub.kind.as_ref().map(|(group, version, kind)| GroupVersionKind {
            group: group.to_string(),
            kind: kind.to_string(),
            version: version.to_string(),
        });
        let path = format!("{root}/{{name}}/{}", sub.name);
        let connect = matches!(&*sub.name, "attach" | "exec" | "portforward" | "proxy");
        if !connect {
            let mut operations: Vec<Operation> = sub
                .verbs
                .iter()
                .filter_map(|verb| self.write(verb, &sub.name, kind.as_ref()))
                .collect();
            let mut parameters = parameters.to_vec();
            if sub.name == "log" {
                parameters.extend(options(Some(&GroupVersionKind {
                    kind: "PodLogOptions".to_owned(),
                    ..self.kind()
                })));
                for operation in &mut operations {
                    operation.content = Content::Text;
                }
            }
            paths.push(Path {
                path,
                parameters,
                operations,
            });
            return;
        }
        let methods: &[Method] = if sub.name == "proxy" {
            &Method::ALL
        } else {
            &[Method::Get, Method::Post]
        };
        let connected = |suffix: &str| {
            methods
                .iter()
                .map(|method| {
                    let rest = format!(
                        "{}{}{}{}{suffix}",
                        method.title(),
                        self.scope,
                        self.resource.kind,
                        names::title(&sub.name)
                    );
                    Operation {
                        description: format!("Connects to {} of one {}.", sub.name, self.resource.kind),
                        kind: kind.clone(),
                        content: Content::Text,
                        ..self.operation(*method, "connect", &rest, "connect")
                    }
                })
                .collect()
        };
        let with_options = |more: &[Parameter]| {
            let given = options(kind.as_ref());
            // The rest of the path goes by the name of the option.
            let own = given
                .into_iter()
                .filter(|option| !more.iter().any(|other| other.name == option.name));
            parameters
                .iter()
                .filter(|parameter| **parameter != PRETTY)
                .chain(more)
                .cloned()
                .chain(own)
                .collect()
        };
        paths.push(Path {
            path: path.clone(),
            parameters: with_options(&[]),
            operations: connected(""),
        });
        if sub.name == "proxy" {
            let mut parameters: Vec<Parameter> = with_options(std::slice::from_ref(&REST));
            parameters.push(Parameter {
                in_path: false,
                ..REST
            });
            paths.push(Path {
                path: format!("{path}/{{path}}"),
                parameters,
                operations: connected("WithPath"),
            });
        }
    }
}

/// Parameters that all operations of a path have stand with the path (kube-openapi: `pkg/builder/openapi.go`).
fn share(path: &mut Path) {
    let Some((first, others)) = path.operations.split_first() else {
        return;
    };
    let common: Vec<Parameter> = first
        .parameters
        .iter()
        .filter(|parameter| others.iter().all(|other| other.parameters.contains(parameter)))
        .cloned()
        .collect();
    for operation in &mut path.operations {
        operation
            .parameters
            .retain(|parameter| !common.contains(parameter));
    }
    path.parameters.extend(common);
    path.parameters.sort_by(|one, other| one.name.cmp(&other.name));
}

/// The paths of one version of a resource.
pub(super) fn of_resource(resource: &Resource, version: &Version) -> Vec<Path> {
    let group = if resource.group.is_empty() {
        format!("/api/{}", version.name)
    } else {
        format!("/apis/{}/{}", resource.group, version.name)
    };
    let maker = Maker {
        resource,
        version,
        scope: if resource.namespaced { "Namespaced" } else { "" },
        tag: names::tag(&resource.group, &version.name),
    };
    let mut paths = Vec::new();
    let (root, scope) = if resource.namespaced {
        if resource.verbs.has(Verb::List) {
            paths.push(Path {
                path: format!("{group}/{}", resource.plural),
                parameters: vec![PRETTY],
                operations: vec![maker.list(true)],
            });
        }
        (
            format!("{group}/namespaces/{{namespace}}/{}", resource.plural),
            vec![NAMESPACE],
        )
    } else {
        (format!("{group}/{}", resource.plural), Vec::new())
    };
    let with = |more: &[Parameter]| -> Vec<Parameter> {
        more.iter().chain(&scope).cloned().chain([PRETTY]).collect()
    };
    let mut operations = Vec::new();
    if resource.verbs.has(Verb::DeleteCollection) {
        operations.push(maker.delete_many());
    }
    if resource.verbs.has(Verb::List) {
        operations.push(maker.list(false));
    }
    if resource.verbs.has(Verb::Create) {
        operations.extend(maker.write(Verb::Create, "", None));
    }
    if !operations.is_empty() {
        paths.push(Path {
            path: root.clone(),
            parameters: with(&[]),
            operations,
        });
    }
    let operations: Vec<Operation> = [Verb::Delete, Verb::Get, Verb::Patch, Verb::Update]
        .into_iter()
        .filter(|verb| resource.verbs.has(*verb))
        .filter_map(|verb| maker.write(verb, "", None))
        .collect();
    let named = with(&[NAME]);
    if !operations.is_empty() {
        paths.push(Path {
            path: format!("{root}/{{name}}"),
            parameters: named.clone(),
            operations,
        });
    }
    for sub in &resource.subresources {
        if sub.name != "status" || version.status {
            maker.subresource(&root, &named, sub, &mut paths);
        }
    }
    paths.iter_mut().for_each(share);
    paths
}

/// A document of discovery: one GET that answers with that definition.
pub(super) fn of_discovery(path: String, id: String, tag: String, definition: String) -> Path {
    Path {
        path,
        parameters: Vec::new(),
        operations: vec![Operation {
            method: Method::Get,
            id,
            description: "Tells what the server has.".to_owned(),
            tag,
            action: None,
            kind: None,
            parameters: Vec::new(),
            body: None,
            content: Content::Of(definition),
            codes: &[200],
            consumes: Vec::new(),
            produces: produces(FOR_DISCOVERY),
        }],
    }
}
