//! Whom to trust, as the operator says it. Every fault is found before any is reported.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::{Map, Value};

use super::policy::{Binding, Issuer};

const WORKOS: &str = "https://api.workos.com/";
/// Longest client id, issuer or audience.
const NAME_BYTES_MAX: usize = 512;
/// Most trusted issuers.
const ISSUERS_MAX: usize = 32;
/// Largest configuration file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The trusted issuers and where their keys are. Only a valid configuration can be had.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    pub(super) issuers: Vec<Issuer>,
    /// Places of keys, each once: issuers refer to them by index.
    pub(super) sources: Vec<Location>,
}

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// https, or http on this machine.
    Address(Url),
    /// A file, read again when it changes.
    File(PathBuf),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(url) => url.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Which member, as a path into the document, or which flag.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub remedy: &'static str,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.problem, self.remedy)
    }
}

/// All faults of a configuration, at least one. Displayed one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl AuthConfig {
    /// Whether tokens of this issuer are believed.
    pub fn trusts(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|trusted| *trusted.name == *issuer)
    }

    /// Trusts the issuers of one `WorkOS` client, shared and its own, with that client's keys.
    /// Their tokens must look like session tokens: the same keys sign other kinds too.
    pub fn workos(client_id: &str) -> Result<Self, ConfigFaults> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let address = format!("{WORKOS}sso/jwks/{client_id}");
        let (true, Ok(keys)) = (
            (1..=NAME_BYTES_MAX).contains(&client_id.len()) && client_id.bytes().all(legal),
            Url::parse(&address),
        ) else {
            return Err(ConfigFaults(vec![ConfigFault {
                place: "--workos-client-id".to_owned(),
                problem: "this is no WorkOS client id".to_owned(),
                remedy: "copy it from the WorkOS dashboard, it looks like client_01ABCDEF",
            }]));
        };
        let issuer = |name: String, shared| Issuer {
            name: name.into(),
            binding: Binding::Client {
                id: client_id.into(),
                shared,
            },
            workos_sessions: true,
            keys: 0,
        };
        Ok(Self {
            issuers: vec![
                issuer(WORKOS.to_owned(), true),
                issuer(format!("{WORKOS}user_management/{client_id}"), false),
            ],
            sources: vec![Location::Address(keys)],
        })
    }

    /// Reads a configuration file; paths in it are relative to its folder.
    pub fn from_file(path: &Path) -> Result<Self, ConfigFaults> {
        let fault = |problem: String| {
            ConfigFaults(vec![ConfigFault {
                place: path.display().to_string(),
                problem,
                remedy: "name a readable JSON file of at most 64 KiB",
            }])
        };
        let size = std::fs::metadata(path)
            .map_err(|error| fault(format!("it cannot be read: {error}")))?
            .len();
        if size > FILE_BYTES_MAX {
            return Err(fault(format!("it has {size} bytes")));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| fault(format!("it cannot be read: {error}")))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(".")))
    }

    /// Reads the text of a configuration file that lies in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigFaults> {
        let mut reading = Reading {
            folder,
            faults: Vec::new(),
            config: Self {
                issuers: Vec::new(),
                sources: Vec::new(),
            },
        };
        match serde_json::from_str(text) {
            Ok(document) => reading.document(&document),
            Err(error) => reading.fault("the file", format!("it is not JSON: {error}"), EXAMPLE),
        }
        if reading.faults.is_empty() {
            Ok(reading.config)
        } else {
            Err(ConfigFaults(reading.faults))
        }
    }
}

const EXAMPLE: &str = r#"write {"issuers":[{"issuer":"https://issuer.example/","jwks":"https://issuer.example/jwks.json","audience":"my-app"}]}"#;
const JWKS_EXAMPLE: &str =
    "write an https address, an http address on this machine, or the path of a file";
const WORKOS_SESSIONS: &str = "workos_sessions";

/// A configuration as far as it was read, and what was wrong with it.
struct Reading<'f> {
    folder: &'f Path,
    faults: Vec<ConfigFault>,
    config: AuthConfig,
}

impl Reading<'_> {
    fn fault(
        &mut self,
        place: impl Into<String>,
        problem: impl Into<String>,
        remedy: &'static str,
    ) {
        self.faults.push(ConfigFault {
            place: place.into(),
            problem: problem.into(),
            remedy,
        });
    }

    fn document(&mut self, document: &Value) {
        let Some(members) = document.as_object() else {
            return self.fault("the file", "it is not a JSON object", EXAMPLE);
        };
        self.unknown_members("", members, &["issuers"]);
        let issuers = members.get("issuers").and_then(Value::as_array);
        match issuers.map(|issuers| (issuers, issuers.len())) {
            None | Some((_, 0)) => self.fault("issuers", "there is no list of issuers", EXAMPLE),
            Some((_, count)) if count > ISSUERS_MAX => {
                self.fault(
                    "issuers",
                    format!("{count} are too many"),
                    "trust at most 32",
                );
            }
            Some((issuers, _)) => {
                for (index, issuer) in issuers.iter().enumerate() {
                    self.issuer(&format!("issuers[{index}]"), issuer);
                }
            }
        }
    }

    fn issuer(&mut self, place: &str, issuer: &Value) {
        let Some(members) = issuer.as_object() else {
            return self.fault(place, "it is not a JSON object", EXAMPLE);
        };
        let known = ["issuer", "jwks", "audience", WORKOS_SESSIONS];
        self.unknown_members(&format!("{place}."), members, &known);

        let name = self.name(&format!("{place}.issuer"), members.get("issuer"));
        let keys = self.location(&format!("{place}.jwks"), members.get("jwks"));
        let binding = match members.get("audience") {
            None | Some(Value::Null) => Some(Binding::Issuer),
            audience => self
                .name(&format!("{place}.audience"), audience)
                .map(Binding::Audience),
        };
        let workos_sessions = match members.get(WORKOS_SESSIONS) {
            None => Some(false),
            Some(value) => value.as_bool(),
        };
        if workos_sessions.is_none() {
            let place = format!("{place}.{WORKOS_SESSIONS}");
            self.fault(
                place,
                "it is not true or false",
                "write true or false, or nothing",
            );
        }
        if let (Some(name), Some(keys), Some(binding), Some(workos_sessions)) =
            (name, keys, binding, workos_sessions)
        {
            self.config.issuers.push(Issuer {
                name,
                binding,
                workos_sessions,
                keys,
            });
        }
    }

    fn unknown_members(&mut self, prefix: &str, members: &Map<String, Value>, known: &[&str]) {
        for name in members
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
        {
            let place = format!("{prefix}{name}");
            self.fault(
                place,
                "there is no such member",
                "remove it or mend its name",
            );
        }
    }

    /// A text that can be an issuer or an audience.
    fn name(&mut self, place: &str, value: Option<&Value>) -> Option<Box<str>> {
        let name = value.and_then(Value::as_str).filter(|name| {
            let bare = name
                .trim_start_matches("https:")
                .trim_start_matches("http:");
            let named = !bare.trim_matches('/').is_empty();
            named && name.len() <= NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_graphic())
        });
        if name.is_none() {
            let remedy = "write a text of 1 to 512 visible ASCII characters, without spaces";
            self.fault(place, "it is missing or not such a text", remedy);
        }
        name.map(Into::into)
    }

    /// The index of a place of keys.
    fn location(&mut self, place: &str, value: Option<&Value>) -> Option<usize> {
        let text = value.and_then(Value::as_str).unwrap_or("");
        let location = if text.is_empty() {
            Err("it is missing or not a text".to_owned())
        } else if text.contains("://") {
            address(text)
        } else {
            Ok(Location::File(self.folder.join(text)))
        };
        match location {
            Ok(location) => Some(self.index_of(location)),
            Err(problem) => {
                self.fault(place, problem, JWKS_EXAMPLE);
                None
            }
        }
    }

    fn index_of(&mut self, location: Location) -> usize {
        let sources = &mut self.config.sources;
        let known = sources.iter().position(|known| *known == location);
        known.unwrap_or_else(|| {
            sources.push(location);
            sources.len() - 1
        })
    }
}

/// An address that keys may be loaded from. It never comes from a token (A3).
fn address(text: &str) -> Result<Location, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        // Said without the address: it holds a secret.
        return Err("it holds a user name or a password".to_owned());
    }
    if url.fragment().is_some() {
        return Err(format!("{text} has a fragment"));
    }
    match url.scheme() {
        "https" => Ok(Location::Address(url)),
        "http" if is_loopback(&url) => Ok(Location::Address(url)),
        "http" => Err(format!("{text} is not encrypted")),
        _ => Err(format!("{text} is neither https nor http")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
