//! `verify`: holds a read model against a fold of its stream, in a running service or in the folder of
//! one that is stopped.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use read_model::{OpenError, Options, Place, ReadModel};

use super::{bar, job};
use crate::cli::VerifyArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::keeper::{Job, JobKind, Keeper};
use crate::log_access::LogAccess;
use crate::signals;

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let model = match &args.data_dir {
        Some(folder) => open(folder)?.map(|model| (folder, model)),
        None => None,
    };
    let Some((folder, model)) = model else {
        let job = Job::of(JobKind::Verify);
        return super::block_on(job::ask(&args.admin, job));
    };
    let nats = NatsConfig::of(&args.nats)?;
    let log = LogAccess::of(nats, args.consumer_name.clone(), folder)?;
    super::block_on(alone(log, folder, model))
}

/// `None` when a service holds the folder: then it is the one to ask.
fn open(folder: &Path) -> anyhow::Result<Option<ReadModel>> {
    let shown = folder.display();
    ensure!(
        Place::Live.is_there(folder)?,
        "there is no read model in --data-dir {shown}: name the folder that holds read-model.redb, or leave \
         the flag out to ask the running service"
    );
    match ReadModel::open(folder, Options::default()) {
        Ok(model) => Ok(Some(model)),
        Err(OpenError::InUse { .. }) => Ok(None),
        Err(error) => Err(error).context("the read model cannot be verified"),
    }
}

/// Does the job in this process.
async fn alone(log: LogAccess, folder: &Path, model: ReadModel) -> Result<(), Failure> {
    let stop = signals::stop_token()?;
    let (keeper, _, desk) = Keeper::new(log, folder.to_owned(), model);
    let bar = bar::of("events");
    let mut verifying = std::pin::pin!(keeper.verify_alone(&stop));
    loop {
        tokio::select! {
            () = &mut verifying => break,
            () = tokio::time::sleep(SHOW_EVERY) => job::show(&bar, &desk.status()),
        }
    }
    bar.finish_and_clear();
    job::conclude(&desk.status(), &mut io::stdout().lock())
}
