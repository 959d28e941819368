//! The table of the built-in kinds: groups and versions that Kubernetes 1.35 serves by default
//! (kubernetes: `api/discovery`, `pkg/registry/*/*/storage`, `pkg/printers`, `pkg/apis/*/v*/conversion.go` for field selectors).

use std::borrow::Cow;

use super::{
    NameRule, Resource, ResourceId, ScalePaths, Selectable, Subresource, Traits, Verb, Verbs,
    built_in_version,
};

/// A row of the table; see [`Resource`] for the meaning of the fields.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Group.
    pub group: &'static str,
    /// Best first; the first is the storage version.
    pub versions: &'static [&'static str],
    /// Resource.
    pub plural: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Scope.
    pub namespaced: bool,
    /// Short names.
    pub short: &'static [&'static str],
    /// Categories.
    pub categories: &'static [&'static str],
    /// Verbs.
    pub verbs: Verbs,
    /// Subresources: name, `group/version/Kind` or empty for its own kind, verbs.
    pub subresources: &'static [(&'static str, &'static str, Verbs)],
    /// Selectable fields: name, default.
    pub selectable: &'static [(&'static str, &'static str)],
    /// Rule for names.
    pub names: NameRule,
    /// Behaviour.
    pub traits: Traits,
}

const RW: Verbs = Verbs::of(&[Verb::Get, Verb::Patch, Verb::Update]);
const CREATE: Verbs = Verbs::of(&[Verb::Create]);
const GET: Verbs = Verbs::of(&[Verb::Get]);
const CONNECT: Verbs = Verbs::of(&[Verb::Create, Verb::Get]);
const PROXY: Verbs = Verbs::of(&[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update]);

const TRAITS: Traits = Traits {
    unconditional_update: true,
    create_on_update: false,
    generation: false,
    stored: true,
    graceful: false,
    status_on_create: false,
};

const fn row(group: &'static str, plural: &'static str, kind: &'static str) -> Row {
    Row {
        group,
        versions: &["v1"],
        plural,
        kind,
        namespaced: false,
        short: &[],
        categories: &[],
        verbs: Verbs::ALL,
        subresources: &[],
        selectable: &[],
        names: NameRule::Subdomain,
        traits: TRAITS,
    }
}

impl Row {
    const fn ns(mut self) -> Self {
        self.namespaced = true;
        self
    }

    const fn versions(mut self, versions: &'static [&'static str]) -> Self {
        self.versions = versions;
        self
    }

    const fn short(mut self, short: &'static [&'static str]) -> Self {
        self.short = short;
        self
    }

    const fn in_all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    /// Subresources: name, `group/version/Kind` or empty for the resource's own kind, verbs.
    const fn sub(mut self, subresources: &'static [(&'static str, &'static str, Verbs)]) -> Self {
        self.subresources = subresources;
        self
    }

    /// Selectable fields: name, default. The paths are the name split at its dots, but for events.
    const fn select(mut self, selectable: &'static [(&'static str, &'static str)]) -> Self {
        self.selectable = selectable;
        self
    }

    const fn names(mut self, names: NameRule) -> Self {
        self.names = names;
        self
    }

    const fn generation(mut self) -> Self {
        self.traits.generation = true;
        self
    }

    /// Updates need a `resourceVersion`.
    const fn conditional(mut self) -> Self {
        self.traits.unconditional_update = false;
        self
    }

    const fn upsert(mut self) -> Self {
        self.traits.create_on_update = true;
        self
    }

    const fn graceful(mut self) -> Self {
        self.traits.graceful = true;
        self
    }

    const fn status_on_create(mut self) -> Self {
        self.traits.status_on_create = true;
        self
    }

    const fn verbs(mut self, verbs: Verbs) -> Self {
        self.verbs = verbs;
        self
    }

    /// Create only, nothing is kept.
    const fn review(mut self) -> Self {
        self.verbs = CREATE;
        self.traits.stored = false;
        self
    }

    pub(super) fn resource(&self, id: ResourceId) -> Resource {
        let status = self.subresources.iter().any(|(name, ..)| *name == "status");
        let scale = self
            .subresources
            .iter()
            .any(|(name, ..)| *name == "scale")
            .then(|| {
                let path = |text: &str| text.split('.').map(str::to_owned).collect();
                ScalePaths {
                    spec: path("spec.replicas"),
                    status: path("status.replicas"),
                    selector: Some(path("spec.selector")),
                }
            });
        Resource {
            id,
            home: home(self, id),
            group: Cow::Borrowed(self.group),
            kind: Cow::Borrowed(self.kind),
            list_kind: Cow::Owned(format!("{}List", self.kind)),
            plural: Cow::Borrowed(self.plural),
            singular: Cow::Owned(self.kind.to_lowercase()),
            short_names: self.short.iter().copied().map(Cow::Borrowed).collect(),
            categories: self.categories.iter().copied().map(Cow::Borrowed).collect(),
            namespaced: self.namespaced,
            versions: self
                .versions
                .iter()
                .map(|version| built_in_version(self.group, version, self.kind, status))
                .collect(),
            storage: 0,
            verbs: self.verbs,
            subresources: self
                .subresources
                .iter()
                .map(|(name, kind, verbs)| {
                    let mut parts = kind.split('/');
                    let kind = match (parts.next(), parts.next(), parts.next()) {
                        (Some(group), Some(version), Some(kind)) => {
                            Some((Cow::Borrowed(group), Cow::Borrowed(version), Cow::Borrowed(kind)))
                        }
                        _ => None,
                    };
                    Subresource {
                        name: Cow::Borrowed(name),
                        kind,
                        verbs: *verbs,
                    }
                })
                .collect(),
            scale,
            selectable: self
                .selectable
                .iter()
                .map(|(label, default)| Selectable {
                    label: Cow::Borrowed(label),
                    paths: paths(label),
                    default,
                })
                .collect(),
            names: self.names,
            traits: self.traits,
            custom: false,
        }
    }
}

/// The core group's events, for their twin in `events.k8s.io`; else `id`.
fn home(row: &Row, id: ResourceId) -> ResourceId {
    if row.group != "events.k8s.io" {
        return id;
    }
    ROWS.iter()
        .zip(0..)
        .find(|(other, _)| other.group.is_empty() && other.plural == row.plural)
        .map_or(id, |(_, place)| ResourceId(place))
}

fn paths(label: &'static str) -> Vec<Vec<Cow<'static, str>>> {
    let split = |path: &'static str| path.split('.').map(Cow::Borrowed).collect();
    match label {
        // Events: the component that wrote it, in the old or the new field.
        "source" => vec![split("source.component"), split("reportingComponent")],
        "reportingComponent" => vec![split("reportingComponent")],
        // The fields of `events.k8s.io` where the core group's form, which is the stored one, has them.
        "reportingController" => vec![split("reportingComponent")],
        "regarding.kind" => vec![split("involvedObject.kind")],
        "regarding.namespace" => vec![split("involvedObject.namespace")],
        "regarding.name" => vec![split("involvedObject.name")],
        "regarding.uid" => vec![split("involvedObject.uid")],
        "regarding.apiVersion" => vec![split("involvedObject.apiVersion")],
        "regarding.resourceVersion" => vec![split("involvedObject.resourceVersion")],
        "regarding.fieldPath" => vec![split("involvedObject.fieldPath")],
        "status.successful" => vec![split("status.succeeded")],
        other => vec![split(other)],
    }
}

const STATUS: (&str, &str, Verbs) = ("status", "", RW);
const SCALE: (&str, &str, Verbs) = ("scale", "autoscaling/v1/Scale", RW);

const ADMISSION: &str = "admissionregistration.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";

/// The table.
pub const ROWS: &[Row] = &[
    row("", "bindings", "Binding").ns().review(),
    row("", "componentstatuses", "ComponentStatus")
        .short(&["cs"])
        .verbs(Verbs::of(&[Verb::Get, Verb::List])),
    row("", "configmaps", "ConfigMap").ns().short(&["cm"]),
    row("", "endpoints", "Endpoints").ns().short(&["ep"]).upsert(),
    row("", "events", "Event").ns().short(&["ev"]).upsert().select(&[
        ("involvedObject.kind", ""),
        ("involvedObject.namespace", ""),
        ("involvedObject.name", ""),
        ("involvedObject.uid", ""),
        ("involvedObject.apiVersion", ""),
        ("involvedObject.resourceVersion", ""),
        ("involvedObject.fieldPath", ""),
        ("reason", ""),
        ("reportingComponent", ""),
        ("source", ""),
        ("type", ""),
    ]),
    row("", "limitranges", "LimitRange")
        .ns()
        .short(&["limits"])
        .upsert(),
    row("", "namespaces", "Namespace")
        .short(&["ns"])
        .verbs(Verbs::of(&[
            Verb::Create,
            Verb::Delete,
            Verb::Get,
            Verb::List,
            Verb::Patch,
            Verb::Update,
            Verb::Watch,
        ]))
        .names(NameRule::Label)
        .select(&[("status.phase", "")])
        .sub(&[("finalize", "", Verbs::of(&[Verb::Update])), STATUS]),
    row("", "nodes", "Node")
        .short(&["no"])
        .status_on_create()
        .select(&[("spec.unschedulable", "false")])
        .sub(&[("proxy", "/v1/NodeProxyOptions", PROXY), STATUS]),
    row("", "persistentvolumeclaims", "PersistentVolumeClaim")
        .ns()
        .short(&["pvc"])
        .sub(&[STATUS]),
    row("", "persistentvolumes", "PersistentVolume")
        .short(&["pv"])
        .sub(&[STATUS]),
    row("", "pods", "Pod")
        .ns()
        .short(&["po"])
        .in_all()
        .generation()
        .graceful()
        .select(&[
            ("spec.nodeName", ""),
            ("spec.restartPolicy", ""),
            ("spec.schedulerName", ""),
            ("spec.serviceAccountName", ""),
            ("spec.hostNetwork", "false"),
            ("status.phase", ""),
            ("status.podIP", ""),
            ("status.nominatedNodeName", ""),
        ])
        .sub(&[
            ("attach", "/v1/PodAttachOptions", CONNECT),
            ("binding", "/v1/Binding", CREATE),
            ("ephemeralcontainers", "", RW),
            ("eviction", "policy/v1/Eviction", CREATE),
            ("exec", "/v1/PodExecOptions", CONNECT),
            ("log", "", GET),
            ("portforward", "/v1/PodPortForwardOptions", CONNECT),
            ("proxy", "/v1/PodProxyOptions", PROXY),
            ("resize", "", RW),
            STATUS,
        ]),
    row("", "podtemplates", "PodTemplate").ns().generation(),
    row("", "replicationcontrollers", "ReplicationController")
        .ns()
        .short(&["rc"])
        .in_all()
        .generation()
        .select(&[("status.replicas", "0")])
        .sub(&[SCALE, STATUS]),
    row("", "resourcequotas", "ResourceQuota")
        .ns()
        .short(&["quota"])
        .sub(&[STATUS]),
    row("", "secrets", "Secret").ns().select(&[("type", "")]),
    row("", "serviceaccounts", "ServiceAccount")
        .ns()
        .short(&["sa"])
        .sub(&[("token", "authentication.k8s.io/v1/TokenRequest", CREATE)]),
    row("", "services", "Service")
        .ns()
        .short(&["svc"])
        .in_all()
        .upsert()
        .names(NameRule::Label1035)
        .select(&[("spec.clusterIP", ""), ("spec.type", "")])
        .sub(&[("proxy", "/v1/ServiceProxyOptions", PROXY), STATUS]),
    row(
        ADMISSION,
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
    )
    .categories(&["api-extensions"])
    .generation()
    .conditional(),
    row(
        ADMISSION,
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
    )
    .categories(&["api-extensions"])
    .generation()
    .conditional()
    .sub(&[STATUS]),
    row(
        ADMISSION,
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
    )
    .categories(&["api-extensions"])
    .generation()
    .conditional(),
    row(
        ADMISSION,
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
    )
    .categories(&["api-extensions"])
    .generation()
    .conditional(),
    row(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
    )
    .short(&["crd", "crds"])
    .categories(&["api-extensions"])
    .generation()
    .conditional()
    .sub(&[STATUS]),
    row("apiregistration.k8s.io", "apiservices", "APIService")
        .categories(&["api-extensions"])
        .conditional()
        .sub(&[STATUS]),
    row("apps", "controllerrevisions", "ControllerRevision").ns(),
    row("apps", "daemonsets", "DaemonSet")
        .ns()
        .short(&["ds"])
        .in_all()
        .generation()
        .sub(&[STATUS]),
    row("apps", "deployments", "Deployment")
        .ns()
        .short(&["deploy"])
        .in_all()
        .generation()
        .sub(&[SCALE, STATUS]),
    row("apps", "replicasets", "ReplicaSet")
        .ns()
        .short(&["rs"])
        .in_all()
        .generation()
        .select(&[("status.replicas", "0")])
        .sub(&[SCALE, STATUS]),
    row("apps", "statefulsets", "StatefulSet")
        .ns()
        .short(&["sts"])
        .in_all()
        .generation()
        .sub(&[SCALE, STATUS]),
    row("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview").review(),
    row("authentication.k8s.io", "tokenreviews", "TokenReview").review(),
    row(
        "authorization.k8s.io",
        "localsubjectaccessreviews",
        "LocalSubjectAccessReview",
    )
    .ns()
    .review(),
    row(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
    )
    .review(),
    row(
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
    )
    .review(),
    row(
        "authorization.k8s.io",
        "subjectaccessreviews",
        "SubjectAccessReview",
    )
    .review(),
    row(
        "autoscaling",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    )
    .ns()
    .versions(&["v2", "v1"])
    .short(&["hpa"])
    .in_all()
    .sub(&[STATUS]),
    row("batch", "cronjobs", "CronJob")
        .ns()
        .short(&["cj"])
        .in_all()
        .generation()
        .sub(&[STATUS]),
    row("batch", "jobs", "Job")
        .ns()
        .in_all()
        .generation()
        .select(&[("status.successful", "0")])
        .sub(&[STATUS]),
    row(
        "certificates.k8s.io",
        "certificatesigningrequests",
        "CertificateSigningRequest",
    )
    .short(&["csr"])
    .select(&[("spec.signerName", "")])
    .sub(&[("approval", "", RW), STATUS]),
    row("coordination.k8s.io", "leases", "Lease")
        .ns()
        .upsert()
        .conditional(),
    row("discovery.k8s.io", "endpointslices", "EndpointSlice")
        .ns()
        .generation(),
    row("events.k8s.io", "events", "Event")
        .ns()
        .short(&["ev"])
        .upsert()
        .select(&[
            ("regarding.kind", ""),
            ("regarding.namespace", ""),
            ("regarding.name", ""),
            ("regarding.uid", ""),
            ("regarding.apiVersion", ""),
            ("regarding.resourceVersion", ""),
            ("regarding.fieldPath", ""),
            ("reason", ""),
            ("reportingController", ""),
            ("type", ""),
        ]),
    row(FLOW, "flowschemas", "FlowSchema").generation().sub(&[STATUS]),
    row(FLOW, "prioritylevelconfigurations", "PriorityLevelConfiguration")
        .generation()
        .sub(&[STATUS]),
    row(NETWORKING, "ingressclasses", "IngressClass").generation(),
    row(NETWORKING, "ingresses", "Ingress")
        .ns()
        .short(&["ing"])
        .generation()
        .sub(&[STATUS]),
    row(NETWORKING, "ipaddresses", "IPAddress")
        .short(&["ip"])
        .generation()
        .select(&[
            ("spec.parentRef.group", ""),
            ("spec.parentRef.resource", ""),
            ("spec.parentRef.namespace", ""),
            ("spec.parentRef.name", ""),
        ]),
    row(NETWORKING, "networkpolicies", "NetworkPolicy")
        .ns()
        .short(&["netpol"])
        .generation(),
    row(NETWORKING, "servicecidrs", "ServiceCIDR")
        .generation()
        .sub(&[STATUS]),
    row("node.k8s.io", "runtimeclasses", "RuntimeClass").conditional(),
    row("policy", "poddisruptionbudgets", "PodDisruptionBudget")
        .ns()
        .short(&["pdb"])
        .generation()
        .conditional()
        .sub(&[STATUS]),
    row(RBAC, "clusterrolebindings", "ClusterRoleBinding")
        .upsert()
        .names(NameRule::PathSegment),
    row(RBAC, "clusterroles", "ClusterRole")
        .upsert()
        .names(NameRule::PathSegment),
    row(RBAC, "rolebindings", "RoleBinding")
        .ns()
        .upsert()
        .names(NameRule::PathSegment),
    row(RBAC, "roles", "Role")
        .ns()
        .upsert()
        .names(NameRule::PathSegment),
    row(RESOURCE, "deviceclasses", "DeviceClass").generation(),
    row(RESOURCE, "resourceclaims", "ResourceClaim")
        .ns()
        .sub(&[STATUS]),
    row(RESOURCE, "resourceclaimtemplates", "ResourceClaimTemplate").ns(),
    row(RESOURCE, "resourceslices", "ResourceSlice")
        .generation()
        .select(&[("spec.nodeName", ""), ("spec.driver", "")]),
    row("scheduling.k8s.io", "priorityclasses", "PriorityClass")
        .short(&["pc"])
        .generation(),
    row(STORAGE, "csidrivers", "CSIDriver").conditional(),
    row(STORAGE, "csinodes", "CSINode").conditional(),
    row(STORAGE, "csistoragecapacities", "CSIStorageCapacity")
        .ns()
        .conditional(),
    row(STORAGE, "storageclasses", "StorageClass").short(&["sc"]),
    row(STORAGE, "volumeattachments", "VolumeAttachment")
        .conditional()
        .sub(&[STATUS]),
    row(STORAGE, "volumeattributesclasses", "VolumeAttributesClass").short(&["vac"]),
];
