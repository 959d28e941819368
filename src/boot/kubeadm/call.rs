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

fn in_text(text: &str) -> Option<Call> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split([';', '&', '|']))
        .find_map(in_command)
}

fn in_command(command: &str) -> Option<Call> {
    let mut words = words(command);
    words.find(|word| *word == "kubeadm" || word.ends_with("/kubeadm"))?;
    let mut verb = None;
    let mut config = None;
    while let Some(word) = words.next() {
        match word {
            "init" if verb.is_none() => verb = Some(Verb::Init),
            "join" if verb.is_none() => verb = Some(Verb::Join),
            "--config" => config = words.next().map(str::to_owned),
            _ => {
                if let Some(path) = word.strip_prefix("--config=") {
                    config = Some(path.to_owned());
                }
            }
        }
    }
    Some(Call { verb: verb?, config })
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
        for none in ["kubeadm reset", "echo kubeadm; init", "/missing", "kubelet init"] {
            assert_eq!(find(none), None, "{none}");
        }
    }
}
