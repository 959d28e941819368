//! Dependencies point one way: `main -> app -> {cli, frontend, outbound, journal} -> actors`, and inside `actors`
//! `shell -> {node, kube, ports} -> fault -> {wire, ids, time, seed, timing, phase}`. Read from the sources' `use` lines and paths.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines: what is longer has more than one responsibility.
const MOST_LINES: usize = 600;

/// A source file: where it is, its module path, and every path that its code names, from the crate's root.
struct Source {
    file: PathBuf,
    module: Vec<String>,
    lines: usize,
    paths: BTreeSet<Vec<String>>,
}

impl Source {
    fn is_in(&self, module: &str) -> bool {
        self.module.first().is_some_and(|first| first == module)
    }

    /// A file of unit tests: it may use the test kit, and the clock to measure.
    fn is_test(&self) -> bool {
        self.module.iter().any(|name| name == "tests")
    }

    /// Modules of the same crate that are used, by their first name.
    fn own_modules(&self) -> impl Iterator<Item = &str> {
        self.paths
            .iter()
            .filter(|path| path[0] == "crate")
            .filter_map(|path| path.get(1))
            .map(String::as_str)
    }

    fn names(&self, start: &[&str]) -> bool {
        self.paths
            .iter()
            .any(|path| path.len() >= start.len() && path.iter().zip(start).all(|(one, other)| one == other))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    let top = root().join(folder);
    let (mut folders, mut found) = (vec![top.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(read(&top, &path));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

fn read(top: &Path, file: &Path) -> Source {
    let text = fs::read_to_string(file).unwrap();
    let relative = file.strip_prefix(top).unwrap().with_extension("");
    let mut module: Vec<String> = relative
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    let paths = paths(&code(&text))
        .into_iter()
        .map(|path| resolve(&module, path))
        .collect();
    Source {
        file: file.strip_prefix(root()).unwrap().to_owned(),
        lines: text.lines().count(),
        module,
        paths,
    }
}

/// The text without comments and string literals.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut rest = line.char_indices();
        let mut quoted = false;
        while let Some((at, c)) = rest.next() {
            match c {
                '\\' if quoted => drop(rest.next()),
                // The quote itself may be a character literal.
                '"' if !line[..at].ends_with('\'') => quoted = !quoted,
                '/' if !quoted && line[at..].starts_with("//") => break,
                c if !quoted => code.push(c),
                _ => {}
            }
        }
        code.push('\n');
    }
    code
}

/// Every path of two names or more, those of `use` trees included.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let start = rest[..at]
            .rfind(|c: char| !is_name(c))
            .map_or(0, |before| before + 1);
        let (tree, length) = expand(&rest[start..]);
        found.extend(
            tree.into_iter()
                .filter(|path| path.len() > 1 && !path[0].is_empty()),
        );
        rest = &rest[start + length.max(at + 2 - start)..];
    }
    found
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths that a `use` tree at the start of `text` stands for, and how long it is.
fn expand(text: &str) -> (Vec<Vec<String>>, usize) {
    let length = text.find(|c| !is_name(c) && c != '*').unwrap_or(text.len());
    let name = text[..length].to_owned();
    let Some(after) = text[length..].strip_prefix("::") else {
        return (vec![vec![name]], length);
    };
    let mut end = length + 2;
    let mut children = Vec::new();
    if let Some(mut rest) = after.strip_prefix('{') {
        end += 1;
        loop {
            let skip = rest
                .find(|c| is_name(c) || "*}".contains(c))
                .unwrap_or(rest.len());
            rest = &rest[skip..];
            end += skip;
            if rest.is_empty() || rest.starts_with('}') {
                break;
            }
            let (paths, length) = expand(rest);
            children.extend(paths);
            // A name after `as` is not a path of its own.
            let next = rest[length..]
                .find([',', '}', '{'])
                .map_or(rest.len(), |next| length + next);
            rest = &rest[next..];
            end += next;
        }
        end += 1;
    } else {
        let (paths, length) = expand(after);
        children = paths;
        end += length;
    }
    let paths = children
        .into_iter()
        .map(|child| [vec![name.clone()], child].concat())
        .collect();
    (paths, end.min(text.len()))
}

/// The path from the crate's root, if it is relative.
fn resolve(module: &[String], path: Vec<String>) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let own = usize::from(path[0] == "self");
    if ups + own == 0 {
        return path;
    }
    let base = module.iter().take(module.len().saturating_sub(ups));
    std::iter::once("crate".to_owned())
        .chain(base.cloned())
        .chain(path[ups + own..].iter().cloned())
        .collect()
}

/// Fails with all `complaints` at once.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Complaints about files of `module` that use modules of their crate other than `allowed`.
fn only(sources: &[Source], module: &str, allowed: &[&str]) -> Vec<String> {
    let known: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.module.first())
        .map(String::as_str)
        .collect();
    sources
        .iter()
        .filter(|source| source.is_in(module) && !source.is_test())
        .flat_map(|source| source.own_modules().map(move |used| (source, used)))
        .filter(|(_, used)| known.contains(used) && *used != module && !allowed.contains(used))
        .map(|(source, used)| format!("{}: {module} must not use {used}", source.file.display()))
        .collect()
}

#[test]
fn paths_are_found_in_use_trees_and_in_code() {
    let text = r#"
        use std::{fs::File, net::{IpAddr, self}}; // use tokio::net::TcpStream;
        use super::bmc::*;
        fn f() -> actix::Addr<X> { g("reqwest::get"); Vec::<u8>::new() }
    "#;
    let module = ["node".to_owned(), "agent".to_owned()];
    let found: BTreeSet<String> = paths(&code(text))
        .into_iter()
        .map(|path| resolve(&module, path).join("::"))
        .collect();
    for expected in [
        "std::fs::File",
        "std::net::IpAddr",
        "std::net::self",
        "crate::node::bmc::*",
        "actix::Addr",
    ] {
        assert!(found.contains(expected), "{expected} in {found:?}");
    }
    assert!(
        !found
            .iter()
            .any(|path| path.contains("reqwest") || path.contains("tokio")),
        "{found:?}"
    );
}

/// Complaints about sockets. Addresses are values; everything else in that module is a socket.
fn sockets(source: &Source) -> impl Iterator<Item = String> {
    const ADDRESSES: [&str; 4] = ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr"];
    let in_module = |path: &&Vec<String>| path.starts_with(&["std".to_owned(), "net".to_owned()]);
    source
        .paths
        .iter()
        .filter(in_module)
        .filter(|path| !path.get(2).is_some_and(|name| ADDRESSES.contains(&name.as_str())))
        .map(|path| format!("{}: names {}", source.file.display(), path.join("::")))
}

#[test]
fn the_simulation_touches_neither_sockets_nor_files_nor_the_framework() {
    let mut complaints = Vec::new();
    for source in sources("actors/src") {
        let outside: [&[&str]; 6] = [
            &["std", "fs"],
            &["std", "env"],
            &["tokio", "net"],
            &["tokio", "fs"],
            &["reqwest"],
            &["actix_web"],
        ];
        for path in outside.iter().filter(|path| source.names(path)) {
            // Tests may ask how long they are to run.
            if source.is_test() && path[..] == ["std", "env"] {
                continue;
            }
            complaints.push(format!("{}: names {}", source.file.display(), path.join("::")));
        }
        complaints.extend(sockets(&source));
        if source.names(&["actix"]) && !source.is_in("shell") && !source.is_in("testkit") {
            complaints.push(format!(
                "{}: only shell and testkit may use actix",
                source.file.display()
            ));
        }
    }
    none(complaints);
}

#[test]
fn state_machines_are_pure() {
    // Crates that compute and do nothing else.
    const PURE: [&str; 25] = [
        "base64",
        "bytes",
        "chrono",
        "chrono_tz",
        "croner",
        "flate2",
        "globset",
        "hmac",
        "json_patch",
        "jsonschema",
        "k8s_pb",
        "proptest",
        "prost",
        "rand",
        "rand_distr",
        "rand_xoshiro",
        "schemars",
        "serde",
        "serde_json",
        "sha2",
        "subtle",
        "tar",
        "thiserror",
        "uuid",
        "x509_parser",
    ];
    let manifest = fs::read_to_string(root().join("actors/Cargo.toml")).unwrap();
    let dependencies: BTreeSet<String> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .map(|name| name.replace('-', "_"))
        .filter(|name| !name.is_empty() && !name.starts_with('['))
        .collect();
    assert!(dependencies.contains("serde"));
    let mut complaints = Vec::new();
    for source in sources("actors/src") {
        if ["shell", "ports", "testkit"]
            .iter()
            .any(|outer| source.is_in(outer))
        {
            continue;
        }
        let crates: BTreeSet<&String> = source.paths.iter().map(|path| &path[0]).collect();
        for name in crates
            .into_iter()
            .filter(|name| dependencies.contains(*name) && !PURE.contains(&name.as_str()))
        {
            complaints.push(format!("{}: {name} is not a pure crate", source.file.display()));
        }
    }
    none(complaints);
}

#[test]
fn dependencies_inside_the_simulation_point_one_way() {
    const GROUND: [&str; 5] = ["ids", "time", "seed", "timing", "phase"];
    const BELOW: [&str; 7] = ["ids", "time", "seed", "timing", "phase", "wire", "fault"];
    let sources = sources("actors/src");
    let mut complaints = Vec::new();
    for module in GROUND {
        complaints.extend(only(&sources, module, &GROUND));
    }
    complaints.extend(only(&sources, "wire", &GROUND));
    complaints.extend(only(&sources, "fault", &BELOW));
    complaints.extend(only(&sources, "node", &BELOW));
    complaints.extend(only(&sources, "kube", &BELOW));
    // Ports are spoken in terms of the state machines' effects.
    complaints.extend(only(
        &sources,
        "ports",
        &[
            "ids", "time", "seed", "timing", "phase", "wire", "fault", "node", "kube",
        ],
    ));
    none(complaints);
}

/// The surfaces know nothing of each other. All may use the settings, the directory and the metrics: a metric's
/// handle has to be where the thing happens, so `telemetry` is below them and uses none of them.
#[test]
fn dependencies_of_the_program_point_one_way() {
    let sources = sources("src");
    let mut complaints = only(&sources, "settings", &["values"]);
    complaints.extend(only(&sources, "telemetry", &["settings", "observer"]));
    // The forge says how values of user data are written; whoever reads them says it the same way.
    complaints.extend(only(&sources, "boot", &["forge"]));
    complaints.extend(only(&sources, "directory", &["telemetry"]));
    complaints.extend(only(
        &sources,
        "frontend",
        &[
            "settings",
            "directory",
            "telemetry",
            "observer",
            "clock",
            "boot",
            "cluster",
            "events",
            "live",
        ],
    ));
    complaints.extend(only(&sources, "events", &["observer", "clock"]));
    complaints.extend(only(&sources, "live", &["directory", "events"]));
    complaints.extend(only(
        &sources,
        "outbound",
        &["settings", "telemetry", "observer", "boot"],
    ));
    complaints.extend(only(&sources, "forge", &["cluster"]));
    complaints.extend(only(&sources, "observer", &[]));
    complaints.extend(only(&sources, "clock", &[]));
    complaints.extend(only(&sources, "journal", &["settings", "telemetry"]));
    complaints.extend(only(
        &sources,
        "cli",
        &[
            "app",
            "settings",
            "telemetry",
            "cluster",
            "forge",
            "clock",
            "scenario",
            "report",
        ],
    ));
    complaints.extend(only(&sources, "report", &[]));
    complaints.extend(only(&sources, "scenario", &["settings", "observer", "telemetry"]));
    complaints.extend(only(&sources, "values", &[]));
    // Clusters open listeners, and API servers lead to clusters: beside listeners, clusters know nothing of the surfaces.
    for source in sources
        .iter()
        .filter(|source| source.is_in("cluster") && !source.file.ends_with("serve.rs"))
    {
        for path in &source.paths {
            let listeners = [["kube", "listener"], ["kube", "names"]];
            let inside: Vec<&str> = path.iter().map(String::as_str).collect();
            let allowed = match inside.as_slice() {
                ["crate", "frontend", "server", ..] => true,
                ["crate", "frontend", first, second, ..] => listeners.contains(&[*first, *second]),
                ["crate", "frontend", ..] => false,
                _ => true,
            };
            if !allowed {
                complaints.push(format!("{}: names {}", source.file.display(), path.join("::")));
            }
        }
    }
    for source in sources
        .iter()
        .filter(|source| source.own_modules().any(|used| used == "app"))
    {
        if !source.is_in("cli") && !source.is_in("app") {
            complaints.push(format!("{}: only cli may use app", source.file.display()));
        }
    }
    none(complaints);
}

#[test]
fn parsers_and_makers_of_what_boots_do_no_io() {
    const OUTSIDE: [&[&str]; 6] = [
        &["std", "fs"],
        &["std", "env"],
        &["tokio"],
        &["reqwest"],
        &["actix"],
        &["actix_web"],
    ];
    let mut complaints = Vec::new();
    for source in sources("src")
        .iter()
        .filter(|source| source.is_in("boot") || source.is_in("forge"))
    {
        complaints.extend(sockets(source));
        for path in OUTSIDE.iter().filter(|path| source.names(path)) {
            complaints.push(format!("{}: names {}", source.file.display(), path.join("::")));
        }
    }
    none(complaints);
}

#[test]
fn files_are_short() {
    let limit = |file: &Path| {
        if file == Path::new("src/main.rs") {
            79
        } else {
            MOST_LINES
        }
    };
    let all = sources("src").into_iter().chain(sources("actors/src"));
    none(
        all.map(|source| (limit(&source.file), source))
            .filter(|(most, source)| source.lines > *most)
            .map(|(most, source)| {
                format!(
                    "{}: {} lines, at most {most}",
                    source.file.display(),
                    source.lines
                )
            })
            .collect(),
    );
}
