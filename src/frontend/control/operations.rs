//! Every operation of the API: the table from which routes are registered and the `OpenAPI` document is made, so that neither has one that
//! the other lacks.

use actix_web::{Route, web};

use super::{clusters, config_drive, events, faults, fkas, labels, nodes, openapi, power};

/// Methods that the API uses. `Get` answers `HEAD` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// As in `OpenAPI`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// For the header `Allow`.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What is sent or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    /// JSON of a schema of the document.
    Json(&'static str),
    /// A JSON merge patch (RFC 7396) of a schema of the document.
    MergePatch(&'static str),
    Text,
    Yaml,
    Metrics,
    /// Events of a schema of the document.
    EventStream(&'static str),
}

/// Kind of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text,
    /// A text; the parameter may be given many times.
    Texts,
    Number,
    Flag,
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) value: Value,
    pub(super) meaning: &'static str,
}

/// An operation.
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    /// Unique name in the document.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Content,
    /// Status and content when it succeeds.
    pub(super) answers: &'static [(u16, &'static str, Content)],
    /// It wants no token.
    pub(super) open: bool,
    pub(super) route: fn() -> Route,
}

const LIMIT: Parameter = Parameter {
    name: "limit",
    value: Value::Number,
    meaning: "Most items of a page, from 1 to 5000; 500 if not given",
};
const CONTINUE: Parameter = Parameter {
    name: "continue",
    value: Value::Text,
    meaning: "`continue` of the page before",
};
const NAMESPACE: Parameter = Parameter {
    name: "namespace",
    value: Value::Text,
    meaning: "Namespace of the cluster, where its name alone is not enough",
};
const BASE: Parameter = Parameter {
    name: "base",
    value: Value::Text,
    meaning: "What the fault's times count from: `start` of the run, or `now`",
};

/// All operations, those of a path together.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/healthz",
        id: "health",
        summary: "Whether the process lives",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "It lives", Content::Text)],
        open: true,
        route: || web::to(super::healthz),
    },
    Operation {
        verb: Verb::Get,
        path: "/readyz",
        id: "readiness",
        summary: "Whether every listener is open",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "They are", Content::Text)],
        open: true,
        route: || web::to(super::readyz),
    },
    Operation {
        verb: Verb::Get,
        path: "/openapi.json",
        id: "document",
        summary: "This document",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "The document", Content::Json("Document"))],
        open: true,
        route: || web::to(openapi::document),
    },
    Operation {
        verb: Verb::Get,
        path: "/metrics",
        id: "metrics",
        summary: "All metrics",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "The metrics", Content::Metrics)],
        open: false,
        route: || web::to(super::metrics),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/nodes",
        id: "listNodes",
        summary: "The servers, without asking them",
        query: &[
            LIMIT,
            CONTINUE,
            Parameter {
                name: "label",
                value: Value::Texts,
                meaning: "Only servers with this label: `key=value`",
            },
            Parameter {
                name: "phase",
                value: Value::Text,
                meaning: "Only servers in this phase",
            },
        ],
        body: Content::Nothing,
        answers: &[(200, "A page of servers", Content::Json("NodeList"))],
        open: false,
        route: || web::to(nodes::list),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/nodes/{node}",
        id: "getNode",
        summary: "One server, with what only itself knows",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "The server", Content::Json("Node"))],
        open: false,
        route: || web::to(nodes::get),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/nodes/{node}/config-drive",
        id: "getConfigDrive",
        summary: "The config drive on a server's disk, and the system that it makes",
        query: &[Parameter {
            name: "secrets",
            value: Value::Flag,
            meaning: "Show user data too; only if a token is configured",
        }],
        body: Content::Nothing,
        answers: &[(200, "The config drive", Content::Json("ConfigDrive"))],
        open: false,
        route: || web::to(config_drive::get),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/nodes/{node}/labels",
        id: "getLabels",
        summary: "The labels of a server",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "All its labels", Content::Json("Labels"))],
        open: false,
        route: || web::to(labels::get),
    },
    Operation {
        verb: Verb::Put,
        path: "/api/v1/nodes/{node}/labels",
        id: "setLabels",
        summary: "Give a server these labels and no others",
        query: &[],
        body: Content::Json("Labels"),
        answers: &[(200, "All its labels", Content::Json("Labels"))],
        open: false,
        route: || web::to(labels::put),
    },
    Operation {
        verb: Verb::Patch,
        path: "/api/v1/nodes/{node}/labels",
        id: "changeLabels",
        summary: "Change some labels of a server; null removes one",
        query: &[],
        body: Content::MergePatch("LabelChanges"),
        answers: &[(200, "All its labels", Content::Json("Labels"))],
        open: false,
        route: || web::to(labels::patch),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/nodes/{node}/power",
        id: "resetNode",
        summary: "Press the power button of a server, as a Redfish reset does",
        query: &[],
        body: Content::Json("Reset"),
        answers: &[(204, "The reset was taken", Content::Nothing)],
        open: false,
        route: || web::to(power::reset),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/nodes/{node}/kill",
        id: "killNode",
        summary: "End the actor of a server; its supervisor starts it again with the state that it had",
        query: &[],
        body: Content::Nothing,
        answers: &[(204, "It has been started again", Content::Nothing)],
        open: false,
        route: || web::to(power::kill),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/faults",
        id: "listFaults",
        summary: "The faults in force, in order: of two that strike at the same time and place, the first one wins",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "All faults", Content::Json("FaultList"))],
        open: false,
        route: || web::to(faults::list),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/faults",
        id: "addFault",
        summary: "Add a fault behind the others",
        query: &[BASE],
        body: Content::Json("Fault"),
        answers: &[(201, "The fault", Content::Json("Fault"))],
        open: false,
        route: || web::to(faults::add),
    },
    Operation {
        verb: Verb::Delete,
        path: "/api/v1/faults",
        id: "removeFaults",
        summary: "Remove all faults",
        query: &[],
        body: Content::Nothing,
        answers: &[(204, "There are none", Content::Nothing)],
        open: false,
        route: || web::to(faults::remove_all),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/faults/{fault}",
        id: "getFault",
        summary: "A fault",
        query: &[],
        body: Content::Nothing,
        answers: &[(200, "The fault", Content::Json("Fault"))],
        open: false,
        route: || web::to(faults::get),
    },
    Operation {
        verb: Verb::Put,
        path: "/api/v1/faults/{fault}",
        id: "putFault",
        summary: "Put a fault in the place of the one of this name, counted anew, or add it",
        query: &[BASE],
        body: Content::Json("Fault"),
        answers: &[
            (
                200,
                "The fault, which took another's place",
                Content::Json("Fault"),
            ),
            (201, "The fault, which is new", Content::Json("Fault")),
        ],
        open: false,
        route: || web::to(faults::put),
    },
    Operation {
        verb: Verb::Delete,
        path: "/api/v1/faults/{fault}",
        id: "removeFault",
        summary: "Remove a fault",
        query: &[],
        body: Content::Nothing,
        answers: &[(204, "It is gone", Content::Nothing)],
        open: false,
        route: || web::to(faults::remove),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/events",
        id: "streamEvents",
        summary: "What happens, as server-sent events; the header Last-Event-ID says where to go on",
        query: &[
            Parameter {
                name: "after",
                value: Value::Number,
                meaning: "Begin behind the event with this sequence; 0: with the oldest one. Without it: with the next one",
            },
            Parameter {
                name: "node",
                value: Value::Texts,
                meaning: "Only events of this server, by name or UUID, or of the cluster node of this name",
            },
            Parameter {
                name: "kind",
                value: Value::Texts,
                meaning: "Only events of this kind",
            },
            Parameter {
                name: "cluster",
                value: Value::Texts,
                meaning: "Only events of this cluster",
            },
        ],
        body: Content::Nothing,
        answers: &[(
            200,
            "The events, as long as the run goes on",
            Content::EventStream("Event"),
        )],
        open: false,
        route: || web::to(events::stream),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/clusters",
        id: "listClusters",
        summary: "The clusters",
        query: &[LIMIT, CONTINUE],
        body: Content::Nothing,
        answers: &[(200, "A page of clusters", Content::Json("ClusterList"))],
        open: false,
        route: || web::to(clusters::list),
    },
    Operation {
        verb: Verb::Delete,
        path: "/api/v1/clusters/{cluster}",
        id: "removeCluster",
        summary: "End a registered cluster",
        query: &[NAMESPACE],
        body: Content::Nothing,
        answers: &[(204, "It has gone, and its endpoint is free", Content::Nothing)],
        open: false,
        route: || web::to(clusters::delete),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/clusters/{cluster}/kubeconfig",
        id: "getKubeconfig",
        summary: "A kubeconfig of a cluster's administrator; only with a token, or on the machine itself",
        query: &[NAMESPACE],
        body: Content::Nothing,
        answers: &[(200, "The kubeconfig", Content::Yaml)],
        open: false,
        route: || web::to(clusters::kubeconfig),
    },
    Operation {
        verb: Verb::Post,
        path: "/register",
        id: "register",
        summary: "Lease an endpoint for a cluster, as FKAS does",
        query: &[],
        body: Content::Json("RegisterRequest"),
        answers: &[(200, "The endpoint", Content::Json("Registered"))],
        open: false,
        route: || web::to(fkas::register),
    },
    Operation {
        verb: Verb::Put,
        path: "/updateNode",
        id: "updateNode",
        summary: "Add a node to a registered cluster, as FKAS does",
        query: &[],
        body: Content::Json("UpdateNodeRequest"),
        answers: &[(200, "It is there", Content::Nothing)],
        open: false,
        route: || web::to(fkas::update_node),
    },
];
