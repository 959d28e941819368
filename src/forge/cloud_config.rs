//! User data for cloud-init (cluster-api: `bootstrap/kubeadm/internal/cloudinit`).

use std::fmt::Write as _;

use metalsim_actors::node::bmc::Secret;

use super::bootstrap::{Bootstrap, File, READABLE, Role};

const HEADER: &str = "## template: jinja\n#cloud-config\n\n";
/// Where kubeadm's documents are (cluster-api: `cloudinit/controlplane_init.go`, `cloudinit/node.go`).
const INIT_FILE: &str = "/run/kubeadm/kubeadm.yaml";
const JOIN_FILE: &str = "/run/kubeadm/kubeadm-join-config.yaml";
/// A file whose only use is that its folder comes into being, so that success can be told there.
const PLACEHOLDER: &str = "/run/cluster-api/placeholder";
const PLACEHOLDER_TEXT: &str =
    "This file is here so that the folder exists in which the command below tells of its success.\n";
const SUCCESS: &str = "echo success > /run/cluster-api/bootstrap-success.complete";

/// The user data. They hold secrets.
#[must_use]
pub fn render(bootstrap: &Bootstrap) -> Secret {
    // Cluster API's template for the join of a control plane has no mark at its start, the others have.
    let documents = bootstrap.joined(bootstrap.role != Role::ControlPlane);
    let path = match bootstrap.role {
        Role::Init => INIT_FILE,
        Role::ControlPlane | Role::Worker => JOIN_FILE,
    };
    let last = [(path, documents), (PLACEHOLDER, Secret::new(PLACEHOLDER_TEXT))];
    let last = last.map(|(path, content)| File {
        path: path.to_owned(),
        mode: READABLE,
        content,
    });
    let mut text = HEADER.to_owned();
    text.push_str("write_files:\n");
    for file in bootstrap.certificates.iter().chain(&last) {
        write_file(&mut text, file);
    }
    let verb = bootstrap.role.verb();
    let command = format!("kubeadm {verb} --config {path}  && {SUCCESS}");
    let quote = if bootstrap.role == Role::Init { "'" } else { "" };
    text.push_str("runcmd:\n");
    // Writing to a text cannot fail.
    let _ = writeln!(text, "  - {quote}{command}{quote}");
    Secret::new(&text)
}

fn write_file(text: &mut String, file: &File) {
    let _ = write!(
        text,
        "-   path: {}\n    owner: root:root\n    permissions: '{:04o}'\n    content: |\n",
        file.path, file.mode
    );
    for line in file.content.expose().lines() {
        if !line.is_empty() {
            let _ = write!(text, "      {line}");
        }
        text.push('\n');
    }
}
