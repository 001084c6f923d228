//! `quarantine`: what is parked, why, what would heal it, and an operator's decision to give it up.

mod drop;
mod drop_all;
mod list;
mod select;

use std::fmt::Write as _;

use percent_encoding::NON_ALPHANUMERIC;
use query::quarantine::{Page, Shown, Wanted};
use read_model::{OpenError, Options, Place, ReadModel};

use crate::admin_client::AdminClient;
use crate::cli::{QuarantineCommand, ReadFromArgs};
use crate::exit::Failure;

pub(crate) fn run(command: &QuarantineCommand) -> Result<(), Failure> {
    match command {
        QuarantineCommand::List(args) => list::list(args),
        QuarantineCommand::Show(args) => list::show(args),
        QuarantineCommand::Drop(args) => drop::run(args),
        QuarantineCommand::DropAll(args) => drop_all::run(args),
    }
}

/// Where a service's operators' listener is by default.
const ADMIN: &str = "http://127.0.0.1:3211";

/// Where the quarantine is read: both tell the same.
enum Source {
    Running(AdminClient),
    Stopped(Box<ReadModel>),
}

impl Source {
    fn of(args: &ReadFromArgs) -> anyhow::Result<Self> {
        let folder = match (&args.admin, &args.data_dir) {
            (None, Some(folder)) => folder,
            (url, _) => {
                let url = url.as_deref().unwrap_or(ADMIN);
                let token_file = args.admin_token_file.as_deref();
                return Ok(Self::Running(AdminClient::new(url, token_file)?));
            }
        };
        let shown = folder.display();
        if !Place::Live.is_there(folder)? {
            anyhow::bail!(
                "there is no read model in {shown}: give the --data-dir of a service, or its --admin while it runs"
            );
        }
        // Little is read; the rest is left to the system.
        let options = Options {
            cache_bytes: 16 * 1024 * 1024,
        };
        let opened = ReadModel::open(folder, options).map_err(|error| match &error {
            OpenError::InUse { .. } => {
                anyhow::anyhow!("{error}: ask the running service with --admin")
            }
            OpenError::OtherLayout { .. } => anyhow::anyhow!(
                "{error}: ask with the release that wrote it, or start this one to have it rebuilt"
            ),
            OpenError::Folder { .. }
            | OpenError::Damaged { .. }
            | OpenError::Unfinished { .. }
            | OpenError::LastGoodKept { .. } => error.into(),
        })?;
        Ok(Self::Stopped(Box::new(opened)))
    }

    /// The stream that the records are in, if that is known.
    async fn stream(&self) -> Option<String> {
        match self {
            Self::Running(service) => {
                let status: serde_json::Value = service.get("/status").await.ok()?;
                Some(status.pointer("/stream/name")?.as_str()?.to_owned())
            }
            Self::Stopped(model) => {
                let checkpoint = model.reader().checkpoint()?;
                Some(checkpoint.stream.name.to_string())
            }
        }
    }

    async fn page(&self, wanted: &Wanted) -> anyhow::Result<Page> {
        match self {
            Self::Running(service) => service.get(&path_of(wanted)).await,
            Self::Stopped(model) => Ok(query::quarantine::page(&model.reader().inspect(), wanted)?),
        }
    }

    async fn show(&self, sequence: u64) -> anyhow::Result<Option<Shown>> {
        match self {
            Self::Running(service) => parked(service, sequence).await,
            Self::Stopped(model) => Ok(query::quarantine::show(
                &model.reader().inspect(),
                sequence,
            )?),
        }
    }
}

/// The route that answers what is wanted.
fn path_of(wanted: &Wanted) -> String {
    let limit = wanted.limit.map(|limit| limit.to_string());
    let members = [
        ("limit", &limit),
        ("user", &wanted.user),
        ("reason", &wanted.reason),
        ("lane", &wanted.lane),
        ("fault", &wanted.fault),
    ];
    let mut path = format!("/quarantine?after={}", wanted.after);
    for (name, value) in members {
        if let Some(value) = value {
            let value = percent_encoding::utf8_percent_encode(value, NON_ALPHANUMERIC);
            let _ = write!(path, "&{name}={value}");
        }
    }
    path
}

/// One record as a running service has it parked.
async fn parked(service: &AdminClient, sequence: u64) -> anyhow::Result<Option<Shown>> {
    service.find(&format!("/quarantine/{sequence}")).await
}
