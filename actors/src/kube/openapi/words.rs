//! Reads `words.txt`: what `kubectl explain` says of kinds and fields.

use std::collections::HashMap;
use std::sync::LazyLock;

/// By definition and field; the empty field is the definition itself, the definition `*` is any.
type Words = HashMap<&'static str, HashMap<&'static str, &'static str>>;

static WORDS: LazyLock<Words> = LazyLock::new(|| read(include_str!("words.txt")));

fn read(text: &'static str) -> Words {
    let mut words = Words::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, text)) = line.split_once(' ') else {
            continue;
        };
        let (definition, field) = key.split_once('/').unwrap_or((key, ""));
        words.entry(definition).or_default().insert(field, text);
    }
    words
}

/// The name without what most definitions have in front.
pub(super) fn short(definition: &str) -> &str {
    definition
        .strip_prefix("io.k8s.api.")
        .or_else(|| definition.rsplit_once("pkg.").map(|(_, rest)| rest))
        .unwrap_or(definition)
}

/// What a definition is.
pub(super) fn of(definition: &str) -> Option<&'static str> {
    of_field(definition, "").filter(|text| !text.is_empty())
}

/// What a field of it is.
pub(super) fn of_field(definition: &str, field: &str) -> Option<&'static str> {
    let own = WORDS.get(short(definition)).and_then(|words| words.get(field));
    let any = || WORDS.get("*").and_then(|words| words.get(field));
    own.or_else(any).copied()
}

/// Every definition and field that has words.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    WORDS
        .iter()
        .flat_map(|(definition, words)| words.keys().map(|field| (*definition, *field)))
}
