//! Whose read model the process serves that listens at a port of this machine.
//!
//! Who answers at an address can say of itself what it likes, and would be sent the token of another. So the
//! system is asked: which process listens there, and which read model it has open.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use query::TOKEN_FILE;
use read_model::Place;
use reqwest::Url;

/// The token's file of the service at `url`, if that is a process of this machine that serves the folder
/// which the file is in, and that the file belongs to. `None` also where the system does not say.
pub(crate) fn token_file(url: &Url) -> Option<PathBuf> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let address: Option<IpAddr> = host.parse().ok();
    if host != "localhost" && !address.is_some_and(|address| address.is_loopback()) {
        return None;
    }
    let sockets = listening_at(url.port_or_known_default()?);
    let mut folders = BTreeSet::new();
    for process in processes_with(&sockets) {
        folders.insert(served_by(&process));
    }
    // With two at one port nobody knows who answers.
    let (Some(Some((folder, owner))), true) = (folders.pop_first(), folders.is_empty()) else {
        return None;
    };
    let file = folder.join(TOKEN_FILE);
    let about = fs::symlink_metadata(&file).ok()?;
    (about.is_file() && about.uid() == owner).then_some(file)
}

/// The inodes of the sockets that listen at a port.
fn listening_at(port: u16) -> Vec<String> {
    const LISTENS: &str = "0A";
    let port = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    let sockets = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let (address, state) = (words.nth(1)?, words.nth(1)?);
        let inode = words.nth(5)?;
        let listens = address.ends_with(&port) && state == LISTENS;
        listens.then(|| format!("socket:[{inode}]"))
    });
    sockets.collect()
}

/// The processes that have one of these sockets, as folders of the system's list.
fn processes_with(sockets: &[String]) -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.map(|entry| entry.path());
    let has_one = |process: &PathBuf| {
        let mut files = open_files(process);
        files.any(|file| sockets.iter().any(|socket| Path::new(socket) == file))
    };
    processes.filter(has_one).collect()
}

fn open_files(process: &Path) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten();
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
}

/// The folder of the live read model that a process has open, and the user that it runs as.
fn served_by(process: &Path) -> Option<(PathBuf, u32)> {
    let folder = open_files(process).find_map(|file| {
        let folder = file.parent()?;
        (file == Place::Live.path(folder)).then(|| folder.to_owned())
    })?;
    Some((folder, fs::metadata(process).ok()?.uid()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_has_a_token_only_with_its_read_model_open() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let token = folder.join(TOKEN_FILE);
        fs::write(&token, "x".repeat(64)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let at = |host: &str| format!("http://{host}:{port}").parse::<Url>().unwrap();
        assert_eq!(token_file(&at("127.0.0.1")), None, "it serves nothing");
        let _served = fs::File::create(Place::Live.path(&folder)).unwrap();
        assert_eq!(token_file(&at("127.0.0.1")), Some(token.clone()));
        assert_eq!(token_file(&at("localhost")), Some(token.clone()));
        assert_eq!(token_file(&at("192.0.2.1")), None, "another machine");
        fs::rename(&token, folder.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(folder.join("elsewhere"), &token).unwrap();
        assert_eq!(token_file(&at("127.0.0.1")), None, "a link");
        drop(listener);
        assert_eq!(token_file(&at("127.0.0.1")), None, "nobody listens");
    }
}
