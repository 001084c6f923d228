//! What `dev` is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::faults::{ConfigFaults, Judge};
use super::{LogConfig, judge_address};
use crate::cli::DevArgs;

/// What `dev` runs with.
#[derive(Debug)]
pub(crate) struct DevConfig {
    /// Folder of everything that it keeps.
    pub(crate) data_dir: PathBuf,
    /// Address of the Convex routes; one of its own without.
    pub(crate) listen: Option<SocketAddr>,
    /// Address of the admin routes; one of its own without.
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Port of the nats-server; one of its own without, any free one if 0.
    pub(crate) nats_port: Option<u16>,
    /// The nats-server to run.
    pub(crate) nats_server: Option<PathBuf>,
}

impl DevConfig {
    /// Judges what `dev` was told.
    pub(crate) fn of(args: DevArgs) -> Result<(Self, LogConfig), ConfigFaults> {
        let mut judge = Judge::default();
        let log = LogConfig::judged(&args.log, "warn,service=info", &mut judge);
        let mut address = |flag, text: Option<String>| {
            text.and_then(|text| judge_address(flag, &text, &mut judge))
        };
        let config = Self {
            listen: address("--listen", args.listen),
            admin_listen: address("--admin-listen", args.admin_listen),
            data_dir: args.data_dir,
            nats_port: args.nats_port,
            nats_server: args.nats_server,
        };
        let judged = judge.end(log.map(|log| (config, log)));
        judged.map_err(|mut faults| {
            for fault in &mut faults.0 {
                fault.has_variable &= fault.flag.starts_with("--log");
            }
            faults
        })
    }
}
