//! The query over HTTP/2.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2::handshake;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use query::Limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::running::{Running, Setup};

/// Asks the query without a token; status and body of the answer.
pub(crate) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (u16, String) {
    let response = send(stream, Full::new(Bytes::from_static(br#"{"args":{}}"#))).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn send<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    body: B,
) -> Response<Incoming>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    let request = Request::post("http://test/api/run/profiles/queries/getCurrentUserProfile");
    let request = request
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    drop(sender);
    drop(driving);
    response
}

#[tokio::test]
async fn answered_without_tls_too() {
    let running = Running::start(Setup::default()).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(
        ask(stream).await,
        (200, r#"{"status":"success","value":null}"#.to_owned())
    );
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come() {
    let body_timeout = Duration::from_millis(200);
    let limits = Limits {
        body_timeout,
        ..Limits::default()
    };
    let running = Running::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let silence = futures::stream::pending::<Result<Frame<Bytes>, std::convert::Infallible>>();
    assert_eq!(
        send(stream, StreamBody::new(silence))
            .await
            .status()
            .as_u16(),
        408
    );
    running.stop().await;
}
