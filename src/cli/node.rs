//! `metalsim node list`, `show`, `label`, `power` and `kill`

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use metalsim_actors::node::bmc::ResetType;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::remote::{Call, Remote, RemoteArgs, print_json, print_table, text};

/// Nodes of a page.
const PAGE: &str = "5000";

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Lists the servers
    List(ListArgs),
    /// Prints a server as JSON
    Show(NodeArgs),
    /// Changes labels of a server, and prints them all
    Label(LabelArgs),
    /// Presses the power button of servers, as a Redfish reset does
    Power(PowerArgs),
    /// Ends the actors of servers; they are started again with the state that they had
    Kill(KillArgs),
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Only servers with this label; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Only servers in this phase
    #[arg(short, long)]
    phase: Option<String>,
    /// As a list in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct NodeArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Name or UUID
    node: String,
}

#[derive(Args, Debug)]
pub(super) struct LabelArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Name or UUID
    node: String,
    /// KEY=VALUE sets a label, KEY- removes it
    #[arg(required = true, value_name = "CHANGE")]
    changes: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct PowerArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Kind of reset, in Redfish's words, such as ForceOff; off stands for ForceOff
    #[arg(value_parser = reset_type)]
    reset: ResetType,
    /// Names or UUIDs
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct KillArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Names or UUIDs
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

/// A kind of reset in any case.
fn reset_type(text: &str) -> Result<ResetType, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(ResetType::ForceOff);
    }
    let known = ResetType::ALL.into_iter();
    known
        .clone()
        .find(|known| format!("{known:?}").eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            let words: Vec<String> = known.map(|known| format!("{known:?}")).collect();
            format!("expected one of {}", words.join(", "))
        })
}

pub(super) fn run(command: &NodeCommand) -> anyhow::Result<()> {
    match command {
        NodeCommand::List(args) => args.remote.run(async |remote| list(&remote, args).await),
        NodeCommand::Show(args) => args.remote.run(async |remote| {
            let path = ["nodes", &*args.node];
            print_json(&remote.call(Call::new(Method::GET, &path)).await?.1)
        }),
        NodeCommand::Label(args) => {
            let changes = changes(&args.changes)?;
            args.remote.run(async |remote| {
                let path = ["nodes", &*args.node, "labels"];
                let call = Call::new(Method::PATCH, &path).body(&changes);
                print_json(&remote.call(call).await?.1)
            })
        }
        NodeCommand::Power(args) => args.remote.run(async |remote| {
            let body = json!({"reset": args.reset});
            each(&remote, &args.nodes, "power", Some(&body)).await
        }),
        NodeCommand::Kill(args) => args
            .remote
            .run(async |remote| each(&remote, &args.nodes, "kill", None).await),
    }
}

/// Does something with each of the nodes; the first that fails ends it.
async fn each(remote: &Remote, nodes: &[String], action: &str, body: Option<&Value>) -> anyhow::Result<()> {
    for node in nodes {
        let path = ["nodes", node, action];
        let call = Call {
            body,
            ..Call::new(Method::POST, &path)
        };
        remote.call(call).await.with_context(|| format!("node {node}"))?;
        writeln!(std::io::stdout(), "{node}: done")?;
    }
    Ok(())
}

async fn list(remote: &Remote, args: &ListArgs) -> anyhow::Result<()> {
    let mut items: Vec<Value> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut query = vec![("limit", PAGE)];
        query.extend(args.label.iter().map(|label| ("label", label.as_str())));
        query.extend(args.phase.as_deref().map(|phase| ("phase", phase)));
        query.extend(next.as_deref().map(|next| ("continue", next)));
        let call = Call::new(Method::GET, &["nodes"]).query(&query);
        let (_, mut page) = remote.call(call).await?;
        if let Some(more) = page.get_mut("items").and_then(Value::as_array_mut) {
            items.append(more);
        }
        let following = page.get("continue").and_then(Value::as_str).map(str::to_owned);
        if following.is_none() || following == next {
            break;
        }
        next = following;
    }
    if args.json {
        return print_json(&Value::Array(items));
    }
    let rows: Vec<[String; 5]> = items
        .iter()
        .map(|node| {
            let labels: Vec<String> = node["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            [
                text(node, "/name"),
                text(node, "/power"),
                text(node, "/phase"),
                text(node, "/uuid"),
                labels.join(","),
            ]
        })
        .collect();
    print_table(["NAME", "POWER", "PHASE", "UUID", "LABELS"], &rows)
}

/// Changes of labels as a merge patch.
fn changes(given: &[String]) -> anyhow::Result<Value> {
    let mut changes = Map::new();
    for change in given {
        match (change.split_once('='), change.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => changes.insert(key.to_owned(), value.into()),
            (None, Some(key)) if !key.is_empty() => changes.insert(key.to_owned(), Value::Null),
            _ => anyhow::bail!("{change:?} is neither KEY=VALUE nor KEY-"),
        };
    }
    Ok(Value::Object(changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_labels_are_read() {
        let given = |texts: &[&str]| changes(&texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            given(&["rack=a", "row-", "end=x-", "empty="]).unwrap(),
            json!({"rack": "a", "row": null, "end": "x-", "empty": ""})
        );
        for bad in ["rack", "=a", "-", ""] {
            assert!(given(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn resets_are_named_in_any_case() {
        assert_eq!(reset_type("forceoff"), Ok(ResetType::ForceOff));
        assert_eq!(reset_type("OFF"), Ok(ResetType::ForceOff));
        assert_eq!(reset_type("On"), Ok(ResetType::On));
        assert!(reset_type("out").unwrap_err().contains("PowerCycle"));
    }
}
