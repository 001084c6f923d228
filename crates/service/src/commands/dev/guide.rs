//! What `dev` prints: where everything is, and lines to paste.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where everything is.
pub(super) struct Guide {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) nats: String,
    pub(super) nats_log: PathBuf,
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) token: PathBuf,
    pub(super) change: PathBuf,
}

impl fmt::Display for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            listen,
            admin,
            nats,
            ..
        } = self;
        let (program, folder) = (quoted(&self.program), quoted(&self.folder));
        let (token, change) = (quoted(&self.token), quoted(&self.change));
        let log = quoted(&self.nats_log);
        let query = format!("http://{listen}/api/run/profiles/queries/getCurrentUserProfile");
        let ask =
            format!("curl -s {query} -H 'Content-Type: application/json' -d '{{\"args\":{{}}}}'");
        write!(
            f,
            "\
Everything runs. Ctrl-C ends it; the next start goes on from {folder}.

  Convex routes   http://{listen}
  admin routes    http://{admin}/status  /readyz  /livez  /metrics
  NATS            {nats}  (log: {log})

A profile, for the token of its user:

  {ask} -H \"Authorization: Bearer $(cat {token})\"

Without a token, null:

  {ask}

Change the bio of the profile, then ask again:

  {program} publish {change} --nats-url {nats}

A token of somebody else:

  {program} token --data-dir {folder} --subject user_01SAMPLEGRACE0000000000000

"
        )
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_to_paste() {
        let guide = Guide {
            listen: "127.0.0.1:3210".parse().unwrap(),
            admin: "127.0.0.1:3211".parse().unwrap(),
            nats: "nats://127.0.0.1:4222".to_owned(),
            nats_log: "./data/dev/nats/nats-server.log".into(),
            program: "target/release/profile-projector".into(),
            folder: "./data/dev".into(),
            token: "./data/dev/token".into(),
            change: "./it's here/change.ndjson".into(),
        };
        crate::golden::assert("dev_guide.txt", &guide.to_string());
    }
}
