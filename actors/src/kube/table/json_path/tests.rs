use proptest::prelude::*;
use serde_json::json;

use super::*;

fn machine() -> Value {
    json!({
        "metadata": {"name": "m", "labels": {"a.b/c": "x", "plain": "y"}},
        "spec": {"replicas": 3, "ratio": 0.5, "paused": false, "nothing": null},
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True", "n": 1},
                {"type": "Healthy", "status": "False", "n": 2},
            ],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "empty": [],
        },
    })
}

/// What the path finds first; `None` for nothing and for a misfit.
fn first(path: &str) -> Option<Value> {
    let path = Path::parse(path).unwrap_or_else(|| panic!("{path} is malformed"));
    path.first(&machine()).ok().flatten().cloned()
}

#[test]
fn paths_of_real_definitions() {
    for (path, value) in [
        (".metadata.name", json!("m")),
        (".spec.replicas", json!(3)),
        (".spec.missing.deeper", Value::Null),
        (r".metadata.labels.a\.b/c", json!("x")),
        (r".metadata.labels['a\.b/c']", json!("x")),
        (".metadata.labels['plain']", json!("y")),
        (".status.conditions[?(@.type==\"Ready\")].status", json!("True")),
        (".status.conditions[?(@.type=='Healthy')].status", json!("False")),
        (
            ".status.conditions[?(@.type == 'Healthy')]['status']",
            json!("False"),
        ),
        (".status.conditions[?(@.n>1)].type", json!("Healthy")),
        (".status.conditions[?(@.n<=1)].type", json!("Ready")),
        (".status.conditions[?(@.type!=\"Ready\")].type", json!("Healthy")),
        (".status.conditions[?(@.type)].n", json!(1)),
        (".status.conditions[0].type", json!("Ready")),
        (".status.conditions[-1].type", json!("Healthy")),
        (".status.conditions[-1:].type", json!("Healthy")),
        (".status.conditions[*].type", json!("Ready")),
        (".status.conditions[1,0].type", json!("Healthy")),
        (".status.conditions[::2].n", json!(1)),
        (".status.addresses[*].address", json!("10.0.0.1")),
        ("..address", json!("10.0.0.1")),
        (".spec.*", json!(null)),
        ("$.spec.replicas", json!(3)),
    ] {
        assert_eq!(first(path).unwrap_or_default(), value, "{path}");
    }
}

#[test]
fn what_does_not_fit() {
    let root = machine();
    let misfit = |path: &str| {
        Path::parse(path)
            .unwrap()
            .first(&root)
            .map(Option::<&Value>::cloned)
    };
    assert_eq!(misfit(".status.conditions[7]"), Err(Misfit));
    assert_eq!(misfit(".status.empty[0]"), Err(Misfit));
    assert_eq!(misfit(".spec[0]"), Err(Misfit));
    assert_eq!(misfit(".spec.nothing[?(@.a)]"), Err(Misfit));
    // A bare word is no text, and a text is no number.
    assert_eq!(misfit(".status.conditions[?(@.status==True)].n"), Err(Misfit));
    assert_eq!(misfit(".status.conditions[?(@.n==\"1\")].n"), Err(Misfit));
    assert_eq!(misfit(".status.conditions[?(@.n=1)].n"), Err(Misfit));
    assert_eq!(misfit(".missing[?(@.a=='b')].c"), Ok(None));
    assert_eq!(misfit("."), Ok(None));
}

#[test]
fn unions_do_not_multiply_without_end() {
    let wide = json!(vec![json!([0, 0]); 2]);
    let many = format!(".a{}", "[0,0,0,0,0,0,0,0]".repeat(12));
    let root = json!({"a": wide});
    let nested = (0..14).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(
        Path::parse(&many).unwrap().first(&json!({"a": nested})),
        Err(Misfit)
    );
    assert!(Path::parse("..a[*][*]").unwrap().first(&root).is_ok());
}

#[test]
fn malformed_paths() {
    for path in [
        ".a[",
        ".a[x]",
        ".a[\"k\"]",
        ".a[?(@.b",
        ".a[?(@.b)",
        "....a",
        ".a,b",
        ".a}",
        ".a[1:2:3:4]",
        "\"open",
        ".a[?(@.b==)]",
    ] {
        assert_eq!(Path::parse(path), None, "{path}");
    }
    assert_eq!(Path::parse(&".a".repeat(5000)), None);
}

#[test]
fn the_beginning_of_a_path() {
    let path = |text| Path::parse(text).unwrap();
    assert_eq!(path(".spec.a").first_field(), Some("spec"));
    assert_eq!(path("..a").first_field(), None);
    assert!(path(".metadata.creationTimestamp").is(&["metadata", "creationTimestamp"]));
    assert!(!path(".metadata").is(&["metadata", "creationTimestamp"]));
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in r"[.\[\]?()@$*:,'\\a-c0-2=!<> {}-]{0,40}") {
        if let Some(path) = Path::parse(&text) {
            let _ = path.first(&machine());
        }
    }
}
