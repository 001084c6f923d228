//! What NATS has to permit to whom, as its configuration says it.

use std::fmt;
use std::io::{self, Write};

use clap::ValueEnum;
use projector::Permissions;
use serde_json::json;

/// Who needs permissions of their own. `doctor` looks with those of `serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The service, with its rebuilds and verifications, and `doctor`
    Serve,
    /// Producers
    Publish,
    /// Whoever imports a Convex export
    Import,
    /// Operators who give parked records up
    QuarantineDrop,
    /// Whoever erases people
    Erase,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "serve",
            Self::Publish => "publish",
            Self::Import => "import",
            Self::QuarantineDrop => "quarantine drop",
            Self::Erase => "erase",
        })
    }
}

/// Replies to a command's requests; the service has inboxes of its own.
const INBOX: &str = "_INBOX.>";

/// What a role takes; for the service that is `reading`.
pub(super) fn of(role: Role, stream: &str, reading: &[Permissions]) -> Permissions {
    let events = |of: &[&str]| -> Vec<String> {
        of.iter()
            .map(|document| format!("identity.v1.*.{document}"))
            .collect()
    };
    let api = |of: &[&str]| -> Vec<String> {
        of.iter()
            .map(|request| format!("$JS.API.STREAM.{request}.{stream}"))
            .collect()
    };
    let publish = match role {
        Role::Serve => return together(reading),
        // Why nobody takes an event, and whether the stream takes pairs.
        Role::Publish => [events(&["user", "profile"]), api(&["INFO"])].concat(),
        // An import compares with the last event of a subject.
        Role::Import => [events(&["user", "profile"]), api(&["INFO", "MSG.GET"])].concat(),
        Role::QuarantineDrop => [events(&["quarantine"]), api(&["INFO"])].concat(),
        Role::Erase => [
            events(&["user", "profile"]),
            api(&["INFO", "MSG.GET", "MSG.DELETE"]),
        ]
        .concat(),
    };
    Permissions {
        publish,
        subscribe: vec![INBOX.to_owned()],
    }
}

/// Each subject once.
fn together(several: &[Permissions]) -> Permissions {
    let mut publish: Vec<String> = Vec::new();
    for subject in several.iter().flat_map(|needed| &needed.publish) {
        if !publish.contains(subject) {
            publish.push(subject.clone());
        }
    }
    let subscribe = several.iter().flat_map(|needed| &needed.subscribe);
    Permissions {
        publish,
        subscribe: subscribe.cloned().collect(),
    }
}

/// As the `permissions` of a user in a server's configuration, or as JSON.
pub(super) fn write(
    role: Role,
    stream: &str,
    permissions: &Permissions,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let Permissions { publish, subscribe } = permissions;
    if json {
        let permissions = json!({"publish": {"allow": publish}, "subscribe": {"allow": subscribe}});
        return writeln!(out, "{permissions}");
    }
    let purpose = match role {
        Role::Serve => format!("to read stream {stream}"),
        Role::Publish | Role::Import | Role::QuarantineDrop | Role::Erase => {
            format!("on stream {stream}")
        }
    };
    writeln!(
        out,
        "# What `profile-projector {role}` needs {purpose}, and no more."
    )?;
    if role == Role::Publish {
        writeln!(
            out,
            "# --compare-and-set also reads: \"$JS.API.STREAM.MSG.GET.{stream}\", which shows everybody's events."
        )?;
    }
    writeln!(out, "permissions: {{\n  publish: {{ allow: [")?;
    for subject in publish {
        writeln!(out, "    \"{subject}\"")?;
    }
    writeln!(out, "  ] }}\n  subscribe: {{ allow: [")?;
    for subject in subscribe {
        writeln!(out, "    \"{subject}\"")?;
    }
    writeln!(out, "  ] }}\n}}")
}
