//! `metalsim userdata`: what it makes is read by what reads config drives, and by OpenSSL.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use metalsim::boot::system;
use metalsim::forge::cluster::Settings;
use metalsim::forge::kubeadm::Node;
use metalsim::forge::{Bootstrap, Cluster, Role, cloud_config};
use metalsim_actors::node::os::description::SystemDescription;
use metalsim_actors::node::os::intent::{Discovery, DiscoveryTrust, Intent, KeyPair, Pki, TokenLifetime};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const ENDPOINT: &str = "172.22.0.10:6443";

/// A folder with a cluster's state and all that was made of it.
struct Forge(TempDir);

impl Forge {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_metalsim"))
            .current_dir(self.0.path())
            .args(["userdata", "--cluster", "c1", "--state", "state"])
            .args(more)
            .output()
            .unwrap()
    }

    /// What a call that succeeds prints.
    fn make(&self, more: &[&str]) -> String {
        let made = self.call(more);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap()
    }

    fn init(&self) -> String {
        self.make(&["--role", "init", "--endpoint", ENDPOINT])
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("state/c1.json")).unwrap()).unwrap()
    }
}

/// The system that user data make on the machine `host-1`.
fn described(user_data: &str) -> SystemDescription {
    let meta_data = json!({"uuid": "u-1", "name": "host-1", "providerid": "ns/host-1/m-1"});
    let drive = json!({"meta_data": meta_data, "user_data": user_data});
    let description = system::of_config_drive(&drive.to_string());
    assert!(description.warnings.is_empty(), "{:?}", description.warnings);
    description
}

fn openssl(args: &[&str]) -> String {
    let done = Command::new("openssl").args(args).output().unwrap();
    assert!(
        done.status.success(),
        "openssl {args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

/// The pairs in files, as OpenSSL wants them.
fn written(pki: &Pki, folder: &Path) -> Vec<(&'static str, PathBuf, PathBuf)> {
    let pairs: [(_, &Option<KeyPair>); 4] = [
        ("ca", &pki.cluster_ca),
        ("etcd", &pki.etcd_ca),
        ("proxy", &pki.front_proxy_ca),
        ("sa", &pki.service_account),
    ];
    pairs
        .into_iter()
        .map(|(name, pair)| {
            let pair = pair.as_ref().unwrap();
            let (public, private) = (
                folder.join(format!("{name}.pub")),
                folder.join(format!("{name}.key")),
            );
            std::fs::write(&public, &*pair.public).unwrap();
            std::fs::write(&private, pair.private.as_ref().unwrap().expose()).unwrap();
            (name, public, private)
        })
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The hash of the CA's public key, made by OpenSSL as kubeadm's documentation says.
fn hash_of(certificate: &str, folder: &Path) -> String {
    let (pem, der) = (folder.join("hashed.crt"), folder.join("hashed.der"));
    let public = folder.join("hashed.pub");
    std::fs::write(&pem, certificate).unwrap();
    std::fs::write(
        &public,
        openssl(&["x509", "-pubkey", "-noout", "-in", text(&pem)]),
    )
    .unwrap();
    openssl(&[
        "pkey",
        "-pubin",
        "-in",
        text(&public),
        "-outform",
        "der",
        "-out",
        text(&der),
    ]);
    let sum = openssl(&["dgst", "-sha256", "-r", text(&der)]);
    format!("sha256:{}", sum.split(' ').next().unwrap())
}

fn discovers(discovery: &Discovery, token: &str, hash: &str) {
    assert_eq!(discovery.endpoint.to_string(), ENDPOINT);
    assert_eq!(discovery.token.as_ref().unwrap().expose(), token);
    assert_eq!(
        discovery.trust,
        DiscoveryTrust::CaCertHashes([hash.into()].into())
    );
}

#[test]
fn machines_of_a_cluster_belong_together_in_every_format_and_version() {
    for (version, format) in [
        ("v1.34.2", "cloud-config"),
        ("v1.30.4", "cloud-config"),
        ("v1.34.2", "ignition"),
        ("v1.30.4", "ignition"),
    ] {
        let forge = Forge::new();
        let node = [
            "--format",
            format,
            "--node-labels",
            "metal3.io/uuid={{ ds.meta_data.uuid }},role=test",
            "--provider-id",
            "metal3://{{ ds.meta_data.providerid }}",
        ];
        let first = [
            "--role",
            "init",
            "--endpoint",
            ENDPOINT,
            "--kubernetes-version",
            version,
        ];
        let nets = [
            "--pod-subnet",
            "10.1.0.0/16",
            "--service-subnet",
            "10.2.0.0/16",
            "--cert-san",
            "api.c1.example",
        ];
        let described = |args: &[&[&str]]| described(&forge.make(&args.concat()));
        let init = described(&[&first, &nets, &node]);
        let control_plane = described(&[&["--role", "control-plane"], &node]);
        let worker = described(&[&["--role", "worker"], &node]);
        let (Intent::Init(init), Intent::JoinControlPlane(control_plane), Intent::JoinWorker(worker)) =
            (init.intent, control_plane.intent, worker.intent)
        else {
            panic!("{version} {format}: other intents");
        };
        assert_eq!(&*init.cluster.cluster_name, "c1");
        assert_eq!(init.cluster.control_plane_endpoint.unwrap().to_string(), ENDPOINT);
        assert_eq!(init.cluster.kubernetes_version.as_deref(), Some(version));
        assert_eq!(init.cluster.networking.pod_subnet.as_deref(), Some("10.1.0.0/16"));
        assert_eq!(&*init.cluster.networking.service_subnet, "10.2.0.0/16");
        assert_eq!(*init.cluster.cert_sans, ["api.c1.example".into()]);
        let [token] = &*init.bootstrap_tokens else {
            panic!("{:?}", init.bootstrap_tokens)
        };
        let hash = hash_of(&init.pki.cluster_ca.as_ref().unwrap().public, forge.0.path());
        assert_eq!(token.lifetime, TokenLifetime::For(Duration::from_secs(15 * 60)));
        discovers(&control_plane.discovery, token.token.expose(), &hash);
        discovers(&worker.discovery, token.token.expose(), &hash);
        assert_eq!(init.pki, control_plane.pki);
        let host_name = (format == "cloud-config").then_some("host-1");
        for node in [&init.node, &control_plane.node, &worker.node] {
            assert_eq!(node.name.as_deref(), host_name, "{format}");
            assert_eq!(node.labels["metal3.io/uuid"], "u-1".into());
            assert_eq!(node.labels["role"], "test".into());
            assert_eq!(node.provider_id.as_deref(), Some("metal3://ns/host-1/m-1"));
        }
        assert_eq!((&init.node.taints, &control_plane.node.taints), (&None, &None));
        let taints = worker.node.taints.unwrap();
        assert_eq!(&*taints[0].key, "node.cluster.x-k8s.io/uninitialized");
    }
}

#[test]
fn openssl_reads_keys_and_certificates() {
    let forge = Forge::new();
    let Intent::Init(init) = described(&forge.init()).intent else {
        panic!("no init");
    };
    for (name, public, private) in written(&init.pki, forge.0.path()) {
        let private_text = std::fs::read_to_string(&private).unwrap();
        assert!(
            private_text.starts_with("-----BEGIN EC PRIVATE KEY-----\n"),
            "{name}"
        );
        let of_key = openssl(&["pkey", "-in", text(&private), "-pubout"]);
        if name == "sa" {
            assert_eq!(of_key, std::fs::read_to_string(&public).unwrap());
            continue;
        }
        let certificate = ["x509", "-noout", "-in", text(&public)];
        assert_eq!(
            of_key,
            openssl(&[&certificate[..], &["-pubkey"]].concat()),
            "{name}"
        );
        let subject = openssl(&[&certificate[..], &["-subject", "-nameopt", "RFC2253"]].concat());
        assert_eq!(subject.trim(), "subject=CN=kubernetes");
        let extensions = openssl(&[&certificate[..], &["-ext", "basicConstraints,keyUsage"]].concat());
        for wanted in [
            "CA:TRUE",
            "Certificate Sign",
            "Digital Signature",
            "Key Encipherment",
        ] {
            assert!(extensions.contains(wanted), "{name}: {extensions}");
        }
        let nine_years = (9 * 365 * 86_400).to_string();
        openssl(&[&certificate[..], &["-checkend", &nine_years]].concat());
        openssl(&["verify", "-CAfile", text(&public), text(&public)]);
    }
}

#[test]
fn a_kubeconfig_has_a_client_certificate_of_the_cluster() {
    let forge = Forge::new();
    let out = [
        "--role",
        "init",
        "--endpoint",
        ENDPOINT,
        "--kubeconfig",
        "k",
        "--output",
        "u",
    ];
    assert_eq!(forge.make(&out), "");
    let kubeconfig = std::fs::read_to_string(forge.path("k")).unwrap();
    assert!(
        kubeconfig.contains(&format!("server: https://{ENDPOINT}\n")),
        "{kubeconfig}"
    );
    let decoded = |key: &str, name: &str| {
        use base64::Engine as _;
        let value = kubeconfig.split(key).nth(1).unwrap().lines().next().unwrap();
        let bytes = base64::prelude::BASE64_STANDARD.decode(value.trim()).unwrap();
        std::fs::write(forge.path(name), bytes).unwrap();
        forge.path(name)
    };
    let ca = decoded("certificate-authority-data:", "ca");
    let client = decoded("client-certificate-data:", "client");
    let ca_kept = forge.state()["authorities"]["ca"]["public"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(std::fs::read_to_string(&ca).unwrap(), ca_kept);
    openssl(&[
        "verify",
        "-purpose",
        "sslclient",
        "-CAfile",
        text(&ca),
        text(&client),
    ]);
    let subject = openssl(&[
        "x509",
        "-noout",
        "-subject",
        "-nameopt",
        "RFC2253",
        "-in",
        text(&client),
    ]);
    assert_eq!(
        subject.trim(),
        "subject=CN=kubernetes-super-admin,O=system:masters"
    );
}

#[test]
fn what_is_secret_is_for_its_owner_only() {
    let forge = Forge::new();
    let files = ["--output", "u", "--config-drive", "d.json", "--kubeconfig", "k"];
    forge.make(&[&["--role", "init", "--endpoint", ENDPOINT][..], &files].concat());
    let mode = |name: &str| std::fs::metadata(forge.path(name)).unwrap().permissions().mode() & 0o777;
    for name in ["state/c1.json", "u", "d.json", "k"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(mode("state"), 0o700);
}

/// PEM bodies, token and hash by words, so that texts can be compared.
fn without_secrets(user_data: &str, token: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut inside = false;
    for line in user_data.lines() {
        let ends = line.contains("-----END ");
        inside &= !ends;
        if !inside {
            lines.push(match line.split_once("sha256:") {
                Some((before, _)) => format!("{before}sha256:HASH"),
                None => line.replace(token, "TOKEN"),
            });
        }
        inside |= line.contains("-----BEGIN ");
    }
    lines.join("\n") + "\n"
}

#[test]
fn cloud_configs_have_the_shape_of_cluster_api() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/forge");
    let forge = Forge::new();
    let init = [
        "--role",
        "init",
        "--endpoint",
        ENDPOINT,
        "--pod-subnet",
        "10.1.0.0/16",
        "--dns-domain",
        "cluster.local",
    ];
    let label = ["--node-labels", "metal3.io/uuid={{ ds.meta_data.uuid }}"];
    let older = ["--kubernetes-version", "v1.30.4"];
    let calls: [(&str, Vec<&str>); 4] = [
        ("init", [&init[..], &label].concat()),
        ("join-control-plane", vec!["--role", "control-plane"]),
        ("join-worker", [&["--role", "worker"][..], &label].concat()),
        (
            "join-worker-v1beta3",
            [&["--role", "worker"][..], &label, &older].concat(),
        ),
    ];
    for (name, call) in calls {
        let made = forge.make(&call);
        let token = forge.state()["token"].as_str().unwrap().to_owned();
        let expected = std::fs::read_to_string(fixtures.join(name)).unwrap();
        assert_eq!(without_secrets(&made, &token), expected, "{name}");
    }
}

#[test]
fn ignition_runs_kubeadm_once() {
    let forge = Forge::new();
    let made = forge.make(&["--role", "init", "--endpoint", ENDPOINT, "--format", "ignition"]);
    let config: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(config["ignition"]["version"], "3.4.0");
    let files = config["storage"]["files"].as_array().unwrap();
    let files: Vec<(&str, u64)> = files
        .iter()
        .map(|file| (file["path"].as_str().unwrap(), file["mode"].as_u64().unwrap()))
        .collect();
    assert_eq!(files.len(), 10);
    assert_eq!(files[0], ("/etc/kubernetes/pki/ca.crt", 0o640));
    assert_eq!(files[1], ("/etc/kubernetes/pki/ca.key", 0o600));
    assert_eq!(
        files[8..],
        [("/etc/kubeadm.sh", 0o700), ("/etc/kubeadm.yml", 0o600)]
    );
    let unit = &config["systemd"]["units"][0];
    assert_eq!(
        (&unit["name"], &unit["enabled"]),
        (&json!("kubeadm.service"), &json!(true))
    );
    assert!(
        unit["contents"]
            .as_str()
            .unwrap()
            .contains("ExecStart=/etc/kubeadm.sh\n")
    );
}

#[test]
fn a_second_init_keeps_the_secrets_and_takes_what_is_new() {
    let forge = Forge::new();
    let first = forge.init();
    let kept = forge.state();
    assert_eq!(kept["tokenTtl"], "15m0s");
    assert_eq!(forge.make(&["--role", "init"]), first);
    std::fs::write(forge.path("token"), "zzzzzz.0123456789abcdef\n").unwrap();
    let changes = [
        "--endpoint",
        "api.c1.example:8443",
        "--token-ttl",
        "24h",
        "--token-file",
        "token",
    ];
    forge.make(&[&["--role", "init"][..], &changes].concat());
    let changed = forge.state();
    assert_eq!(changed["authorities"], kept["authorities"]);
    assert_eq!(
        (&changed["endpoint"], &changed["tokenTtl"], &changed["token"]),
        (
            &json!("api.c1.example:8443"),
            &json!("24h0m0s"),
            &json!("zzzzzz.0123456789abcdef")
        )
    );
    // What a join is given is for this machine alone.
    let Intent::JoinWorker(worker) =
        described(&forge.make(&["--role", "worker", "--endpoint", "10.0.0.9:1"])).intent
    else {
        panic!("no worker");
    };
    assert_eq!(worker.discovery.endpoint.to_string(), "10.0.0.9:1");
    assert_eq!(forge.state(), changed);
}

#[test]
fn config_drives_are_objects_for_ironic() {
    let forge = Forge::new();
    let user_data = forge.init();
    let drive = ["--role", "init", "--config-drive", "d.json"];
    assert_eq!(forge.make(&drive), "");
    let read = || -> Value { serde_json::from_slice(&std::fs::read(forge.path("d.json")).unwrap()).unwrap() };
    assert_eq!(read(), json!({"user_data": user_data}));
    let (meta_data, network_data) = (json!({"name": "n"}), json!({"links": [], "networks": []}));
    std::fs::write(forge.path("m"), meta_data.to_string()).unwrap();
    std::fs::write(forge.path("n"), network_data.to_string()).unwrap();
    let made = forge.make(
        &[
            &drive[..],
            &["--metadata", "m", "--network-data", "n", "--output", "u"],
        ]
        .concat(),
    );
    assert_eq!(made, "");
    assert_eq!(
        read(),
        json!({"meta_data": meta_data, "network_data": network_data, "user_data": user_data})
    );
    assert_eq!(std::fs::read_to_string(forge.path("u")).unwrap(), user_data);
}

#[test]
fn config_drives_are_images() {
    let forge = Forge::new();
    let user_data = forge.init();
    std::fs::write(
        forge.path("m"),
        json!({"uuid": "u-1", "name": "host-7"}).to_string(),
    )
    .unwrap();
    let network =
        json!({"networks": [{"id": "n", "type": "ipv4", "link": "l", "ip_address": "172.22.0.31/24"}]});
    std::fs::write(forge.path("n"), network.to_string()).unwrap();
    for file in ["d.b64", "d.iso"] {
        let drive = ["--config-drive", file, "--metadata", "m", "--network-data", "n"];
        forge.make(&[&["--role", "init"][..], &drive].concat());
    }
    let description = system::of_config_drive(&std::fs::read_to_string(forge.path("d.b64")).unwrap());
    assert!(description.warnings.is_empty(), "{:?}", description.warnings);
    assert_eq!(description.hostname.as_deref(), Some("host-7"));
    assert_eq!(*description.addresses, ["172.22.0.31".into()]);
    assert_eq!(description.intent.as_str(), "init");

    let iso = forge.path("d.iso");
    let isoinfo = |args: &[&str]| {
        let done = Command::new("isoinfo")
            .args(["-i", text(&iso)])
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let head = isoinfo(&["-d"]);
    assert!(
        head.contains("Volume id: config-2\n") && head.contains("Joliet with UCS level 3"),
        "{head}"
    );
    // By the names of both trees; Ironic asks for the first.
    assert_eq!(
        isoinfo(&["-x", "/openstack/latest/network_data.json;1"]),
        network.to_string()
    );
    assert_eq!(isoinfo(&["-J", "-x", "/openstack/latest/user_data"]), user_data);
    let listed = isoinfo(&["-J", "-f"]);
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        [
            "/openstack",
            "/openstack/latest",
            "/openstack/latest/meta_data.json",
            "/openstack/latest/network_data.json",
            "/openstack/latest/user_data",
        ]
    );
    let out = forge.path("extracted");
    let extracted = Command::new("xorriso")
        .args([
            "-osirrox",
            "on",
            "-indev",
            text(&iso),
            "-extract",
            "/",
            text(&out),
        ])
        .output()
        .unwrap();
    assert!(extracted.status.success(), "{extracted:?}");
    let file = std::fs::read_to_string(out.join("openstack/latest/user_data")).unwrap();
    assert_eq!(file, user_data);
}

#[test]
fn what_cannot_be_is_said_with_exit_code_2() {
    let forge = Forge::new();
    let fails = |args: &[&str], words: &[&str]| {
        let done = forge.call(args);
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(
            (done.status.code(), &*done.stdout),
            (Some(2), &b""[..]),
            "{args:?}: {error}"
        );
        for word in words {
            assert!(error.contains(word), "{args:?}: {error}");
        }
    };
    for role in ["worker", "control-plane"] {
        fails(
            &["--role", role],
            &["state/c1.json", "cluster c1 is not known", "--role init"],
        );
    }
    fails(
        &["--role", "init"],
        &["cluster c1 is new", "--endpoint HOST:PORT"],
    );
    for endpoint in ["host:0", "a b:1", ":6443", "host:99999"] {
        fails(
            &["--role", "init", "--endpoint", endpoint],
            &["no host with an optional port"],
        );
    }
    let new = ["--role", "init", "--endpoint", ENDPOINT];
    for version in ["1.34", "latest", "v1.21.0", "v2.0.0"] {
        let args = [&new[..], &["--kubernetes-version", version]].concat();
        fails(&args, &[version, "no version of Kubernetes"]);
    }
    fails(&["--role", "init", "--cluster", "../c"], &["--cluster"]);
    fails(
        &[&new[..], &["--config-drive", "d.tar"]].concat(),
        &["d.tar", "ends in"],
    );
    fails(
        &[&new[..], &["--token-file", "none"]].concat(),
        &["none", "no such file"],
    );
    std::fs::write(forge.path("token"), "abcdef.SECRET").unwrap();
    fails(
        &[&new[..], &["--token-file", "token"]].concat(),
        &["not a bootstrap token"],
    );
    assert!(
        !forge.path("state").exists(),
        "a call that fails leaves no cluster"
    );

    forge.init();
    fails(
        &["--role", "worker", "--token-ttl", "1h"],
        &["--token-ttl is for --role init only"],
    );
    let good = std::fs::read_to_string(forge.path("state/c1.json")).unwrap();
    let other_key = {
        let other = Forge::new();
        other.init();
        other.state()["authorities"]["etcd"]["private"].clone()
    };
    let mut mixed: Value = serde_json::from_str(&good).unwrap();
    mixed["authorities"]["etcd"]["private"] = other_key;
    for (state, word) in [
        ("{".to_owned(), "not the state of a cluster: line 1"),
        (
            good.replace("\"cluster\": \"c1\"", "\"cluster\": \"c2\""),
            "of cluster c2, not of c1",
        ),
        (good.replace("v1.34.2", "v0"), "no version of Kubernetes"),
        (good.replace("BEGIN EC PRIVATE", "BEGIN"), "ca.crt: "),
        (
            mixed.to_string(),
            "etcd/ca.crt: the certificate of the authority is not that of its key",
        ),
    ] {
        std::fs::write(forge.path("state/c1.json"), state).unwrap();
        fails(&["--role", "worker"], &["state/c1.json: ", word]);
    }
}

#[test]
fn the_help_says_where_the_token_comes_from() {
    let help = Forge::new().make(&["--help"]);
    assert!(help.contains("bootstrapTokens"), "{help}");
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let settings = Settings {
        endpoint: ENDPOINT.parse().unwrap(),
        version: "v1.34.2".parse().unwrap(),
        token_ttl: "15m".parse().unwrap(),
        pod_subnet: None,
        service_subnet: None,
        dns_domain: None,
        cert_sans: Vec::new(),
    };
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    Cluster::new("c1".parse().unwrap(), settings, now).unwrap()
});

proptest! {
    /// Whatever a node's name or provider id looks like, it comes out as it went in. Marks of templates are left out.
    #[test]
    fn texts_of_nodes_come_back(name in "[!-#%-z|~é\u{4e2d}][ -#%-z|~]{0,99}", id in "[ -#%-z|~\n\t]{1,200}", version in 0_usize..2) {
        let mut cluster = CLUSTER.clone();
        cluster.settings.version = ["v1.30.0", "v1.34.2"][version].parse().unwrap();
        let node = Node { name: Some(name.clone()), labels: Vec::new(), provider_id: Some(id.clone()) };
        let bootstrap = Bootstrap::new(&cluster, Role::Worker, &node).unwrap();
        let description = described(cloud_config::render(&bootstrap).expose());
        let Intent::JoinWorker(worker) = description.intent else {
            panic!("{:?}", description.intent)
        };
        prop_assert_eq!(worker.node.name.as_deref(), Some(&*name));
        prop_assert_eq!(worker.node.provider_id.as_deref(), Some(&*id));
    }
}

#[test]
fn nothing_secret_is_shown_in_debug_output() {
    let bootstrap = Bootstrap::new(&CLUSTER, Role::Init, &Node::default()).unwrap();
    let shown = format!("{:?} {bootstrap:?}", *CLUSTER);
    assert!(!shown.contains(CLUSTER.token.expose()));
    assert!(!shown.contains("PRIVATE KEY"));
}
