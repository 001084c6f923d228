//! Three nats-servers that keep three copies of the stream.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::Context;
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};

use crate::broker::{Broker, STREAM, eventually, stream_config};

/// Three servers that have not found each other take no stream.
const FOUND_WITHIN: Duration = Duration::from_mins(1);

/// The servers of one cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Its servers.
    pub nodes: Vec<Broker>,
}

impl Cluster {
    /// Starts three servers and creates the stream with three copies.
    pub async fn start() -> anyhow::Result<Self> {
        // Bound all at once, so that they differ; a stranger may take one before its server does.
        let free = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let mut ports = Vec::new();
        for listener in free {
            ports.push(listener?.local_addr()?.port());
        }
        let routes: Vec<String> = ports
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let mut nodes = Vec::new();
        for (number, route) in routes.iter().enumerate() {
            let name = format!("n{number}");
            let arguments = ["--name", &name, "--cluster_name", "c", "--cluster", route];
            let routes = routes.join(",");
            let arguments = arguments.into_iter().chain(["--routes", &routes]);
            nodes.push(Broker::with_arguments(arguments.map(Into::into).collect()).await?);
        }
        let cluster = Self { nodes };
        cluster.create_stream().await?;
        Ok(cluster)
    }

    async fn create_stream(&self) -> anyhow::Result<()> {
        let config = stream::Config {
            num_replicas: 3,
            ..stream_config()?
        };
        let jetstream = self.jetstream().await?;
        eventually("the stream", FOUND_WITHIN, async || {
            jetstream.create_stream(config.clone()).await.ok()
        })
        .await?;
        Ok(())
    }

    /// Where clients connect, all of them.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(|node| node.server.url()).collect();
        urls.join(",")
    }

    /// A connection to any of them, with little patience.
    pub async fn jetstream(&self) -> anyhow::Result<jetstream::Context> {
        let servers: Result<Vec<async_nats::ServerAddr>, _> =
            self.urls().split(',').map(str::parse).collect();
        let client = ConnectOptions::new()
            .request_timeout(Some(Duration::from_secs(2)))
            .connect(servers?)
            .await?;
        let mut jetstream = jetstream::new(client);
        jetstream.set_timeout(Duration::from_secs(2));
        Ok(jetstream)
    }

    /// The place of the server that leads the stream.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        let jetstream = self.jetstream().await?;
        eventually("a leader", FOUND_WITHIN, async || {
            let stream = jetstream.get_stream(STREAM).await.ok()?;
            let leader = stream.cached_info().cluster.as_ref()?.leader.clone()?;
            leader.strip_prefix('n')?.parse().ok()
        })
        .await
    }

    /// Whether the stream's leader has given its place to another server.
    pub async fn step_down(&self) -> bool {
        let Ok(jetstream) = self.jetstream().await else {
            return false;
        };
        let subject = format!("STREAM.LEADER.STEPDOWN.{STREAM}");
        let answer: Result<serde_json::Value, _> = jetstream.request(subject, &()).await;
        answer.is_ok_and(|answer| answer.get("success") == Some(&true.into()))
    }

    /// One of its servers.
    pub fn node(&mut self, place: usize) -> anyhow::Result<&mut Broker> {
        self.nodes.get_mut(place).context("there are three")
    }
}
