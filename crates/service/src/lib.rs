//! The process: commands, configuration, signals, metrics.
//!
//! The only crate that reads the environment and the only one that wires the others.
//!
//! Invariants:
//!
//! - **S1** Any task that ends unbidden ends the process, and every task hears the stop token.
//! - **S2** Configuration is read once, judged whole, and printed without secrets.
//! - **S3** It stops within its grace time; a second signal ends it at once.

mod admin_client;
mod cli;
mod commands;
pub mod config;
mod credentials;
mod exit;
mod exposure;
mod figures;
#[cfg(test)]
mod golden;
mod keeper;
mod listener;
mod log_access;
pub mod memory;
pub mod nats;
pub mod open_files;
mod operators;
mod printable;
pub mod producer;
mod run;
mod schema_routes;
mod service_manager;
mod signals;
pub mod snapshot;
mod stored_messages;
pub mod stream;
mod stream_reader;
pub mod telemetry;
mod variables;

use std::process::ExitCode;

pub use config::Config;
pub use run::run;

/// The whole program: reads the command line and the environment, runs the command, tells the exit code.
pub fn main() -> ExitCode {
    let ended = match cli::parse() {
        Ok((command, origins)) => {
            commands::run(command, origins.unread()).map_err(|mut failure| {
                if let exit::Failure::Config(faults) = &mut failure {
                    origins.name_variables(&mut faults.0);
                }
                failure
            })
        }
        Err(faults) => Err(faults.into()),
    };
    exit::code_of(&ended)
}
