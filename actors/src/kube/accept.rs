//! What a client is ready to read: its `Accept` header (RFC 9110, 12.5.1; apiserver: `pkg/endpoints/handlers/negotiation`).

use super::openapi;

/// The form of objects in an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// As they are, JSON.
    #[default]
    Json,
    /// As they are, YAML.
    Yaml,
    /// A `Table` of this version of `meta.k8s.io`.
    Table(MetaVersion),
    /// Only their metadata, in this version of `meta.k8s.io`.
    Metadata(MetaVersion),
}

/// Versions of `meta.k8s.io`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MetaVersion {
    /// `v1`.
    #[default]
    V1,
    /// `v1beta1`.
    V1beta1,
}

impl MetaVersion {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1beta1 => "v1beta1",
        }
    }
}

/// The form of discovery documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discovery {
    /// One document for all, in this version of `apidiscovery.k8s.io`.
    Aggregated(&'static str),
    /// The old documents.
    Legacy,
}

impl Discovery {
    /// The content type of an answer; it repeats the parameters that were asked for.
    #[must_use]
    pub fn content_type(self) -> String {
        match self {
            Self::Aggregated(version) => {
                format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
            }
            Self::Legacy => "application/json".to_owned(),
        }
    }
}

/// One entry of the header.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Clause<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let mut quality = 1.0;
        let mut parameters = Vec::new();
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            if name.eq_ignore_ascii_case("q") {
                quality = value.parse().unwrap_or(1.0);
            } else {
                parameters.push((name, value.trim_matches('"')));
            }
        }
        Self {
            media,
            parameters,
            quality,
        }
    }

    fn parameter(&self, name: &str) -> &'a str {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }
}

/// The entries, the one that is liked best first.
fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(Clause::read)
        .filter(|clause| clause.quality > 0.0)
        .collect();
    clauses.sort_by(|one, other| other.quality.total_cmp(&one.quality));
    clauses
}

/// The form of objects that a client wants; `None`: none that there is (406). `lists`: whether it asks for a list.
#[must_use]
pub fn objects(accept: &str) -> Option<Form> {
    let clauses = clauses(accept);
    if clauses.is_empty() {
        return Some(Form::Json);
    }
    clauses.iter().find_map(form)
}

fn form(clause: &Clause<'_>) -> Option<Form> {
    let encoding = match clause.media.to_ascii_lowercase().as_str() {
        // Whoever reads protobuf reads JSON too: clients choose the decoder by the answer's type.
        "application/json" | "*/*" | "application/*" | "application/vnd.kubernetes.protobuf" => Form::Json,
        "application/yaml" => Form::Yaml,
        _ => return None,
    };
    if clause.media == "application/vnd.kubernetes.protobuf" && !clause.parameter("as").is_empty() {
        return None;
    }
    let meta = || match (clause.parameter("g"), clause.parameter("v")) {
        ("meta.k8s.io", "v1") => Some(MetaVersion::V1),
        ("meta.k8s.io", "v1beta1") => Some(MetaVersion::V1beta1),
        _ => None,
    };
    match clause.parameter("as") {
        "" => Some(encoding),
        "Table" => Some(Form::Table(meta()?)),
        "PartialObjectMetadata" | "PartialObjectMetadataList" => meta().map(Form::Metadata),
        _ => None,
    }
}

/// The form of discovery that a client wants.
#[must_use]
pub fn discovery(accept: &str) -> Discovery {
    for clause in clauses(accept) {
        let aggregated = clause.parameter("g") == "apidiscovery.k8s.io"
            && clause.parameter("as") == "APIGroupDiscoveryList";
        match (clause.media, aggregated, clause.parameter("v")) {
            ("application/json", true, "v2") => return Discovery::Aggregated("v2"),
            ("application/json", true, "v2beta1") => return Discovery::Aggregated("v2beta1"),
            ("application/json" | "*/*", false, _) if clause.parameter("as").is_empty() => {
                return Discovery::Legacy;
            }
            _ => {}
        }
    }
    Discovery::Legacy
}

/// The form of `OpenAPI` documents (kube-openapi: `pkg/handler`, `pkg/handler3`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schemas {
    /// JSON.
    Json,
    /// Swagger 2.0 in protobuf.
    Protobuf,
}

/// The form of schemas that a client wants; `None`: none that there is (406). `protobuf`: whether there is that form.
#[must_use]
pub fn schemas(accept: &str, protobuf: bool) -> Option<Schemas> {
    let clauses = clauses(accept);
    if clauses.is_empty() {
        return Some(Schemas::Json);
    }
    clauses.iter().find_map(|clause| match clause.media {
        "application/json" | "application/*" | "*/*" => Some(Schemas::Json),
        openapi::V2_PROTOBUF | openapi::V2_PROTOBUF_ASKED => Some(Schemas::Protobuf).filter(|_| protobuf),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(objects(kubectl), Some(Form::Table(MetaVersion::V1)));
        assert_eq!(
            objects("application/vnd.kubernetes.protobuf, */*"),
            Some(Form::Json)
        );
        assert_eq!(objects(""), Some(Form::Json));
        assert_eq!(
            objects(
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
            ),
            Some(Form::Metadata(MetaVersion::V1))
        );
        assert_eq!(objects("application/yaml"), Some(Form::Yaml));
        assert_eq!(objects("text/html"), None);
        assert_eq!(
            objects("text/html;q=0.9,application/json;q=0.1,application/json;as=Table;g=meta.k8s.io;v=v7"),
            Some(Form::Json)
        );
    }

    #[test]
    fn discovery_follows_the_order() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(discovery(kubectl), Discovery::Aggregated("v2"));
        assert_eq!(discovery("application/json, */*"), Discovery::Legacy);
        assert_eq!(
            discovery("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList"),
            Discovery::Legacy
        );
        assert_eq!(
            Discovery::Aggregated("v2").content_type(),
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        );
    }
}
