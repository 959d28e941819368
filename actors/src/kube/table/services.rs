//! Services, their endpoints, and the network around them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::built_in::{Kind, Row, kind};
use super::cell::{self, NONE, list, maybe_text, number, or, text as field};
use super::column::{AGE, NAME, text};

/// The printers.
pub(super) const KINDS: &[Kind] = &[
    kind(
        "",
        "services",
        &[
            NAME,
            text("Type", "How the service is offered."),
            text("Cluster-IP", "Address inside of the cluster."),
            text("External-IP", "Addresses outside of the cluster."),
            text("Port(s)", "Ports, with their node ports."),
            AGE,
            text("Selector", "Labels of the pods behind the service.").wide(),
        ],
        service,
    ),
    kind(
        "",
        "endpoints",
        &[NAME, text("Endpoints", "Addresses and ports."), AGE],
        endpoints,
    ),
    kind(
        "discovery.k8s.io",
        "endpointslices",
        &[
            NAME,
            text("AddressType", "Type of the addresses."),
            text("Ports", "Ports of each endpoint."),
            text("Endpoints", "Addresses."),
            AGE,
        ],
        endpoint_slice,
    ),
    kind(
        "networking.k8s.io",
        "ingresses",
        &[
            NAME,
            text("Class", "Name of the ingress class."),
            text("Hosts", "Hosts of the rules."),
            text("Address", "Addresses of the load balancer."),
            text("Ports", "Ports that are open."),
            AGE,
        ],
        ingress,
    ),
    kind(
        "networking.k8s.io",
        "ingressclasses",
        &[
            NAME,
            text("Controller", "Who handles ingresses of this class."),
            text("Parameters", "Object with parameters of the class."),
            AGE,
        ],
        ingress_class,
    ),
    kind(
        "networking.k8s.io",
        "networkpolicies",
        &[
            NAME,
            text("Pod-Selector", "Labels of the pods that the policy is for."),
            AGE,
        ],
        |row| {
            let spec = row.spec();
            let selector = cell::selector_or_none(spec.get("podSelector"));
            vec![row.name(), selector.into(), row.age()]
        },
    ),
    kind(
        "networking.k8s.io",
        "servicecidrs",
        &[NAME, text("CIDRs", "Ranges of addresses for services."), AGE],
        |row| {
            let spec = row.spec();
            let ranges = list(&spec, "/cidrs").iter().filter_map(Value::as_str);
            vec![row.name(), cell::join(ranges, ",").into(), row.age()]
        },
    ),
    kind(
        "networking.k8s.io",
        "ipaddresses",
        &[NAME, text("ParentRef", "The object that the address is for.")],
        ip_address,
    ),
];

/// The most addresses, hosts or ports that one cell shows.
const SHOWN: usize = 3;

fn service(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let first = list(&spec, "/clusterIPs").first().and_then(Value::as_str);
    let address = first.unwrap_or_else(|| or(field(&spec, "/clusterIP"), NONE));
    let ports: Vec<String> = list(&spec, "/ports").iter().map(port).collect();
    vec![
        row.name(),
        field(&spec, "/type").into(),
        address.into(),
        external(&spec, &status).into(),
        or(&ports.join(","), NONE).into(),
        row.age(),
        cell::labels(spec.get("selector")).into(),
    ]
}

fn port(port: &Value) -> String {
    let (own, protocol) = (number(port, "/port"), field(port, "/protocol"));
    match number(port, "/nodePort") {
        node @ 1.. => format!("{own}:{node}/{protocol}"),
        _ => format!("{own}/{protocol}"),
    }
}

fn external(spec: &Value, status: &Value) -> String {
    let given = list(spec, "/externalIPs").iter().filter_map(Value::as_str);
    let given = cell::join(given, ",");
    match field(spec, "/type") {
        "ClusterIP" | "NodePort" => or(&given, NONE).to_owned(),
        "LoadBalancer" => match (load_balancer(status), given) {
            (balancer, given) if given.is_empty() => or(&balancer, "<pending>").to_owned(),
            (balancer, given) if balancer.is_empty() => given,
            (balancer, given) => format!("{balancer},{given}"),
        },
        "ExternalName" => field(spec, "/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// Addresses or names of a load balancer, sorted.
fn load_balancer(status: &Value) -> String {
    let points: BTreeSet<&str> = list(status, "/loadBalancer/ingress")
        .iter()
        .map(|point| or(field(point, "/ip"), field(point, "/hostname")))
        .filter(|point| !point.is_empty())
        .collect();
    cell::join(points, ",")
}

fn endpoints(row: &Row<'_>) -> Vec<Value> {
    let subsets = row.section("subsets");
    let subsets = list(&subsets, "");
    let mut words = Vec::new();
    for subset in subsets {
        let addresses = || {
            list(subset, "/addresses")
                .iter()
                .map(|address| field(address, "/ip"))
        };
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            words.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            let port = number(port, "/port");
            words.extend(addresses().map(|address| match address.contains(':') {
                true => format!("[{address}]:{port}"),
                false => format!("{address}:{port}"),
            }));
        }
    }
    let shown = match (subsets.is_empty(), words.is_empty()) {
        (true, _) => NONE.to_owned(),
        (false, true) => String::new(),
        (false, false) => cell::some(&words, SHOWN),
    };
    vec![row.name(), shown.into(), row.age()]
}

fn endpoint_slice(row: &Row<'_>) -> Vec<Value> {
    let (kind, ports, endpoints) = (
        row.section("addressType"),
        row.section("ports"),
        row.section("endpoints"),
    );
    let ports: Vec<String> = list(&ports, "")
        .iter()
        .map(|port| match cell::maybe_number(port, "/port") {
            Some(number) => number.to_string(),
            None => maybe_text(port, "/name").unwrap_or("*").to_owned(),
        })
        .collect();
    let addresses: Vec<String> = list(&endpoints, "")
        .iter()
        .flat_map(|endpoint| list(endpoint, "/addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    vec![
        row.name(),
        field(&kind, "").into(),
        cell::some(&ports, SHOWN).into(),
        cell::some(&addresses, SHOWN).into(),
        row.age(),
    ]
}

fn ingress(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let ports = if list(&spec, "/tls").is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        row.name(),
        maybe_text(&spec, "/ingressClassName").unwrap_or(NONE).into(),
        hosts(list(&spec, "/rules")).into(),
        load_balancer(&status).into(),
        ports.into(),
        row.age(),
    ]
}

/// Hosts of rules. What is left out is counted in rules, not in hosts, as the server does.
fn hosts(rules: &[Value]) -> String {
    let hosts = rules.iter().map(|rule| field(rule, "/host"));
    let places: Vec<(usize, &str)> = hosts.enumerate().filter(|(_, host)| !host.is_empty()).collect();
    let shown = cell::join(places.iter().take(SHOWN).map(|(_, host)| *host), ",");
    let more = places
        .get(SHOWN - 1)
        .is_some_and(|(place, _)| place + 1 < rules.len());
    match more {
        _ if shown.is_empty() => "*".to_owned(),
        true => format!("{shown} + {} more...", rules.len() - SHOWN),
        false => shown,
    }
}

fn ingress_class(row: &Row<'_>) -> Vec<Value> {
    let spec = row.spec();
    let parameters = cell::set(&spec, "/parameters").map(|parameters| {
        let (kind, name) = (field(parameters, "/kind"), field(parameters, "/name"));
        match maybe_text(parameters, "/apiGroup") {
            Some(group) => format!("{kind}.{group}/{name}"),
            None => format!("{kind}/{name}"),
        }
    });
    vec![
        row.name(),
        field(&spec, "/controller").into(),
        parameters.unwrap_or_else(|| NONE.to_owned()).into(),
        row.age(),
    ]
}

/// One cell more than columns, as the server gives.
fn ip_address(row: &Row<'_>) -> Vec<Value> {
    let spec = row.spec();
    let parent = cell::set(&spec, "/parentRef").map(|parent| {
        let mut words = field(parent, "/resource").to_lowercase();
        for (sign, pointer) in [(".", "/group"), ("/", "/namespace")] {
            let word = field(parent, pointer);
            if !word.is_empty() {
                words.push_str(sign);
                words.push_str(word);
            }
        }
        format!("{words}/{}", field(parent, "/name"))
    });
    vec![
        row.name(),
        parent.unwrap_or_else(|| NONE.to_owned()).into(),
        row.age(),
    ]
}

#[cfg(test)]
mod tests;
