//! A client of the service's two listeners.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// The route of the one query.
pub const RUN: &str = "/api/run/profiles/queries/getCurrentUserProfile";

/// Speaks HTTP to the service.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Where the Convex routes are.
    pub public: SocketAddr,
    /// Where the operators' routes are.
    pub admin: SocketAddr,
    /// The operators' token.
    token: PathBuf,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP's status.
    pub status: StatusCode,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// The `Read-Model-Sequence` header.
    pub sequence: Option<u64>,
}

/// What a page sends to subscribe to the query with a token.
pub fn subscribing(token: &str) -> [String; 3] {
    let query = json!({"type": "Add", "queryId": 0, "udfPath": "profiles/queries:getCurrentUserProfile", "args": [{}]});
    let messages = [
        json!({"type": "Connect", "sessionId": "00000000-0000-4000-8000-000000000001", "connectionCount": 0,
            "lastCloseReason": "InitialConnect"}),
        json!({"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": token}),
        json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [query]}),
    ];
    messages.map(|message| message.to_string())
}

impl Client {
    /// Where sockets are opened.
    pub fn sync_url(&self) -> String {
        format!("ws://{}/api/1.48.0/sync", self.public)
    }

    /// A client of these addresses, of the service of this folder.
    pub fn new(public: SocketAddr, admin: SocketAddr, data: &Path) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            http,
            public,
            admin,
            token: data.join("admin-token"),
        })
    }

    /// The query, with a token or without.
    pub async fn query(&self, token: Option<&str>) -> anyhow::Result<Answer> {
        self.send(self.request(token)).await
    }

    /// The query, to be answered from this sequence on.
    pub async fn query_from(&self, token: &str, sequence: u64) -> anyhow::Result<Answer> {
        let request = self.request(Some(token));
        self.send(request.header("Read-Model-Min-Sequence", sequence.to_string()))
            .await
    }

    /// The query as a request, to be changed.
    pub fn request(&self, token: Option<&str>) -> RequestBuilder {
        let request = self
            .http
            .post(format!("http://{}{RUN}", self.public))
            .header("Content-Type", "application/json")
            .body(r#"{"args":{}}"#);
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.send().await?;
        let status = response.status();
        let sequence = response.headers().get("Read-Model-Sequence");
        let sequence = sequence.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
        Ok(Answer {
            status,
            body,
            sequence,
        })
    }

    /// `/status`.
    pub async fn status(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.operator("/status").await?.1)?)
    }

    /// Any of the operators' routes.
    pub async fn operator(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let response = self
            .http
            .get(format!("http://{}{path}", self.admin))
            .bearer_auth(std::fs::read_to_string(&self.token)?.trim())
            .send()
            .await?;
        Ok((response.status(), response.text().await?))
    }
}
