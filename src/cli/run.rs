//! `metalsim run`

use super::SettingsArgs;
use crate::{app, telemetry};

pub(super) fn run(args: &SettingsArgs) -> anyhow::Result<()> {
    let settings = args.load()?;
    telemetry::logs::init(&settings.log)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    tracing::debug!(settings = %settings.effective, "effective settings");
    app::run(settings)
}
