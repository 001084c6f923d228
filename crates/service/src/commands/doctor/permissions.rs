//! What NATS has to permit to whom, as its configuration says it.

use std::fmt;
use std::io::{self, Write};

use clap::ValueEnum;
use projector::Permissions;
use serde_json::json;

use crate::config::NatsConfig;
use crate::log_access::READS;
use crate::nats::inbox_of;

/// Who needs permissions of their own. `doctor` looks with those of `serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The service, with its rebuilds and verifications
    Serve,
    /// `doctor`: what the service needs, and what only `doctor` looks at
    Doctor,
    /// `replay --stream` and `as-of`
    Read,
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
            Self::Doctor => "doctor",
            Self::Read => "replay --stream",
            Self::Publish => "publish",
            Self::Import => "import",
            Self::QuarantineDrop => "quarantine drop",
            Self::Erase => "erase",
        })
    }
}

/// What a role takes on the stream of `nats`, where the service reads through `consumers`; a reading that was given a
/// name has that one.
pub(super) fn of(
    role: Role,
    nats: &NatsConfig,
    consumers: &[String],
    reader: Option<&str>,
) -> Permissions {
    let NatsConfig { api, stream, .. } = nats;
    let events = |of: &[&str]| -> Vec<String> {
        of.iter()
            .map(|document| format!("identity.v1.*.{document}"))
            .collect()
    };
    let requests = |of: &[&str]| -> Vec<String> {
        of.iter()
            .map(|request| api.subject(&format!("STREAM.{request}.{stream}")))
            .collect()
    };
    let (command, publish) = match role {
        Role::Serve => return of_service(nats, consumers),
        Role::Doctor => {
            let mut needed = of_service(nats, consumers);
            let list = format!("CONSUMER.LIST.{stream}");
            needed
                .publish
                .extend(["INFO", &list].map(|request| api.subject(request)));
            return needed;
        }
        Role::Read => {
            let inbox = reader.map_or_else(|| inbox_of(READS), projector::inbox_prefix);
            return Permissions::of(api, stream, reader.unwrap_or("*"), &inbox);
        }
        // Why nobody takes an event, and whether the stream takes pairs.
        Role::Publish => {
            let publish = [events(&["user", "profile"]), requests(&["INFO"])].concat();
            ("publish", publish)
        }
        // An import compares with the last event of a subject.
        Role::Import => {
            let publish = [events(&["user", "profile"]), requests(&["INFO", "MSG.GET"])].concat();
            ("import", publish)
        }
        Role::QuarantineDrop => {
            let publish = [events(&["quarantine"]), requests(&["INFO"])].concat();
            ("quarantine-drop", publish)
        }
        Role::Erase => {
            let requests = requests(&["INFO", "MSG.GET", "MSG.DELETE"]);
            ("erase", [events(&["user", "profile"]), requests].concat())
        }
    };
    Permissions {
        publish,
        subscribe: vec![format!("{}.>", inbox_of(command))],
    }
}

/// What reading takes, for each of the service's consumers.
pub(super) fn of_each(nats: &NatsConfig, consumers: &[String]) -> Vec<Permissions> {
    let of = |name: &String| {
        Permissions::of(
            &nats.api,
            &nats.stream,
            name,
            &projector::inbox_prefix(name),
        )
    };
    consumers.iter().map(of).collect()
}

fn of_service(nats: &NatsConfig, consumers: &[String]) -> Permissions {
    together(&of_each(nats, consumers))
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
    nats: &NatsConfig,
    permissions: &Permissions,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let Permissions { publish, subscribe } = permissions;
    if json {
        let permissions = json!({"publish": {"allow": publish}, "subscribe": {"allow": subscribe}});
        return writeln!(out, "{permissions}");
    }
    let stream = nats.stream.as_str();
    let purpose = match role {
        Role::Serve | Role::Read => format!("to read stream {stream}"),
        Role::Doctor => format!("to look at stream {stream}"),
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
            "# --compare-and-set and --verify-duplicates also read: \"{}\", which shows everybody's events.",
            nats.api.subject(&format!("STREAM.MSG.GET.{stream}"))
        )?;
    }
    if role == Role::Read && publish.iter().any(|subject| subject.ends_with('*')) {
        writeln!(
            out,
            "# Its consumer has a new name each time, and * reaches the service's too; with --consumer-name NAME, also of \
             doctor, it has that one."
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
