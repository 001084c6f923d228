//! What flags take from the environment: which variables a command reads, and what it makes of them.
//!
//! A variable is for what a whole deployment has in common, an address or a folder, so that it stands once in its
//! manifest. What orders something has none: a variable that is set for `serve` must change no other command.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::builder::{BoolishValueParser, Resettable};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::ConfigFault;

/// What a switch can be told by a variable.
const ON: [&str; 4] = ["1", "true", "yes", "on"];
const OFF: [&str; 4] = ["0", "false", "no", "off"];

/// A variable of a command that cannot be read.
struct Unreadable {
    command: String,
    id: String,
    flag: String,
}

/// Where the flags of the command that is run have their values from.
pub(crate) struct Origins {
    variables: BTreeSet<String>,
    faults: Vec<ConfigFault>,
    unread: Option<String>,
}

/// Commands whose flags are prepared for the environment.
pub(crate) struct Prepared {
    pub(crate) command: Command,
    unreadable: Vec<Unreadable>,
}

impl Prepared {
    /// Takes empty variables for unset ones, and switches by what they say.
    pub(crate) fn of(command: Command, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut unreadable = Vec::new();
        let command = prepare_all(command, &variable, &mut unreadable);
        Self {
            command,
            unreadable,
        }
    }

    /// Looks at what was given to the command that is run, one of `all`.
    pub(crate) fn origins(self, matches: &ArgMatches, all: &Command) -> Origins {
        let (mut name, mut given) = ("", matches);
        while let Some((next, of_next)) = given.subcommand() {
            (name, given) = (next, of_next);
        }
        let ids = given.ids().map(clap::Id::as_str);
        let by_variable = ids.filter(|id| given.value_source(id) == Some(ValueSource::EnvVariable));
        let wrong = self.unreadable.into_iter().filter(|variable| {
            // Another command does not know the flag.
            variable.command == name
                && given.value_source(&variable.id) != Some(ValueSource::CommandLine)
        });
        Origins {
            variables: by_variable
                .map(|id| format!("--{}", id.replace('_', "-")))
                .collect(),
            faults: wrong.map(|variable| switch_fault(variable.flag)).collect(),
            unread: unread(all, std::env::vars_os().map(|(name, _)| name)),
        }
    }
}

fn prepare_all(
    command: Command,
    variable: &impl Fn(&str) -> Option<OsString>,
    unreadable: &mut Vec<Unreadable>,
) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|arg| match reading(&arg, variable) {
        Reading::AsItIs => arg,
        Reading::On => arg.value_parser(BoolishValueParser::new()),
        Reading::Unset => arg.env(Resettable::Reset),
        Reading::Unreadable => {
            unreadable.push(Unreadable {
                command: name.clone(),
                id: arg.get_id().to_string(),
                flag: format!("--{}", arg.get_long().unwrap_or_default()),
            });
            arg.env(Resettable::Reset)
        }
    });
    command.mut_subcommands(|command| prepare_all(command, variable, unreadable))
}

impl Origins {
    /// What cannot be read at all.
    pub(crate) fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// Which variables are set and read by no command, and what to give instead.
    pub(crate) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Names the variable in the faults of values that came from one.
    pub(crate) fn name_variables(&self, faults: &mut [ConfigFault]) {
        for fault in faults {
            fault.from_variable = self.variables.contains(&*fault.flag);
        }
    }
}

fn switch_fault(flag: String) -> ConfigFault {
    ConfigFault {
        flag: flag.into(),
        problem: "is neither 1, true, yes, on nor 0, false, no, off".to_owned(),
        has_variable: true,
        from_variable: true,
    }
}

/// What a flag's variable says.
enum Reading {
    AsItIs,
    On,
    Unset,
    Unreadable,
}

fn reading(arg: &Arg, variable: impl Fn(&str) -> Option<OsString>) -> Reading {
    let name = arg.get_env().and_then(|name| name.to_str());
    let Some(value) = name.and_then(variable) else {
        return Reading::AsItIs;
    };
    let is_one_of = |words: [&str; 4]| {
        let text = value.to_str();
        text.is_some_and(|text| words.iter().any(|word| word.eq_ignore_ascii_case(text)))
    };
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    match is_switch {
        _ if value.is_empty() => Reading::Unset,
        false => Reading::AsItIs,
        true if is_one_of(ON) => Reading::On,
        true if is_one_of(OFF) => Reading::Unset,
        true => Reading::Unreadable,
    }
}

/// What the names of our variables begin with.
const PREFIX: &str = "PROFILE_PROJECTOR_";

/// A sentence about the variables that look like ours and are read by no command, for example because an
/// earlier release did.
fn unread(command: &Command, set: impl Iterator<Item = OsString>) -> Option<String> {
    let (mut read, mut flags) = (BTreeSet::new(), BTreeSet::new());
    gather(command, &mut read, &mut flags);
    let set: BTreeSet<String> = set.filter_map(|name| name.into_string().ok()).collect();
    let set = set.iter().filter(|name| !read.contains(*name));
    let told = set.filter_map(|name| {
        let rest = name.strip_prefix(PREFIX)?;
        // Kubernetes sets these for a service of our name.
        let is_of_cluster = rest
            .split('_')
            .any(|word| word == "PORT" || word == "SERVICE");
        let flag = format!("--{}", rest.to_ascii_lowercase().replace('_', "-"));
        match rest {
            _ if is_of_cluster => None,
            "BOOTSTRAP" => Some(format!(
                "{name} (begin with a snapshot instead: --from-snapshot)"
            )),
            _ if flags.contains(&flag) => Some(format!("{name} (give the flag {flag})")),
            _ => Some(format!("{name} (there is no such flag)")),
        }
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| format!("set, and read by no command: {}", told.join(", ")))
}

/// The variables and the flags of a command and of those below it.
fn gather(command: &Command, read: &mut BTreeSet<String>, flags: &mut BTreeSet<String>) {
    for arg in command.get_arguments() {
        flags.extend(arg.get_long().map(|long| format!("--{long}")));
        let variable = arg.get_env().and_then(|name| name.to_str());
        read.extend(variable.map(str::to_owned));
    }
    for command in command.get_subcommands() {
        gather(command, read, flags);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn what_no_command_reads_is_named_with_what_replaces_it() {
        let said = |names: &[&str]| {
            let names = names.iter().map(|name| format!("{PREFIX}{name}").into());
            unread(&crate::cli::Cli::command(), names)
        };
        assert_eq!(
            said(&["LISTEN", "DATA_DIR", "NATS_SERVER", "ADMIN_TOKEN_FILE"]),
            None
        );
        assert_eq!(
            said(&[
                "SERVICE_HOST",
                "PORT",
                "PORT_3210_TCP_ADDR",
                "ADMIN_SERVICE_PORT"
            ]),
            None
        );
        assert_eq!(
            said(&["BOOTSTRAP", "ROLLBACK", "LISTN"]).unwrap(),
            "set, and read by no command: PROFILE_PROJECTOR_BOOTSTRAP (begin with a snapshot instead: --from-snapshot), \
             PROFILE_PROJECTOR_LISTN (there is no such flag), PROFILE_PROJECTOR_ROLLBACK (give the flag --rollback)"
        );
    }
}
