//! What is on a boot medium, all in all.

use bytes::Bytes;
use metalsim_actors::node::bmc::BootMode;

use super::agent_files::{self, AgentFile, AgentFiles};
use super::boot_entry::{BootEntry, BootLoader, MOST_CONFIGURATION, Place, places};
use super::floppy::{Floppy, FloppyError};
use super::grub;
use super::iso9660::{Entry, Image, IsoError, Limits};
use super::isolinux;
use super::kernel_command_line::{CommandLine, CommandLineError};
use super::source::{ReadAt, ReadLimits};
use super::told::Told;

/// Volume ids from whose medium the agent takes files, in any case (`ipa: utils.py`, `copy_config_from_vmedia`).
const LABELS: [&str; 2] = ["config-2", "VMEDIA_BOOT_ISO"];

/// Where the network configuration is, for which Ironic labels the medium `config-2`.
const NETWORK_DATA: &str = "openstack/latest/network_data.json";

/// Longest network configuration that is read, in bytes.
const MOST_NETWORK_DATA: u64 = 256 << 10;

/// The file with parameters on a configuration floppy.
const PARAMETERS: &str = "parameters.txt";

/// Longest `parameters.txt` that is read, in bytes.
const MOST_PARAMETERS: u32 = 64 << 10;

/// Folders in which boot configurations are looked for, where any folder will do.
const MOST_FOLDERS: usize = 16;

/// Files that are taken over from each of the agent's folders.
const MOST_FILES: usize = 32;

/// What is on a medium.
///
/// A medium that Ironic built speaks to the agent on the kernel command line. One that a user built and named as
/// `deploy_iso` need not: whatever configures its agent may be inside the initial ramdisk. So [`Medium::OtherSystem`]
/// does not say that there is no agent, only that nothing shows it. Who inserted the medium knows better: Ironic boots
/// its agent with the boot override Once, and a live system, for the `ramdisk` deploy interface, with Continuous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A ramdisk with the agent.
    Agent(Box<AgentMedium>),
    /// Something else that boots.
    OtherSystem(Box<Found>),
}

/// A ramdisk with the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentMedium {
    /// What boots.
    pub found: Found,
    /// Parameters of the kernel.
    pub parameters: CommandLine,
    /// What the agent's files on the medium say. Empty unless `boot_method=vmedia`.
    pub files: AgentFiles,
    /// The network configuration that is on the medium, as JSON.
    pub network_data: Option<Bytes>,
}

/// What was found on a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Volume id.
    pub volume_id: Box<str>,
    /// Publisher id.
    pub publisher_id: Box<str>,
    /// Path of the boot loader's configuration that was used.
    pub configuration: Option<Box<str>>,
    /// What the configuration boots. `None`: the boot loader's business, as for systems other than Linux.
    pub boot: Option<BootEntry>,
    /// What has been read of the medium.
    pub read: ReadLimits,
}

/// Why a medium does not boot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBootable<E> {
    /// It cannot be read, or is no ISO 9660 image.
    #[error(transparent)]
    Image(#[from] IsoError<E>),
    /// Neither a boot record nor a boot loader's configuration that starts a kernel.
    #[error("the medium {volume_id:?} has neither a boot record nor a known boot configuration")]
    Nothing {
        /// Volume id.
        volume_id: Box<str>,
    },
    /// A kernel command line beyond what a kernel takes.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
}

impl AgentMedium {
    /// Takes the parameters of a configuration floppy that is in the machine as well. The agent looks for it only
    /// if `boot_method=vmedia` is on its command line; the floppy wins.
    pub fn add_floppy(&mut self, parameters: CommandLine) {
        if self.parameters.is_virtual_media() {
            self.parameters.update(parameters);
        }
    }

    /// What all this tells the agent.
    #[must_use]
    pub fn told(&self) -> Told {
        self.parameters.told().then(self.files.told.clone())
    }
}

/// Looks at the medium that a machine in `mode` boots from.
///
/// Nearly all is in the first read; a configuration or a certificate further behind takes one more each.
///
/// # Errors
///
/// If it does not boot.
pub async fn examine<R: ReadAt>(
    reader: R,
    mode: BootMode,
    limits: Limits,
) -> Result<Medium, NotBootable<R::Error>> {
    let mut image = Image::open(reader, limits).await?;
    let volume_id: Box<str> = image.volume_id().into();
    let boot = find_boot_entry(&mut image, mode).await?;
    if boot.is_none() && !image.is_bootable() {
        return Err(NotBootable::Nothing { volume_id });
    }
    let parameters = match &boot {
        Some((_, entry)) => CommandLine::parse(entry.command_line.expose())?,
        None => CommandLine::default(),
    };
    let labelled = LABELS.iter().any(|label| label.eq_ignore_ascii_case(&volume_id));
    let files = if labelled {
        agent_folders(&mut image).await?
    } else {
        Vec::new()
    };
    let is_agent = parameters.speaks_to_agent() || parameters.is_virtual_media() || !files.is_empty();
    let (mut content, mut network_data) = (Vec::new(), None);
    if is_agent && parameters.is_virtual_media() {
        for (path, file) in files {
            let most = u64::try_from(agent_files::MOST_BYTES).unwrap_or(u64::MAX);
            if let Some(content_of) = optional(image.read(&file, most).await)? {
                content.push(AgentFile {
                    path,
                    content: content_of,
                });
            }
        }
    }
    if is_agent && labelled {
        network_data = match image.find(NETWORK_DATA).await? {
            Some(file) => optional(image.read(&file, MOST_NETWORK_DATA).await)?,
            None => None,
        };
    }
    let (configuration, boot) = boot.unzip();
    let found = Found {
        publisher_id: image.publisher_id().into(),
        volume_id,
        configuration,
        boot,
        read: image.used(),
    };
    if !is_agent {
        return Ok(Medium::OtherSystem(Box::new(found)));
    }
    Ok(Medium::Agent(Box::new(AgentMedium {
        found,
        parameters,
        files: AgentFiles::read(&content),
        network_data,
    })))
}

/// The parameters on a configuration floppy; `None` if it is something else.
///
/// # Errors
///
/// If it cannot be read, is damaged, or says too much.
pub async fn floppy_parameters<R: ReadAt>(
    reader: R,
    limits: ReadLimits,
) -> Result<Option<CommandLine>, FloppyParametersError<R::Error>> {
    let mut floppy = match Floppy::open(reader, limits).await {
        Err(FloppyError::NotFat) => return Ok(None),
        other => other?,
    };
    if !floppy.has_parameters_label() {
        return Ok(None);
    }
    match floppy.read(PARAMETERS, MOST_PARAMETERS).await? {
        Some(content) => Ok(Some(CommandLine::parse(&String::from_utf8_lossy(&content))?)),
        None => Ok(None),
    }
}

/// Why a configuration floppy's parameters could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FloppyParametersError<E> {
    /// It cannot be read, or is damaged.
    #[error(transparent)]
    Floppy(#[from] FloppyError<E>),
    /// It says too much.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
}

/// The first configuration that starts a kernel: its path, and what it starts.
async fn find_boot_entry<R: ReadAt>(
    image: &mut Image<R>,
    mode: BootMode,
) -> Result<Option<(Box<str>, BootEntry)>, IsoError<R::Error>> {
    for (loader, place) in places(mode) {
        let paths = match place {
            Place::Path(path) => vec![path.into()],
            Place::AnyFolderIn(folder) => folders(image, folder).await?,
        };
        for path in paths {
            let Some(file) = image.find(&path).await?.filter(|file| !file.is_directory()) else {
                continue;
            };
            let Some(content) = optional(image.read(&file, MOST_CONFIGURATION as u64).await)? else {
                continue;
            };
            let text = String::from_utf8_lossy(&content);
            // One without a kernel may only load another one, which is at another of the places.
            let entry = match loader {
                BootLoader::Grub => grub::boot_entry(&text).ok(),
                BootLoader::Isolinux => isolinux::boot_entry(&text).ok(),
            };
            if let Some(entry) = entry {
                return Ok(Some((path, entry)));
            }
        }
    }
    Ok(None)
}

/// `grub.cfg` in every folder of a folder.
async fn folders<R: ReadAt>(image: &mut Image<R>, folder: &str) -> Result<Vec<Box<str>>, IsoError<R::Error>> {
    let Some(found) = image.find(folder).await?.filter(Entry::is_directory) else {
        return Ok(Vec::new());
    };
    let entries = image.list(&found).await?;
    let folders = entries
        .iter()
        .filter(|entry| entry.is_directory())
        .take(MOST_FOLDERS);
    Ok(folders
        .map(|entry| format!("{folder}/{}/grub.cfg", entry.name()).into())
        .collect())
}

/// The files in the agent's folders, with their paths.
async fn agent_folders<R: ReadAt>(
    image: &mut Image<R>,
) -> Result<Vec<(Box<str>, Entry)>, IsoError<R::Error>> {
    let mut files = Vec::new();
    for folder in agent_files::FOLDERS {
        let Some(found) = image.find(folder).await?.filter(Entry::is_directory) else {
            continue;
        };
        let entries = image.list(&found).await?;
        for entry in entries
            .into_iter()
            .filter(|entry| !entry.is_directory())
            .take(MOST_FILES)
        {
            files.push((format!("{folder}/{}", entry.name()).into(), entry));
        }
    }
    Ok(files)
}

/// A file that is too large to be what it should be counts as none.
fn optional<E>(read: Result<Bytes, IsoError<E>>) -> Result<Option<Bytes>, IsoError<E>> {
    match read {
        Err(IsoError::LargeFile { .. } | IsoError::Interleaved | IsoError::Kind { .. }) => Ok(None),
        other => other.map(Some),
    }
}
