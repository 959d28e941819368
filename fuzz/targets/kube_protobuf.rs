//! Bodies in protobuf: what is read can be written and read again. Text is looked through for unknown fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metalsim_actors::kube::schema::{Schema, protobuf, strict};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    // The magic stands before most inputs, so that the fuzzer need not find it.
    let body = match data.split_first() {
        Some((0, rest)) => rest.to_vec(),
        _ => [&protobuf::MAGIC, data].concat(),
    };
    if let Ok(decoded) = protobuf::decode_as(&body, Some(("v1", "Pod"))) {
        let written = protobuf::encode(&decoded.api_version, &decoded.kind, &decoded.object)
            .expect("what was read can be written");
        let again = protobuf::decode(&written).expect("what was written can be read");
        assert_eq!(again.object, decoded.object);
        drop(strict::inspect_value(
            decoded.message,
            &Value::Object(decoded.object),
        ));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(pod) = Schema::built_in().kind("v1", "Pod")
    {
        drop(strict::duplicate_fields(text));
        if let Ok(findings) = strict::inspect(pod, text)
            && let Ok(mut value @ Value::Object(_)) = serde_json::from_str(text)
            && findings.type_error.is_none()
            && let Some(fields) = value.as_object_mut()
        {
            let _ = Schema::built_in().normalise(pod, fields);
        }
    }
});
