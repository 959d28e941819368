//! Tests.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kube::resource::BUILT_IN;

fn labels(pairs: &[(&'static str, &'static str)]) -> BTreeMap<&'static str, &'static str> {
    pairs.iter().copied().collect()
}

#[test]
fn label_selectors() {
    let object = labels(&[("a", "1"), ("b/c", "x"), ("e", "")]);
    for (selector, matches) in [
        ("", true),
        ("a=1", true),
        ("a==1", true),
        ("a = 1 , b/c = x", true),
        ("a=2", false),
        ("a!=2", true),
        ("z!=2", true),
        ("a", true),
        ("z", false),
        ("!z", true),
        ("! a", false),
        ("a in (1,2)", true),
        ("a in (2)", false),
        ("z in (2)", false),
        ("a notin (2,3)", true),
        ("z notin (2)", true),
        ("e=", true),
        ("e in ()", true),
        ("e in (,x)", true),
        ("a>0", true),
        ("a<1", false),
        ("b/c>0", false),
        ("component in (etcd,kube-apiserver),tier=control-plane", false),
    ] {
        let parsed = LabelSelector::parse(selector).unwrap();
        assert_eq!(
            parsed.matches(|key| object.get(key).copied()),
            matches,
            "{selector}"
        );
        assert_eq!(
            LabelSelector::parse(&parsed.to_string()).unwrap(),
            parsed,
            "{selector}"
        );
    }
}

#[test]
fn bad_label_selectors() {
    for (selector, words) in [
        ("a,,b", "found ',', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a in", "found '' expected: '('"),
        ("a in (b", "found '', expected: ',' or ')'"),
        ("a b", "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a>x", "the value must be an integer"),
        ("/a=b", "prefix part must be non-empty"),
        ("a=-", "a valid label must be"),
    ] {
        let status = LabelSelector::parse(selector).unwrap_err();
        assert_eq!(status.code, 400);
        assert!(status.message.contains(words), "{selector}: {status}");
    }
}

#[test]
fn selectors_in_specs() {
    let spec =
        json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "z", "operator": "DoesNotExist"}]});
    let object = labels(&[("a", "1")]);
    assert!(
        LabelSelector::from_spec(&spec)
            .unwrap()
            .matches(|key| object.get(key).copied())
    );
    assert!(LabelSelector::from_spec(&json!({})).unwrap().is_empty());
    assert!(LabelSelector::from_spec(&Value::Null).is_none());
}

#[test]
fn field_selectors() {
    let of = |plural: &str| BUILT_IN.iter().find(|resource| resource.is("", plural)).unwrap();
    let parsed = FieldSelector::parse(
        "spec.nodeName=a\\,b,status.phase!=Failed,metadata.name==x",
        of("pods"),
    )
    .unwrap();
    assert_eq!(parsed.name(), Some("x"));
    assert_eq!(
        parsed.terms[0],
        ("spec.nodeName".to_owned(), true, "a,b".to_owned())
    );
    for (selector, plural, words) in [
        ("spec.foo=1", "pods", "field label not supported: spec.foo"),
        (
            "spec.foo=1",
            "configmaps",
            "\"spec.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (
            "metadata.namespace=a",
            "nodes",
            "field label not supported: metadata.namespace",
        ),
        (
            "metadata.name",
            "pods",
            "invalid selector: 'metadata.name'; can't understand 'metadata.name'",
        ),
        (
            "metadata.name=\\x",
            "pods",
            "invalid field selector: invalid escape sequence: \\x",
        ),
    ] {
        let status = FieldSelector::parse(selector, of(plural)).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (400, words));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z!=,() <>\\\\é/.]{0,40}") {
        let _ = LabelSelector::parse(&text);
        for resource in BUILT_IN.iter().take(12) {
            let _ = FieldSelector::parse(&text, resource);
        }
    }
}
