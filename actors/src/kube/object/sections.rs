//! The top-level fields of an object.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{SectionName, Text};
use crate::kube::intern::Interner;

/// The top-level fields but `apiVersion`, `kind` and `metadata`, in the order of their names.
///
/// Objects of a kind mostly have the same fields, so the names stand apart and are shared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sections {
    names: Arc<[SectionName]>,
    texts: Arc<[Text]>,
}

impl Sections {
    /// Those of a body. Text that did not change is shared with `previous`; what clusters have in common, by way of `interner`.
    #[must_use]
    pub fn seal(body: &Map<String, Value>, previous: Option<&Self>, interner: &Interner) -> Self {
        if body.is_empty() {
            return Self::default();
        }
        let texts = body.iter().map(|(name, value)| {
            let before = previous.map(|previous| previous.get(name));
            Text::of_section(name, &value.to_string(), before, interner)
        });
        let texts: Arc<[Text]> = texts.collect();
        let names = previous
            .map(|previous| &previous.names)
            .filter(|names| names.iter().map(|name| &**name).eq(body.keys()))
            .cloned();
        let made = Self {
            names: names
                .unwrap_or_else(|| interner.names(body.keys().map(|name| name.as_str().into()).collect())),
            texts,
        };
        match previous {
            Some(previous) if *previous == made => previous.clone(),
            _ => made,
        }
    }

    /// Names and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&SectionName, &Text)> {
        self.names.iter().zip(self.texts.iter())
    }

    /// The text of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Text> {
        self.texts.get(self.place(name)?)
    }

    /// The same with another text of the field `name`, if there is one.
    #[must_use]
    pub fn with(&self, name: &str, text: Text) -> Self {
        let mut texts = self.texts.to_vec();
        if let Some(old) = self.place(name).and_then(|place| texts.get_mut(place)) {
            *old = text;
        }
        Self {
            names: Arc::clone(&self.names),
            texts: texts.into(),
        }
    }

    /// Whether both are the same copy.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names) && Arc::ptr_eq(&self.texts, &other.texts)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| **known == *name)
    }
}
