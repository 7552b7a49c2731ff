//! What `wandb sync` has or had, for scripts that were written for it.

use wandb_offline::{Error, Result};

/// Options that are taken for what is done anyway, and options that are refused with what to do instead.
#[derive(Debug, clap::Args)]
pub(super) struct Official {
    #[arg(
        long = "skip-synced",
        alias = "no-include-synced",
        overrides_with = "include_synced",
        hide = true
    )]
    _skip_synced: bool,
    #[arg(
        long = "skip-online",
        alias = "no-include-online",
        overrides_with = "include_online",
        hide = true
    )]
    _skip_online: bool,
    #[arg(long = "include-offline", hide = true)]
    _include_offline: bool,
    #[arg(long, hide = true)]
    sync_all: bool,
    #[arg(long, hide = true)]
    clean: bool,
    #[arg(long, hide = true)]
    sync_tensorboard: bool,
}

impl Official {
    /// Fails if something is asked for that is done otherwise here.
    pub(super) fn refuse(&self) -> Result<()> {
        let gone = [
            (self.sync_all, "--sync-all", "name the directory instead, as in `sync wandb`"),
            (
                self.clean,
                "--clean",
                "nothing is deleted here; `wandb-offline ls` tells which runs are synced and may be removed",
            ),
            (
                self.sync_tensorboard,
                "--sync-tensorboard",
                "`tb2wandb` makes runs of TensorBoard log directories, which are then uploaded as any other",
            ),
        ];
        match gone.iter().find(|(given, ..)| *given) {
            Some((_, option, instead)) => Err(Error::setting(*option, *instead)),
            None => Ok(()),
        }
    }
}
