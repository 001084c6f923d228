//! What `dev` is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    /// Address of the nats-server, which is on the loopback address too; one of its own without.
    pub(crate) nats_listen: Option<SocketAddr>,
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
        let listen = address("--listen", args.listen);
        let admin_listen = address("--admin-listen", args.admin_listen);
        let nats_listen = address("--nats-listen", args.nats_listen);
        let can_be_reached = |ip: IpAddr| ip == Ipv4Addr::LOCALHOST || ip == Ipv4Addr::UNSPECIFIED;
        if nats_listen.is_some_and(|address| !can_be_reached(address.ip())) {
            judge.fault("--nats-listen", "is neither on 127.0.0.1 nor on 0.0.0.0");
        }
        let config = Self {
            listen,
            admin_listen,
            data_dir: args.data_dir,
            nats_listen,
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
