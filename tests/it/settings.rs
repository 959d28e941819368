//! Settings: layers, errors, defaults.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metalsim::cluster::endpoints::Addressing;
use metalsim::settings::{Auth, Invalid, Settings, Sources, default_tree};
use metalsim_actors::timing::Latency;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(names: &[&str]) -> Sources {
    Sources {
        files: names.iter().map(|name| root().join(name)).collect(),
        ..Sources::default()
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn flags(list: &[(&str, &str)]) -> Sources {
    Sources {
        flags: pairs(list),
        ..Sources::default()
    }
}

/// Keys of what is wrong.
fn wrong_keys(sources: &Sources) -> Vec<String> {
    Settings::load(sources)
        .unwrap_err()
        .0
        .into_iter()
        .map(|problem| problem.key)
        .collect()
}

/// A file in a folder of its own.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn without_any_layer_there_are_100_nodes_on_loopback() {
    let settings = Settings::load(&Sources::default()).unwrap();
    assert_eq!(settings.nodes.len(), 100);
    assert_eq!(
        (&*settings.nodes[0].name, &*settings.nodes[99].name),
        ("node-1", "node-100")
    );
    let mut addresses = settings.redfish.listen.clone();
    addresses.extend(&settings.control.listen);
    addresses.push(settings.agent.listen);
    let text: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["127.0.0.1:8000", "127.0.0.1:3333", "127.0.0.1:9999"]);
    assert_eq!(settings.images.listen, []);
    assert_eq!(settings.warnings, [""; 0]);
}

fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) => table
            .iter()
            .for_each(|(key, value)| keys(value, &format!("{path}.{key}"), found)),
        Value::Array(list) => list
            .iter()
            .for_each(|value| keys(value, &format!("{path}[]"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.insert(path.to_owned());
}

#[test]
fn the_default_file_holds_every_key_and_the_built_in_values() {
    use config::Format as _;
    let text = std::fs::read_to_string(root().join("config/default.yaml")).unwrap();
    let parsed = config::FileFormat::Yaml.parse(None, &text).unwrap();
    let parsed: Value = config::Value::from(parsed).try_deserialize().unwrap();
    let (mut in_file, mut built_in) = (BTreeSet::new(), BTreeSet::new());
    keys(&parsed, "", &mut in_file);
    keys(&default_tree(), "", &mut built_in);
    assert_eq!(in_file, built_in);
    let settings = Settings::load(&files(&["config/default.yaml"])).unwrap();
    assert_eq!(settings.effective, default_tree());
}

#[test]
fn the_examples_are_valid() {
    let quick = Settings::load(&files(&["config/examples/quick.yaml"])).unwrap();
    assert_eq!(quick.timing.ramdisk_boot, Latency::ZERO);
    assert_eq!(
        quick.ironic.inspection_callback_url.unwrap().as_str(),
        "http://127.0.0.1:6385/v1/continue_inspection"
    );

    let mut large = files(&["config/examples/ten-thousand.yaml"]);
    large.environment = pairs(&[("METALSIM_REDFISH__PASSWORD", "12345")]);
    let large = Settings::load(&large).unwrap();
    assert_eq!((large.nodes.len(), large.redfish.listen.len()), (10_000, 16));
    assert_eq!(&*large.nodes[9999].profile.model, "Storage 4U");
    assert_eq!(large.nodes[9999].profile.cpu.sockets, 2);
    assert!(Arc::ptr_eq(
        &large.nodes[6000].profile,
        &large.nodes[9999].profile
    ));

    let listed = Settings::load(&files(&["config/examples/listed.yaml"])).unwrap();
    assert_eq!(
        listed.nodes[0].id.to_string(),
        "27946b59-9e44-4fa7-8e91-f3527a1ef094"
    );
    assert!(!listed.nodes[0].power_on && listed.nodes[1].power_on);
    assert_eq!(listed.nodes[1].macs.len(), 2);
    assert_eq!(listed.warnings.len(), 1, "one warning names all ignored keys");
    assert!(
        listed.warnings[0].ends_with("external_notifier, nics.ip"),
        "{:?}",
        listed.warnings
    );
}

#[test]
fn the_three_formats_say_the_same() {
    let load = |name| Settings::load(&files(&[name])).unwrap();
    let yaml = load("tests/settings/good.yaml");
    for other in ["tests/settings/good.toml", "tests/settings/good.json"] {
        assert_eq!(load(other).effective, yaml.effective, "{other}");
    }
    let names: Vec<&str> = yaml.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["rack1-0", "rack1-1", "rack1-2", "lonely"]);
    assert_eq!(yaml.nodes[0].labels.get("Rack").map(|value| &**value), Some("1"));
    assert!(yaml.nodes[0].power_on && !yaml.nodes[3].power_on);
    assert_eq!(yaml.redfish.listen.len(), 5);
    assert_eq!(
        yaml.timing.post,
        Latency::Uniform {
            min: Duration::from_secs(1),
            max: Duration::from_secs(11)
        }
    );
    assert_eq!(
        yaml.timing.of_command("image.install_bootloader"),
        Latency::millis(250)
    );
    assert_eq!(
        yaml.timing.power_on,
        Latency::millis(1000),
        "other keys of the section keep their defaults"
    );
}

#[test]
fn faults_are_in_force_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let text = "fleet: [{name: 'n-{}', count: 4}]\n\
                faults:\n\
                - {name: deaf, which: {names: [n-2]}, when: {from: 1m}, what: reset_ignored}\n\
                - {name: slow, what: {bmc_slow: {delay: {uniform: [1s, 2s]}}}}\n";
    let sources = Sources {
        files: vec![file(&folder, "faulty.yaml", text)],
        ..Sources::default()
    };
    let settings = Settings::load(&sources).unwrap();
    let set = settings.fault_set(&settings.faults);
    let picked = |name| set.picked(name).unwrap().iter().count();
    assert_eq!((picked("deaf"), picked("slow")), (1, 4));
    assert_eq!(
        settings.effective["faults"][0]["what"],
        serde_json::json!({"reset_ignored": {}})
    );
    let nobody = file(&folder, "nobody.yaml", &text.replace("[n-2]", "[n-9]"));
    let sources = Sources {
        files: vec![nobody],
        ..Sources::default()
    };
    assert_eq!(wrong_keys(&sources), ["faults[0].which.names[0]"]);
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(
        &folder,
        "first.yaml",
        "seed: 1\nspeed: 2\nredfish: {max_body: 2KiB}\nlog: {level: warn}\n",
    );
    let second = file(&folder, "second.toml", "speed = 3\n[log]\nformat = 'json'\n");
    let settings = Settings::load(&Sources {
        scenario: None,
        files: vec![first, second],
        environment: pairs(&[
            ("METALSIM_REDFISH__LISTEN", "127.0.0.1:81,127.0.0.1:82"),
            ("METALSIM_REDFISH__PASSWORD", "1234"),
            ("METALSIM_REDFISH__USERNAME", "true"),
            ("METALSIM_SEED", "4"),
            ("METALSIM_TIMING__POST", "{uniform: [1s, 2s]}"),
            ("METALSIM_FLEET__0__LABELS__Rack", "7"),
            ("METALSIM_IRONIC__INSECURE", "true"),
            ("METALSIM_BIN", "/usr/bin/metalsim"),
            ("PATH", "/bin"),
        ]),
        flags: pairs(&[
            ("seed", "5"),
            ("fleet[0].count", "2"),
            ("timing.agent_commands", "{write_image: 0s}"),
        ]),
    })
    .unwrap();
    assert_eq!((settings.seed, settings.speed), (5, 3.0));
    assert_eq!(settings.redfish.max_body, 2048);
    assert_eq!(&*settings.log.filter, "warn");
    assert_eq!(settings.redfish.listen.len(), 2);
    assert!(
        matches!(settings.redfish.auth, Some(Auth::Single { ref username, ref password })
        if &**username == "true" && password.expose() == "1234")
    );
    assert_eq!(
        settings.timing.post,
        Latency::Uniform {
            min: Duration::from_secs(1),
            max: Duration::from_secs(2)
        }
    );
    assert_eq!(settings.timing.of_command("write_image"), Latency::ZERO);
    assert_eq!(settings.nodes.len(), 2);
    assert_eq!(
        settings.nodes[0].labels.get("Rack").map(|value| &**value),
        Some("7")
    );
    assert!(settings.ironic.insecure);
    assert!(
        !format!("{settings:?}").contains("1234"),
        "secrets are not printed"
    );
    assert_eq!(settings.effective["redfish"]["password"], "***");
}

#[test]
fn every_problem_is_reported_in_one_run() {
    let Invalid(problems) = Settings::load(&files(&["tests/settings/wrong.yaml"])).unwrap_err();
    let folder = root().join("tests/settings").display().to_string();
    let found: Vec<String> = problems
        .iter()
        .map(|problem| problem.to_string().replace(&folder, "FOLDER"))
        .collect();
    let expected = std::fs::read_to_string(root().join("tests/settings/wrong.expected")).unwrap();
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(found, expected, "found:\n{}", found.join("\n"));
}

#[test]
fn secrets_stay_out_of_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        &folder,
        "secret.yaml",
        "redfish: {username: admin, password: 918273}\ncontrol: {token: [hunter2]}\nironic: {api_url: 'http://u:hunter2@h'}\n",
    );
    let error = Settings::load(&Sources {
        files: vec![path],
        ..Sources::default()
    })
    .unwrap_err();
    assert_eq!(error.0.len(), 3, "{error}");
    assert!(
        !error.to_string().contains("918273") && !error.to_string().contains("hunter2"),
        "{error}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_other_problems() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources {
        scenario: None,
        files: vec![
            folder.path().join("absent.yaml"),
            file(&folder, "a.ini", "x"),
            file(&folder, "b.json", "{"),
            file(&folder, "c.yaml", "# nothing\n"),
        ],
        environment: pairs(&[("METALSIM_SPEED", "fast"), ("METALSIM_LOG__COLOUR", "red")]),
        flags: pairs(&[("fleet[3].count", "1")]),
    };
    let error = Settings::load(&sources).unwrap_err();
    let origins: Vec<_> = error
        .0
        .iter()
        .filter_map(|problem| problem.origin.as_deref())
        .collect();
    assert_eq!(error.0.len(), 6, "{error}");
    for origin in [
        "absent.yaml",
        "a.ini",
        "b.json",
        "METALSIM_SPEED",
        "METALSIM_LOG__COLOUR",
        "--set fleet[3].count",
    ] {
        assert!(
            origins.iter().any(|known| known.ends_with(origin)),
            "{origin} in {error}"
        );
    }
}

#[test]
fn contradictions_are_refused() {
    let cases: [(&[(&str, &str)], &str); 20] = [
        (
            &[
                ("redfish.username", "a"),
                ("redfish.password", "b"),
                ("redfish.htpasswd", "c"),
            ],
            "redfish.htpasswd",
        ),
        (&[("redfish.password", "b")], "redfish.username"),
        (&[("control.listen", "0.0.0.0:1")], "control.token"),
        (&[("control.listen", "127.0.0.1:8000")], "control.listen"),
        (&[("images.listen", "0.0.0.0:9999")], "images.listen"),
        (&[("agent.listen", "[::]:9999")], "agent.advertise_url"),
        (&[("agent.listen", "127.0.0.1:1-2")], "agent.listen"),
        (&[("state.path", "/tmp")], "state.path"),
        (&[("fleet[0].start", "18446744073709551615")], "fleet[0].start"),
        (&[("fleet[0].count", "10000001")], "fleet"),
        (&[("redfish.listen", "")], "redfish.listen"),
        (&[("fleet", "7")], "fleet[0]"),
        (&[("fleet", "[[node-1]]")], "fleet[0]"),
        (&[("redfish", "127.0.0.1:80")], "redfish"),
        (&[("clusters.advertise_host", "h.example")], "clusters.listen"),
        (&[("clusters.addressing", "name")], "clusters.domain"),
        (
            &[("clusters.addressing", "address"), ("clusters.listen", "0.0.0.0")],
            "clusters.listen",
        ),
        (
            &[
                ("clusters.addressing", "name"),
                ("clusters.domain", "d"),
                ("clusters.port", "9999"),
            ],
            "clusters.port",
        ),
        (&[("clusters.reconcile", "true")], "clusters.reconcile"),
        (
            &[("clusters.management_kubeconfig", "/absent")],
            "clusters.management_kubeconfig",
        ),
    ];
    for (set, key) in cases {
        assert_eq!(wrong_keys(&flags(set)), [key], "{set:?}");
    }
}

#[test]
fn endpoints_of_clusters_are_typed() {
    let load = |set: &[(&str, &str)]| Settings::load(&flags(set)).unwrap().clusters;
    let port = |host: &str, listen: [u8; 4]| Addressing::Port {
        host: host.into(),
        listen: listen.into(),
        ports: 20_000..=29_999,
    };
    assert_eq!(load(&[]).addressing, port("127.0.0.1", [127, 0, 0, 1]));
    assert_eq!(
        load(&[
            ("clusters.advertise_host", "metalsim.example"),
            ("clusters.listen", "0.0.0.0")
        ])
        .addressing,
        port("metalsim.example", [0, 0, 0, 0])
    );
    assert_eq!(
        load(&[
            ("clusters.addressing", "address"),
            ("clusters.addresses", "10.1.0.0/20")
        ])
        .addressing,
        Addressing::Address {
            network: [10, 1, 0, 0].into(),
            length: 20,
            port: 6443
        }
    );
    assert_eq!(
        load(&[
            ("clusters.addressing", "name"),
            ("clusters.domain", "sim.example"),
            ("clusters.port", "443")
        ])
        .addressing,
        Addressing::Name {
            domain: "sim.example".into(),
            listen: [127, 0, 0, 1].into(),
            port: 443
        }
    );
    assert_eq!(load(&[]).management, None);
    let management = load(&[("clusters.management_kubeconfig", "in-cluster")]).management;
    assert_eq!(
        management.map(|it| (it.kubeconfig, it.reconcile)),
        Some((None, false))
    );
}

#[test]
fn accounts_and_certificates_are_checked_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let hash = format!("$2y$05${}", "a".repeat(53));
    file(&folder, "good", &format!("# accounts\nadmin:{hash}\n"));
    file(
        &folder,
        "bad",
        &format!("admin:{hash}\nplain:password\nadmin:{hash}\n"),
    );
    let with = |name: &str| {
        let path = file(
            &folder,
            "settings.yaml",
            &format!("redfish: {{htpasswd: {name}}}\n"),
        );
        Settings::load(&Sources {
            files: vec![path],
            ..Sources::default()
        })
    };
    assert!(
        matches!(with("good").unwrap().redfish.auth, Some(Auth::Htpasswd(accounts)) if accounts.len() == 1)
    );
    assert_eq!(with("bad").unwrap_err().0.len(), 2);
    assert_eq!(with("absent").unwrap_err().0.len(), 1);

    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    file(&folder, "cert.pem", &key.cert.pem());
    file(&folder, "key.pem", &key.signing_key.serialize_pem());
    let with = |cert: &str, key: &str| {
        let text = format!("agent: {{tls: {{cert: {cert}, key: {key}}}}}\n");
        Settings::load(&Sources {
            files: vec![file(&folder, "settings.yaml", &text)],
            ..Sources::default()
        })
    };
    with("cert.pem", "key.pem").unwrap();
    assert_eq!(with("key.pem", "cert.pem").unwrap_err().0.len(), 2);
}

#[test]
fn mistakes_in_a_node_list_name_file_and_index() {
    let folder = tempfile::tempdir().unwrap();
    file(
        &folder,
        "nodes.json",
        r#"[{"name": "a", "nics": [{"mac": "zz"}]}, {"uuid": 1}]"#,
    );
    let path = file(&folder, "settings.yaml", "fleet: [{from: nodes.json}]\n");
    let error = Settings::load(&Sources {
        files: vec![path],
        ..Sources::default()
    })
    .unwrap_err();
    let keys: Vec<&str> = error.0.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["[0].nics[0].mac", "[1].uuid"]);
    assert!(
        error
            .0
            .iter()
            .all(|problem| problem.origin.as_ref().unwrap().ends_with("nodes.json"))
    );
}

#[test]
fn a_large_fleet_shares_what_is_common() {
    let settings = Settings::load(&flags(&[("fleet[0].count", "200000")])).unwrap();
    assert_eq!(settings.nodes.len(), 200_000);
    assert!(Arc::ptr_eq(
        &settings.nodes[0].labels,
        &settings.nodes[199_999].labels
    ));
}
