//! Every case of `conformance.json` against the service, byte for byte.

use std::collections::BTreeMap;

use convex_wire::TextMode;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::exchange::{Reply, exchange, request};
use crate::running::{FULL, MIN, Running, Setup};
use crate::tokens;

const OURS: &str = "/api/run/profiles/queries/getCurrentUserProfile";

/// A request and what must come back. What is not said is as in the contract's notation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    /// Why it does not apply to this service.
    skip: Option<String>,
    /// `RUN`, `QRY`, or a method and a target.
    #[serde(default = "run")]
    r#do: String,
    /// `PROD` for redacted texts.
    mode: Option<String>,
    /// The content type with which the issuer serves its keys, instead of a file.
    jwks: Option<String>,
    token: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    body: Option<String>,
    /// A body that is filled up to this size.
    body_bytes: Option<usize>,
    #[serde(default = "ok")]
    status: u16,
    /// A success with this value; `FULL` and `MIN` are the fixtures.
    value: Option<String>,
    /// A failure of the function with this text.
    err: Option<String>,
    /// A transport error's code and message.
    fault: Option<(String, String)>,
    /// A transport error's code alone.
    code: Option<String>,
    /// The body itself.
    text: Option<String>,
    /// The body itself, where `?` stands for any character.
    pattern: Option<String>,
    #[serde(default)]
    answer_headers: BTreeMap<String, Option<String>>,
}

fn run() -> String {
    "RUN".to_owned()
}

fn ok() -> u16 {
    200
}

impl Case {
    fn request(&self, now: &str) -> Vec<u8> {
        let (method, target) = match self.r#do.as_str() {
            "RUN" => ("POST", OURS),
            "QRY" => ("POST", "/api/query"),
            other => other.split_once(' ').unwrap(),
        };
        let mut headers = BTreeMap::from([
            (
                "Content-Type".to_owned(),
                Some("application/json".to_owned()),
            ),
            ("Convex-Request-Id".to_owned(), Some("rid0".to_owned())),
        ]);
        if let Some(changes) = &self.token {
            let token = tokens::mint(changes);
            let value = match changes["how"].as_str() {
                Some("bare") => token,
                Some("lower case scheme") => format!("bearer {token}"),
                _ => format!("Bearer {token}"),
            };
            headers.insert("Authorization".to_owned(), Some(value));
        }
        headers.extend(self.headers.clone());
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let headers: Vec<_> = headers.collect();
        let query = r#"{"path":"profiles/queries:getCurrentUserProfile","args":{}}"#;
        let body = match (self.body.as_deref(), self.r#do.as_str()) {
            (Some("QRY"), _) | (None, "QRY") => query.to_owned(),
            (Some(body), _) => body.replace("NOW", now),
            (None, _) => r#"{"args":{}}"#.to_owned(),
        };
        let body = self.body_bytes.map_or(body, |bytes| {
            let frame = r#"{"args":{},"x":""}"#;
            frame.replace(r#""""#, &format!("\"{}\"", "x".repeat(bytes - frame.len())))
        });
        request(method, target, &headers, body.as_bytes())
    }

    fn wanted_body(&self) -> Option<String> {
        let json = |text: &str| serde_json::to_string(text).unwrap();
        if let Some(value) = &self.value {
            let value = match value.split_once(' ') {
                None => value.replace("FULL", FULL).replace("MIN", MIN),
                Some((_, age)) => {
                    let user = self.token.as_ref().unwrap()["claims"]["sub"]
                        .as_str()
                        .unwrap();
                    FULL.replace(r#""age":30.0"#, &format!(r#""age":{}"#, &age[4..]))
                        .replace("j57bq0g31py2qjnt6amgqwq20x6dpzyk", &user.replace('_', "-"))
                }
            };
            return Some(format!(r#"{{"status":"success","value":{value}}}"#));
        }
        if let Some(text) = &self.err {
            let text = json(&format!("[Request ID: rid0] Server Error\n{text}\n"));
            return Some(format!(r#"{{"status":"error","errorMessage":{text}}}"#));
        }
        if let Some((code, message)) = &self.fault {
            return Some(format!(
                r#"{{"code":{},"message":{}}}"#,
                json(code),
                json(message)
            ));
        }
        self.text.clone()
    }

    /// What is wrong with the reply; empty for a good one.
    fn faults(&self, reply: &Reply) -> Vec<String> {
        let mut faults = Vec::new();
        if reply.status != self.status {
            faults.push(format!(
                "status {} instead of {}",
                reply.status, self.status
            ));
        }
        let right = match (self.wanted_body(), &self.pattern, &self.code) {
            (Some(wanted), _, _) => reply.body == wanted,
            (_, Some(pattern), _) => matches(pattern, &reply.body),
            (_, _, Some(code)) => reply.body.starts_with(&format!(r#"{{"code":"{code}","#)),
            (None, None, None) => panic!("{} says nothing of the body", self.id),
        };
        if !right {
            faults.push(format!(
                "body {}\n      wanted {:?}",
                reply.body,
                self.wanted_body()
            ));
        }
        for (name, wanted) in &self.answer_headers {
            if reply.header(name) != wanted.as_deref() {
                faults.push(format!(
                    "{name}: {:?} instead of {wanted:?}",
                    reply.header(name)
                ));
            }
        }
        faults
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let same = |(wanted, found): (char, char)| wanted == '?' || wanted == found;
    pattern.chars().count() == text.chars().count() && pattern.chars().zip(text.chars()).all(same)
}

/// Serves the key set with a content type, for as long as the handle lives.
async fn serve_jwks(content_type: String) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/jwks", listener.local_addr().unwrap());
    let answer = move || {
        let headers = [("content-type", content_type.clone())];
        async move { (headers, tokens::jwks().to_string()) }
    };
    let router = axum::Router::new().route("/jwks", axum::routing::get(answer));
    let serving = async move { axum::serve(listener, router).await.unwrap() };
    (address, AbortOnDropHandle::new(tokio::spawn(serving)))
}

async fn with_fetched_keys(case: &Case, content_type: &str) -> Reply {
    let (address, _serving) = serve_jwks(content_type.to_owned()).await;
    let running = Running::start(Setup {
        jwks: Some(address),
        ..Setup::default()
    })
    .await;
    if case.status == 200 {
        running.until_ready().await;
    }
    let reply = exchange(running.address, &case.request("")).await;
    running.stop().await;
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../conformance.json")).unwrap();
    let verbose = Running::start(Setup::default()).await;
    let redacted = Setup {
        texts: TextMode::Redacted,
        ..Setup::default()
    };
    let redacted = Running::start(redacted).await;
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    for case in &cases {
        if case.skip.is_some() {
            skipped += 1;
            continue;
        }
        let reply = if let Some(content_type) = &case.jwks {
            with_fetched_keys(case, content_type).await
        } else {
            let running = if case.mode.is_some() {
                &redacted
            } else {
                &verbose
            };
            let now = request("POST", "/api/query_ts", &[], b"");
            let now = exchange(running.address, &now).await.body;
            exchange(running.address, &case.request(&now[7..19])).await
        };
        match case.faults(&reply) {
            faults if faults.is_empty() => passed += 1,
            faults => failed.push(format!("{}: {}", case.id, faults.join("\n    "))),
        }
    }
    println!(
        "{passed} cases passed, {skipped} do not apply, {} failed",
        failed.len()
    );
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    verbose.stop().await;
    redacted.stop().await;
}
