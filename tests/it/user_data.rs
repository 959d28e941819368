//! From user data in all their shapes, on config drives in all their forms, to what a system is for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use metalsim::boot::system;
use metalsim_actors::node::os::description::{CommandStage, SystemDescription};
use metalsim_actors::node::os::intent::{DiscoveryTrust, Intent};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/user_data")
}

struct Case {
    name: String,
    user_data: Vec<u8>,
    meta_data: Value,
    expected: Value,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("keys"))
        .map(|folder| {
            let json = |name: &str| {
                let text = std::fs::read_to_string(folder.join(name));
                serde_json::from_str(&text.unwrap_or_else(|_| panic!("{} lacks {name}", folder.display())))
                    .unwrap()
            };
            Case {
                name: folder.file_name().unwrap().to_string_lossy().into_owned(),
                user_data: std::fs::read(folder.join("user_data")).unwrap(),
                meta_data: json("meta_data.json"),
                expected: json("expected.json"),
            }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() >= 20, "fixtures are missing");
    cases
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How the file system of a drive is made (openstacksdk: `openstack/baremetal/configdrive.py`).
#[derive(Clone, Copy, Debug)]
enum Drive {
    Genisoimage,
    Xorriso,
    /// Names as ISO 9660 alone has them.
    Plain,
}

/// The image of a config drive as openstacksdk builds it.
fn image(case: &Case, drive: Drive) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    for version in ["2012-08-10", "latest"] {
        let to = tree.join("openstack").join(version);
        std::fs::create_dir_all(&to).unwrap();
        std::fs::write(to.join("meta_data.json"), case.meta_data.to_string()).unwrap();
        std::fs::write(to.join("user_data"), &case.user_data).unwrap();
        let network =
            json!({"networks": [{"id": "n", "type": "ipv4", "link": "l", "ip_address": "172.22.0.31/24"}]});
        std::fs::write(to.join("network_data.json"), network.to_string()).unwrap();
    }
    let target = folder.path().join("drive.iso");
    let (program, first): (_, &[&str]) = match drive {
        Drive::Genisoimage => (
            "genisoimage",
            &["-ldots", "-allow-lowercase", "-allow-multidot", "-l", "-J", "-r"],
        ),
        Drive::Xorriso => ("xorriso", &["-as", "mkisofs", "-J", "-R"]),
        Drive::Plain => ("genisoimage", &["-iso-level", "3"]),
    };
    let made = Command::new(program)
        .args(first)
        .args(["-quiet", "-V", "config-2", "-o"])
        .args([&target, &tree])
        .output()
        .unwrap_or_else(|error| panic!("{program} is installed by scripts/test: {error}"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(target).unwrap()
}

fn shown(description: &SystemDescription) -> Value {
    json!({"hostname": description.hostname, "intent": description.intent})
}

#[test]
fn every_shape_gives_the_intent_that_it_should() {
    for case in cases() {
        let drive = BASE64_STANDARD.encode(gzip(&image(&case, Drive::Genisoimage)));
        let description = system::of_config_drive(&drive);
        assert_eq!(
            shown(&description),
            case.expected,
            "{}: {:?}",
            case.name,
            description.warnings
        );
        assert_eq!(*description.addresses, ["172.22.0.31".into()], "{}", case.name);
        assert!(
            description.warnings.is_empty() || case.name == "mime-join-worker",
            "{}: {:?}",
            case.name,
            description.warnings
        );
    }
}

#[test]
fn every_form_of_drive_gives_the_same() {
    let case = case("capi-1.10-init-metal3");
    let images = [Drive::Genisoimage, Drive::Xorriso, Drive::Plain].map(|drive| image(&case, drive));
    let wrapped = |bytes: &[u8]| {
        let text = BASE64_STANDARD.encode(bytes);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        lines.join("\n")
    };
    let user_data = String::from_utf8(case.user_data.clone()).unwrap();
    let object = json!({"meta_data": case.meta_data, "user_data": user_data}).to_string();
    let mut drives: Vec<String> = images.iter().map(|image| wrapped(image)).collect();
    drives.extend(images.iter().map(|image| BASE64_STANDARD.encode(gzip(image))));
    drives.push(object);
    for (index, drive) in drives.iter().enumerate() {
        assert_eq!(
            shown(&system::of_config_drive(drive)),
            case.expected,
            "form {index}"
        );
    }
}

#[test]
fn secrets_are_kept_and_hidden() {
    let case = case("capi-1.5-init-metal3");
    let drive = BASE64_STANDARD.encode(gzip(&image(&case, Drive::Genisoimage)));
    let description = system::of_config_drive(&drive);
    let Intent::Init(init) = &description.intent else {
        panic!("{:?}", description.intent)
    };
    let key = std::fs::read_to_string(fixtures().join("keys/ca.key")).unwrap();
    let written = init.pki.cluster_ca.as_ref().unwrap().private.as_ref().unwrap();
    assert_eq!(written.expose(), key);
    let printed = format!("{description:?}") + &serde_json::to_string(&description).unwrap();
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!printed.contains(line), "a private key is printed");
    }

    let join = system::of_config_drive(&BASE64_STANDARD.encode(gzip(&image(
        &self::case("capi-1.5-join-worker-metal3"),
        Drive::Genisoimage,
    ))));
    let Intent::JoinWorker(worker) = &join.intent else {
        panic!("{:?}", join.intent)
    };
    assert_eq!(
        worker.discovery.token.as_ref().map(|token| token.expose()),
        Some("abcdef.0123456789abcdef")
    );
    assert!(matches!(&worker.discovery.trust, DiscoveryTrust::CaCertHashes(hashes) if hashes.len() == 1));
    assert!(!format!("{join:?}").contains("0123456789abcdef"));
}

#[test]
fn files_and_commands_are_listed_in_order() {
    let case = case("capi-1.12-init-external-etcd");
    let drive = BASE64_STANDARD.encode(gzip(&image(&case, Drive::Genisoimage)));
    let description = system::of_config_drive(&drive);
    let file = |path: &str| {
        let found: Vec<_> = description
            .files
            .iter()
            .filter(|file| &*file.path == path)
            .collect();
        found
            .iter()
            .map(|file| (file.mode, file.size))
            .collect::<Vec<_>>()
    };
    assert_eq!(file("/etc/user-file"), [(0o644, 600), (0o644, 5)]);
    assert_eq!(file("/etc/b64"), [(0o644, 4)]);
    assert_eq!(file("/srv/pki/ca.key")[0].0, 0o600);
    let lines: Vec<_> = description
        .commands
        .iter()
        .map(|command| (command.stage, command.line.expose().to_owned()))
        .collect();
    assert_eq!(lines[0], (CommandStage::Bootcmd, "echo early".to_owned()));
    assert_eq!(lines[1], (CommandStage::Runcmd, "echo pre && true".to_owned()));
    assert!(lines[2].1.starts_with("kubeadm init --config "));
    assert_eq!(lines[3].1, "sh -c 'echo post > /tmp/x'");
    assert_eq!(*description.users, ["metal3".into()]);
}

fn described(user_data: &str) -> SystemDescription {
    let meta_data = json!({"uuid": "u", "name": "host", "local-hostname": "host"});
    system::of_config_drive(&json!({"meta_data": meta_data, "user_data": user_data}).to_string())
}

#[test]
fn what_is_wrong_is_a_warning_and_the_system_boots() {
    for (user_data, word) in [
        (
            "#cloud-config\nwrite_files: [{path: relative, content: x}]\n",
            "absolute",
        ),
        (
            "#cloud-config\nwrite_files: [{path: /a, content: '***', encoding: b64}]\n",
            "base64",
        ),
        (
            "#cloud-config\nwrite_files: [{path: /a, content: x, encoding: rot13}]\n",
            "rot13",
        ),
        (
            "#cloud-config\nwrite_files: [{path: /a, content: x, permissions: 'rw'}]\n",
            "octal",
        ),
        ("#cloud-config\nruncmd: reboot\n", "no list"),
        ("#cloud-config\n- a\n", "mapping"),
        ("#cloud-config\na: [\n", "cloud-config"),
        ("#include\nhttp://elsewhere/\n", "#include"),
        ("#!/bin/sh\nreboot\n", "shell script"),
        ("## template: jinja\n#cloud-config\na: {{ 1 +\n", "template"),
        ("what is this\n", "no known kind"),
        ("{\"ignition\": {\"version\": \"9.0.0\"}}", "9.0.0"),
        ("{\"ignition\": 7}", "not a configuration"),
        (
            "{\"ignition\": {\"version\": \"3.0.0\"}, \"storage\": {\"files\": [{\"path\": \"/a\", \"contents\": {\"source\": \"https://h/a\"}}]}}",
            "data URL",
        ),
    ] {
        let description = described(user_data);
        let warnings = description.warnings.join("; ");
        assert!(warnings.contains(word), "{user_data}: {warnings}");
        assert_eq!(description.hostname.as_deref(), Some("host"));
        assert_eq!(description.intent.as_str(), "standalone");
    }
    for drive in ["", "***", "aGVsbG8=", "{", "[]", "{\"meta_data\": 7}"] {
        let description = system::of_config_drive(drive);
        assert_eq!(description.warnings.len(), 1, "{drive}");
        assert_eq!(description.intent.as_str(), "standalone");
    }
}

#[test]
fn hostile_user_data_end_in_warnings() {
    let bomb = gzip(&vec![b'#'; 32 << 20]);
    let bomb_drive = BASE64_STANDARD.encode(gzip(&vec![0; 70 << 20]));
    let aliases: String = (1..20)
        .map(|level| {
            format!(
                "a{level}: &a{level} [{}]\n",
                format!("*a{},", level - 1).repeat(20)
            )
        })
        .collect();
    let nested = "[".repeat(100_000);
    for user_data in [
        format!("#cloud-config\na0: &a0 [x]\n{aliases}"),
        format!("#cloud-config\na: {nested}\n"),
        "{\"ignition\": {\"version\": \"3.0.0\"}, \"a\": ".to_owned() + &nested,
        "## template: jinja\n#cloud-config\n{% for a in range(10000000) %}{% for b in range(10000000) %}x{% endfor %}{% endfor %}"
            .to_owned(),
        format!("Content-Type: multipart/mixed; boundary=x\n\n{}", "--x\nContent-Type: multipart/mixed; boundary=x\n\n".repeat(10_000)),
    ] {
        // What matters is that it comes back.
        assert_eq!(described(&user_data).intent.as_str(), "standalone");
    }
    let drive = image(
        &Case {
            name: String::new(),
            user_data: bomb,
            meta_data: Value::Object(Map::new()),
            expected: Value::Null,
        },
        Drive::Genisoimage,
    );
    let description = system::of_config_drive(&BASE64_STANDARD.encode(gzip(&drive)));
    assert!(
        description.warnings[0].contains("larger"),
        "{:?}",
        description.warnings
    );
    assert!(system::of_config_drive(&bomb_drive).warnings[0].contains("larger"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// No bytes make it panic, whatever kind they say they are of.
    #[test]
    fn any_user_data_are_survived(kind in 0_usize..6, body in ".{0,400}") {
        let heads = ["", "#cloud-config\n", "## template: jinja\n#cloud-config\n", "{\"ignition\": ", "Content-Type: multipart/mixed; boundary=a\n\n--a\n", "#!"];
        described(&format!("{}{body}", heads[kind]));
    }

    /// Valid user data with a few bytes changed are survived too.
    #[test]
    fn damaged_user_data_are_survived(at in prop::collection::vec((0.0..1.0, any::<u8>()), 1..20), index in 0_usize..26) {
        let cases = cases();
        let mut bytes = cases[index % cases.len()].user_data.clone();
        for (place, byte) in at {
            let place = (place * bytes.len() as f64) as usize;
            if let Some(old) = bytes.get_mut(place) {
                *old = byte;
            }
        }
        described(&String::from_utf8_lossy(&bytes));
    }

    /// What is written into `write_files` comes out of it, whatever the encoding.
    #[test]
    fn written_files_come_back(content in "[ -~\n]{1,200}", encoding in 0_usize..4, mode in 0_u32..0o7777) {
        let content = format!("x{content}");
        let (encoding, encoded) = match encoding {
            0 => ("text/plain", content.clone()),
            1 => ("b64", BASE64_STANDARD.encode(&content)),
            2 => ("gz+b64", BASE64_STANDARD.encode(gzip(content.as_bytes()))),
            _ => ("gzip+base64", BASE64_STANDARD.encode(gzip(content.as_bytes()))),
        };
        let document = json!({"write_files": [
            {"path": "/a", "content": encoded, "encoding": encoding, "permissions": format!("{mode:04o}")},
        ]});
        let description = described(&format!("#cloud-config\n{document}\n"));
        prop_assert_eq!(description.warnings.len(), 0, "{:?}", description.warnings);
        prop_assert_eq!(description.files[0].size, content.len() as u64);
        prop_assert_eq!(description.files[0].mode, mode);
    }
}
