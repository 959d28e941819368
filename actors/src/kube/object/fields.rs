//! The field set of an account of fields.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use crate::kube::intern::Interner;

/// What stands before the uid in the key of an owner reference, in JSON text: `"k:{\"uid\":\"...\"}"`.
const KEY: &str = r#""k:{\"uid\":\""#;
/// Length of a uid in text.
const LENGTH: usize = 36;

/// `fieldsV1` as JSON text.
///
/// The field sets of objects that are made alike differ in the uid of their owner alone. So that stands apart, and the text
/// around it is shared by all clusters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fields {
    /// The text; without the uid behind the first [`KEY`] if there is an owner.
    around: Arc<str>,
    owner: Option<Box<Uuid>>,
}

impl Fields {
    /// Of JSON text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let apart = text.split_once(KEY).and_then(|(before, rest)| {
            let (written, after) = rest.split_at_checked(LENGTH)?;
            let owner = Uuid::try_parse(written).ok()?;
            // Only what comes out again as it went in.
            (owner.hyphenated().to_string() == written).then(|| (format!("{before}{KEY}{after}"), owner))
        });
        match apart {
            Some((around, owner)) => Self {
                around: around.into(),
                owner: Some(Box::new(owner)),
            },
            None => Self {
                around: text.into(),
                owner: None,
            },
        }
    }

    /// JSON text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match (&self.owner, self.around.split_once(KEY)) {
            (Some(owner), Some((before, after))) => {
                format!("{before}{KEY}{}{after}", owner.hyphenated()).into()
            }
            _ => Cow::Borrowed(&self.around),
        }
    }

    /// Length of the text.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "JSON text is never empty")]
    pub fn len(&self) -> usize {
        self.around.len() + if self.owner.is_some() { LENGTH } else { 0 }
    }

    /// The same, with the shared text.
    pub(in crate::kube) fn shared(&self, interner: &Interner) -> Self {
        Self {
            around: interner.text(&self.around),
            owner: self.owner.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_as_it_went_in() {
        let uid = "b2e23e26-8fa4-4e02-ad9f-14fa6b83e7e5";
        let owned = |uid: &str| {
            let key = format!(r#""k:{{\"uid\":\"{uid}\"}}":{{}}"#);
            format!(r#"{{"f:metadata":{{"f:ownerReferences":{{".":{{}},{key}}}}}}}"#)
        };
        let two = format!("{}{}", owned(uid), owned("0cc5e3c2-0a2c-4f2e-8f0e-3c1d7a1a9f10"));
        for text in [
            "{}".to_owned(),
            owned(uid),
            owned(&uid.to_uppercase()),
            owned(""),
            owned("short"),
            two,
            format!("{}{}", owned(""), owned(uid)),
        ] {
            let fields = Fields::new(&text);
            assert_eq!(fields.text(), text);
            assert_eq!(fields.len(), text.len());
        }
        let other = "0cc5e3c2-0a2c-4f2e-8f0e-3c1d7a1a9f10";
        assert_eq!(Fields::new(&owned(uid)).around, Fields::new(&owned(other)).around);
        assert_ne!(Fields::new(&owned(uid)), Fields::new(&owned(other)));
    }
}
