//! Contexts of the `nats` command line tool: files in which it keeps how to reach servers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::faults::Judge;

/// Members that change nothing for us.
const HARMLESS: [&str; 3] = ["description", "color_scheme", "jetstream_event_prefix"];
/// Members that are kept to.
const KNOWN: [&str; 12] = [
    "url",
    "user",
    "password",
    "token",
    "creds",
    "nkey",
    "cert",
    "key",
    "ca",
    "tls_first",
    "jetstream_domain",
    "jetstream_api_prefix",
];
/// How many contexts a fault names.
const NAMED_MAX: usize = 10;

/// What the environment says; empty is unset.
pub(crate) type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A context that was named.
pub(super) struct Context {
    name: String,
    path: PathBuf,
    members: Map<String, Value>,
    home: Option<PathBuf>,
}

impl Context {
    /// Reads the context of a name, that `from` gave. Names what in it cannot be kept to.
    pub(super) fn read(
        from: &'static str,
        name: &str,
        variable: Variable<'_>,
        judge: &mut Judge,
    ) -> Option<Self> {
        if !is_name(name) {
            judge.fault(from, "is no name of a context");
            return None;
        }
        let Some(folder) = folder(variable) else {
            judge.fault(
                from,
                "cannot be found: neither XDG_CONFIG_HOME nor HOME is set",
            );
            return None;
        };
        let path = folder.join("context").join(format!("{name}.json"));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(problem) => {
                let others = named(&folder.join("context"));
                let problem = format!("{}: {problem}{others}", path.display());
                judge.fault(from, problem);
                return None;
            }
        };
        let members = match serde_json::from_str(&text) {
            Ok(Value::Object(members)) => members,
            // Where it stopped, and nothing of what stands there.
            Err(problem) => {
                let (line, column) = (problem.line(), problem.column());
                let problem = format!(
                    "{} is no JSON at line {line}, column {column}",
                    path.display()
                );
                judge.fault(from, problem);
                return None;
            }
            Ok(_) => {
                judge.fault(from, format!("{} holds no JSON object", path.display()));
                return None;
            }
        };
        let context = Self {
            name: name.to_owned(),
            path,
            members,
            home: variable("HOME").map(PathBuf::from),
        };
        context.judge(judge);
        Some(context)
    }

    fn judge(&self, judge: &mut Judge) {
        for (member, value) in &self.members {
            let is_empty = match value {
                Value::Null | Value::Bool(false) => true,
                Value::String(text) => text.is_empty(),
                Value::Array(values) => values.is_empty(),
                Value::Object(members) => members.is_empty(),
                Value::Number(_) | Value::Bool(true) => false,
            };
            let name = member.as_str();
            if is_empty || HARMLESS.contains(&name) {
                continue;
            }
            let is_right = match name {
                "tls_first" => value.is_boolean(),
                _ => value.is_string(),
            };
            if !KNOWN.contains(&name) {
                judge.fault(
                    self.place(name),
                    "cannot be kept to: remove it from the context, or give flags instead of a context",
                );
            } else if !is_right {
                judge.fault(self.place(name), "is of the wrong kind");
            }
        }
    }

    /// How a member is named in a fault.
    pub(super) fn place(&self, member: &str) -> String {
        format!("context {} ({}): {member}", self.name, self.path.display())
    }

    pub(super) fn text(&self, member: &str) -> Option<&str> {
        let text = self.members.get(member)?.as_str()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// A path, as the tool reads it: `~` is the home folder.
    pub(super) fn file(&self, member: &str) -> Option<PathBuf> {
        let text = self.text(member)?;
        Some(match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => text.into(),
        })
    }

    pub(super) fn is_on(&self, member: &str) -> bool {
        self.members.get(member).and_then(Value::as_bool) == Some(true)
    }
}

/// The context that the tool has selected.
pub(super) fn selected(variable: Variable<'_>) -> Option<String> {
    let name = std::fs::read_to_string(folder(variable)?.join("context.txt")).ok()?;
    let name = name.trim();
    is_name(name).then(|| name.to_owned())
}

fn folder(variable: Variable<'_>) -> Option<PathBuf> {
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))?;
    Some(config.join("nats"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains("..")
        && !name.contains(|c: char| "/\\".contains(c) || c.is_control())
}

fn named(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".json").map(ToOwned::to_owned))
        .collect();
    names.sort();
    names.truncate(NAMED_MAX);
    match names.as_slice() {
        [] => String::new(),
        names => format!("; there are {}", names.join(", ")),
    }
}
