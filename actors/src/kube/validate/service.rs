//! Services, Endpoints, EndpointSlices (kubernetes: `pkg/apis/core/validation`, `pkg/apis/discovery/validation`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::node::{Faults, Node};
use super::words;

/// Seconds that session affinity may last.
const AFFINITY_MAX: i64 = 86_400;
/// Ports of nodes that services may use (kubernetes: `--service-node-port-range`).
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const ENDPOINTS_MAX: usize = 1000;

type Fields = Map<String, Value>;

pub(super) fn service(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    let kind = spec.text("type");
    let old = old.map(|old| Node::root(old, "spec"));
    if let Some(old) = &old {
        addresses_stay(faults, &spec, old);
    }
    let addresses: Vec<&str> = spec.texts("clusterIPs").collect();
    let headless = addresses == ["None"];
    if spec.len("ports") == 0 && !headless && kind != "ExternalName" {
        faults.required(spec.at("ports"), "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => faults.invalid(
            "spec.clusterIPs[0]",
            "None",
            format!("may not be set to 'None' for {kind} services"),
        ),
        "ExternalName" => external(faults, &spec),
        _ => {}
    }
    let mut names = BTreeSet::new();
    let many = spec.len("ports") > 1;
    for port in spec.items("ports") {
        service_port(faults, &port, many, &mut names);
    }
    words::labels(faults, &spec.at("selector"), spec.map("selector"));
    affinity(faults, &spec);
    if kind != "ExternalName" {
        cluster_addresses(faults, &spec, &addresses);
    }
    for (index, address) in spec.texts("externalIPs").enumerate() {
        let field = format!("{}[{index}]", spec.at("externalIPs"));
        if words::ip(faults, &field, address).is_some() {
            words::endpoint_ip(faults, &field, address);
        }
    }
    faults.one_of(
        spec.at("type"),
        kind,
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    );
    port_clashes(faults, &spec, kind);
    if spec.len("loadBalancerSourceRanges") > 0 {
        let field = spec.at("LoadBalancerSourceRanges");
        if kind != "LoadBalancer" {
            faults.forbidden(&*field, "may only be used when `type` is 'LoadBalancer'");
        }
        for (index, range) in spec.texts("loadBalancerSourceRanges").enumerate() {
            words::cidr(faults, &format!("{field}[{index}]"), range.trim());
        }
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if spec.has(field) && kind != "LoadBalancer" {
            faults.forbidden(spec.at(field), "may only be used when `type` is 'LoadBalancer'");
        }
    }
    policies(faults, &spec, kind);
}

fn external(faults: &mut Faults, spec: &Node<'_>) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let filled = match spec.value.get(field) {
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::String(_)) => true,
            _ => false,
        };
        if filled {
            faults.forbidden(spec.at(field), "may not be set for ExternalName services");
        }
    }
    let name = spec.text("externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => faults.required(spec.at("externalName"), ""),
        name => words::subdomain(faults, &spec.at("externalName"), name),
    }
}

fn service_port<'a>(faults: &mut Faults, port: &Node<'a>, needs_name: bool, names: &mut BTreeSet<&'a str>) {
    let name = port.text("name");
    if name.is_empty() {
        if needs_name {
            faults.required(port.at("name"), "");
        }
    } else {
        words::label(faults, &port.at("name"), name);
        if !names.insert(name) {
            faults.duplicate(port.at("name"), name);
        }
    }
    words::port_number(faults, port.at("port"), port.int("port").unwrap_or(0));
    faults.one_of(port.at("protocol"), port.text("protocol"), &words::PROTOCOLS);
    words::port_or_name(faults, port.at("targetPort"), port.get("targetPort").value);
    let protocol = port.text("appProtocol");
    if !protocol.is_empty() {
        words::qualified(faults, &port.at("appProtocol"), protocol);
    }
}

fn affinity(faults: &mut Faults, spec: &Node<'_>) {
    let affinity = spec.text("sessionAffinity");
    faults.one_of(spec.at("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let config = spec.get("sessionAffinityConfig");
    if affinity == "None" && config.exists() {
        faults.forbidden(config.path, "must not be set when session affinity is None");
    } else if affinity == "ClientIP" {
        let client = config.get("clientIP");
        match client.int("timeoutSeconds") {
            None => faults.required(
                client.at("timeoutSeconds"),
                "when session affinity type is ClientIP",
            ),
            Some(seconds) if !(1..=AFFINITY_MAX).contains(&seconds) => faults.invalid(
                client.at("timeoutSeconds"),
                seconds,
                format!("must be greater than 0 and less than {AFFINITY_MAX}"),
            ),
            Some(_) => {}
        }
    }
}

fn cluster_addresses(faults: &mut Faults, spec: &Node<'_>, addresses: &[&str]) {
    let first = spec.text("clusterIP");
    let field = spec.at("clusterIPs");
    let all = || json!(addresses);
    match (first, addresses.first()) {
        ("", Some(_)) => faults.invalid(&*field, all(), "must be empty when `clusterIP` is not specified"),
        ("", None) => {}
        (_, None) => faults.required(&*field, ""),
        (first, Some(other)) if first != *other => {
            faults.invalid(&*field, all(), "first value must match `clusterIP`");
        }
        _ => {}
    }
    let mut families = BTreeSet::new();
    for (index, family) in spec.texts("ipFamilies").enumerate() {
        let field = format!("{}[{index}]", spec.at("ipFamilies"));
        if !matches!(family, "IPv4" | "IPv6") {
            faults.not_supported(&*field, family, &["IPv4", "IPv6"]);
        }
        if !families.insert(family) {
            faults.duplicate(field, family);
        }
    }
    let policy = spec.text("ipFamilyPolicy");
    if !matches!(
        policy,
        "" | "SingleStack" | "PreferDualStack" | "RequireDualStack"
    ) {
        faults.not_supported(
            spec.at("ipFamilyPolicy"),
            policy,
            &["PreferDualStack", "RequireDualStack", "SingleStack"],
        );
    }
    let mut parsed: Vec<Option<IpAddr>> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        if index == 0 && *address == "None" {
            if addresses.len() > 1 {
                faults.invalid(&*field, all(), "'None' must be the first and only value");
                return;
            }
            return;
        }
        parsed.push(words::ip(faults, &format!("{field}[{index}]"), address));
    }
    if addresses.len() > 2 {
        faults.invalid(&*field, all(), "may only hold up to 2 values");
    }
    let Some(parsed) = parsed.into_iter().collect::<Option<Vec<IpAddr>>>() else {
        return;
    };
    if let [one, other, ..] = parsed.as_slice()
        && one.is_ipv4() == other.is_ipv4()
    {
        faults.invalid(
            &*field,
            all(),
            "may specify no more than one IP for each IP family",
        );
    }
    for (index, (address, family)) in parsed.iter().zip(spec.texts("ipFamilies")).enumerate() {
        let fits = match family {
            "IPv4" => address.is_ipv4(),
            "IPv6" => address.is_ipv6(),
            _ => true,
        };
        if !fits {
            faults.invalid(
                format!("{field}[{index}]"),
                address.to_string(),
                format!("expected an {family} value as indicated by `ipFamilies[{index}]`"),
            );
        }
    }
}

/// The first address of a service stays, as long as it has one.
fn addresses_stay(faults: &mut Faults, spec: &Node<'_>, old: &Node<'_>) {
    if spec.text("type") == "ExternalName" || old.text("type") == "ExternalName" {
        return;
    }
    let before = old.texts("clusterIPs").next().unwrap_or("");
    let after: Vec<&str> = spec.texts("clusterIPs").collect();
    if before.is_empty() {
        return;
    }
    match after.first() {
        None => faults.invalid(
            spec.at("clusterIPs[0]"),
            json!(after),
            "primary clusterIP can not be unset",
        ),
        Some(first) if *first != before => {
            faults.invalid(spec.at("clusterIPs[0]"), json!(after), "may not change once set");
        }
        Some(_) => {}
    }
}

fn port_clashes(faults: &mut Faults, spec: &Node<'_>, kind: &str) {
    let (mut node_ports, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for port in spec.items("ports") {
        let number = port.int("nodePort").unwrap_or(0);
        if number == 0 {
            continue;
        }
        if kind == "ClusterIP" {
            faults.forbidden(port.at("nodePort"), "may not be used when `type` is 'ClusterIP'");
        } else if !NODE_PORTS.contains(&number) {
            faults.invalid(
                port.at("nodePort"),
                number,
                format!(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    NODE_PORTS.start(),
                    NODE_PORTS.end()
                ),
            );
        }
        if !node_ports.insert((port.text("protocol"), number)) {
            faults.duplicate(port.at("nodePort"), number);
        }
    }
    for port in spec.items("ports") {
        let (protocol, number) = (port.text("protocol"), port.int("port").unwrap_or(0));
        if !ports.insert((protocol, number)) {
            // The wire of the real server shows its own struct here.
            faults.duplicate(
                port.path,
                json!({"Name": "", "Protocol": protocol, "AppProtocol": null, "Port": number, "TargetPort": 0, "NodePort": 0}),
            );
        }
    }
}

fn policies(faults: &mut Faults, spec: &Node<'_>, kind: &str) {
    let policy = spec.text("externalTrafficPolicy");
    let accessible =
        matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && spec.len("externalIPs") > 0);
    if accessible {
        if !policy.is_empty() || kind != "ClusterIP" {
            faults.one_of(spec.at("externalTrafficPolicy"), policy, &["Cluster", "Local"]);
        }
    } else if !policy.is_empty() {
        faults.invalid(
            spec.at("externalTrafficPolicy"),
            policy,
            "may only be set for externally-accessible services",
        );
    }
    let health = spec.int("healthCheckNodePort").unwrap_or(0);
    if health != 0 {
        if kind == "LoadBalancer" && policy == "Local" {
            words::port_number(faults, spec.at("healthCheckNodePort"), health);
        } else {
            faults.invalid(
                spec.at("healthCheckNodePort"),
                health,
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
            );
        }
    }
    let internal = spec.text("internalTrafficPolicy");
    if internal.is_empty() {
        if matches!(kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
            faults.required(spec.at("internalTrafficPolicy"), "");
        }
    } else if !matches!(internal, "Cluster" | "Local") {
        faults.not_supported(spec.at("internalTrafficPolicy"), internal, &["Cluster", "Local"]);
    }
    let distribution = spec.text("trafficDistribution");
    let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if !distribution.is_empty() && !known.contains(&distribution) {
        faults.not_supported(spec.at("trafficDistribution"), distribution, &known);
    }
}

pub(super) fn endpoints(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    for subset in Node::list(body, "subsets") {
        if subset.len("addresses") + subset.len("notReadyAddresses") == 0 {
            faults.required(&*subset.path, "must specify `addresses` or `notReadyAddresses`");
        }
        for list in ["addresses", "notReadyAddresses"] {
            for address in subset.items(list) {
                words::ip(faults, &address.at("ip"), address.text("ip"));
                let host = address.text("hostname");
                if !host.is_empty() {
                    words::label(faults, &address.at("hostname"), host);
                }
                if address.has("nodeName") {
                    words::subdomain(faults, &address.at("nodeName"), address.text("nodeName"));
                }
                words::endpoint_ip(faults, &address.at("ip"), address.text("ip"));
            }
        }
        let many = subset.len("ports") > 1;
        for port in subset.items("ports") {
            let name = port.text("name");
            if !name.is_empty() {
                words::label(faults, &port.at("name"), name);
            } else if many {
                faults.required(port.at("name"), "");
            }
            words::port_number(faults, port.at("port"), port.int("port").unwrap_or(0));
            faults.one_of(port.at("protocol"), port.text("protocol"), &words::PROTOCOLS);
        }
    }
}

pub(super) fn endpoint_slice(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let kind = Node::root(body, "addressType");
    let family = kind.value.as_str().unwrap_or("");
    faults.one_of(kind.path.clone(), family, &["FQDN", "IPv4", "IPv6"]);
    let ports = Node::list(body, "ports").count();
    if ports > PORTS_MAX {
        faults.too_many("ports", ports, PORTS_MAX);
    } else {
        let mut names = BTreeSet::new();
        for port in Node::list(body, "ports") {
            let name = port.text("name");
            if !name.is_empty() {
                words::label(faults, &port.at("name"), name);
            }
            if !names.insert(name) {
                faults.duplicate(port.at("name"), name);
            }
            faults.one_of(port.at("protocol"), port.text("protocol"), &words::PROTOCOLS);
        }
    }
    let count = Node::list(body, "endpoints").count();
    if count > ENDPOINTS_MAX {
        faults.too_many("endpoints", count, ENDPOINTS_MAX);
    } else {
        for endpoint in Node::list(body, "endpoints") {
            self::endpoint(faults, &endpoint, family);
        }
    }
    if let Some(old) = old {
        faults.immutable("addressType", kind.value, Node::root(old, "addressType").value);
    }
}

fn endpoint(faults: &mut Faults, endpoint: &Node<'_>, family: &str) {
    let count = endpoint.len("addresses");
    let field = endpoint.at("addresses");
    if count == 0 {
        faults.required(&*field, "must contain at least 1 address");
    } else if count > ADDRESSES_MAX {
        faults.too_many(&*field, count, ADDRESSES_MAX);
    }
    for (index, address) in endpoint.texts("addresses").enumerate() {
        let at = format!("{field}[{index}]");
        if family == "FQDN" {
            words::subdomain(faults, &at, address);
            continue;
        }
        let Some(parsed) = words::ip(faults, &at, address) else {
            continue;
        };
        if family == "IPv4" && !parsed.is_ipv4() {
            faults.invalid(&*field, address, "must be an IPv4 address");
        } else if family == "IPv6" && !parsed.is_ipv6() {
            faults.invalid(&*field, address, "must be an IPv6 address");
        }
        words::endpoint_ip(faults, &at, address);
    }
    if endpoint.has("nodeName") {
        words::subdomain(faults, &endpoint.at("nodeName"), endpoint.text("nodeName"));
    }
    if endpoint.has("hostname") {
        words::label(faults, &endpoint.at("hostname"), endpoint.text("hostname"));
    }
}
