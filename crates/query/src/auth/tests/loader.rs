//! Loading keys: over real sockets with short waits, and from files with a clock that stands still
//! unless everybody waits for it.

use std::fs;

use futures::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::keys::{KeySource, KeysStatus};
use super::server::{Answer, Server, bad_answers};
use super::*;

/// Waits short enough for a test, except the ones that a test waits to see.
fn quick() -> Timing {
    let ms = Duration::from_millis;
    Timing {
        refresh: ms(20),
        refresh_bounds: (ms(20), ms(60_000)),
        file_poll: ms(10),
        retry: (ms(10), ms(20)),
        cooldown: ms(150),
        fetch_max: ms(400),
        join: ms(1000),
        stale_max: ms(60_000),
    }
}

/// No refresh but the first and the wanted ones.
fn on_demand() -> Timing {
    Timing {
        refresh: Duration::from_hours(1),
        ..quick()
    }
}

struct Running {
    verifier: Arc<Verifier>,
    _stop: DropGuard,
}

impl Running {
    fn start(jwks: &str, timing: &Timing) -> Self {
        let document = serde_json::json!({"issuers": [{"issuer": ISSUER, "jwks": jwks}]});
        let config = AuthConfig::parse(&document.to_string(), Path::new("")).unwrap();
        let clock = Clock::at(NOW);
        let (verifier, loader) = Verifier::with_timing(config, clock.wall(), timing).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(loader.run(stop.clone()));
        Self {
            verifier: Arc::new(verifier),
            _stop: stop.drop_guard(),
        }
    }

    fn source(&self) -> &KeySource {
        &self.verifier.sources[0]
    }

    fn status(&self) -> KeysStatus {
        self.verifier.status().remove(0)
    }

    fn accepts(&self, token: &str) -> bool {
        self.verifier.verify(token).is_ok()
    }

    async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !reached(self) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = timeout(Duration::from_secs(20), waiting).await;
        assert!(waited.is_ok(), "waited for {what}: {:?}", self.status());
    }
}

fn good() -> String {
    key_set(&[K1.entry("k1")])
}

fn by_k2() -> String {
    Token::good().header("kid", r#""k2""#).signed_by(&STRANGER)
}

/// After rotation: the new key beside the old one.
fn rotated() -> String {
    key_set(&[K1.entry("k1"), STRANGER.entry("k2")])
}

#[tokio::test]
async fn a4_a_bad_answer_leaves_the_old_keys() {
    let server = Server::start(Answer::document(&good())).await;
    let running = Running::start(&server.url, &quick());
    let token = Token::good().signed();
    let bad_answers = bad_answers(&good());
    for (name, answer, said) in &bad_answers {
        running
            .until(name, |now| {
                now.verifier.ready() && now.status().failures == 0
            })
            .await;
        server.set(answer.clone());
        running.until(name, |now| now.status().failures > 1).await;
        assert!(running.accepts(&token), "{name}");
        let error = running.status().error.unwrap();
        assert!(error.contains(said), "{name}: {error}");
        assert!(error.len() < 300, "{name}: {error}");
        server.set(Answer::document(&good()));
    }
    println!("{} bad answers", bad_answers.len());
}

#[tokio::test]
async fn k12_keys_that_come_late_are_taken() {
    let server = Server::start(Answer::new("503 Busy", "", "")).await;
    let running = Running::start(&server.url, &quick());
    running
        .until("failures", |now| now.status().failures > 3)
        .await;
    let refused = running
        .verifier
        .authenticate(&Token::good().signed())
        .await
        .unwrap_err();
    assert_eq!(
        (refused, running.verifier.ready()),
        (AuthError::NoKeys, false)
    );
    server.set(Answer::document(&good()));
    running.until("keys", |now| now.verifier.ready()).await;
    assert!(running.accepts(&Token::good().signed()));
}

#[tokio::test]
async fn k13_keys_that_cannot_be_confirmed_are_used_until_a_bound() {
    let server = Server::start(Answer::document(&good())).await;
    let timing = Timing {
        stale_max: Duration::from_millis(300),
        ..quick()
    };
    let running = Running::start(&server.url, &timing);
    running.until("keys", |now| now.verifier.ready()).await;
    server.set(Answer::new("503 Busy", "", ""));
    running
        .until("failure", |now| now.status().failures > 0)
        .await;
    running
        .until("the bound", |now| !now.verifier.ready())
        .await;
    let refused = running
        .verifier
        .verify(&Token::good().signed())
        .unwrap_err();
    assert_eq!((refused.status(), refused.code()), (503, "AuthUnavailable"));
    server.set(Answer::document(&good()));
    running
        .until("keys again", |now| now.accepts(&Token::good().signed()))
        .await;
}

#[tokio::test]
async fn k14_the_first_token_of_a_new_key_is_accepted() {
    let server = Server::start(Answer::document(&good())).await;
    let running = Running::start(&server.url, &on_demand());
    running.until("keys", |now| now.verifier.ready()).await;
    running
        .until("cooldown", |now| now.source().cooled_down())
        .await;
    server.set(Answer::document(&rotated()));
    let started = Instant::now();
    assert!(running.verifier.authenticate(&by_k2()).await.is_ok());
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(server.requests(), 2);
    assert!(
        running.accepts(&Token::good().signed()),
        "the old key still works"
    );
}

#[tokio::test]
async fn k10_many_unknown_keys_cause_one_request() {
    let server = Server::start(Answer::document(&good())).await;
    let running = Running::start(&server.url, &on_demand());
    running.until("keys", |now| now.verifier.ready()).await;
    running
        .until("cooldown", |now| now.source().cooled_down())
        .await;
    server.set(Answer::document(&rotated()).after(Duration::from_millis(50)));
    let token = by_k2();
    let answers = join_all((0..100).map(|_| running.verifier.authenticate(&token))).await;
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(
        (accepted, server.requests()),
        (64, 2),
        "64 wait, the others are refused at once"
    );
    // The wishes of the others are not kept for later.
    let unknown = Token::good().header("kid", r#""k3""#).signed();
    assert!(running.verifier.authenticate(&unknown).await.is_err());
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_reload_that_takes_too_long_is_not_waited_for() {
    let server = Server::start(Answer::document(&good())).await;
    let timing = Timing {
        join: Duration::from_millis(30),
        fetch_max: Duration::from_secs(30),
        ..on_demand()
    };
    let running = Running::start(&server.url, &timing);
    running.until("keys", |now| now.verifier.ready()).await;
    running
        .until("cooldown", |now| now.source().cooled_down())
        .await;
    server.set(Answer::document(&rotated()).after(Duration::from_millis(300)));
    let refused = running.verifier.authenticate(&by_k2()).await.unwrap_err();
    assert_eq!((refused.status(), refused.reason()), (401, "unknown_key"));
    running
        .until("the load to end", |now| now.accepts(&by_k2()))
        .await;
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a3_only_an_unknown_key_of_a_trusted_issuer_causes_a_request() {
    let server = Server::start(Answer::document(&good())).await;
    let running = Running::start(&server.url, &on_demand());
    running.until("keys", |now| now.verifier.ready()).await;
    running
        .until("cooldown", |now| now.source().cooled_down())
        .await;
    let tokens = super::hostile::all();
    let known = tokens
        .iter()
        .filter(|(name, _)| !name.contains("kid"))
        .count();
    for (name, token) in tokens.iter().filter(|(name, _)| !name.contains("kid")) {
        let address = token.replace("http://127.0.0.1:9", &server.url);
        let _ = running.verifier.authenticate(&address).await;
        assert_eq!(server.requests(), 1, "{name}");
    }
    println!("{known} hostile tokens, no request");
}

#[tokio::test(start_paused = true)]
async fn k11_a_storm_of_unknown_keys_for_a_minute_causes_few_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    fs::write(&path, good()).unwrap();
    let running = Running::start(path.to_str().unwrap(), &Timing::default());
    running.until("keys", |now| now.verifier.ready()).await;
    let unknown = by_k2();
    for _ in 0..600 {
        assert!(running.verifier.authenticate(&unknown).await.is_err());
        sleep(Duration::from_millis(100)).await;
    }
    let loads = running.source().progress.borrow().attempts;
    assert!((2..=3).contains(&loads), "{loads}");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_when_it_changes_and_its_keys_outlive_it_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let timing = Timing {
        stale_max: Duration::from_hours(1),
        ..Timing::default()
    };
    let running = Running::start(path.to_str().unwrap(), &timing);
    running
        .until("failure", |now| now.status().failures > 0)
        .await;
    fs::write(&path, good()).unwrap();
    running.until("keys", |now| now.verifier.ready()).await;

    fs::write(&path, key_set(&[STRANGER.entry("k2")])).unwrap();
    running
        .until("the new key", |now| now.accepts(&by_k2()))
        .await;
    assert!(
        !running.accepts(&Token::good().signed()),
        "T06: the old key is gone"
    );

    fs::write(&path, "{").unwrap();
    running
        .until("failure", |now| now.status().failures > 0)
        .await;
    assert!(running.accepts(&by_k2()));
    fs::remove_file(&path).unwrap();
    sleep(Duration::from_mins(59)).await;
    assert!(running.accepts(&by_k2()) && running.verifier.ready());
    sleep(Duration::from_mins(1)).await;
    assert_eq!(running.verifier.verify(&by_k2()), Err(AuthError::NoKeys));
}

#[tokio::test]
async fn an_address_nobody_listens_at_is_a_failure_that_names_it() {
    let running = Running::start("http://127.0.0.1:9/jwks", &quick());
    running
        .until("failures", |now| now.status().failures > 1)
        .await;
    let status = running.status();
    assert_eq!(status.source, "http://127.0.0.1:9/jwks");
    assert!(status.error.unwrap().contains("refused"));
}

#[tokio::test]
async fn k16_a_certificate_that_nobody_vouches_for_is_refused() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = Running::start(&format!("https://localhost:{port}/jwks"), &quick());
    let accepting = async {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(connection).await.is_err());
        }
    };
    tokio::select! {
        () = accepting => {}
        () = running.until("failures", |now| now.status().failures > 1) => {}
    }
    let error = running.status().error.unwrap();
    assert!(error.contains("certificate"), "{error}");
    assert!(!running.verifier.ready());
}
