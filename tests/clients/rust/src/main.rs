//! Usage: convex-client URL
//!
//! Subscribes as the crate `convex` does and shows every update.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use convex::{AuthTokenFetcher, AuthenticationToken, ConvexClient, FunctionResult};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// The token that the app has now.
type Session = Arc<Mutex<String>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("no URL")?;
    println!(
        "{}",
        json!({"client": "crate convex 0.10.4 ConvexClient::subscribe"})
    );
    let mut client = ConvexClient::new(&url).await?;
    let path = "profiles/queries:getCurrentUserProfile";
    let mut updates = client.subscribe(path, BTreeMap::new()).await?;
    tokio::spawn(async move {
        while let Some(update) = updates.next().await {
            println!("{}", shown(update));
        }
        println!("{}", json!({"error": "the subscription ended"}));
    });

    let session = Session::default();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        let order: Value = serde_json::from_str(&line)?;
        match order["token"].as_str() {
            Some(token) => {
                token.clone_into(&mut session.lock().unwrap_or_else(PoisonError::into_inner))
            }
            None => client.set_auth_callback(None).await,
        }
        if order["do"] == "sign-in" {
            client.set_auth_callback(Some(fetcher(&session))).await;
        }
        println!("{}", json!({"done": order["do"]}));
    }
    Ok(())
}

/// Asks the app for its token.
fn fetcher(session: &Session) -> AuthTokenFetcher {
    let session = Arc::clone(session);
    Box::new(move |_force_refresh| {
        let token = session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Box::pin(async move { Ok(AuthenticationToken::User(token)) })
    })
}

fn shown(update: FunctionResult) -> Value {
    match update {
        FunctionResult::Value(value) => json!({"value": value.export()}),
        FunctionResult::ErrorMessage(error) => json!({"error": error}),
        FunctionResult::ConvexError(error) => json!({"error": error.message}),
    }
}
