//! Which nats-server to run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::install::{self, InstallError};

/// The oldest release that has what the stream and the projector need.
const OLDEST: (u32, u32) = (2, 11);

/// Why there is no nats-server to run.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The one that was named cannot be run.
    #[error("{origin} names {path}, which is no nats-server: {problem}")]
    Named {
        /// Where the name comes from.
        origin: &'static str,
        /// The file named.
        path: PathBuf,
        /// What happened when it was asked for its version.
        problem: String,
    },
    /// The one that was named is too old.
    #[error("{origin} names {path}, nats-server {version}: 2.11 or newer is needed")]
    TooOld {
        /// Where the name comes from.
        origin: &'static str,
        /// The file named.
        path: PathBuf,
        /// What it says of itself.
        version: String,
    },
    /// None on PATH, and none could be installed.
    #[error(
        "no nats-server 2.11 or newer is on PATH, and {0}; install one, or name it with --nats-server or NATS_SERVER_BIN"
    )]
    Install(InstallError),
}

/// Finds a nats-server: the one `named`, else the one that the variable `NATS_SERVER_BIN` names, else the one
/// on PATH if it is new enough, else the pinned build, which is installed into a cache folder at first use.
///
/// Blocks: it runs the binary for its version, and may download 8 MB.
pub fn locate(named: Option<&Path>) -> Result<PathBuf, LocateError> {
    if let Some(path) = named {
        return judge_named("--nats-server", path);
    }
    if let Some(path) = std::env::var_os("NATS_SERVER_BIN").filter(|path| !path.is_empty()) {
        return judge_named("NATS_SERVER_BIN", Path::new(&path));
    }
    let on_path = Path::new("nats-server");
    if version_of(on_path).is_ok_and(|version| is_new_enough(&version)) {
        return Ok(on_path.to_owned());
    }
    install::pinned().map_err(LocateError::Install)
}

fn judge_named(origin: &'static str, path: &Path) -> Result<PathBuf, LocateError> {
    let path = path.to_owned();
    match version_of(&path) {
        Ok(version) if is_new_enough(&version) => Ok(path),
        Ok(version) => Err(LocateError::TooOld {
            origin,
            path,
            version,
        }),
        Err(problem) => Err(LocateError::Named {
            origin,
            path,
            problem,
        }),
    }
}

/// What `nats-server --version` says, without the words around it.
fn version_of(binary: impl AsRef<OsStr>) -> Result<String, String> {
    let output = Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|problem| problem.to_string())?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "it does not tell a nats-server's version".to_owned())
}

fn parse_version(said: &str) -> Option<String> {
    let version = said.trim().strip_prefix("nats-server: v")?;
    Some(version.to_owned())
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(
            parse_version("nats-server: v2.15.1\n").as_deref(),
            Some("2.15.1")
        );
        assert_eq!(parse_version("Python 3.11.7"), None);
        for (version, enough) in [("2.11.0", true), ("2.15.1-RC.1", true), ("3.0.0", true)] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
        for old in ["2.10.29", "1.99.0", "2", "x"] {
            assert!(!is_new_enough(old), "{old}");
        }
    }

    #[test]
    fn a_named_file_that_is_no_server_is_told() {
        let said = locate(Some(Path::new("/bin/true")))
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "--nats-server names /bin/true, which is no nats-server: it does not tell a nats-server's version"
        );
        assert!(matches!(
            locate(Some(Path::new("/nowhere"))),
            Err(LocateError::Named { .. })
        ));
    }
}
