//! Finds the command that calls kubeadm: in a line itself, or in a script that a line runs.

use metalsim_actors::node::os::description::CommandStage;

use super::FileTree;

/// What kubeadm is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Init,
    Join,
}

/// A call of kubeadm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) verb: Verb,
    /// `--config`.
    pub(super) config: Option<String>,
}

/// The first call, in the order in which the commands run.
pub(super) fn find(files: &FileTree, commands: &[(CommandStage, String)]) -> Option<Call> {
    commands.iter().find_map(|(_, line)| {
        in_text(line).or_else(|| {
            // Older Cluster API calls a script that tries each phase again (cluster-api:
            // `bootstrap/kubeadm/internal/cloudinit/kubeadm-bootstrap-script.sh`); Ignition's unit calls another.
            words(line)
                .filter(|word| word.starts_with('/'))
                .find_map(|path| in_text(files.text(path)?))
        })
    })
}

/// The call in a line or a script. Of several calls the first says what for; where the configuration is may stand in
/// a function of the script that makes the calls.
fn in_text(text: &str) -> Option<Call> {
    let commands = || {
        text.lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(|line| line.split([';', '&', '|']))
    };
    let verb = commands().find_map(verb)?;
    Some(Call {
        verb,
        config: commands().find_map(config).map(str::to_owned),
    })
}

/// What a command calls kubeadm for.
fn verb(command: &str) -> Option<Verb> {
    let mut words = words(command);
    let mut before = words.by_ref().take_while(|word| !is_kubeadm(word));
    if before.any(|word| ["echo", "printf", "logger"].contains(&word)) {
        return None;
    }
    let mut after = words_behind_kubeadm(command);
    after.find_map(|word| match word {
        "init" => Some(Verb::Init),
        "join" => Some(Verb::Join),
        _ => None,
    })
}

/// The value of `--config`.
fn config(command: &str) -> Option<&str> {
    let mut words = words(command);
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next();
        }
        if let Some(path) = word.strip_prefix("--config=") {
            return Some(path);
        }
    }
    None
}

fn is_kubeadm(word: &str) -> bool {
    word == "kubeadm" || word.ends_with("/kubeadm")
}

fn words_behind_kubeadm(command: &str) -> impl Iterator<Item = &str> {
    words(command).skip_while(|word| !is_kubeadm(word)).skip(1)
}

/// The words of a command line, without quotes around them.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | '`'))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_lines_and_in_scripts() {
        let mut files = FileTree::default();
        files.write(
            "/usr/local/bin/kubeadm-bootstrap-script",
            b"#!/bin/bash\n# kubeadm init is not it\nfunction retry() { :; }\nretry kubeadm join phase preflight --config /run/j.yaml\n",
            false,
        );
        let find = |line: &str| find(&files, &[(CommandStage::Runcmd, line.to_owned())]);
        let call = |verb, config: Option<&str>| {
            Some(Call {
                verb,
                config: config.map(str::to_owned),
            })
        };
        assert_eq!(
            find("kubeadm init --config /run/kubeadm/kubeadm.yaml  && echo success > /run/done"),
            call(Verb::Init, Some("/run/kubeadm/kubeadm.yaml"))
        );
        assert_eq!(
            find("/bin/sh -c '/usr/bin/kubeadm --v=5 join --config=/run/j.yaml'"),
            call(Verb::Join, Some("/run/j.yaml"))
        );
        assert_eq!(
            find("/usr/local/bin/kubeadm-bootstrap-script"),
            call(Verb::Join, Some("/run/j.yaml"))
        );
        assert_eq!(
            find("kubeadm join 10.0.0.1:6443 --token x"),
            call(Verb::Join, None)
        );
        files.write(
            "/retry",
            b"#!/bin/bash\nfunction retry-command() {\n  \"$@\" --config=/run/c.yaml --v 5\n}\nretry-command kubeadm join phase preflight\n",
            false,
        );
        let find = |line: &str| super::find(&files, &[(CommandStage::Runcmd, line.to_owned())]);
        assert_eq!(find("/retry && echo done"), call(Verb::Join, Some("/run/c.yaml")));
        for none in [
            "echo kubeadm init",
            "kubeadm reset",
            "echo kubeadm; init",
            "/missing",
            "kubelet init",
        ] {
            assert_eq!(find(none), None, "{none}");
        }
    }
}
