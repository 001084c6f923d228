//! What connections and sockets take when all places of the defaults are taken by such as take most, against what
//! `deploy/MEMORY.md` says. It prints the table.

use std::time::Duration;

use query::Limits;
use service::{memory, open_files};
use tests::broker::eventually;
use tests::client::subscribing;
use tests::service::Service;
use tests::world::World;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::bytes::{UPGRADE, http2, texts};

/// Until all places are taken, on cores that others use too.
const PATIENCE: Duration = Duration::from_mins(1);

/// What fills places.
struct Fill {
    what: &'static str,
    /// Rows of the page that bound it.
    bounds: &'static [&'static str],
    /// The gauge that shows how many there are.
    gauge: &'static str,
    count: usize,
    sent: Vec<u8>,
}

/// Takes all places and sees how much more memory there is than before, in bytes.
async fn grown(world: &World, fill: &Fill) -> anyhow::Result<u64> {
    let service = world.serve("model").await?;
    let client = &service.client;
    let _warm = client.query(None).await?;
    service.forget_peak()?;
    let before = service.memory_bytes()?;
    let mut held = Vec::new();
    for _ in 0..fill.count {
        let mut stream = TcpStream::connect(client.public).await?;
        // What the service does not read stays with the system.
        let sending = stream.write_all(&fill.sent);
        let _ = tokio::time::timeout(Duration::from_millis(20), sending).await;
        held.push(stream);
    }
    let taken = eventually("all places", PATIENCE, async || {
        let count = gauge(&service, fill.gauge).await?;
        (count * 10 >= fill.count * 9).then_some(())
    });
    taken.await?;
    let grown = service.memory_bytes()?.saturating_sub(before);
    drop(held);
    service.stop().await?;
    Ok(grown)
}

async fn gauge(service: &Service, name: &str) -> Option<usize> {
    let metrics = service.client.operator("/metrics").await.ok()?.1;
    let line = metrics.lines().find(|line| line.starts_with(name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_places_of_the_defaults_take_what_the_page_says() -> anyhow::Result<()> {
    let limits = Limits::default();
    open_files::raise();
    let world = World::new().await?;
    let header = format!("POST / HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(30_000));
    let mut message = UPGRADE.to_vec();
    // Without a Connect it would be closed before all are open.
    let [connect, ..] = subscribing("");
    message.extend(texts([connect]));
    message.extend([0x81, 0xfe, 0x1f, 0x40, 0, 0, 0, 0]);
    message.extend(vec![b' '; 7_900]);
    let connections = "profile_projector_connections{listener=\"public\"}";
    let fills = [
        Fill {
            what: "connections with a header that does not end",
            bounds: &["connections"],
            gauge: connections,
            count: limits.connections,
            sent: header.into_bytes(),
        },
        Fill {
            what: "connections of HTTP/2 with bodies that do not come",
            bounds: &[
                "connections",
                "requests in flight",
                "streams of HTTP/2 beyond each connection's own",
            ],
            gauge: connections,
            count: limits.connections,
            sent: http2("none", None),
        },
        Fill {
            what: "sockets with a message that does not end",
            bounds: &["sockets"],
            gauge: "profile_projector_sync_sockets ",
            count: limits.sync.sockets,
            sent: message,
        },
    ];
    println!("| what | count | grown by | each | the page |");
    println!("| --- | --- | --- | --- | --- |");
    for fill in fills {
        let grown = grown(&world, &fill).await?;
        let budget = projector::BatchLimits::default().memory_bytes_max;
        let bounds = memory::bounds(&limits, budget);
        let bounds = bounds
            .iter()
            .filter(|bound| fill.bounds.contains(&bound.what));
        let most = u64::try_from(memory::sum(&bounds.copied().collect::<Vec<_>>()))?;
        let (what, count) = (fill.what, fill.count);
        let each = grown / u64::try_from(count)? / 1024;
        println!(
            "| {what} | {count} | {} MiB | {each} KiB | {} MiB |",
            grown >> 20,
            most >> 20
        );
        assert!(grown < most, "{what}: {grown} of {most}");
    }
    Ok(())
}
