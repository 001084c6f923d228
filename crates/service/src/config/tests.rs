//! What is said of wrong configurations.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn config(flags: &[&str]) -> Result<(Config, LogConfig), ConfigFaults> {
    let line = ["profile-projector", "serve"].iter().chain(flags);
    let Command::Serve(args) = Cli::parse_from(line).command else {
        panic!("not serve");
    };
    Config::of(&args)
}

#[test]
fn the_defaults_need_an_issuer_only() {
    let (config, log) = config(&["--workos-client-id", "client_01"]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3210");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:3211");
    assert_eq!(config.nats.shown_servers(), "nats://127.0.0.1:4222");
    assert_eq!(config.nats.stream, "IDENTITY_EVENTS");
    assert_eq!(
        config.memory_budget,
        projector::BatchLimits::default().memory_bytes_max
    );
    assert_eq!(config.limits.idle_timeout.as_secs(), 75);
    assert_eq!(log.filter, "info");
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = config(&[
        "--nats-url",
        "nats://me:hunter2@10.0.0.1:4222,http://me:hunter2@::",
        "--nats-creds",
        "missing.creds",
        "--nats-nkey",
        "missing.nk",
        "--nats-tls-cert",
        "missing.pem",
        "--stream",
        "a.b",
        "--listen",
        "localhost",
        "--admin-listen",
        "127.0.0.1",
        "--tls-key",
        "missing.key",
        "--memory-budget",
        "512MB",
        "--keep-alive-seconds",
        "75s",
        "--consumer-name",
        "",
        "--log-format",
        "xml",
    ])
    .unwrap_err()
    .to_string();
    crate::golden::assert("config_faults.txt", &faults);
    assert!(!faults.contains("hunter2"));
}

#[test]
fn one_fault_is_one_line() {
    let fault = config(&[
        "--workos-client-id",
        "c",
        "--admin-listen",
        "127.0.0.1:3210",
    ]);
    crate::golden::assert("config_fault.txt", &fault.unwrap_err().to_string());
}

#[test]
fn s2_no_password_is_shown() {
    let url = "nats://me:hunter2@127.0.0.1:4222,tls://other:4223";
    let (config, _) = config(&["--workos-client-id", "c", "--nats-url", url]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(
        config.nats.shown_servers(),
        "nats://127.0.0.1:4222,tls://other:4223"
    );
}

#[test]
fn the_faults_of_an_issuers_file_are_told_with_the_others() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        r#"{"issuers":[{"issuer":"x"},{"jwks":"ftp://y"}]}"#,
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    let faults = config(&["--auth-config", path, "--listen", "x"]);
    crate::golden::assert("config_auth.txt", &faults.unwrap_err().to_string());
}
