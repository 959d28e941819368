//! Request bodies: from JSON to typed values, with the error that Redfish has for each thing that can be wrong.
//!
//! All errors of a body are reported at once, and nothing of a wrong body is carried out.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use metalsim_actors::wire::redfish::message::{self, Message};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::RedfishError;
use super::state::RedfishState;
use crate::frontend::body;

/// Reads a JSON object.
///
/// # Errors
/// Not JSON, not an object, too large, too slow.
pub(super) async fn object(
    state: &RedfishState,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Map<String, Value>, RedfishError> {
    let body = body::read(request, payload, &state.body_limits).await?;
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if !body.bytes.is_empty() && kind.is_some_and(|kind| !is_json(kind)) {
        return Err(RedfishError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &message::HEADER_INVALID,
            &["Content-Type"],
        ));
    }
    match serde_json::from_slice(&body.bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad(&message::UNRECOGNIZED_REQUEST_BODY)),
        Err(_) => Err(bad(&message::MALFORMED_JSON)),
    }
}

/// Reads the parameters of an action: an object, or nothing at all.
///
/// # Errors
/// As [`object`].
pub(super) async fn parameters(
    state: &RedfishState,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Map<String, Value>, RedfishError> {
    let announced = request.headers().contains_key("content-length")
        || request.headers().contains_key("transfer-encoding");
    if !announced
        || request
            .headers()
            .get("content-length")
            .is_some_and(|length| length == "0")
    {
        return Ok(Map::new());
    }
    object(state, request, payload).await
}

fn bad(definition: &'static message::Definition) -> RedfishError {
    RedfishError::new(StatusCode::BAD_REQUEST, definition, &[])
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// What a body is for: which words its errors use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// `PATCH` of a resource, or `POST` of a new one.
    Properties,
    /// An action, by its name without the number sign.
    Action(&'static str),
}

/// The members of an object that are still to be taken, and what was wrong with those that were.
#[derive(Debug)]
pub(super) struct Fields {
    purpose: Purpose,
    pointer: String,
    rest: Map<String, Value>,
    taken: usize,
    errors: Vec<Message>,
}

impl Fields {
    /// Of a whole body.
    pub(super) fn new(purpose: Purpose, object: Map<String, Value>) -> Self {
        Self {
            purpose,
            pointer: "#".to_owned(),
            rest: object,
            taken: 0,
            errors: Vec::new(),
        }
    }

    /// Takes the member `name`, which `convert` turns into a value or says what is wrong.
    fn take<T>(&mut self, name: &str, convert: impl FnOnce(&Value) -> Result<T, Wrong>) -> Option<T> {
        let value = self.rest.remove(name)?;
        self.taken += 1;
        match convert(&value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.complain(name, &value, &wrong);
                None
            }
        }
    }

    /// A text of at most `longest` characters.
    pub(super) fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        self.take(name, |value| text(value, longest))
    }

    /// A text or null.
    pub(super) fn nullable_text(&mut self, name: &str, longest: usize) -> Option<Option<String>> {
        self.take(name, |value| match value {
            Value::Null => Ok(None),
            value => text(value, longest).map(Some),
        })
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name, |value| value.as_bool().ok_or(Wrong::Type))
    }

    /// Whatever is there, for members that are looked at later.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.take(name, |value| Ok(value.clone()))
    }

    /// One of `allowed`.
    pub(super) fn one_of<T>(&mut self, name: &str, allowed: &[T]) -> Option<T>
    where
        T: DeserializeOwned + Serialize + PartialEq,
    {
        self.take(name, |value| {
            if !value.is_string() {
                return Err(Wrong::Type);
            }
            serde_json::from_value::<T>(value.clone())
                .ok()
                .filter(|value| allowed.contains(value))
                .ok_or_else(|| Wrong::NotInList(names(allowed)))
        })
    }

    /// An object inside, whose members are taken by `within`.
    pub(super) fn object<T>(&mut self, name: &str, within: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let inner = self.take(name, |value| value.as_object().cloned().ok_or(Wrong::Type))?;
        let mut fields = Self::new(self.purpose, inner);
        fields.pointer = format!("{}/{name}", self.pointer);
        let result = within(&mut fields);
        self.taken += fields.taken;
        fields.refuse_rest(&[]);
        self.errors.append(&mut fields.errors);
        Some(result)
    }

    /// All members, for objects whose names are data.
    pub(super) fn take_all(&mut self) -> Map<String, Value> {
        let all = std::mem::take(&mut self.rest);
        self.taken += all.len();
        all
    }

    /// Members that exist but cannot be written.
    pub(super) fn read_only(&mut self, known: &[&str]) {
        for name in known {
            if self.rest.remove(*name).is_some() {
                self.taken += 1;
                self.push(name, Message::new(&message::PROPERTY_NOT_WRITABLE, &[name]));
            }
        }
    }

    /// A member is missing.
    pub(super) fn missing(&mut self, name: &str) {
        // A member that was there and wrong has been complained about.
        let pointer = format!("{}/{name}", self.pointer);
        if self.errors.iter().any(|error| error.is_about(&pointer)) {
            return;
        }
        let error = match self.purpose {
            Purpose::Properties => Message::new(&message::PROPERTY_MISSING, &[name]),
            Purpose::Action(action) => Message::new(&message::ACTION_PARAMETER_MISSING, &[action, name]),
        };
        self.push(name, error);
    }

    /// The value of a member that was taken has the wrong type.
    pub(super) fn wrong_type(&mut self, name: &str, value: &Value) {
        self.complain(name, value, &Wrong::Type);
    }

    /// The value of a member that was taken has the wrong form. `shown` must hold no secret.
    pub(super) fn wrong_format(&mut self, name: &str, shown: &str) {
        self.complain(name, &Value::String(shown.to_owned()), &Wrong::Format);
    }

    /// The value of a member that was taken is none of the `allowed` ones.
    pub(super) fn not_in_list(&mut self, name: &str, shown: &str, allowed: &str) {
        self.complain(
            name,
            &Value::String(shown.to_owned()),
            &Wrong::NotInList(allowed.to_owned()),
        );
    }

    /// Refuses what is left, and fails if anything was wrong or nothing was there.
    ///
    /// # Errors
    /// 400 with everything that was wrong.
    pub(super) fn finish(mut self, read_only: &[&str]) -> Result<(), RedfishError> {
        let was_empty = self.taken == 0 && self.rest.is_empty();
        self.refuse_rest(read_only);
        if !self.errors.is_empty() {
            return Err(RedfishError::of(StatusCode::BAD_REQUEST, self.errors));
        }
        match self.purpose {
            Purpose::Properties if was_empty => Err(bad(&message::EMPTY_JSON)),
            Purpose::Properties if self.taken == 0 => Err(bad(&message::NO_OPERATION)),
            Purpose::Properties | Purpose::Action(_) => Ok(()),
        }
    }

    fn refuse_rest(&mut self, read_only: &[&str]) {
        self.read_only(read_only);
        for (name, _) in std::mem::take(&mut self.rest) {
            // Annotations are not properties (DSP0266, 7.5): clients send `@Redfish.SettingsApplyTime`, `@odata.id`.
            if name.contains('@') {
                continue;
            }
            self.taken += 1;
            let error = match self.purpose {
                Purpose::Properties => Message::new(&message::PROPERTY_UNKNOWN, &[&name]),
                Purpose::Action(action) => Message::new(&message::ACTION_PARAMETER_UNKNOWN, &[action, &name]),
            };
            self.push(&name, error);
        }
    }

    fn push(&mut self, name: &str, error: Message) {
        // A body can hold thousands of wrong members; a client needs to see some of them.
        const MOST_ERRORS: usize = 16;
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(error.about(format!("{}/{name}", self.pointer)));
        }
    }

    fn complain(&mut self, name: &str, value: &Value, wrong: &Wrong) {
        let shown = if is_secret(name) {
            "***".to_owned()
        } else {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let error = match (self.purpose, wrong) {
            (_, Wrong::TooLong(limit)) => {
                Message::new(&message::STRING_VALUE_TOO_LONG, &[&shown, &limit.to_string()])
            }
            (Purpose::Properties, Wrong::Type) => {
                Message::new(&message::PROPERTY_VALUE_TYPE_ERROR, &[&shown, name])
            }
            (Purpose::Properties, Wrong::Format) => {
                Message::new(&message::PROPERTY_VALUE_FORMAT_ERROR, &[&shown, name])
            }
            (Purpose::Properties, Wrong::NotInList(allowed)) => {
                Message::new(&message::PROPERTY_VALUE_NOT_IN_LIST, &[&shown, name])
                    .advise(&allowed_text(allowed))
            }
            (Purpose::Action(action), Wrong::Type) => Message::new(
                &message::ACTION_PARAMETER_VALUE_TYPE_ERROR,
                &[&shown, name, action],
            ),
            (Purpose::Action(action), Wrong::Format) => Message::new(
                &message::ACTION_PARAMETER_VALUE_FORMAT_ERROR,
                &[&shown, name, action],
            ),
            (Purpose::Action(action), Wrong::NotInList(allowed)) => Message::new(
                &message::ACTION_PARAMETER_VALUE_NOT_IN_LIST,
                &[&shown, name, action],
            )
            .advise(&allowed_text(allowed)),
        };
        self.push(name, error);
    }
}

enum Wrong {
    Type,
    Format,
    TooLong(usize),
    NotInList(String),
}

fn text(value: &Value, longest: usize) -> Result<String, Wrong> {
    let text = value.as_str().ok_or(Wrong::Type)?;
    if text.chars().count() > longest {
        return Err(Wrong::TooLong(longest));
    }
    Ok(text.to_owned())
}

fn allowed_text(allowed: &str) -> String {
    format!("Acceptable values: {allowed}.")
}

fn is_secret(name: &str) -> bool {
    name.contains("Password") || name.contains("Token")
}

fn names<T: Serialize>(values: &[T]) -> String {
    let names: Vec<String> = values
        .iter()
        .filter_map(|value| serde_json::to_value(value).ok()?.as_str().map(str::to_owned))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use metalsim_actors::wire::redfish::vocabulary::{BootTarget, ResetType};
    use serde_json::json;

    use super::*;

    fn fields(purpose: Purpose, value: Value) -> Fields {
        Fields::new(purpose, value.as_object().cloned().unwrap())
    }

    async fn body(error: &RedfishError) -> Value {
        let bytes = to_bytes(error.response().into_body()).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn ids(body: &Value) -> Vec<String> {
        body["error"]["@Message.ExtendedInfo"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["MessageId"].as_str().unwrap().replace("Base.1.22.", ""))
            .collect()
    }

    #[actix_web::test]
    async fn every_mistake_of_a_body_is_named() {
        for (value, expected) in [
            (json!({}), "EmptyJSON"),
            (json!({"@odata.id": "/x"}), "NoOperation"),
            (json!({"Color": 1}), "PropertyUnknown"),
            (json!({"Id": "x"}), "PropertyNotWritable"),
            (json!({"Flag": "yes"}), "PropertyValueTypeError"),
            (json!({"Text": 1}), "PropertyValueTypeError"),
            (json!({"Text": "12345"}), "StringValueTooLong"),
            (json!({"Target": "Tape"}), "PropertyValueNotInList"),
            (json!({"Target": 1}), "PropertyValueTypeError"),
            (json!({"Boot": []}), "PropertyValueTypeError"),
            (json!({"Boot": {"Speed": 1}}), "PropertyUnknown"),
        ] {
            let mut fields = fields(Purpose::Properties, value.clone());
            fields.boolean("Flag");
            fields.text("Text", 4);
            fields.one_of("Target", &BootTarget::ALLOWED);
            fields.object("Boot", |boot| boot.boolean("Fast"));
            let error = fields.finish(&["Id"]).unwrap_err();
            let body = body(&error).await;
            assert_eq!(ids(&body), [expected], "{value}");
            assert_eq!(error.response().status(), 400);
        }
    }

    #[actix_web::test]
    async fn actions_have_words_of_their_own() {
        let purpose = Purpose::Action("ComputerSystem.Reset");
        for (value, expected) in [
            (json!({}), "ActionParameterMissing"),
            (json!({"ResetType": "Explode"}), "ActionParameterValueNotInList"),
            (json!({"ResetType": 5}), "ActionParameterValueTypeError"),
            (json!({"ResetType": "On", "Delay": 5}), "ActionParameterUnknown"),
        ] {
            let mut fields = fields(purpose, value.clone());
            if fields.one_of("ResetType", &ResetType::ALL).is_none() {
                fields.missing("ResetType");
            }
            let body = body(&fields.finish(&[]).unwrap_err()).await;
            assert_eq!(ids(&body), [expected], "{value}");
        }
    }

    #[actix_web::test]
    async fn all_mistakes_come_at_once_and_the_allowed_values_are_named() {
        let mut fields = fields(
            Purpose::Properties,
            json!({"Boot": {"Target": "Tape"}, "Color": 1}),
        );
        fields.object("Boot", |boot| boot.one_of("Target", &BootTarget::ALLOWED));
        let body = body(&fields.finish(&[]).unwrap_err()).await;
        assert_eq!(ids(&body), ["PropertyValueNotInList", "PropertyUnknown"]);
        let first = &body["error"]["@Message.ExtendedInfo"][0];
        assert_eq!(first["RelatedProperties"][0], "#/Boot/Target");
        assert!(first["Resolution"].as_str().unwrap().contains("Pxe, Floppy, Cd"));
    }

    #[actix_web::test]
    async fn secrets_are_not_repeated() {
        let mut fields = fields(Purpose::Properties, json!({"Password": 123_456}));
        fields.text("Password", 10);
        let body = body(&fields.finish(&[]).unwrap_err()).await;
        assert!(!body.to_string().contains("123456"));
    }
}
