//! The three kinds of patch that are not an apply.

mod strategic;
#[cfg(test)]
mod tests;

use json_patch::PatchOperation;
use json_patch::jsonptr::Pointer;
use serde_json::{Map, Value};

use super::go;
use super::status::{Reason, Status};

pub use strategic::strategic;

/// Bytes that the `copy` operations of a JSON patch may add together (kubernetes: evanphx/json-patch's `AccumulatedCopySizeLimit`, set to
/// the largest body of a request).
const COPY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Nesting that a JSON patch may build. Parsed documents stay below 128.
const DEPTH_MAX: usize = 256;

fn unprocessable() -> Status {
    Status::failure(
        Reason::Invalid,
        "the server rejected our request due to an error in our request",
    )
}

/// Applies a JSON patch (RFC 6902).
///
/// # Errors
/// 400 for a malformed patch, 413 for too many operations, 422 when an operation is not known or cannot be done, or a `test` fails.
pub fn json(mut document: Value, patch: &Value, most: usize) -> Result<Value, Status> {
    let operations = operations(patch)?;
    if operations.len() > most {
        return Err(Status::too_big(&format!(
            "The allowed maximum operations in a JSON patch is {most}, got {}",
            operations.len()
        )));
    }
    let mut copied: usize = 0;
    let mut deepest = depth(&document);
    for operation in &operations {
        let below = match operation {
            PatchOperation::Add(add) => add.path.count() + depth(&add.value),
            PatchOperation::Replace(replace) => replace.path.count() + depth(&replace.value),
            PatchOperation::Move(moving) => moving.path.count() + deepest,
            PatchOperation::Copy(copy) => {
                copied = copied.saturating_add(size_at(&document, &copy.from));
                copy.path.count() + deepest
            }
            PatchOperation::Remove(_) | PatchOperation::Test(_) => 0,
        };
        deepest = deepest.max(below);
        if copied > COPY_BYTES_MAX || deepest > DEPTH_MAX {
            return Err(unprocessable());
        }
        if tests_absence(&document, operation) {
            continue;
        }
        json_patch::patch(&mut document, std::slice::from_ref(operation)).map_err(|_| unprocessable())?;
    }
    Ok(document)
}

/// The operations of a patch (apiserver: `pkg/endpoints/handlers/patch.go`, `jsonPatchOp`).
fn operations(patch: &Value) -> Result<Vec<PatchOperation>, Status> {
    let refuse = |what: &Value, of: &str| {
        let found = match what {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go {of}"
        ))
    };
    let Value::Array(items) = patch else {
        return Err(refuse(patch, "value of type []handlers.jsonPatchOp"));
    };
    for item in items {
        let Value::Object(members) = item else {
            return Err(refuse(item, "value of type handlers.jsonPatchOp"));
        };
        for field in ["op", "path", "from"] {
            if let Some(value) = members
                .get(field)
                .filter(|value| !value.is_string() && !value.is_null())
            {
                return Err(refuse(
                    value,
                    &format!("struct field jsonPatchOp.{field} of type string"),
                ));
            }
        }
    }
    <Vec<PatchOperation> as serde::Deserialize>::deserialize(patch).map_err(|_| unprocessable())
}

/// Whether it is a `test` for `null` of a member that an object does not have: that one passes (kubernetes: evanphx/json-patch, `Patch.test`).
fn tests_absence(document: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else {
        return false;
    };
    let Some((parent, last)) = test.path.split_back() else {
        return false;
    };
    test.value.is_null()
        && parent
            .resolve(document)
            .ok()
            .and_then(Value::as_object)
            .is_some_and(|members| !members.contains_key(&*last.decoded()))
}

fn size_at(document: &Value, pointer: &Pointer) -> usize {
    pointer
        .resolve(document)
        .map_or(0, |value| value.to_string().len())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Applies a merge patch (RFC 7386).
///
/// # Errors
/// 400 when the patch is not an object.
pub fn merge(mut document: Value, patch: &Value) -> Result<Value, Status> {
    if !patch.is_object() {
        return Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go::kind(patch)
        )));
    }
    merge_in(&mut document, patch);
    Ok(document)
}

fn merge_in(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    if let Some(map) = document.as_object_mut() {
        for (key, value) in patch {
            if value.is_null() {
                map.remove(key);
            } else {
                merge_in(map.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
