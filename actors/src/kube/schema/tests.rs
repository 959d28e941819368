use super::*;
use crate::kube::resource::ROWS;

fn schema() -> &'static Schema {
    Schema::built_in()
}

#[test]
fn the_table_can_be_read() {
    let read = table::read(include_str!("schema.txt")).unwrap();
    assert_eq!(read.messages.len(), schema().messages.len());
    assert!(read.messages.len() > 550, "{}", read.messages.len());
    assert!(read.json_schema.is_some());
}

#[test]
fn every_built_in_resource_and_body_of_a_subresource_has_a_struct() {
    for row in ROWS {
        for version in row.versions {
            for kind in [row.kind.to_owned(), format!("{}List", row.kind)] {
                let review = row.kind.ends_with("Review") || row.kind == "Binding";
                assert!(
                    (review && kind.ends_with("List"))
                        || schema().kind_of(row.group, version, &kind).is_some(),
                    "{} {version} {kind}",
                    row.group
                );
            }
        }
        for (name, kind, _) in row.subresources {
            if let [group, version, kind] = *kind.split('/').collect::<Vec<_>>() {
                assert!(
                    schema().kind_of(group, version, kind).is_some(),
                    "{}/{name}: {kind}",
                    row.plural
                );
            }
        }
    }
}

#[test]
fn fields_are_found_through_inlined_structs() {
    let volume = schema()
        .messages
        .iter()
        .position(|message| &*message.name == "Volume")
        .unwrap();
    let volume = MessageId(u32::try_from(volume).unwrap());
    let (owner, field) = schema().field(volume, "configMap").unwrap();
    assert_eq!((&*owner.name, field.number), ("VolumeSource", 19));
    assert!(schema().field(volume, "").is_none());
    assert!(schema().field(volume, "volumeSource").is_none());
}

#[test]
fn types_have_the_names_that_go_gives_them() {
    let go = |api_version, kind, path: &[&str]| {
        let mut at = schema().kind(api_version, kind).unwrap();
        let mut go = String::new();
        for name in path {
            let (_, field) = schema().field(at, name).unwrap();
            go = field.of.go.to_string();
            if let Kind::Message(inner) = field.of.kind {
                at = inner;
            }
        }
        go
    };
    assert_eq!(go("apps/v1", "Deployment", &["spec", "replicas"]), "int32");
    assert_eq!(go("v1", "Pod", &["spec", "containers"]), "[]v1.Container");
    assert_eq!(go("v1", "Pod", &["metadata", "labels"]), "map[string]string");
    assert_eq!(go("v1", "Pod", &["spec", "restartPolicy"]), "v1.RestartPolicy");
    assert_eq!(go("v1", "Node", &["status", "capacity"]), "v1.ResourceList");
    assert_eq!(go("v1", "Secret", &["data"]), "map[string][]uint8");
    assert_eq!(
        go(
            "authentication.k8s.io/v1",
            "TokenReview",
            &["status", "user", "extra"]
        ),
        "map[string]v1.ExtraValue"
    );
}

#[test]
fn kinds_of_the_machinery_are_known_in_every_group() {
    let own = schema().kind("meta.k8s.io/v1", "DeleteOptions").unwrap();
    assert_eq!(schema().kind("policy/v1", "DeleteOptions"), Some(own));
    assert_eq!(schema().kind("example.com/v1beta1", "DeleteOptions"), Some(own));
    assert_eq!(
        schema().kind("v1", "Status"),
        schema().kind("meta.k8s.io/v1", "Status")
    );
    assert!(schema().kind("apps/v1", "Pod").is_none());
    assert!(schema().kind("apps/v1", "APIResourceList").is_none());
}
