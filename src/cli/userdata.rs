//! `metalsim userdata`

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use metalsim_actors::node::bmc::Secret;
use metalsim_actors::node::os::intent::Endpoint;
use metalsim_actors::time::Clock as _;
use serde_json::{Map, Value};

use crate::clock::WallClock;
use crate::cluster::pki::{Kubeconfig, write_private};
use crate::forge::cluster::Settings;
use crate::forge::config_drive::{self, Beside};
use crate::forge::kubeadm::Node;
use crate::forge::values::{ClusterName, KubernetesVersion, NodeLabel, Subnets, TokenTtl};
use crate::forge::{Bootstrap, BootstrapToken, Cluster, ForgeError, Role, cloud_config, ignition};

/// Largest file that is read.
const LARGEST: u64 = 16 << 20;
/// Name of a node unless told otherwise, where templates are rendered.
const NAME_TEMPLATE: &str = "{{ ds.meta_data.name }}";
/// Time for which the administrator's certificate is valid (kubernetes: `cmd/kubeadm/app/constants`,
/// `CertificateValidityPeriod`).
const ADMINISTRATOR_DAYS: i64 = 365;

const HELP: &str = "\
The first call for a cluster has --role init: it makes the cluster's certificate authorities and keys and a bootstrap
token, keeps them in the state, and gives the user data of the first control plane. Later calls, with --role
control-plane or worker, use them. A second call with --role init keeps them as well.

Cluster API makes a bootstrap token for each machine, by the API of the cluster. Nothing can be made there before the
cluster is up, so here one token goes into the InitConfiguration of the first machine (bootstrapTokens), and kubeadm
makes its Secret. Its time to live begins with kubeadm init on that machine; choose it with --token-ttl, or give a newer
token to later machines with --token-file.

State, user data, config drives and kubeconfig hold private keys: they are written with mode 0600.";

/// What a machine becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// The first control plane: kubeadm init
    Init,
    /// A further control plane: kubeadm join
    ControlPlane,
    /// A worker: kubeadm join
    Worker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For cloud-init, with templates
    CloudConfig,
    /// For Ignition 3.4, which knows no templates
    Ignition,
}

#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub(super) struct UserDataArgs {
    /// Name of the cluster
    #[arg(long, value_name = "NAME")]
    cluster: ClusterName,
    /// What the machine becomes
    #[arg(long)]
    role: RoleName,
    /// Where the cluster's secrets are kept: a folder, for a file NAME.json in it, or a file that ends in .json
    #[arg(long, value_name = "FOLDER|FILE")]
    state: PathBuf,
    /// The cluster's controlPlaneEndpoint; needed for a new cluster
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<Endpoint>,
    /// Version of Kubernetes; v1.34.2 for a new cluster
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<KubernetesVersion>,
    /// Format of the user data
    #[arg(long, value_enum, default_value_t = Format::CloudConfig)]
    format: Format,
    /// Name of the node; for cloud-config '{{ ds.meta_data.name }}', for Ignition the host name
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// Labels of the node, such as 'metal3.io/uuid={{ ds.meta_data.uuid }}'
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    node_labels: Vec<NodeLabel>,
    /// Provider id of the node, such as 'metal3://{{ ds.meta_data.providerid }}'
    #[arg(long, value_name = "ID")]
    provider_id: Option<String>,
    /// Time that the bootstrap token lives from kubeadm init on; 0 for ever [init; 15m for a new cluster]
    #[arg(long, value_name = "TIME")]
    token_ttl: Option<TokenTtl>,
    /// File with the bootstrap token to use instead of the one that is kept
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Subnets of pods [init]
    #[arg(long, value_name = "SUBNETS")]
    pod_subnet: Option<Subnets>,
    /// Subnets of Services [init; kubeadm's 10.96.0.0/12]
    #[arg(long, value_name = "SUBNETS")]
    service_subnet: Option<Subnets>,
    /// DNS domain of the cluster [init; kubeadm's cluster.local]
    #[arg(long, value_name = "DOMAIN")]
    dns_domain: Option<String>,
    /// A further name or address of the API server [init]
    #[arg(long = "cert-san", value_name = "NAME", value_delimiter = ',')]
    cert_sans: Vec<String>,
    /// File for the user data; without it, and without --config-drive, they go to the standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File for a config drive around the user data, by its ending: .json, the object from which Ironic makes a drive; .iso, an
    /// image; .b64, an image as Ironic takes it
    #[arg(long, value_name = "FILE")]
    config_drive: Option<PathBuf>,
    /// JSON file for the config drive's meta data; Ironic adds uuid and name to those in a .json
    #[arg(
        long,
        value_name = "FILE",
        requires = "config_drive",
        visible_alias = "meta-data"
    )]
    metadata: Option<PathBuf>,
    /// JSON file for the config drive's network data
    #[arg(long, value_name = "FILE", requires = "config_drive")]
    network_data: Option<PathBuf>,
    /// File for a kubeconfig of an administrator of the cluster
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// What was asked for cannot be, or not so; the exit code is 2.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(
        "{}: cluster {cluster} is not known there; make the user data of its first machine first, with --role init",
        path.display()
    )]
    UnknownCluster { cluster: ClusterName, path: PathBuf },
    #[error("cluster {0} is new: it needs --endpoint HOST:PORT")]
    NoEndpoint(ClusterName),
    #[error("{0} is for --role init only: it is a matter of the whole cluster")]
    InitOnly(&'static str),
    #[error("{}: {source}", path.display())]
    State { path: PathBuf, source: ForgeError },
    #[error("{}: {what}", path.display())]
    File { path: PathBuf, what: String },
}

pub(super) fn run(args: &UserDataArgs) -> anyhow::Result<()> {
    let now = WallClock::start(1.0).epoch();
    let beside = args.beside()?;
    let cluster = args.cluster(now)?;
    let bootstrap = Bootstrap::new(&cluster, args.role(), &args.node())?;
    let user_data = match args.format {
        Format::CloudConfig => cloud_config::render(&bootstrap),
        Format::Ignition => ignition::render(&bootstrap)?,
    };
    if let Some(path) = &args.kubeconfig {
        write_private(path, administrator(&cluster, now)?.to_yaml())?;
    }
    if let Some(path) = &args.config_drive {
        match DriveForm::of(path)? {
            DriveForm::Object => {
                write_private(path, config_drive::dictionary(&user_data, &beside)?.expose())?;
            }
            DriveForm::Image => write_private(path, config_drive::image(&user_data, &beside)?)?,
            DriveForm::Packed => {
                let image = config_drive::image(&user_data, &beside)?;
                write_private(path, config_drive::packed(&image)?)?;
            }
        }
    }
    match &args.output {
        Some(path) => write_private(path, user_data.expose())?,
        None if args.config_drive.is_none() => {
            std::io::stdout().write_all(user_data.expose().as_bytes())?;
        }
        None => {}
    }
    Ok(())
}

impl UserDataArgs {
    const fn role(&self) -> Role {
        match self.role {
            RoleName::Init => Role::Init,
            RoleName::ControlPlane => Role::ControlPlane,
            RoleName::Worker => Role::Worker,
        }
    }

    fn node(&self) -> Node {
        let template = (self.format == Format::CloudConfig).then(|| NAME_TEMPLATE.to_owned());
        Node {
            name: self.node_name.clone().or(template),
            labels: self.node_labels.clone(),
            provider_id: self.provider_id.clone(),
        }
    }

    fn state_file(&self) -> PathBuf {
        let is_file = self.state.extension().is_some_and(|ending| ending == "json");
        if is_file && !self.state.is_dir() {
            self.state.clone()
        } else {
            self.state.join(format!("{}.json", self.cluster))
        }
    }

    /// The cluster: read, made, or changed. What is new is kept.
    fn cluster(&self, now: DateTime<Utc>) -> anyhow::Result<Cluster> {
        let path = self.state_file();
        let unusable = |source| Unusable::State {
            path: path.clone(),
            source,
        };
        let kept = read(&path)?
            .map(|text| Cluster::from_state(&self.cluster, text.expose()))
            .transpose()
            .map_err(unusable)?;
        let token = self.token()?;
        if self.role != RoleName::Init {
            self.refuse_settings_of_clusters()?;
            let mut cluster = kept.ok_or_else(|| Unusable::UnknownCluster {
                cluster: self.cluster.clone(),
                path: path.clone(),
            })?;
            self.change(&mut cluster, token);
            return Ok(cluster);
        }
        let mut cluster = match kept.clone() {
            Some(cluster) => cluster,
            None => Cluster::new(self.cluster.clone(), self.settings()?, now)?,
        };
        self.change(&mut cluster, token);
        if kept.as_ref() != Some(&cluster) {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                let mut builder = std::fs::DirBuilder::new();
                builder
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)
                    .with_context(|| folder.display().to_string())?;
            }
            write_private(&path, cluster.to_state()?)?;
        }
        Ok(cluster)
    }

    /// Settings of a new cluster.
    fn settings(&self) -> Result<Settings, Unusable> {
        Ok(Settings {
            endpoint: self
                .endpoint
                .clone()
                .ok_or_else(|| Unusable::NoEndpoint(self.cluster.clone()))?,
            version: KubernetesVersion::default(),
            token_ttl: TokenTtl::DEFAULT,
            pod_subnet: None,
            service_subnet: None,
            dns_domain: None,
            cert_sans: Vec::new(),
        })
    }

    /// What was given takes the place of what is kept.
    fn change(&self, cluster: &mut Cluster, token: Option<BootstrapToken>) {
        fn put<T: Clone>(to: &mut T, given: &Option<T>) {
            if let Some(given) = given {
                to.clone_from(given);
            }
        }
        let settings = &mut cluster.settings;
        put(&mut settings.endpoint, &self.endpoint);
        put(&mut settings.version, &self.kubernetes_version);
        put(&mut settings.token_ttl, &self.token_ttl);
        put(&mut cluster.token, &token);
        let optional = |to: &mut Option<Subnets>, given: &Option<Subnets>| {
            if given.is_some() {
                to.clone_from(given);
            }
        };
        optional(&mut settings.pod_subnet, &self.pod_subnet);
        optional(&mut settings.service_subnet, &self.service_subnet);
        if self.dns_domain.is_some() {
            settings.dns_domain.clone_from(&self.dns_domain);
        }
        if !self.cert_sans.is_empty() {
            settings.cert_sans.clone_from(&self.cert_sans);
        }
    }

    fn refuse_settings_of_clusters(&self) -> Result<(), Unusable> {
        let given = [
            ("--token-ttl", self.token_ttl.is_some()),
            ("--pod-subnet", self.pod_subnet.is_some()),
            ("--service-subnet", self.service_subnet.is_some()),
            ("--dns-domain", self.dns_domain.is_some()),
            ("--cert-san", !self.cert_sans.is_empty()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Unusable::InitOnly(flag)),
            None => Ok(()),
        }
    }

    fn token(&self) -> anyhow::Result<Option<BootstrapToken>> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let token = there(path)?.expose().trim().parse();
        Ok(Some(token.map_err(
            |error: crate::forge::values::InvalidValue| Unusable::File {
                path: path.clone(),
                what: error.to_string(),
            },
        )?))
    }

    fn beside(&self) -> anyhow::Result<Beside> {
        if let Some(path) = &self.config_drive
            && DriveForm::of(path)? != DriveForm::Object
            && self.metadata.is_none()
        {
            return Err(Unusable::File {
                path: path.clone(),
                what: "an image needs --metadata, for Ironic adds nothing to it".to_owned(),
            }
            .into());
        }
        Ok(Beside {
            meta_data: object(self.metadata.as_deref())?,
            network_data: object(self.network_data.as_deref())?,
        })
    }
}

/// The form of a config drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DriveForm {
    Object,
    Image,
    Packed,
}

impl DriveForm {
    /// By the file's ending.
    fn of(path: &Path) -> Result<Self, Unusable> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => Ok(Self::Object),
            Some("iso") => Ok(Self::Image),
            Some("b64") => Ok(Self::Packed),
            _ => Err(Unusable::File {
                path: path.to_owned(),
                what: "a config drive's file ends in .json, .iso or .b64".to_owned(),
            }),
        }
    }
}

/// The object in a JSON file.
fn object(path: Option<&Path>) -> anyhow::Result<Option<Map<String, Value>>> {
    let Some(path) = path else { return Ok(None) };
    let parsed = serde_json::from_str(there(path)?.expose());
    Ok(Some(parsed.map_err(|error| Unusable::File {
        path: path.to_owned(),
        what: format!("no JSON object: {error}"),
    })?))
}

/// A file that has to be there.
fn there(path: &Path) -> anyhow::Result<Secret> {
    let missing = || Unusable::File {
        path: path.to_owned(),
        what: "there is no such file".to_owned(),
    };
    Ok(read(path)?.ok_or_else(missing)?)
}

/// The text of a file, if there is one.
fn read(path: &Path) -> anyhow::Result<Option<Secret>> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(|| path.display().to_string())?,
    };
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text);
    let what = match read {
        Ok(_) if text.len() as u64 <= LARGEST => return Ok(Some(Secret::new(&text))),
        Ok(_) => "it is too large".to_owned(),
        Err(error) if error.kind() == ErrorKind::InvalidData => "it holds no text".to_owned(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    Err(Unusable::File {
        path: path.to_owned(),
        what,
    }
    .into())
}

/// The kubeconfig that kubeadm writes to `super-admin.conf` (kubernetes: `cmd/kubeadm/app/phases/kubeconfig`).
fn administrator(cluster: &Cluster, now: DateTime<Utc>) -> anyhow::Result<Kubeconfig> {
    let authority = cluster.authorities.cluster_authority()?;
    let validity = chrono::Duration::days(ADMINISTRATOR_DAYS);
    let user = "kubernetes-super-admin";
    let client = authority.issue_client(user, &["system:masters"], now, validity)?;
    let server = format!("https://{}", cluster.settings.endpoint);
    let name = cluster.name.to_string();
    Ok(Kubeconfig::new(&name, &server, user, &authority, &client)?)
}
