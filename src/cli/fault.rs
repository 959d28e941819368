//! `metalsim fault list`, `show`, `add`, `replace` and `remove`

use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::remote::{Call, Remote, RemoteArgs, print_json, print_table, text};

/// Largest file of faults in bytes.
const LARGEST: u64 = 4 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum FaultCommand {
    /// Lists the faults in force
    List(ListArgs),
    /// Prints a fault as JSON
    Show(NameArgs),
    /// Adds faults
    Add(FileArgs),
    /// Puts faults in the place of those of the same names, counted anew; adds those that are not there
    Replace(FileArgs),
    /// Removes faults
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct NameArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Name of the fault
    name: String,
}

#[derive(Args, Debug)]
pub(super) struct FileArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Times count from now, not from the start of the run
    #[arg(long)]
    now: bool,
    /// File in YAML, TOML or JSON by its ending, - for standard input (YAML), or the fault itself, such as '{name: slow, what: {bmc_slow:
    /// {delay: 2s}}}'. It holds a fault, a list of them, or such a list under `faults`
    #[arg(required = true, value_name = "FILE")]
    faults: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Names of the faults
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,
}

pub(super) fn run(command: &FaultCommand) -> anyhow::Result<()> {
    match command {
        FaultCommand::List(args) => args.remote.run(async |remote| list(&remote, args.json).await),
        FaultCommand::Show(args) => args.remote.run(async |remote| {
            let path = ["faults", &*args.name];
            print_json(&remote.call(Call::new(Method::GET, &path)).await?.1)
        }),
        FaultCommand::Add(args) => send(args, false),
        FaultCommand::Replace(args) => send(args, true),
        FaultCommand::Remove(args) => args.remote.run(async |remote| remove(&remote, args).await),
    }
}

async fn list(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let (_, list) = remote.call(Call::new(Method::GET, &["faults"])).await?;
    if json {
        return print_json(&list);
    }
    let rows: Vec<[String; 4]> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|fault| {
            let what = fault["what"].as_object().and_then(|what| what.keys().next());
            [
                text(fault, "/name"),
                what.cloned().unwrap_or_default(),
                text(fault, "/status/subject"),
                text(fault, "/status/nodes"),
            ]
        })
        .collect();
    print_table(["NAME", "WHAT", "OF", "NODES"], &rows)
}

fn send(args: &FileArgs, replace: bool) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for given in &args.faults {
        faults.extend(read(given)?);
    }
    let query: &[(&str, &str)] = if args.now { &[("base", "now")] } else { &[] };
    args.remote.run(async |remote| {
        for fault in &faults {
            let name = text(fault, "/name");
            anyhow::ensure!(!name.is_empty(), "name: is required");
            let (status, _) = if replace {
                let path = ["faults", &*name];
                let call = Call::new(Method::PUT, &path).body(fault).query(query);
                remote.call(call).await
            } else {
                let call = Call::new(Method::POST, &["faults"]).body(fault).query(query);
                remote.call(call).await
            }
            .with_context(|| format!("fault {name}"))?;
            let done = if status == 201 { "added" } else { "replaced" };
            writeln!(std::io::stdout(), "{name}: {done}")?;
        }
        Ok(())
    })
}

async fn remove(remote: &Remote, args: &RemoveArgs) -> anyhow::Result<()> {
    if args.all {
        remote.call(Call::new(Method::DELETE, &["faults"])).await?;
        writeln!(std::io::stdout(), "all faults removed")?;
    }
    for name in &args.names {
        let path = ["faults", name];
        remote.call(Call::new(Method::DELETE, &path)).await?;
        writeln!(std::io::stdout(), "{name}: removed")?;
    }
    Ok(())
}

/// The faults of an argument.
fn read(given: &str) -> anyhow::Result<Vec<Value>> {
    let value = if given.trim_start().starts_with(['{', '[']) {
        yaml(given)?
    } else if given == "-" {
        let mut text = String::new();
        std::io::stdin().take(LARGEST).read_to_string(&mut text)?;
        yaml(&text).context("standard input")?
    } else {
        file(given).with_context(|| given.to_owned())?
    };
    faults_of(value).with_context(|| given.to_owned())
}

fn file(name: &str) -> anyhow::Result<Value> {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    anyhow::ensure!(
        ["yaml", "yml", "json", "toml"].contains(&ending),
        "the file's ending must be .yaml, .yml, .toml or .json"
    );
    anyhow::ensure!(
        std::fs::metadata(name)?.len() <= LARGEST,
        "the file is larger than {LARGEST} bytes"
    );
    let text = std::fs::read_to_string(name)?;
    match ending {
        "toml" => Ok(toml::from_str(&text)?),
        "json" => Ok(serde_json::from_str(&text)?),
        _ => yaml(&text),
    }
}

fn yaml(text: &str) -> anyhow::Result<Value> {
    let mut options = serde_saphyr::Options::default();
    // `off` is a word here, no boolean.
    options.strict_booleans = true;
    Ok(serde_saphyr::from_str_with_options(text, options)?)
}

fn faults_of(value: Value) -> anyhow::Result<Vec<Value>> {
    match value {
        Value::Array(list) => Ok(list),
        Value::Object(mut table) => match table.remove("faults") {
            Some(Value::Array(list)) => Ok(list),
            Some(_) => anyhow::bail!("faults: expected a list"),
            None => Ok(vec![Value::Object(table)]),
        },
        _ => anyhow::bail!("expected a fault, or a list of them"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_read_in_all_forms() {
        let slow = json!({"name": "slow", "what": {"bmc_slow": {"delay": "2s"}}});
        for (ending, text) in [
            ("yaml", "name: slow\nwhat: {bmc_slow: {delay: 2s}}\n"),
            ("yml", "- name: slow\n  what: {bmc_slow: {delay: 2s}}\n"),
            (
                "json",
                r#"{"faults": [{"name": "slow", "what": {"bmc_slow": {"delay": "2s"}}}]}"#,
            ),
            (
                "toml",
                "[[faults]]\nname = \"slow\"\nwhat.bmc_slow.delay = \"2s\"\n",
            ),
        ] {
            let folder = std::env::temp_dir().join(format!("metalsim-fault-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join(format!("fault.{ending}"));
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                read(path.to_str().unwrap()).unwrap(),
                std::slice::from_ref(&slow),
                "{ending}"
            );
            std::fs::remove_dir_all(&folder).unwrap();
        }
        assert_eq!(
            read("{name: slow, what: {bmc_slow: {delay: 2s}}}").unwrap(),
            [slow]
        );
        for bad in ["{", "nowhere.yaml", "fault.txt", "{faults: no}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
