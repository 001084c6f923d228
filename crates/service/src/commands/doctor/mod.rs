//! `doctor`: looks at the broker with the service's own permissions and names what endangers the data.
//! It changes nothing: what it asks in order to learn whether it may, no server takes for a wish.

mod broker;
pub(crate) mod permissions;

use std::io::{self, Write};

use anyhow::Context;
use projector::{Finding, Permissions, Severity};
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::log_access::LogAccess;

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let nats = NatsConfig::of(&args.nats)?;
    let stream = nats.stream.clone();
    let log = LogAccess::of(nats.clone(), args.consumer_name.clone(), &args.data_dir)
        .context("the consumer's name is made from --data-dir: give it, or --consumer-name")?;
    let needed: Vec<Permissions> = log
        .consumers()
        .iter()
        .map(|consumer| Permissions::of(&stream, consumer))
        .collect();
    let mut out = io::stdout().lock();
    if let Some(role) = args.permissions {
        let needed = permissions::of(role, &stream, &needed);
        return Ok(
            permissions::write(role, &stream, &needed, args.json, &mut out)
                .context("the permissions cannot be printed")?,
        );
    }
    let mut findings = Vec::new();
    super::block_on(async {
        findings = broker::look(&nats, &log.consumers(), &needed, args.monitor.as_deref()).await;
        Ok(())
    })?;
    findings.sort_by_key(|finding| finding.severity);
    write_findings(&findings, args.json, &mut out).context("the findings cannot be printed")?;
    if findings
        .iter()
        .any(|finding| finding.severity == Severity::Danger)
    {
        return Err(Failure::Told);
    }
    Ok(())
}

fn write_findings(findings: &[Finding], json: bool, out: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        if json {
            writeln!(out, "{}", json!(finding))?;
        } else {
            let Finding {
                severity,
                subject,
                what,
                why,
                mend,
            } = finding;
            writeln!(out, "{:<8} {subject}: {what}", severity.word())?;
            writeln!(out, "         why:  {why}\n         mend: {mend}")?;
        }
    }
    let count = |of| {
        findings
            .iter()
            .filter(|finding| finding.severity == of)
            .count()
    };
    let (dangers, warnings) = (count(Severity::Danger), count(Severity::Warning));
    let notes = count(Severity::Note);
    if json {
        writeln!(
            out,
            "{}",
            json!({"dangers": dangers, "warnings": warnings, "notes": notes})
        )
    } else {
        writeln!(out, "{dangers} dangers, {warnings} warnings, {notes} notes")
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream;

    use super::permissions::Role;
    use super::*;
    use crate::nats_server::{NatsServer, Setup, locate};

    const STREAM: &str = "IDENTITY_EVENTS";
    const CONSUMER: &str = "profile-projector";

    fn needed() -> Vec<Permissions> {
        let consumers = [CONSUMER.to_owned(), format!("{CONSUMER}-rebuild")];
        consumers.map(|name| Permissions::of(STREAM, &name)).into()
    }

    #[test]
    fn the_permissions_in_the_deploy_folder_are_the_printed_ones() {
        let mut printed = Vec::new();
        let service = permissions::of(Role::Serve, STREAM, &needed());
        permissions::write(Role::Serve, STREAM, &service, false, &mut printed).unwrap();
        let file = include_str!("../../../../../deploy/nats/permissions.conf");
        assert_eq!(String::from_utf8(printed).unwrap(), file);
    }

    /// What is found at a new server that has this stream.
    async fn found_with(config: stream::Config, ask_monitoring: bool) -> String {
        let dir = tempfile::tempdir().unwrap();
        let monitoring = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = monitoring.local_addr().unwrap().port();
        drop(monitoring);
        let server = NatsServer::start(Setup {
            binary: locate(None).unwrap(),
            dir: dir.path().to_owned(),
            port: None,
            arguments: vec!["--http_port".into(), port.to_string().into()],
        })
        .await
        .unwrap();
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(client);
        jetstream.create_stream(config).await.unwrap();
        let nats = NatsConfig::plain(server.url().parse().unwrap(), STREAM);
        let monitor = format!("http://127.0.0.1:{port}");
        let monitor = ask_monitoring.then_some(monitor.as_str());
        let mut findings = broker::look(&nats, &[CONSUMER.to_owned()], &needed(), monitor).await;
        findings.sort_by_key(|finding| finding.severity);
        let mut text = Vec::new();
        write_findings(&findings, false, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn a_stream_with_the_servers_defaults_is_told_what_endangers_it() {
        let found = found_with(
            stream::Config {
                name: STREAM.to_owned(),
                subjects: vec!["identity.v1.>".to_owned()],
                ..stream::Config::default()
            },
            false,
        );
        crate::golden::assert("doctor_default.txt", &found.await);
    }

    #[tokio::test]
    async fn the_recommended_stream_lacks_copies_alone_on_one_server() {
        let text = include_str!("../../../../../deploy/nats/stream.json");
        let found = found_with(serde_json::from_str(text).unwrap(), true);
        crate::golden::assert("doctor_recommended.txt", &found.await);
    }

    #[tokio::test]
    async fn every_setting_that_removes_events_is_a_danger() {
        let found = found_with(
            stream::Config {
                name: STREAM.to_owned(),
                subjects: vec!["identity.v1.>".to_owned()],
                storage: stream::StorageType::Memory,
                retention: stream::RetentionPolicy::Interest,
                max_messages: 1_000,
                max_bytes: 1_000_000,
                max_age: std::time::Duration::from_hours(1),
                max_messages_per_subject: 5,
                max_message_size: 1_000,
                duplicate_window: std::time::Duration::from_secs(5),
                allow_rollup: true,
                deny_delete: true,
                ..stream::Config::default()
            },
            false,
        );
        crate::golden::assert("doctor_dangerous.txt", &found.await);
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_what_to_check() {
        let nats = NatsConfig::plain("nats://127.0.0.1:1".parse().unwrap(), STREAM);
        let findings = broker::look(&nats, &[CONSUMER.to_owned()], &needed(), None).await;
        let first = findings.first().unwrap();
        assert_eq!(first.severity, Severity::Danger);
        assert!(first.what.contains("is it running?"), "{}", first.what);
    }
}
