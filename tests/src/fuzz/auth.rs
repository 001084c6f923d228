//! Any bytes as a bearer token or a key set: nobody gets in, and no more keys than there are entries.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use query::auth::{AuthConfig, Verifier, usable_keys};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// `{"alg":"RS256","kid":"k1"}`
const HEADER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0";
/// `{"iss":"i","iat":1700000000,"exp":1700000300,"sub":"user_1"}`
const PAYLOAD: &str =
    "eyJpc3MiOiJpIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDAzMDAsInN1YiI6InVzZXJfMSJ9";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    query::auth::install_crypto();
    let config = r#"{"issuers":[{"issuer":"i","jwks":"jwks.json"}]}"#;
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"));
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

/// As a token, and as a token's payload, header and signature, so that the later stages are reached at once.
pub fn bearer(bytes: &[u8]) {
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
}

/// A key set gives keys only of entries that are public RSA keys with an id.
pub fn jwks(bytes: &[u8]) {
    let Ok(usable) = usable_keys(bytes) else {
        return;
    };
    let set: Value = serde_json::from_slice(bytes).expect("a key set is JSON");
    let entries = set["keys"].as_array().expect("a key set has a list");
    let is_public = |key: &&Value| {
        key["kty"] == "RSA"
            && key["kid"].is_string()
            && ["d", "p", "q"].iter().all(|of| key[*of].is_null())
    };
    assert!(0 < usable && usable <= entries.iter().filter(is_public).count());
}
