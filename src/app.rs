//! Composition root: the only file that names every concrete type.

use crate::settings::Settings;

/// Runs everything in the foreground until it is told to stop.
///
/// # Errors
/// If a listener cannot be opened or a part stops by itself.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("running {} nodes is not implemented yet", settings.nodes.len())
}
