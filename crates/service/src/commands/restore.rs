//! `restore`: a folder that begins with a snapshot.

use std::io::{self, Write};

use anyhow::{Context, anyhow};

use super::bar;
use crate::cli::RestoreArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::signals;
use crate::snapshot::{self, Restore};

pub(crate) fn run(args: &RestoreArgs) -> Result<(), Failure> {
    let nats = NatsConfig::of(&args.nats)?;
    let what = Restore {
        at: &args.from,
        nats: &nats,
        folder: &args.data_dir,
        replace: args.replace,
    };
    super::block_on(async {
        let stop = signals::stop_token()?;
        let bar = bar::of("rows");
        let shown = bar.clone();
        let copied = move |rows, rows_total| bar::advance(&shown, rows, rows_total);
        let manifest = tokio::select! {
            restored = snapshot::restore(&what, &stop, copied) => restored?,
            () = stop.cancelled() => {
                return Err(anyhow!("interrupted; the folder is as it was").into());
            }
        };
        bar.finish_and_clear();
        let (folder, sequence) = (args.data_dir.display(), manifest.checkpoint.sequence());
        let digest = manifest.totals.digest;
        writeln!(
            io::stdout(),
            "{folder}: sequence {sequence}, {} rows, digest {digest}; serve reads on from there",
            manifest.rows
        )
        .context("standard output is gone")?;
        Ok(())
    })
}
