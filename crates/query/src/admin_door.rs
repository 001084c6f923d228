//! Who may do what at the operators' listener.
//!
//! Whoever reaches it may see how the service is. Orders, and what is about a person, need the bearer token that stands
//! in a file of the data folder. A page in somebody's browser may do neither: it names a host that is not ours, or
//! another origin.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde_json::json;

/// The token's file, in the data folder.
pub const TOKEN_FILE: &str = "admin-token";
/// A token is so many random bytes, as text.
const TOKEN_BYTES: usize = 32;
/// A token that somebody puts there has to be as long as this.
const TOKEN_CHARS_MIN: usize = 32;

/// More of a file is not read.
const TOKEN_FILE_BYTES: u64 = 4096;

/// The door of the operators' routes.
pub struct AdminDoor {
    token_file: PathBuf,
    hosts: Vec<String>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// The file cannot be read or made.
    #[error("cannot read or make {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// It holds no token.
    #[error("{} holds no token of at least {TOKEN_CHARS_MIN} characters", path.display())]
    TooShort {
        /// Which.
        path: PathBuf,
    },
    /// The service's own holds none.
    #[error("{}: remove it to have one made", .0)]
    OwnTooShort(Box<Self>),
}

impl AdminDoor {
    /// The door of the service in `folder`, which is known by these names too. Makes the token if there is none.
    pub fn open(folder: &Path, hosts: Vec<String>) -> Result<Arc<Self>, TokenFault> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_unknown| folder.to_owned());
        let token_file = folder.join(TOKEN_FILE);
        make(&token_file).map_err(|source| TokenFault::File {
            path: token_file.clone(),
            source,
        })?;
        read_token(&token_file).map_err(|fault| match fault {
            short @ TokenFault::TooShort { .. } => TokenFault::OwnTooShort(Box::new(short)),
            other @ (TokenFault::File { .. } | TokenFault::OwnTooShort(_)) => other,
        })?;
        Ok(Arc::new(Self { token_file, hosts }))
    }

    /// Lets nobody to these routes without the token.
    pub fn guard<S: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        routes: Router<S>,
    ) -> Router<S> {
        routes.route_layer(from_fn_with_state(Arc::clone(self), judge_token))
    }

    /// Lets no page to any route.
    pub fn front(self: &Arc<Self>, routes: Router) -> Router {
        routes.layer(from_fn_with_state(Arc::clone(self), judge_origin))
    }

    fn refuse_token(&self, request: &Request) -> Option<Response> {
        let given = bearer(request.headers());
        let problem = match (read_token(&self.token_file), given) {
            (Ok(token), Some(given))
                if verify_slices_are_equal(token.as_bytes(), given.as_bytes()).is_ok() =>
            {
                return None;
            }
            (Ok(_), Some(_)) => "this is not the bearer token of this service",
            (Ok(_), None) => "this needs the bearer token of this service",
            (Err(error), _) => {
                tracing::error!(%error, "nobody can give orders without the token");
                "the token of this service cannot be read"
            }
        };
        let body =
            json!({"error": format!("{problem}: it stands in {TOKEN_FILE} of its data folder")});
        let mut response = (StatusCode::UNAUTHORIZED, Json(body)).into_response();
        let challenge = HeaderValue::from_static(r#"Bearer realm="admin""#);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        Some(response)
    }

    fn refuse_origin(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let named = headers.get(HOST).and_then(|host| host.to_str().ok());
        let named = named.and_then(|host| host.parse::<Authority>().ok());
        let Some(host) = named.as_ref().or(request.uri().authority()) else {
            let problem = "the Host header names no host";
            return Some(refusal(StatusCode::BAD_REQUEST, problem));
        };
        if !self.is_ours(host.host()) {
            let problem = "this service has another name: an address, localhost, or a name of its --admin-host";
            return Some(refusal(StatusCode::MISDIRECTED_REQUEST, problem));
        }
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_foreign_site = site.is_some_and(|site| site != b"same-origin" && site != b"none");
        let is_foreign = headers.get_all(ORIGIN).iter().any(|origin| {
            let origin = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.split_once("://"));
            origin.is_none_or(|(_, origin)| !origin.eq_ignore_ascii_case(host.as_str()))
        });
        if is_foreign || is_foreign_site {
            let problem = "pages of another origin may not ask here";
            return Some(refusal(StatusCode::FORBIDDEN, problem));
        }
        None
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = host.strip_suffix('.').unwrap_or(host);
        bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self
                .hosts
                .iter()
                .any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

async fn judge_token(State(door): State<Arc<AdminDoor>>, request: Request, next: Next) -> Response {
    match door.refuse_token(&request) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    }
}

async fn judge_origin(
    State(door): State<Arc<AdminDoor>>,
    request: Request,
    next: Next,
) -> Response {
    match door.refuse_origin(&request) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    }
}

fn refusal(status: StatusCode, problem: &str) -> Response {
    (status, Json(json!({ "error": problem }))).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (first, None) = (all.next()?, all.next()) else {
        return None;
    };
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a token's file holds. Read for each use, so that another file is another token at once.
pub fn read_token(path: &Path) -> Result<String, TokenFault> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(TOKEN_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|source| TokenFault::File {
        path: path.to_owned(),
        source,
    })?;
    let token = text.trim();
    if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let path = path.to_owned();
        return Err(TokenFault::TooShort { path });
    }
    Ok(token.to_owned())
}

/// Makes a token where there is none.
fn make(path: &Path) -> io::Result<()> {
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    let random: [u8; TOKEN_BYTES] = rand::random();
    let token = random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    writeln!(file, "{token}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let door = AdminDoor::open(folder.path(), Vec::new()).unwrap();
        let token = read_token(&door.token_file).unwrap();
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        let mode = std::fs::metadata(&door.token_file).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        AdminDoor::open(folder.path(), Vec::new()).unwrap();
        assert_eq!(read_token(&door.token_file).unwrap(), token);
        std::fs::write(&door.token_file, "short\n").unwrap();
        let refused = AdminDoor::open(folder.path(), Vec::new()).err().unwrap();
        assert!(refused.to_string().contains("remove it"), "{refused}");
    }

    #[test]
    fn names_of_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let door = AdminDoor::open(folder.path(), vec!["Projector.svc".to_owned()]).unwrap();
        for ours in [
            "127.0.0.1",
            "[::1]",
            "10.1.2.3",
            "localhost",
            "LOCALHOST.",
            "projector.svc",
        ] {
            assert!(door.is_ours(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "svc",
        ] {
            assert!(!door.is_ours(other), "{other}");
        }
    }
}
