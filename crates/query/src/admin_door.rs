//! Who may do what at the operators' listener.
//!
//! Whoever reaches it may see how the service is. Orders, and what is about a person, need the bearer token that stands
//! in a file of the data folder. A page in somebody's browser may do neither: it names a host that is not ours, or
//! another origin.

use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde_json::json;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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
        close_to_others(&token_file);
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
        let named = once(headers, &HOST).map(|host| host.map(HeaderValue::as_bytes));
        let in_target = request
            .uri()
            .authority()
            .map(|host| host.as_str().as_bytes());
        // A request that names two hosts may have been judged by the other one before it came here.
        let host = match (named, in_target) {
            (Ok(Some(named)), Some(target)) => Some(named).filter(|named| target == *named),
            (Ok(named), target) => named.or(target),
            (Err(Repeated), _) => None,
        };
        let host = host.and_then(|host| std::str::from_utf8(host).ok());
        let Some((host, name)) = host.and_then(|host| Some((host, host_name(host)?))) else {
            let problem = "the Host header must be one host, with a port or without";
            return Some(refusal(StatusCode::BAD_REQUEST, problem));
        };
        if !self.is_ours(name) {
            let problem = "this service has another name: an address, localhost, or a name of its --admin-host";
            return Some(refusal(StatusCode::MISDIRECTED_REQUEST, problem));
        }
        let is_own_site = match once(headers, &SEC_FETCH_SITE) {
            Ok(site) => site.is_none_or(|site| site == "same-origin" || site == "none"),
            Err(Repeated) => false,
        };
        let is_own_origin = match once(headers, &ORIGIN) {
            Ok(origin) => origin.is_none_or(|origin| is_origin_of(origin, host)),
            Err(Repeated) => false,
        };
        if !is_own_origin || !is_own_site {
            let problem = "pages of another origin may not ask here";
            return Some(refusal(StatusCode::FORBIDDEN, problem));
        }
        None
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host);
        host.parse::<IpAddr>().is_ok()
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

/// A header stands there more than once.
struct Repeated;

/// The value of a header that may stand there once.
fn once<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, Repeated> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Repeated),
    }
}

/// The name or address in a `Host` header, as browsers write one: `NAME`, `NAME:PORT`, `[ADDRESS]`, `[ADDRESS]:PORT`.
fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, port)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
        None => port.is_empty(),
    };
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    (is_port && !name.is_empty() && name.bytes().all(is_name_byte)).then_some(name)
}

fn is_origin_of(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(scheme, origin)| {
        (scheme == "http" || scheme == "https") && origin.eq_ignore_ascii_case(host)
    })
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

/// What others may do with a file, in its mode.
const OTHERS: u32 = 0o077;

/// Takes from others what they may do with the token, and warns: somebody may have read it.
fn close_to_others(path: &Path) {
    let Ok(file) = path.metadata() else { return };
    let mode = file.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return;
    }
    let shown = path.display();
    match std::fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => tracing::warn!(
            file = %shown,
            mode = %format_args!("{mode:04o}"),
            "other users of this machine could read or replace the admin token: they no longer can; put another token \
             in the file if one of them may have"
        ),
        Err(error) => tracing::warn!(
            file = %shown,
            mode = %format_args!("{mode:04o}"),
            %error,
            "other users of this machine can read or replace the admin token: let its owner chmod it to 0600"
        ),
    }
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
    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let door = AdminDoor::open(folder.path(), Vec::new()).unwrap();
        let token = read_token(&door.token_file).unwrap();
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        let mode = std::fs::metadata(&door.token_file).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        for open in [0o666, 0o640, 0o604, 0o610] {
            std::fs::set_permissions(&door.token_file, Permissions::from_mode(open)).unwrap();
            AdminDoor::open(folder.path(), Vec::new()).unwrap();
            let mode = std::fs::metadata(&door.token_file).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
        assert_eq!(read_token(&door.token_file).unwrap(), token);
        std::fs::write(&door.token_file, "short\n").unwrap();
        let refused = AdminDoor::open(folder.path(), Vec::new()).err().unwrap();
        assert!(refused.to_string().contains("remove it"), "{refused}");
    }

    #[test]
    fn what_a_host_header_names() {
        for (host, name) in [
            ("localhost", Some("localhost")),
            ("localhost:3211", Some("localhost")),
            ("127.0.0.1:1", Some("127.0.0.1")),
            ("[::1]", Some("::1")),
            ("[::1]:65535", Some("::1")),
            ("a_b.example.", Some("a_b.example.")),
            ("", None),
            (":80", None),
            ("localhost:", None),
            ("localhost:65536", None),
            ("localhost:+1", None),
            ("localhost:1:2", None),
            ("evil@localhost", None),
            ("localhost/x", None),
            ("localhost, evil", None),
            ("[127.0.0.1]", None),
            ("[localhost]", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[::1]]", None),
            ("[fe80::1%25lo]", None),
            ("::1", None),
            ("local\u{e9}", None),
        ] {
            assert_eq!(host_name(host), name, "{host}");
        }
    }

    #[test]
    fn names_of_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let door = AdminDoor::open(folder.path(), vec!["Projector.svc".to_owned()]).unwrap();
        for ours in [
            "127.0.0.1",
            "::1",
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
