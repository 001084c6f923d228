//! Operators, accounts and users of NATS: keys, and the JWTs that one signs for the next.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with one account that has JetStream.
pub struct Operator {
    keys: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

/// A file as `--nats-creds` takes it, of a user of an account.
pub type Creds = String;

impl Operator {
    /// New keys.
    pub fn new() -> Self {
        Self {
            keys: KeyPair::new_operator(),
            account: KeyPair::new_account(),
            system: KeyPair::new_account(),
        }
    }

    /// A server's configuration that trusts it.
    pub fn config(&self) -> anyhow::Result<String> {
        let operator = claims(&self.keys.public_key(), json!({"type": "operator"}));
        let operator = signed(&self.keys, operator)?;
        let (account, system) = (self.account.public_key(), self.system.public_key());
        let account_jwt = signed(&self.keys, claims(&account, limits(true)))?;
        let system_jwt = signed(&self.keys, claims(&system, limits(false)))?;
        Ok(format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {account_jwt}, {system}: {system_jwt} }}\n"
        ))
    }

    /// A user of the account, good for so long.
    pub fn user(&self, lifetime: Option<Duration>) -> anyhow::Result<Creds> {
        user_of(&self.account, lifetime)
    }

    /// A user of an account that the server does not know.
    pub fn stranger(&self) -> anyhow::Result<Creds> {
        user_of(&KeyPair::new_account(), None)
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self::new()
    }
}

fn user_of(account: &KeyPair, lifetime: Option<Duration>) -> anyhow::Result<Creds> {
    let user = KeyPair::new_user();
    let nats = json!({"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1});
    let mut claims = claims(&user.public_key(), nats);
    if let (Some(lifetime), Some(claims)) = (lifetime, claims.as_object_mut()) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        claims.insert("exp".into(), (now + lifetime).as_secs().into());
    }
    Ok(format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        signed(account, claims)?,
        user.seed()?
    ))
}

fn claims(subject: &str, mut nats: Value) -> Value {
    if let Some(nats) = nats.as_object_mut() {
        nats.insert("version".into(), 2.into());
    }
    json!({"jti": subject, "iat": 1_790_000_000, "name": "test", "sub": subject, "nats": nats})
}

fn limits(jetstream: bool) -> Value {
    let mut limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1,
    });
    if let (true, Some(limits)) = (jetstream, limits.as_object_mut()) {
        for name in ["mem_storage", "disk_storage", "streams", "consumer"] {
            limits.insert(name.into(), (-1).into());
        }
    }
    json!({"type": "account", "limits": limits, "default_permissions": {"pub": {}, "sub": {}}})
}

fn signed(by: &KeyPair, mut claims: Value) -> anyhow::Result<String> {
    if let Some(claims) = claims.as_object_mut() {
        claims.insert("iss".into(), by.public_key().into());
    }
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"}).to_string();
    let body = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = by.sign(body.as_bytes())?;
    Ok(format!("{body}.{}", encode(&signature)))
}
