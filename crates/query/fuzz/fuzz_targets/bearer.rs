//! Any bytes as a bearer token: no panic, and nobody gets in.
//!
//! `cargo +nightly fuzz run bearer` in the folder `crates/query`. The input is also tried as
//! a payload, as a header and as a signature, so that the later stages are reached at once.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use query::auth::{AuthConfig, Verifier};
use tokio_util::sync::CancellationToken;

/// `{"alg":"RS256","kid":"k1"}`
const HEADER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0";
/// `{"iss":"i","iat":1700000000,"exp":1700000300,"sub":"user_1"}`
const PAYLOAD: &str =
    "eyJpc3MiOiJpIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDAzMDAsInN1YiI6InVzZXJfMSJ9";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let config = r#"{"issuers":[{"issuer":"i","jwks":"jwks.json"}]}"#;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = AuthConfig::parse(config, folder).expect("a valid configuration");
    let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let (verifier, loader) = Verifier::new(config, Arc::new(now)).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let stop = CancellationToken::new();
        let loaded = async {
            while !verifier.ready() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.cancel();
        };
        tokio::join!(loader.run(stop.clone()), loaded);
    });
    verifier
});

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let encoded = URL_SAFE_NO_PAD.encode(bytes);
    let signature = "A".repeat(342);
    for token in [
        text.to_string(),
        format!("{HEADER}.{encoded}.{signature}"),
        format!("{encoded}.{PAYLOAD}.{signature}"),
        format!("{HEADER}.{PAYLOAD}.{text}"),
    ] {
        let error = VERIFIER.verify(&token).expect_err("nobody signed this");
        assert_eq!(error.status(), 401);
    }
});
