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
        "--trusted-proxies",
        "10.0.0.0/8,10.0.0.0/33,proxy.internal",
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
fn each_entry_of_the_log_names_a_level() {
    let judged = |log: &str| config(&["--workos-client-id", "c", "--log", log]);
    for log in ["info", "OFF", "projector=debug,info", "warn,service=Trace,"] {
        assert_eq!(judged(log).unwrap().1.filter, log);
    }
    for (log, word) in [
        ("inof", "inof"),
        ("zzz", "zzz"),
        ("nonsense=", "nonsense="),
        ("projector", "projector"),
        ("info,projector", "projector"),
        ("projector=verbose,info", "projector=verbose"),
        ("7", "7"),
    ] {
        let said = judged(log).unwrap_err().to_string();
        let start = format!(
            "error: configuration: --log says {word:?}, which is no level: expected off, error, "
        );
        assert!(said.starts_with(&start), "{log}: {said}");
    }
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

/// What NATS flags come to in an environment.
fn nats(flags: &[&str], variables: &[(&str, &str)]) -> Result<(NatsConfig, bool), ConfigFaults> {
    let line = ["profile-projector", "publish", "file"].iter().chain(flags);
    let Command::Publish(args) = Cli::parse_from(line).command else {
        panic!("not publish");
    };
    let mut judge = Judge::default();
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.into())
    };
    let config = NatsConfig::judged(&args.nats, &variable, &mut judge);
    judge.end(config)
}

#[test]
fn settings_that_belong_together_come_from_one_place() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/nats/context");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["me.creds", "me.nk", "token"] {
        std::fs::write(home.path().join(file), "x").unwrap();
    }
    let context = r#"{"url":"nats://a:1","creds":"~/me.creds","jetstream_domain":"hub","tls_first":true,
        "nsc":"","windows_cert_store":null,"jetstream_event_prefix":"x"}"#;
    std::fs::write(folder.join("c.json"), context).unwrap();
    let path = |file: &str| home.path().join(file).to_str().unwrap().to_owned();
    let (nkey, token) = (path("me.nk"), path("token"));
    let home = home.path().to_str().unwrap();
    let variables = [
        ("HOME", home),
        ("NATS_TOKEN", "x"),
        ("NATS_URL", "nats://b:2"),
    ];
    let shown = |flags: &[&str]| {
        let (config, is_told) = nats(flags, &variables).unwrap();
        let credentials = format!("{:?}", config.credentials).replace(home, "~");
        let (servers, first) = (config.shown_servers(), config.tls.first);
        assert!(is_told);
        format!("{servers} {credentials} {} {first}", config.api.as_str())
    };
    for (flags, expected) in [
        (&[][..], "nats://b:2 Token(NATS_TOKEN) $JS.API false"),
        (
            &["--nats-context", "c"],
            "nats://a:1 Creds(\"~/me.creds\") $JS.hub.API true",
        ),
        (
            &[
                "--nats-context",
                "c",
                "--nats-nkey",
                &nkey,
                "--nats-api-prefix",
                "js.b",
            ],
            "nats://a:1 Nkey(\"~/me.nk\") js.b true",
        ),
        (
            &["--nats-context", "c", "--nats-url", "nats://me:pw@c:3"],
            "nats://c:3 Url $JS.hub.API true",
        ),
        (
            &["--nats-url", "nats://c:3", "--nats-token-file", &token],
            "nats://c:3 Token(~/token) $JS.API false",
        ),
    ] {
        assert_eq!(shown(flags), expected, "{flags:?}");
    }
    let (config, is_told) = nats(&[], &[]).unwrap();
    assert_eq!(
        (config.shown_servers().as_str(), is_told),
        ("nats://127.0.0.1:4222", false)
    );
}

#[test]
fn who_we_are_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    std::fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    for (variables, expected) in [
        (
            &[
                ("NATS_USER", "u"),
                ("NATS_PASSWORD", "p"),
                ("NATS_TOKEN", "t"),
            ][..],
            "NATS_TOKEN excludes NATS_USER: give one",
        ),
        (
            &[("NATS_USER", "u"), ("NATS_TOKEN", "t")],
            "NATS_TOKEN excludes NATS_USER: give one",
        ),
        (
            &[("NATS_CREDS", file), ("NATS_NKEY", file)],
            "NATS_NKEY excludes NATS_CREDS: give one",
        ),
        (
            &[("NATS_NKEY", file), ("NATS_TOKEN", "t")],
            "NATS_TOKEN excludes NATS_NKEY: give one",
        ),
        (
            &[("NATS_PASSWORD", "p")],
            "NATS_USER is missing, NATS_PASSWORD needs it",
        ),
    ] {
        let said = nats(&[], variables).unwrap_err().to_string();
        assert!(said.contains(expected), "{variables:?}: {said}");
        // A flag goes before them all.
        nats(&["--nats-creds", file], variables).unwrap();
    }
    let contexts = folder.path().join("nats/context");
    std::fs::create_dir_all(&contexts).unwrap();
    let context = format!(r#"{{"user":"u","password":"p","creds":"{file}","token":"hunter2"}}"#);
    std::fs::write(contexts.join("c.json"), context).unwrap();
    let home = folder.path().to_str().unwrap();
    let said = nats(&["--nats-context", "c"], &[("XDG_CONFIG_HOME", home)]);
    let said = said.unwrap_err().to_string();
    for member in ["creds excludes context c", "token excludes context c"] {
        assert!(said.contains(member) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn what_of_a_context_cannot_be_kept_to_is_refused_by_name() {
    let config = tempfile::tempdir().unwrap();
    let folder = config.path().join("nats/context");
    std::fs::create_dir_all(&folder).unwrap();
    let context = r#"{"url":"nats://me:hunter2@a,http://b","socks_proxy":"hunter2","nsc":"nsc://hunter2",
        "inbox_prefix":"_INBOX.hunter2","windows_cert_store":"user","user_jwt":"hunter2","creds":"/no/such",
        "jetstream_domain":"a.b","token":7,"tls_first":"yes","a_new_one":["hunter2"]}"#;
    std::fs::write(folder.join("c.json"), context).unwrap();
    std::fs::write(folder.join("half.json"), r#"{"password": "hunter2"#).unwrap();
    let home = config.path().to_str().unwrap();
    let faults = |name: &str| {
        let faults = nats(&["--nats-context", name], &[("XDG_CONFIG_HOME", home)]).unwrap_err();
        faults.to_string().replace(home, "CONFIG")
    };
    let all = ["c", "half", "none", "../c"].map(faults).join("\n");
    assert!(!all.contains("hunter2"), "{all}");
    crate::golden::assert("config_context.txt", &all);
}
