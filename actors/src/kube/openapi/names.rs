//! Names of definitions, tags and operations.

use crate::kube::schema::Message;

/// Go's packages, as definitions name them, for those that are not of `k8s.io/api`.
const PACKAGES: [(&str, &str); 3] = [
    ("meta", "io.k8s.apimachinery.pkg.apis.meta"),
    (
        "apiextensions",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    ),
    (
        "apiregistration",
        "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    ),
];

/// `apps.v1` and `Deployment` are `io.k8s.api.apps.v1.Deployment` (kubernetes: `api/openapi-spec`).
pub(super) fn definition(message: &Message) -> String {
    let (package, version) = message.package.split_once('.').unwrap_or((&message.package, ""));
    match PACKAGES.iter().find(|(short, _)| *short == package) {
        Some((_, path)) => format!("{path}.{version}.{}", message.name),
        None => format!("io.k8s.api.{}.{}", message.package, message.name),
    }
}

/// The definition of a custom resource: its group backwards, version and kind
/// (kube-openapi: `pkg/util`, `ToRESTFriendlyName`).
pub(super) fn custom(group: &str, version: &str, kind: &str) -> String {
    let mut labels: Vec<&str> = group.split('.').collect();
    labels.reverse();
    format!("{}.{version}.{kind}", labels.join("."))
}

/// The text with all but letters and digits taken out, and the letters that follow large; the first one on demand.
fn camel(text: &str, capital: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut capital = capital;
    for (place, character) in text.chars().enumerate() {
        let letter = character.is_alphabetic() || character == '_';
        if !letter && (place == 0 || !character.is_numeric()) {
            capital = true;
        } else if capital {
            out.extend(character.to_uppercase());
            capital = false;
        } else {
            out.push(character);
        }
    }
    out
}

fn group(name: &str) -> &str {
    if name.is_empty() {
        "core"
    } else {
        name.strip_suffix(".k8s.io").unwrap_or(name)
    }
}

/// The tag of a group and version: `rbacAuthorization_v1`.
pub(super) fn tag(name: &str, version: &str) -> String {
    let tag = camel(group(name), false);
    if version.is_empty() {
        tag
    } else {
        format!("{tag}_{}", camel(version, false))
    }
}

/// The id of an operation: `readAppsV1NamespacedDeployment` of `read` and `NamespacedDeployment`
/// (apiserver: `pkg/endpoints/openapi/openapi.go`).
pub(super) fn operation(verb: &str, name: &str, version: &str, rest: &str) -> String {
    format!(
        "{verb}{}{}{}",
        camel(group(name), true),
        camel(version, true),
        camel(rest, true)
    )
}

/// The word with a large first letter.
pub(super) fn title(word: &str) -> String {
    let mut characters = word.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}
