//! `doctor`: looks at the broker with the service's own permissions, and at the service's data folder, and
//! names what endangers the data. It changes nothing: what it asks in order to learn whether it may, no
//! server takes for a wish.

mod account;
mod broker;
mod connection;
mod consumers;
mod folder;
pub(crate) mod permissions;
mod report;
mod running;
mod server;
#[cfg(test)]
mod tests;

use std::io;

use anyhow::Context;

use self::report::Report;
use crate::cli::DoctorArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::log_access::LogAccess;

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let nats = NatsConfig::of(&args.nats)?;
    let stream = nats.stream.clone();
    let log = LogAccess::of(nats.clone(), args.consumer_name.clone(), &args.data_dir)
        .context("the consumer's name is made from --data-dir: give it, or --consumer-name")
        .map_err(Failure::Blind)?;
    let consumers = log.consumers();
    let mut out = io::stdout().lock();
    if let Some(role) = args.permissions {
        let reader = args.consumer_name.as_deref();
        let needed = permissions::of(role, &nats, &consumers, reader);
        return Ok(
            permissions::write(role, &nats, &needed, args.json, &mut out)
                .context("the permissions cannot be printed")?,
        );
    }
    let needed = permissions::of_each(&nats, &consumers);
    let mut report = Report::default();
    super::block_on(async {
        let info = broker::look(&nats, &consumers, &needed, &mut report).await;
        sync(args.monitor.as_deref(), &mut report).await;
        let stream = folder::Stream {
            name: &stream,
            info: info.as_ref(),
        };
        let admin = args.admin.as_deref();
        folder::look(&args.data_dir, admin, stream, &log, &mut report).await;
        Ok(())
    })?;
    report
        .write(args.json, &mut out)
        .context("the findings cannot be printed")?;
    report.verdict()
}

/// Looks at what a server tells its monitoring alone.
async fn sync(monitor: Option<&str>, report: &mut Report) {
    let asked = match monitor {
        None => Err("JetStream does not tell it, only a server's monitoring does".to_owned()),
        Some(url) => server::monitoring(url).await,
    };
    match asked {
        Ok(found) => report.find(found),
        Err(problem) => report.not_seen(
            "sync_interval",
            &problem,
            "by default a server syncs every 2 minutes: a power cut can take what was acknowledged since",
            "give --monitor http://HOST:8222 (the server's monitoring address), or look for it in each server's configuration",
        ),
    }
}
