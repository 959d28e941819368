//! Tests.

use serde_json::json;

use super::*;

const PODS: Named<'static> = Named {
    group: "",
    resource: "pods",
};
const DEPLOYMENTS: Named<'static> = Named {
    group: "apps",
    resource: "deployments",
};

#[test]
fn messages_are_those_of_a_real_server() {
    let cases = [
        (Status::not_found(PODS, "x"), 404, "pods \"x\" not found"),
        (
            Status::already_exists(DEPLOYMENTS, "d"),
            409,
            "deployments.apps \"d\" already exists",
        ),
        (
            Status::modified(PODS, "x"),
            409,
            "Operation cannot be fulfilled on pods \"x\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        (Status::too_old(5, 120), 410, "too old resource version: 5 (120)"),
        (
            Status::method_not_supported(DEPLOYMENTS, "create"),
            405,
            "create is not supported on resources of kind \"deployments.apps\"",
        ),
        (
            Status::too_large(9, 3),
            504,
            "Timeout: Too large resource version: 9, current: 3",
        ),
    ];
    for (status, code, message) in cases {
        assert_eq!((status.code, status.message.as_str()), (code, message));
    }
}

#[test]
fn an_invalid_object_names_each_fault() {
    let errors = [
        FieldError::required("metadata.name", "name or generateName is required"),
        FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0"),
    ];
    let kind = Named {
        group: "apps",
        resource: "Deployment",
    };
    let wire = serde_json::to_value(Status::invalid(kind, "d", &errors)).unwrap();
    assert_eq!(
        wire,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid", "code": 422,
            "message": "Deployment.apps \"d\" is invalid: [metadata.name: Required value: name or generateName is required, spec.replicas: Invalid value: -1: must be greater than or equal to 0]",
            "details": {"name": "d", "group": "apps", "kind": "Deployment", "causes": [
                {"reason": "FieldValueRequired", "message": "Required value: name or generateName is required", "field": "metadata.name"},
                {"reason": "FieldValueInvalid", "message": "Invalid value: -1: must be greater than or equal to 0", "field": "spec.replicas"},
            ]},
        })
    );
}

#[test]
fn a_failure_without_a_reason_is_a_failure() {
    let wire = serde_json::to_value(Status::behind("etcdserver: request timed out")).unwrap();
    assert_eq!(
        wire,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500,
            "message": "etcdserver: request timed out"})
    );
}

#[test]
fn a_confirmed_deletion_is_a_success_without_code() {
    let wire = serde_json::to_value(Status::deleted(PODS, "x", "u")).unwrap();
    assert_eq!(
        wire,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "x", "kind": "pods", "uid": "u"}})
    );
}
