//! Reviews: questions that are asked as objects and answered at once, nothing is stored.

use metalsim_actors::kube::auth::{
    UserInfo, local_subject_access_review, self_subject_access_review, self_subject_review,
    self_subject_rules_review, subject_access_review, token_review,
};
use metalsim_actors::kube::status::Status;
use serde_json::Value;

use super::answer::{self, Answer};
use super::call::{Place, Server};

/// The reviews.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Review {
    SelfSubject,
    Token,
    LocalSubjectAccess,
    SelfSubjectAccess,
    SelfSubjectRules,
    SubjectAccess,
}

/// The review that a resource stands for, if it is one.
pub(super) fn of(place: &Place) -> Option<Review> {
    Some(match (&*place.resource.group, &*place.resource.plural) {
        ("authentication.k8s.io", "selfsubjectreviews") => Review::SelfSubject,
        ("authentication.k8s.io", "tokenreviews") => Review::Token,
        ("authorization.k8s.io", "localsubjectaccessreviews") => Review::LocalSubjectAccess,
        ("authorization.k8s.io", "selfsubjectaccessreviews") => Review::SelfSubjectAccess,
        ("authorization.k8s.io", "selfsubjectrulesreviews") => Review::SelfSubjectRules,
        ("authorization.k8s.io", "subjectaccessreviews") => Review::SubjectAccess,
        _ => return None,
    })
}

/// Answers it.
///
/// # Errors
/// 400 and 422 for questions that make no sense.
pub(super) fn answer(
    server: &Server,
    place: &Place,
    review: Review,
    user: &UserInfo,
    body: &Value,
) -> Answer {
    let now = server.cluster.now();
    let mut answer = server.cluster.read(|cluster| {
        let store = &cluster.store;
        match review {
            Review::SelfSubject => Ok(self_subject_review(user, body, now)),
            Review::Token => token_review(body, |token, audiences| {
                server.identity.verify(store, token, audiences)
            }),
            Review::LocalSubjectAccess => {
                let namespace = place.namespace.as_deref().unwrap_or_default();
                local_subject_access_review(store, namespace, body)
            }
            Review::SelfSubjectAccess => self_subject_access_review(store, user, body),
            Review::SelfSubjectRules => self_subject_rules_review(store, user, body),
            Review::SubjectAccess => subject_access_review(store, body),
        }
    })?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("kind".to_owned(), place.resource.kind.to_string().into());
        answer.insert(
            "apiVersion".to_owned(),
            place.resource.api_version(&place.version).into(),
        );
        answer
            .entry("metadata")
            .or_insert_with(|| serde_json::json!({"creationTimestamp": null}));
    }
    Ok::<_, Status>(answer::json(201, &answer))
}
