//! Faults of a configuration: which flag, what is wrong, what would be right.

use std::borrow::Cow;
use std::fmt;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The flag.
    pub flag: Cow<'static, str>,
    /// What is wrong; never holds a secret.
    pub problem: String,
    /// Whether the flag reads a variable.
    pub has_variable: bool,
    /// Whether the value came from it.
    pub from_variable: bool,
}

/// All faults of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl std::error::Error for ConfigFaults {}

/// A value that each flag could have.
fn example(flag: &str) -> &'static str {
    match flag {
        "--nats-url" => "nats://127.0.0.1:4222",
        "--nats-creds" => "/run/secrets/nats.creds",
        "--nats-nkey" => "/run/secrets/nats.nk",
        "--nats-context" => "production",
        "--nats-user" => "projector",
        "--nats-password-file" => "/run/secrets/nats.password",
        "--nats-token-file" => "/run/secrets/nats.token",
        "--nats-js-domain" => "hub",
        "--nats-api-prefix" => "$JS.hub.API",
        "--nats-tls-ca" => "/etc/nats/ca.pem",
        "--nats-tls-cert" | "--tls-cert" => "/run/secrets/tls.crt",
        "--nats-tls-key" | "--tls-key" => "/run/secrets/tls.key",
        "--nats-listen" => "0.0.0.0:4222",
        "--stream" => "IDENTITY_EVENTS",
        "--consumer-name" => "profile-projector-1",
        "--from-snapshot" => "object:snapshots/latest",
        "--data-dir" => "./data",
        "--memory-budget" => "512MiB",
        "--keep-alive-seconds" => "75",
        "--trusted-proxies" => "10.0.0.0/8,fd00::/8",
        "--listen" => "127.0.0.1:3210",
        "--admin" => "http://127.0.0.1:3211",
        "--admin-listen" => "127.0.0.1:3211",
        "--workos-client-id" => "client_01ABC",
        "--auth-config" => "./auth.json",
        "--log-format" => "json",
        "--verbose-errors" | "--or-rebuild" | "--nats-tls-first" => "true",
        "--log" => "projector=debug,info",
        _ => "...",
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            flag,
            problem,
            has_variable,
            from_variable,
        } = self;
        let variable = flag
            .trim_start_matches('-')
            .replace('-', "_")
            .to_uppercase();
        let example = example(flag);
        if *from_variable {
            let variable = format!("PROFILE_PROJECTOR_{variable}");
            return write!(f, "{variable} {problem} (example: {variable}={example})");
        }
        if !flag.starts_with("--") {
            return write!(f, "{flag} {problem}");
        }
        if !has_variable {
            return write!(f, "{flag} {problem} (example: {flag} {example})");
        }
        write!(
            f,
            "{flag} {problem} (example: {flag} {example}, or PROFILE_PROJECTOR_{variable}={example})"
        )
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [fault] => write!(f, "error: configuration: {fault}"),
            faults => {
                write!(f, "error: the configuration has {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

/// Collects faults while a configuration is judged.
#[derive(Default)]
pub(crate) struct Judge(Vec<ConfigFault>);

impl Judge {
    /// A flag, or another source of settings.
    pub(crate) fn fault(&mut self, flag: impl Into<Cow<'static, str>>, problem: impl Into<String>) {
        let (flag, problem) = (flag.into(), problem.into());
        self.0.push(ConfigFault {
            has_variable: flag.starts_with("--"),
            flag,
            problem,
            from_variable: false,
        });
    }

    /// The value when nothing was wrong. A missing value without a fault cannot be told apart from
    /// no value, so whoever gives `None` has named its fault.
    pub(crate) fn end<T>(self, value: Option<T>) -> Result<T, ConfigFaults> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(ConfigFaults(self.0)),
        }
    }
}
