use serde_json::{Value, json};

use crate::kube::table::kit::{cells, object};

fn service(spec: Value, status: Value) -> Value {
    let service = object(json!({"metadata": {"name": "s"}, "spec": spec, "status": status}));
    cells("", "services", &service)
}

#[test]
fn kinds_of_services() {
    let ports = json!([{"port": 80, "protocol": "TCP"}, {"port": 443, "nodePort": 30443, "protocol": "TCP"}]);
    assert_eq!(
        service(
            json!({"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ports": ports,
                "selector": {"app": "web"}}),
            json!({})
        ),
        json!([
            "s",
            "ClusterIP",
            "10.96.0.1",
            "<none>",
            "80/TCP,443:30443/TCP",
            "5m",
            "app=web"
        ])
    );
    assert_eq!(
        service(
            json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({})
        ),
        json!([
            "s",
            "ExternalName",
            "<none>",
            "example.com",
            "<none>",
            "5m",
            "<none>"
        ])
    );
    let external = |spec: Value, status: Value| service(spec, status)[3].clone();
    let balancer = json!({"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "lb.example.com"}, {"ip": "3.4.5.6"}]}});
    assert_eq!(external(json!({"type": "LoadBalancer"}), json!({})), "<pending>");
    assert_eq!(
        external(json!({"type": "LoadBalancer"}), balancer.clone()),
        "3.4.5.6,9.9.9.9,lb.example.com"
    );
    assert_eq!(
        external(
            json!({"type": "LoadBalancer", "externalIPs": ["1.1.1.1"]}),
            balancer
        ),
        "3.4.5.6,9.9.9.9,lb.example.com,1.1.1.1"
    );
    assert_eq!(
        external(
            json!({"type": "NodePort", "externalIPs": ["1.1.1.1", "2.2.2.2"]}),
            json!({})
        ),
        "1.1.1.1,2.2.2.2"
    );
    assert_eq!(external(json!({}), json!({})), "<unknown>");
}

#[test]
fn endpoints() {
    let shown = |subsets: Value| {
        let endpoints = object(json!({"metadata": {"name": "e"}, "subsets": subsets}));
        cells("", "endpoints", &endpoints)[1].clone()
    };
    assert_eq!(shown(Value::Null), "<none>");
    assert_eq!(
        shown(
            json!([{"addresses": [{"ip": "1.2.3.4"}, {"ip": "fd00::1"}], "ports": [{"port": 8001}, {"name": "b", "port": 80}]}])
        ),
        "1.2.3.4:8001,[fd00::1]:8001,1.2.3.4:80 + 1 more..."
    );
    assert_eq!(
        shown(json!([{"addresses": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.5"}]}])),
        "1.2.3.4,1.2.3.5"
    );
    assert_eq!(shown(json!([{"notReadyAddresses": [{"ip": "1.2.3.4"}]}])), "");
}

#[test]
fn endpoint_slices() {
    let slice = |ports: Value, endpoints: Value| {
        cells(
            "discovery.k8s.io",
            "endpointslices",
            &object(
                json!({"metadata": {"name": "x"}, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}),
            ),
        )
    };
    assert_eq!(
        slice(
            json!([{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "any"}, {}]),
            json!([{"addresses": ["10.1.2.3", "10.1.2.4"]}, {"addresses": ["10.1.2.5"]}, {"addresses": ["10.1.2.6"]}])
        ),
        json!([
            "x",
            "IPv4",
            "80,any,*",
            "10.1.2.3,10.1.2.4,10.1.2.5 + 1 more...",
            "5m"
        ])
    );
    assert_eq!(
        slice(Value::Null, Value::Null),
        json!(["x", "IPv4", "<unset>", "<unset>", "5m"])
    );
}

#[test]
fn ingresses() {
    let ingress = |spec: Value, status: Value| {
        let ingress = object(json!({"metadata": {"name": "i"}, "spec": spec, "status": status}));
        cells("networking.k8s.io", "ingresses", &ingress)
    };
    assert_eq!(
        ingress(
            json!({"ingressClassName": "nginx", "tls": [{}], "rules": [
                {"host": "a"}, {"host": ""}, {"host": "b"}, {"host": "c"}, {"host": "d"}
            ]}),
            json!({"loadBalancer": {"ingress": [{"ip": "2.3.4.5"}, {"hostname": "localhost.localdomain"}]}})
        ),
        json!([
            "i",
            "nginx",
            "a,b,c + 2 more...",
            "2.3.4.5,localhost.localdomain",
            "80, 443",
            "5m"
        ])
    );
    assert_eq!(
        ingress(json!({"rules": [{"http": {}}]}), json!({})),
        json!(["i", "<none>", "*", "", "80", "5m"])
    );
    let three = json!({"rules": [{"host": "a"}, {"host": "b"}, {"host": "c"}]});
    assert_eq!(ingress(three, json!({}))[2], "a,b,c");
}

#[test]
fn other_things_of_the_network() {
    let class = |spec: Value| {
        cells(
            "networking.k8s.io",
            "ingressclasses",
            &object(json!({"metadata": {"name": "c"}, "spec": spec})),
        )
    };
    assert_eq!(
        class(
            json!({"controller": "example.com/c", "parameters": {"apiGroup": "x.io", "kind": "P", "name": "n"}})
        ),
        json!(["c", "example.com/c", "P.x.io/n", "5m"])
    );
    assert_eq!(
        class(json!({"controller": "c"})),
        json!(["c", "c", "<none>", "5m"])
    );
    let policy = object(json!({"metadata": {"name": "p"}, "spec": {"podSelector": {}}}));
    assert_eq!(
        cells("networking.k8s.io", "networkpolicies", &policy),
        json!(["p", "<none>", "5m"])
    );
    let range =
        object(json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.0.0.0/8", "fd00::/112"]}}));
    assert_eq!(
        cells("networking.k8s.io", "servicecidrs", &range),
        json!(["kubernetes", "10.0.0.0/8,fd00::/112", "5m"])
    );
    let address = object(json!({"metadata": {"name": "10.0.0.1"}, "spec": {
        "parentRef": {"resource": "services", "namespace": "default", "name": "kubernetes"}
    }}));
    assert_eq!(
        cells("networking.k8s.io", "ipaddresses", &address),
        json!(["10.0.0.1", "services/default/kubernetes", "5m"])
    );
}
