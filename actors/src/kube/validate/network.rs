//! Ingresses and network policies (kubernetes: `pkg/apis/networking/validation/validation.go`).

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::node::{Faults, Node};
use super::words;
use crate::kube::names;

const BAD_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_SUFFIXES: [&str; 2] = ["/..", "/."];

type Fields = Map<String, Value>;

pub(super) fn ingress(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    let default = spec.get("defaultBackend");
    if spec.len("rules") == 0 && !default.exists() {
        faults.invalid(
            "spec",
            spec.get("rules").value.clone(),
            "either `defaultBackend` or `rules` must be specified",
        );
    }
    if default.exists() {
        backend(faults, &default);
    }
    for rule in spec.items("rules") {
        let host = rule.text("host");
        if !host.is_empty() {
            if host.parse::<IpAddr>().is_ok() {
                faults.invalid(rule.at("host"), host, "must be a DNS name, not an IP address");
            }
            self::host(faults, &rule.at("host"), host);
        }
        if let Some(http) = rule.some("http") {
            if http.len("paths") == 0 {
                faults.required(http.at("paths"), "");
            }
            for path in http.items("paths") {
                self::path(faults, &path);
            }
        }
    }
    for tls in spec.items("tls") {
        for (index, name) in tls.texts("hosts").enumerate() {
            host(faults, &format!("{}[{index}]", tls.at("hosts")), name);
        }
        let secret = tls.text("secretName");
        if !secret.is_empty() {
            words::subdomain(faults, &tls.at("secretName"), secret);
        }
    }
    let class = spec.text("ingressClassName");
    if !class.is_empty() {
        words::subdomain(faults, &spec.at("ingressClassName"), class);
    }
}

fn host(faults: &mut Faults, field: &str, name: &str) {
    if !name.contains('*') {
        words::subdomain(faults, field, name);
        return;
    }
    let fine = name
        .strip_prefix("*.")
        .is_some_and(|rest| names::subdomain(rest).is_empty());
    if !fine {
        faults.invalid(
            field,
            name,
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        );
    }
}

fn path(faults: &mut Faults, path: &Node<'_>) {
    let (kind, text) = (path.text("pathType"), path.text("path"));
    let field = path.at("path");
    match kind {
        "" => {
            faults.required(path.at("pathType"), "pathType must be specified");
            return;
        }
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                faults.invalid(&*field, text, "must be an absolute path");
            }
            for sequence in BAD_SEQUENCES.iter().filter(|sequence| text.contains(**sequence)) {
                faults.invalid(&*field, text, format!("must not contain '{sequence}'"));
            }
            for suffix in BAD_SUFFIXES.iter().filter(|suffix| text.ends_with(**suffix)) {
                faults.invalid(&*field, text, format!("cannot end with '{suffix}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                faults.invalid(&*field, text, "must be an absolute path");
            }
        }
        other => faults.not_supported(
            path.at("pathType"),
            other,
            &["Exact", "ImplementationSpecific", "Prefix"],
        ),
    }
    backend(faults, &path.get("backend"));
}

fn backend(faults: &mut Faults, backend: &Node<'_>) {
    match (backend.some("resource"), backend.some("service")) {
        (Some(_), Some(_)) => faults.invalid(
            &*backend.path,
            "",
            "cannot set both resource and service backends",
        ),
        (Some(resource), None) => {
            for field in ["kind", "name"] {
                if resource.text(field).is_empty() {
                    faults.required(resource.at(field), "");
                }
            }
        }
        (None, Some(service)) => {
            match service.text("name") {
                "" => faults.required(service.at("name"), ""),
                name => words::label(faults, &service.at("name"), name),
            }
            let port = service.get("port");
            match (port.text("name"), port.int("number").unwrap_or(0)) {
                ("", 0) => faults.required(&*backend.path, "port name or number is required"),
                ("", number) => words::port_number(faults, port.at("number"), number),
                (name, 0) => {
                    words::port_name(faults, &port.at("name"), name);
                }
                _ => faults.invalid(&*backend.path, "", "cannot set both port name & port number"),
            }
        }
        (None, None) => faults.invalid(&*backend.path, "", "resource or service backend is required"),
    }
}

pub(super) fn policy(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    words::label_selector(faults, &spec.get("podSelector"));
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.items(list) {
            for port in rule.items("ports") {
                policy_port(faults, &port);
            }
            for peer in rule.items(peers) {
                self::peer(faults, &peer);
            }
        }
    }
    let types = ["Ingress", "Egress"];
    if spec.len("policyTypes") > types.len() {
        faults.invalid(
            spec.at("policyTypes"),
            spec.get("policyTypes").value.clone(),
            "may not specify more than two policyTypes",
        );
        return;
    }
    for (index, kind) in spec.texts("policyTypes").enumerate() {
        if !types.contains(&kind) {
            faults.not_supported(format!("{}[{index}]", spec.at("policyTypes")), kind, &types);
        }
    }
}

fn policy_port(faults: &mut Faults, port: &Node<'_>) {
    let protocol = port.text("protocol");
    let protocols = ["TCP", "UDP", "SCTP"];
    if !protocol.is_empty() && !protocols.contains(&protocol) {
        faults.not_supported(port.at("protocol"), protocol, &protocols);
    }
    let (start, end) = (port.get("port"), port.int("endPort"));
    match (start.value, end) {
        (Value::Null, Some(end)) => faults.invalid(
            port.at("endPort"),
            end,
            "may not be specified when `port` is not specified",
        ),
        (Value::Null, None) => {}
        (Value::String(name), end) => {
            if let Some(end) = end {
                faults.invalid(
                    port.at("endPort"),
                    end,
                    "may not be specified when `port` is non-numeric",
                );
            }
            words::port_name(faults, &start.path, name);
        }
        (number, end) => {
            let number = number.as_i64().unwrap_or(0);
            words::port_number(faults, start.path, number);
            if let Some(end) = end {
                if end < number {
                    faults.invalid(
                        port.at("endPort"),
                        number,
                        "must be greater than or equal to `port`",
                    );
                }
                words::port_number(faults, port.at("endPort"), end);
            }
        }
    }
}

fn peer(faults: &mut Faults, peer: &Node<'_>) {
    let mut found = 0;
    for selector in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = peer.some(selector) {
            found += 1;
            words::label_selector(faults, &selector);
        }
    }
    if let Some(block) = peer.some("ipBlock") {
        found += 1;
        ip_block(faults, &block);
        if found > 1 {
            faults.forbidden(&*peer.path, "may not specify both ipBlock and another peer");
        }
    }
    if found == 0 {
        faults.required(&*peer.path, "must specify a peer");
    }
}

fn ip_block(faults: &mut Faults, block: &Node<'_>) {
    let text = block.text("cidr");
    if text.is_empty() {
        faults.required(block.at("cidr"), "");
        return;
    }
    let Some(outer) = words::cidr(faults, &block.at("cidr"), text) else {
        return;
    };
    for (index, text) in block.texts("except").enumerate() {
        let field = format!("{}[{index}]", block.at("except"));
        if let Some(inner) = words::cidr(faults, &field, text)
            && !is_inside(outer, inner)
        {
            faults.invalid(field, text, "must be a strict subset of `cidr`");
        }
    }
}

fn is_inside((outer, length): (IpAddr, u8), (inner, inner_length): (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    let mask = u128::MAX
        .checked_shl(128_u32.saturating_sub(length.into()))
        .unwrap_or(0);
    outer.is_ipv4() == inner.is_ipv4() && length < inner_length && bits(outer) & mask == bits(inner) & mask
}
