//! Against messages that another implementation makes (k8s-pb, from the same `generated.proto`).

mod generated;
mod typed;

use serde_json::json;

use super::*;

/// Key and length of a field, and its bytes.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, u8::try_from(value.len()).unwrap()];
    bytes.extend_from_slice(value);
    bytes
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &type_meta), field(2, raw)].concat()
}

fn object(api_version: &str, kind: &str, raw: &[u8]) -> Value {
    Value::Object(decode(&body(api_version, kind, raw)).unwrap().object)
}

#[test]
fn bodies_without_an_envelope_are_refused_in_the_words_of_the_server() {
    let refusal = |body: &[u8]| decode(body).unwrap_err().to_string();
    assert_eq!(refusal(b""), "empty data");
    assert_eq!(
        refusal(b"{}"),
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    );
    assert_eq!(refusal(&MAGIC), "empty body");
    assert_eq!(refusal(b"k8s\0\x0a\x05a"), "unexpected EOF");
    assert_eq!(
        refusal(b"k8s\0\x08\x01"),
        "proto: wrong wireType = 0 for field TypeMeta"
    );
    assert_eq!(
        refusal(&body("v1", "", b"")),
        r#"Object 'Kind' is missing in 'runtime.TypeMeta{APIVersion:"v1", Kind:""}'"#
    );
    assert_eq!(
        refusal(&body("", "Pod", b"")),
        r#"Object 'apiVersion' is missing in 'runtime.TypeMeta{APIVersion:"", Kind:"Pod"}'"#
    );
    assert_eq!(
        refusal(&body("example.com/v1", "Pod", b"")),
        r#"no kind "Pod" is registered for version "example.com/v1" in scheme "pkg/api/legacyscheme/scheme.go:30""#
    );
}

#[test]
fn what_the_body_leaves_out_is_as_expected() {
    let bytes = [&MAGIC[..], &field(2, b"")].concat();
    let read = decode_as(&bytes, Some(("v1", "ConfigMap"))).unwrap();
    assert_eq!((&*read.api_version, &*read.kind), ("v1", "ConfigMap"));
    let read = decode_as(&body("v1", "Secret", b""), Some(("v1", "ConfigMap"))).unwrap();
    assert_eq!(read.kind, "Secret");
}

#[test]
fn repeated_structs_are_merged_and_unknown_fields_skipped() {
    // spec.replicas, then spec.minReadySeconds in a second spec; field 99 is unknown.
    let raw = [
        &field(2, &[8, 3])[..],
        &field(2, &[40, 7]),
        &[0x9a, 0x06, 0x01, 0xff],
    ]
    .concat();
    let deployment = object("apps/v1", "Deployment", &raw);
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["spec"]["minReadySeconds"], 7);
}

#[test]
fn numbers_may_be_packed_or_not() {
    // securityContext.supplementalGroups, field 4 of PodSecurityContext, field 14 of the spec.
    let apart = field(2, &field(14, &[32, 1, 32, 2]));
    let packed = field(2, &field(14, &[34, 2, 1, 2]));
    for raw in [apart, packed] {
        let pod = object("v1", "Pod", &raw);
        assert_eq!(
            pod["spec"]["securityContext"]["supplementalGroups"],
            json!([1, 2])
        );
    }
}

#[test]
fn numbers_of_32_bits_keep_their_lower_half() {
    let raw = field(2, &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_eq!(object("apps/v1", "Deployment", &raw)["spec"]["replicas"], -1);
    let raw = field(2, &[8, 0x81, 0x80, 0x80, 0x80, 0x10]);
    assert_eq!(object("apps/v1", "Deployment", &raw)["spec"]["replicas"], 1);
}

#[test]
fn wrong_layouts_and_values_name_their_field() {
    let refusal = |kind, raw: &[u8]| decode(&body("v1", kind, raw)).unwrap_err().to_string();
    assert_eq!(
        refusal("ConfigMap", &[0x10, 1]),
        "proto: wrong wireType = 0 for field Data"
    );
    let quantity = field(
        3,
        &field(1, &[field(1, b"cpu"), field(2, &field(1, b"much"))].concat()),
    );
    assert_eq!(
        refusal("Node", &quantity),
        "Capacity: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
    let late = field(1, &field(8, &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
    assert_eq!(refusal("Pod", &late), "CreationTimestamp: time out of range");
}

#[test]
fn short_bodies_cannot_ask_for_a_lot_of_memory() {
    let pods: Vec<u8> = std::iter::repeat_n([0x12, 0], 200_000).flatten().collect();
    let mut bytes = [
        &MAGIC[..],
        &field(1, &[field(1, b"v1"), field(2, b"PodList")].concat()),
    ]
    .concat();
    bytes.extend([0x12, 0x80, 0xb5, 0x18]);
    bytes.extend(pods);
    assert_eq!(decode(&bytes), Err(DecodeError::Size(SizeError::TooLarge)));
}

#[test]
fn a_schema_of_a_definition_may_not_be_nested_without_end() {
    // `not` within `not`: field 28 of JSONSchemaProps.
    let mut raw = Vec::new();
    for _ in 0..400 {
        let mut writer = Writer::default();
        writer.put(28, &raw);
        raw = writer.into_bytes();
    }
    for number in [1, 4, 7, 2] {
        let mut writer = Writer::default();
        writer.put(number, &raw);
        raw = writer.into_bytes();
    }
    let mut unknown = Writer::new(MAGIC.to_vec());
    unknown.put(
        1,
        &[
            field(1, b"apiextensions.k8s.io/v1"),
            field(2, b"CustomResourceDefinition"),
        ]
        .concat(),
    );
    unknown.put(2, &raw);
    assert_eq!(
        decode(&unknown.into_bytes()),
        Err(DecodeError::Size(SizeError::TooDeep))
    );
}

#[test]
fn bytes_are_those_that_go_writes() {
    let Value::Object(map) = json!({"metadata": {"name": "a"}, "data": {"k": "v"}}) else {
        unreachable!();
    };
    // Go writes fields that are no pointers even if they are zero: here those of the metadata.
    let metadata = [
        field(1, b"a"),
        field(2, b""),
        field(3, b""),
        field(4, b""),
        field(5, b""),
        field(6, b""),
        vec![0x38, 0],
        field(8, b""),
    ]
    .concat();
    let raw = [
        field(1, &metadata),
        field(2, &[field(1, b"k"), field(2, b"v")].concat()),
    ]
    .concat();
    let wanted = [body("v1", "ConfigMap", &raw), field(3, b""), field(4, b"")].concat();
    assert_eq!(encode("v1", "ConfigMap", &map), Ok(wanted));
}

#[test]
fn objects_that_do_not_fit_cannot_be_encoded() {
    let refusal = |kind, value: Value| {
        let Value::Object(map) = value else {
            unreachable!();
        };
        encode("apps/v1", kind, &map).unwrap_err().to_string()
    };
    assert_eq!(
        refusal("Deployment", json!({"spec": {"replicas": "3"}})),
        "replicas: not a value of type int32"
    );
    assert_eq!(
        refusal("Deployment", json!({"spec": {"replicas": 3_000_000_000_u64}})),
        "replicas: not a value of type int32"
    );
    assert_eq!(
        refusal("Foo", json!({})),
        r#"no kind "Foo" is registered for version "apps/v1""#
    );
}
