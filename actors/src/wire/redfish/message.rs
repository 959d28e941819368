//! The messages of the Base and Update registries that the service sends (DSP8011, Base 1.22, Update 1.0), and the error object around
//! them.

use serde::Serialize;

/// Registry prefix and version of the `MessageId` of every error.
pub const REGISTRY: &str = "Base.1.22";
/// Longest argument that is repeated in a message, in characters.
const LONGEST_ARGUMENT: usize = 512;

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// No action needed.
    #[serde(rename = "OK")]
    Ok,
    /// The client can do something about it.
    Warning,
    /// It cannot be gone on like this.
    Critical,
}

/// A registry, as far as the service sends its messages.
#[derive(Debug, PartialEq, Eq)]
pub struct Registry {
    /// Prefix and version that a `MessageId` begins with.
    pub id: &'static str,
    /// Prefix.
    pub prefix: &'static str,
    /// Whole version.
    pub version: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// The messages.
    pub messages: &'static [&'static Definition],
}

/// The registries.
pub static REGISTRIES: [Registry; 2] = [
    Registry {
        id: REGISTRY,
        prefix: "Base",
        version: "1.22.1",
        name: "Base message registry",
        messages: ALL,
    },
    Registry {
        id: UPDATE_REGISTRY,
        prefix: "Update",
        version: "1.0.0",
        name: "Update message registry",
        messages: UPDATES,
    },
];
/// The registry of messages about firmware updates.
const UPDATE_REGISTRY: &str = "Update.1.0";

/// A message of the registry; `%1` to `%4` in its text stand for its arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    /// Prefix and version of its registry.
    pub registry: &'static str,
    /// Key in the registry.
    pub key: &'static str,
    /// Text with placeholders.
    pub text: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Number of arguments.
    pub arguments: usize,
    /// What the client can do.
    pub resolution: &'static str,
}

macro_rules! messages {
    ($(#[$meta:meta])* $all:ident of $registry:ident: $($name:ident = $key:literal, $severity:ident, $arguments:literal, $text:literal, $resolution:literal;)*) => {
        $(
            #[doc = concat!("`", $key, "`")]
            pub static $name: Definition = Definition {
                registry: $registry,
                key: $key,
                text: $text,
                severity: Severity::$severity,
                arguments: $arguments,
                resolution: $resolution,
            };
        )*
        $(#[$meta])*
        pub static $all: &[&Definition] = &[$(&$name),*];
    };
}

messages! {
    /// Every message of the Base registry that the service may send.
    ALL of REGISTRY:
    SUCCESS = "Success", Ok, 0, "The request completed successfully.", "None.";
    CREATED = "Created", Ok, 0, "The resource was created successfully.", "None.";
    GENERAL_ERROR = "GeneralError", Critical, 0,
        "A general error has occurred.  See Resolution for information on how to resolve the error, or @Message.ExtendedInfo if Resolution is not provided.",
        "None.";
    INTERNAL_ERROR = "InternalError", Critical, 0,
        "The request failed due to an internal service error.  The service is still operational.",
        "Resubmit the request.  If the problem persists, consider resetting the service.";
    SERVICE_TEMPORARILY_UNAVAILABLE = "ServiceTemporarilyUnavailable", Critical, 1,
        "The service is temporarily unavailable.  Retry in %1 seconds.",
        "Wait for the indicated retry duration and retry the operation.";
    OPERATION_TIMEOUT = "OperationTimeout", Warning, 0,
        "A timeout internal to the service occurred as part of the request.  Partial results may have been returned.",
        "Send the whole request without delay.";
    NO_VALID_SESSION = "NoValidSession", Critical, 0,
        "There is no valid session established with the implementation.",
        "Establish a session before attempting any operations.";
    RESOURCE_AT_URI_UNAUTHORIZED = "ResourceAtUriUnauthorized", Critical, 2,
        "While accessing the resource at '%1', the service received an authorization error '%2'.",
        "Ensure that the appropriate access is provided for the service in order for it to access the URI.";
    SESSION_LIMIT_EXCEEDED = "SessionLimitExceeded", Critical, 0,
        "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation.",
        "Reduce the number of other sessions before trying to establish the session or increase the limit of simultaneous sessions, if supported.";
    RESOURCE_MISSING_AT_URI = "ResourceMissingAtURI", Critical, 1,
        "The resource at the URI '%1' was not found.",
        "Place a valid resource at the URI or correct the URI and resubmit the request.";
    RESOURCE_NOT_FOUND = "ResourceNotFound", Critical, 2,
        "The requested resource of type '%1' named '%2' was not found.",
        "Provide a valid resource identifier and resubmit the request.";
    OPERATION_NOT_ALLOWED = "OperationNotAllowed", Critical, 0,
        "The HTTP method is not allowed on this resource.",
        "None.";
    PRECONDITION_FAILED = "PreconditionFailed", Critical, 0,
        "The ETag supplied did not match the ETag required to change this resource.",
        "Try the operation again using the appropriate ETag.";
    HEADER_INVALID = "HeaderInvalid", Critical, 1,
        "Header '%1' is invalid.",
        "Provide a valid value for the header and resubmit the request.";
    PAYLOAD_TOO_LARGE = "PayloadTooLarge", Critical, 0,
        "The supplied payload exceeds the maximum size supported by the service.",
        "Reduce the size of the payload and resubmit the request.";
    MALFORMED_JSON = "MalformedJSON", Critical, 0,
        "The request body submitted was malformed JSON and could not be parsed by the receiving service.",
        "Ensure that the request body is valid JSON and resubmit the request.";
    EMPTY_JSON = "EmptyJSON", Warning, 0,
        "The request body submitted contained an empty JSON object and the service is unable to process it.",
        "Add properties in the JSON object and resubmit the request.";
    UNRECOGNIZED_REQUEST_BODY = "UnrecognizedRequestBody", Warning, 0,
        "The service detected a malformed request body that it was unable to interpret.",
        "Correct the request body and resubmit the request if it failed.";
    NO_OPERATION = "NoOperation", Warning, 0,
        "The request body submitted contain no data to act upon and no changes to the resource took place.",
        "Add properties in the JSON object and resubmit the request.";
    PROPERTY_UNKNOWN = "PropertyUnknown", Warning, 1,
        "The property '%1' is not in the list of valid properties for the resource.",
        "Remove the unknown property from the request body and resubmit the request if the operation failed.";
    PROPERTY_NOT_WRITABLE = "PropertyNotWritable", Warning, 1,
        "The property '%1' is a read-only property and cannot be assigned a value.",
        "Remove the property from the request body and resubmit the request if the operation failed.";
    PROPERTY_MISSING = "PropertyMissing", Warning, 1,
        "The property '%1' is a required property and must be included in the request.",
        "Ensure that the property is in the request body and has a valid value and resubmit the request if the operation failed.";
    PROPERTY_VALUE_TYPE_ERROR = "PropertyValueTypeError", Warning, 2,
        "The value '%1' for the property '%2' is not a type that the property can accept.",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.";
    PROPERTY_VALUE_NOT_IN_LIST = "PropertyValueNotInList", Warning, 2,
        "The value '%1' for the property '%2' is not in the list of acceptable values.",
        "Choose a value from the enumeration list that the implementation can support and resubmit the request if the operation failed.";
    PROPERTY_VALUE_FORMAT_ERROR = "PropertyValueFormatError", Warning, 2,
        "The value '%1' for the property '%2' is not a format that the property can accept.",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.";
    PROPERTY_VALUE_CONFLICT = "PropertyValueConflict", Warning, 2,
        "The property '%1' could not be written because its value would conflict with the value of the '%2' property.",
        "No resolution is required.";
    STRING_VALUE_TOO_LONG = "StringValueTooLong", Warning, 2,
        "The string '%1' exceeds the length limit %2.",
        "Resubmit the request with an appropriate string length.";
    ACTION_NOT_SUPPORTED = "ActionNotSupported", Critical, 1,
        "The action %1 is not supported by the resource.",
        "The action supplied cannot be resubmitted to the implementation.  Perhaps the action was invalid, the wrong resource was the target or the implementation documentation may be of assistance.";
    ACTION_PARAMETER_MISSING = "ActionParameterMissing", Critical, 2,
        "The action '%1' requires the parameter '%2' to be present in the request body.",
        "Supply the action with the required parameter in the request body when the request is resubmitted.";
    ACTION_PARAMETER_UNKNOWN = "ActionParameterUnknown", Warning, 2,
        "The action '%1' was submitted with the invalid parameter '%2'.",
        "Correct the invalid parameter and resubmit the request if the operation failed.";
    ACTION_PARAMETER_VALUE_TYPE_ERROR = "ActionParameterValueTypeError", Warning, 3,
        "The value '%1' for the parameter '%2' in the action '%3' is not a type that the parameter can accept.",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.";
    ACTION_PARAMETER_VALUE_NOT_IN_LIST = "ActionParameterValueNotInList", Warning, 3,
        "The value '%1' for the parameter '%2' in the action '%3' is not in the list of acceptable values.",
        "Choose a value from the enumeration list that the implementation can support and resubmit the request if the operation failed.";
    ACTION_PARAMETER_VALUE_FORMAT_ERROR = "ActionParameterValueFormatError", Warning, 3,
        "The value '%1' for the parameter '%2' in the action '%3' is not a format that the parameter can accept.",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.";
    ACTION_PARAMETER_VALUE_CONFLICT = "ActionParameterValueConflict", Warning, 2,
        "The parameter '%1' with the requested value of '%2' does not meet the constraints of the implementation.",
        "Resubmit the action with valid values for the parameter.";
    QUERY_NOT_SUPPORTED_ON_RESOURCE = "QueryNotSupportedOnResource", Warning, 0,
        "Querying is not supported on the requested resource.",
        "Remove the query parameters and resubmit the request if the operation failed.";
    RESOURCE_IN_USE = "ResourceInUse", Warning, 0,
        "The change to the requested resource failed because the resource is in use or in transition.",
        "Remove the condition and resubmit the request if the operation failed.";
}

messages! {
    /// Every message of the Update registry that the service may send.
    UPDATES of UPDATE_REGISTRY:
    UPDATE_IN_PROGRESS = "UpdateInProgress", Ok, 0, "An update is in progress.", "None.";
    UPDATE_SUCCESSFUL = "UpdateSuccessful", Ok, 2, "Device '%1' successfully updated with image '%2'.", "None.";
    APPLY_FAILED = "ApplyFailed", Critical, 2, "Installation of image '%1' to '%2' failed.", "None.";
}

/// A message with its arguments, as `Message` v1.2 writes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    #[serde(rename = "@odata.type")]
    odata_type: &'static str,
    message_id: String,
    message: String,
    message_args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_properties: Vec<String>,
    /// The old name of `MessageSeverity`; sushy reads only this one.
    severity: Severity,
    message_severity: Severity,
    resolution: String,
}

impl Message {
    /// Fills the placeholders. Arguments that are missing are left empty, long ones are cut.
    #[must_use]
    pub fn new(definition: &'static Definition, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = (0..definition.arguments)
            .map(|index| {
                arguments
                    .get(index)
                    .unwrap_or(&"")
                    .chars()
                    .take(LONGEST_ARGUMENT)
                    .collect()
            })
            .collect();
        Self {
            odata_type: "#Message.v1_2_1.Message",
            message_id: format!("{}.{}", definition.registry, definition.key),
            message: fill(definition.text, &arguments),
            message_args: arguments,
            related_properties: Vec::new(),
            severity: definition.severity,
            message_severity: definition.severity,
            resolution: definition.resolution.to_owned(),
        }
    }

    /// Says it in other words.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        self.message = text.chars().take(LONGEST_ARGUMENT).collect();
        self
    }

    /// Names the property of the request body that the message is about, as a JSON pointer.
    #[must_use]
    pub fn about(mut self, pointer: String) -> Self {
        self.related_properties.push(pointer);
        self
    }

    /// Says more about what to do.
    #[must_use]
    pub fn advise(mut self, advice: &str) -> Self {
        self.resolution.push(' ');
        self.resolution.push_str(advice);
        self
    }

    /// Whether it names that property of the request body.
    #[must_use]
    pub fn is_about(&self, pointer: &str) -> bool {
        self.related_properties.iter().any(|known| known == pointer)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.message_id
    }
}

/// One pass, so that an argument that itself looks like a placeholder stays as it is.
fn fill(text: &str, arguments: &[String]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        let number = rest[at + 1..].chars().next().and_then(|c| c.to_digit(10));
        match number.and_then(|number| arguments.get((number as usize).checked_sub(1)?)) {
            Some(argument) => {
                filled.push_str(argument);
                rest = &rest[at + 2..];
            }
            None => {
                filled.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// The body of every answer that reports an error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody {
    error: ErrorObject,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorObject {
    code: String,
    message: String,
    #[serde(rename = "@Message.ExtendedInfo")]
    extended_info: Vec<Message>,
}

impl ErrorBody {
    /// With several messages the code is `GeneralError` (DSP0266, 8.6).
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        let (code, message) = match messages.as_slice() {
            [only] => (only.message_id.clone(), only.message.clone()),
            _ => (
                format!("{REGISTRY}.{}", GENERAL_ERROR.key),
                GENERAL_ERROR.text.to_owned(),
            ),
        };
        Self {
            error: ErrorObject {
                code,
                message,
                extended_info: messages,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_as_many_placeholders_as_arguments() {
        for message in REGISTRIES.iter().flat_map(|registry| registry.messages) {
            for number in 1..=4 {
                let used = message.text.contains(&format!("%{number}"));
                assert_eq!(used, number <= message.arguments, "{}", message.key);
            }
        }
    }

    #[test]
    fn arguments_are_put_in_once_and_cut() {
        let message = Message::new(&PROPERTY_VALUE_NOT_IN_LIST, &["%2", "Target"]);
        assert_eq!(
            message.message,
            "The value '%2' for the property 'Target' is not in the list of acceptable values."
        );
        let long = "x".repeat(5000);
        let message = Message::new(&PROPERTY_UNKNOWN, &[&long]);
        assert!(message.message.len() < 1000);
    }

    #[test]
    fn several_messages_are_a_general_error() {
        let one = Message::new(&PROPERTY_UNKNOWN, &["A"]);
        let body = serde_json::to_value(ErrorBody::new(vec![one.clone()])).unwrap();
        assert_eq!(body["error"]["code"], "Base.1.22.PropertyUnknown");
        let body = serde_json::to_value(ErrorBody::new(vec![one.clone(), one])).unwrap();
        assert_eq!(body["error"]["code"], "Base.1.22.GeneralError");
        assert_eq!(body["error"]["@Message.ExtendedInfo"][1]["Severity"], "Warning");
    }
}
