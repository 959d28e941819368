//! CertificateSigningRequests: those of kubelets for their client certificates are approved, old ones are deleted
//! (kubernetes: `pkg/controller/certificates/{approver,cleaner}`).
//!
//! Signing takes the cluster's key: who has it looks for requests that are approved and have no certificate.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use super::conditions;
use super::kinds::{KINDS, about};
use super::workload::{delete, now_text, options};
use crate::kube::auth::{Attributes, ResourceRequest, UserInfo, authorize};
use crate::kube::controller::{Context, Controller, Key, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store};

/// The signer of kubelets' client certificates.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Group of all kubelets, the organization in their certificates.
const NODES: &str = "system:nodes";
/// Start of a kubelet's user name.
const NODE: &str = "system:node:";
/// How long requests are kept that are done, or refused.
const DONE: Duration = Duration::from_secs(3600);
/// How long those are kept that nobody dealt with.
const PENDING: Duration = Duration::from_secs(24 * 3600);

/// Approves requests.
#[derive(Debug)]
pub struct CertificateApprover;

/// Deletes old requests.
#[derive(Debug)]
pub struct CertificateCleaner;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    request: String,
    signer_name: String,
    usages: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestStatus {
    conditions: Vec<Value>,
    certificate: String,
}

fn observe(change: &Change, look_at: &mut dyn FnMut(Key)) {
    if about(change, &KINDS.certificate_requests) && !matches!(change.changed, Changed::Deleted(_)) {
        look_at(Key::of(&change.object));
    }
}

/// The name in the subject of a request for a kubelet's client certificate; `None` for any other request
/// (kubernetes: `pkg/apis/certificates/helpers.go`, `ValidateKubeletClientCSR`).
fn kubelet_client(spec: &Spec) -> Option<String> {
    let usages: Vec<&str> = spec.usages.iter().map(String::as_str).collect();
    let usual = usages == ["client auth", "digital signature"]
        || usages == ["client auth", "digital signature", "key encipherment"];
    if spec.signer_name != SIGNER || !usual {
        return None;
    }
    let text = STANDARD.decode(&spec.request).ok()?;
    let (_, pem) = parse_x509_pem(&text).ok()?;
    if pem.label != "CERTIFICATE REQUEST" {
        return None;
    }
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).ok()?;
    let subject = &request.certification_request_info.subject;
    let organizations: Option<Vec<&str>> = subject
        .iter_organization()
        .map(|name| name.as_str().ok())
        .collect();
    if organizations? != [NODES] {
        return None;
    }
    let alternative = |name: &GeneralName<'_>| {
        matches!(
            name,
            GeneralName::DNSName(_)
                | GeneralName::RFC822Name(_)
                | GeneralName::IPAddress(_)
                | GeneralName::URI(_)
        )
    };
    let mut extensions = request.requested_extensions().into_iter().flatten();
    let named = extensions.any(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().any(alternative),
        _ => false,
    });
    let name = subject.iter_common_name().last()?.as_str().ok()?;
    (!named && name.starts_with(NODE)).then(|| name.to_owned())
}

impl Controller for CertificateApprover {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-approving-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        observe(change, look_at);
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(object) = store.find(&KINDS.certificate_requests, None, &key.name).cloned() else {
            return Ok(None);
        };
        let status: RequestStatus = object.read("status").unwrap_or_default();
        let has = |kind| conditions::get(&status.conditions, kind).is_some();
        if !status.certificate.is_empty() || has("Approved") || has("Denied") {
            return Ok(None);
        }
        let spec: Spec = object.read("spec").unwrap_or_default();
        let Some(name) = kubelet_client(&spec) else {
            return Ok(None);
        };
        let user: UserInfo = object.read("spec").unwrap_or_default();
        let may = |subresource| {
            let request = ResourceRequest {
                group: "certificates.k8s.io",
                resource: "certificatesigningrequests",
                subresource,
                ..ResourceRequest::default()
            };
            authorize(store, &user, &Attributes::resource("create", request)).is_allowed()
        };
        let message = if user.username == name && may("selfnodeclient") {
            "Auto approving self kubelet client certificate after SubjectAccessReview."
        } else if may("nodeclient") {
            "Auto approving kubelet client certificate after SubjectAccessReview."
        } else {
            return Ok(None);
        };
        let now = now_text(context);
        let mut draft = object.draft();
        let list = conditions::of(conditions::object(&mut draft.body, "status"));
        list.push(
            json!({"type": "Approved", "status": "True", "reason": "AutoApproved", "message": message,
            "lastUpdateTime": now, "lastTransitionTime": now}),
        );
        store.replace(
            &KINDS.certificate_requests,
            Part::Approval,
            draft,
            options(context),
        )?;
        Ok(None)
    }
}

/// When a request is to go.
fn end(object: &Object) -> DateTime<Utc> {
    let status: RequestStatus = object.read("status").unwrap_or_default();
    let time = |second: Second| DateTime::from_timestamp(second.0, 0).unwrap_or_default();
    let told = |kind| {
        let condition = conditions::get(&status.conditions, kind)?;
        Second::parse(conditions::text(condition, "lastUpdateTime"))
    };
    let approved = told("Approved");
    let done = told("Denied")
        .or_else(|| told("Failed"))
        .or_else(|| approved.filter(|_| !status.certificate.is_empty()));
    match done {
        Some(done) => later(time(done), DONE),
        None => later(time(approved.unwrap_or(object.created)), PENDING),
    }
}

impl Controller for CertificateCleaner {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-cleaner-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        observe(change, look_at);
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(object) = store.find(&KINDS.certificate_requests, None, &key.name).cloned() else {
            return Ok(None);
        };
        let end = end(&object);
        if end > context.now {
            return Ok(Some(until(context.now, end)));
        }
        delete(store, context, &KINDS.certificate_requests, &object)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controllers::testing::World;

    /// Subject `O=system:nodes, CN=system:node:n1`.
    const KUBELET: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIck1JR1NBZ0VBTURBeEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjek\
        VYTUJVR0ExVUVBd3dPYzNsegpkR1Z0T201dlpHVTZiakV3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVFWdFNsaEpMTWJsN1hr\
        Cmc0dlJ2RHhObUU2OWI1OEFJZEp6MjQvc2xjUjZObW8xTCtLN0hFbXBYN05MSWFQcFpRRGpNOHBLRXVFNkVNczEKOVE5S2M3Z09vQUF3Q2dZSU\
        tvWkl6ajBFQXdJRFNBQXdSUUlnQTYyK3hXWGpkVUp5QmVFUURpcmJWSmttWVJjRgpmZVhRQlpPdVkzQTNWcklDSVFEUVlDeG9idTBMWVk1aGlN\
        WlVLbDNSb3JFYklmWHV4bkxMOWluQ1paNjI4QT09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
    /// Subject `O=system:masters, CN=system:node:n1`.
    const MASTER: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIc01JR1VBZ0VBTURJeEZ6QVZCZ05WQkFvTURuTjVjM1JsYlRwdFlYTjBaWE\
        p6TVJjd0ZRWURWUVFEREE1egplWE4wWlcwNmJtOWtaVHB1TVRCWk1CTUdCeXFHU000OUFnRUdDQ3FHU000OUF3RUhBMElBQkRzTjUrWTlVZktS\
        CkpOelQxR3hNRTRudHQ0aTNhck1kR0FsRC9QazJQZ3VxbkN3NDdYUXM1eWdHaVpBQmFCbWJhNktxOHdiREtLOGgKV3hXWVBVSmhWOG1nQURBS0\
        JnZ3Foa2pPUFFRREFnTkhBREJFQWlBYitwQWJGK3QvZWp2S3RMSmlyTXB4NWg1UgpqcDdCUCs1YlBCWlh1YWh3MndJZ2ExWkJ4OTk0VXJ3RFEx\
        bVZMTTRpaTg2RWU3cnRWVVUwR0o5VkhjVURTTGc9Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
    /// As the first, with a DNS name.
    const NAMED: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlJQkN6Q0JzZ0lCQURBd01SVXdFd1lEVlFRS0RBeHplWE4wWlcwNmJtOWtaWE\
        14RnpBVkJnTlZCQU1NRG5ONQpjM1JsYlRwdWIyUmxPbTR4TUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFdHJ6ZFR0dGgvcEg3\
        Cm54eURkOFpaNXNramFvVEk5RHBGRno4OHhqQzUzVXE2US96UWFXNzFuYjFWdkdRcUVGSlpvREY5QkFLVTBVWksKMzUzWXI4N1lZYUFnTUI0R0\
        NTcUdTSWIzRFFFSkRqRVJNQTh3RFFZRFZSMFJCQVl3QklJQ2JqRXdDZ1lJS29aSQp6ajBFQXdJRFNBQXdSUUloQUwrYVB2cDlqOHdjMC8vNFRE\
        RTBpVW1DeHhBMlk0bnpXMk9qM250ZFBIMExBaUFwCm12VFJXemdUd2N1b0dNc0FxM1hMWFBsV3ljSjVYMnkzd29xazNMQnF0dz09Ci0tLS0tRU\
        5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";

    fn request(request: &str, signer: &str) -> Spec {
        Spec {
            request: request.to_owned(),
            signer_name: signer.to_owned(),
            usages: ["client auth", "digital signature"]
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    }

    #[test]
    fn only_kubelets_are_recognized() {
        let of = |text: &str, signer: &str| kubelet_client(&request(text, signer));
        assert_eq!(of(KUBELET, SIGNER).as_deref(), Some("system:node:n1"));
        assert_eq!(of(MASTER, SIGNER), None);
        assert_eq!(of(NAMED, SIGNER), None);
        assert_eq!(of(KUBELET, "kubernetes.io/kube-apiserver-client"), None);
        assert_eq!(of("AAAA", SIGNER), None);
    }

    fn create(world: &mut World, name: &str, text: &str, groups: &Value) {
        let body = json!({"metadata": {"name": name}, "spec": {"request": text, "signerName": SIGNER,
            "usages": ["digital signature", "client auth"], "username": "system:bootstrap:abcdef", "groups": groups}});
        world.create("certificatesigningrequests", body);
    }

    #[test]
    fn who_may_is_approved_and_old_ones_go() {
        let mut world = World::new();
        let role = json!({"metadata": {"name": "approve"}, "rules": [{"apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests/nodeclient"], "verbs": ["create"]}]});
        world.create("clusterroles", role);
        let binding = json!({"metadata": {"name": "approve"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole", "name": "approve"},
            "subjects": [{"kind": "Group", "name": "joiners", "apiGroup": "rbac.authorization.k8s.io"}]});
        world.create("clusterrolebindings", binding);
        create(&mut world, "good", KUBELET, &json!(["joiners"]));
        create(&mut world, "stranger", KUBELET, &json!(["others"]));
        create(&mut world, "master", MASTER, &json!(["joiners"]));
        let approved = ("True".to_owned(), "AutoApproved".to_owned());
        assert_eq!(
            world.condition("certificatesigningrequests", "good", "Approved"),
            approved
        );
        for name in ["stranger", "master"] {
            assert_eq!(
                world.at("certificatesigningrequests", name, "/status/conditions"),
                Value::Null
            );
        }
        let signed = json!({"status": {"certificate": "AAAA"}});
        world.patch("certificatesigningrequests", "good", Part::Status, signed);
        let kind = |world: &World, name: &str| world.find("certificatesigningrequests", "", name).is_some();
        world.after(3599);
        assert!(kind(&world, "good"));
        world.after(1);
        assert!(!kind(&world, "good"));
        world.after(82_799);
        assert!(kind(&world, "stranger"));
        world.after(1);
        assert!(!kind(&world, "stranger"));
    }
}
