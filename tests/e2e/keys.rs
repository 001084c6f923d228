//! Starting with keys: of a file, and of an issuer that is away.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::routing::get;
use devkit::issuer::{AUDIENCE, ISSUER};
use reqwest::StatusCode;
use serde_json::json;
use tests::broker::eventually;
use tests::client::{Answer, Client};
use tests::service::{SOON, Service, Start};
use tests::world::World;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const SUB: &str = "user_01KEYS";

/// An issuer's address of keys, which can go away.
struct Issuer {
    address: SocketAddr,
    auth_config: PathBuf,
}

impl Issuer {
    /// Serves the keys of this world's issuer until the guard is dropped.
    async fn present(world: &World) -> anyhow::Result<(Self, DropGuard)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let keys = std::fs::read_to_string(world.data("issuer").join("jwks.json"))?;
        let json = [("content-type", "application/json")];
        let routes = Router::new().route("/jwks", get(move || async move { (json, keys) }));
        let away = CancellationToken::new();
        let serving = axum::serve(listener, routes).into_future();
        tokio::spawn(away.clone().run_until_cancelled_owned(serving));
        let jwks = format!("http://{address}/jwks");
        let issuer = json!({"issuer": ISSUER, "audience": AUDIENCE, "jwks": jwks});
        let auth_config = world.data("auth-config.json");
        std::fs::write(&auth_config, json!({"issuers": [issuer]}).to_string())?;
        let issuer = Self {
            address,
            auth_config,
        };
        Ok((issuer, away.drop_guard()))
    }
}

fn start<'a>(
    nats_url: &'a str,
    data: &'a Path,
    auth_config: &'a Path,
    listen: SocketAddr,
) -> Start<'a> {
    Start {
        nats_url,
        data,
        auth_config,
        listen,
        flags: &[],
        clock: None,
    }
}

/// An address that was free just now.
fn free() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts the service while somebody asks all the time, and gives the first answer.
async fn first_answer(start: &Start<'_>, token: &str) -> anyhow::Result<(Service, Answer)> {
    let client = Client::new(start.listen, start.listen, start.data)?;
    let asking = async {
        loop {
            match client.query(Some(token)).await {
                Ok(answer) => break answer,
                Err(_nobody_listens) => tokio::task::yield_now().await,
            }
        }
    };
    let (service, answer) = tokio::join!(Service::start(start), asking);
    Ok((service?, answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_while_the_issuer_is_away_refuse_nobody() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (issuer, present) = Issuer::present(&world).await?;
    let (nats_url, data, listen) = (world.broker.server.url(), world.data("model"), free()?);
    let begin = start(&nats_url, &data, &issuer.auth_config, listen);
    let service = Service::start(&begin).await?;
    let ready = async |service: &Service| {
        let answer = service.client.operator("/readyz").await.ok();
        answer.filter(|(status, _)| *status == StatusCode::OK)
    };
    eventually("ready", SOON, async || ready(&service).await).await?;
    let kept = data.join("signing-keys");
    let files = || std::fs::read_dir(&kept).ok()?.next();
    eventually("the kept keys", SOON, async || files()).await??;
    service.kill().await?;

    drop(present);
    eventually("the issuer to go", SOON, async || {
        tokio::net::TcpStream::connect(issuer.address).await.err()
    })
    .await?;
    let mut refused = Vec::new();
    for restart in 0..50 {
        let token = world.token(SUB)?;
        let (service, answer) = first_answer(&begin, &token).await?;
        if answer.status != StatusCode::OK {
            refused.push((restart, answer));
        }
        service.kill().await?;
    }
    assert!(refused.is_empty(), "{} of 50: {refused:?}", refused.len());

    // A folder that knows no keys.
    let data = world.data("first");
    let first = start(&nats_url, &data, &issuer.auth_config, listen);
    let (service, answer) = first_answer(&first, &world.token(SUB)?).await?;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body["code"], "AuthUnavailable");
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    let (status, why) = service.client.operator("/readyz").await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_file_are_there_for_the_first_request() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (nats_url, auth_config) = (world.broker.server.url(), world.issuer.auth_config());
    let token = world.token(SUB)?;
    for number in 0..12 {
        let data = world.data(&format!("model-{number}"));
        let begin = start(&nats_url, &data, &auth_config, free()?);
        let (service, answer) = first_answer(&begin, &token).await?;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "start {number}: {:?}",
            answer.body
        );
        service.kill().await?;
    }
    Ok(())
}
