//! The floors: a parser that only counts, over one buffer that is read into again and again; and the
//! reader that the projector has, whose records are counted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use jetstream::{ApiPrefix, NoLogin};
use projector::{BatchLimits, Config, read_log};
use tests::broker::STREAM;
use tokio::runtime::Builder;

/// Messages asked for at once; as many again are asked for when half of them have come.
const PULL: u64 = 5_000;
const BUFFER: usize = 256 * 1024;

/// Counts what a connection gives, without a client library.
pub(crate) fn drain(url: &str, events: u64) -> anyhow::Result<Duration> {
    let consumer = Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(make_consumer(url))?;
    let address = url.strip_prefix("nats://").context("a plain address")?;
    let started = Instant::now();
    let mut wire = TcpStream::connect(address)?;
    let hello = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,\
                 \"lang\":\"none\",\"version\":\"0\",\"protocol\":1}\r\nSUB drain.* 1\r\n";
    wire.write_all(hello.as_bytes())?;
    let ask = format!("{{\"batch\":{PULL},\"expires\":30000000000}}");
    let ask = format!(
        "PUB $JS.API.CONSUMER.MSG.NEXT.{STREAM}.{consumer} drain.1 {}\r\n{ask}\r\n",
        ask.len()
    );
    let (mut asked, mut count, mut headers) = (0, 0, 0);
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    while count < events {
        while asked <= count.saturating_add(PULL / 2) {
            wire.write_all(ask.as_bytes())?;
            asked += PULL;
        }
        let room = buffer.get_mut(filled..).context("a frame fits")?;
        let read = wire.read(room)?;
        ensure!(read != 0, "the server closed the connection");
        filled += read;
        let bytes = buffer.get(..filled).unwrap_or_default();
        let mut rest = bytes;
        while let Some((frame, behind)) = next_frame(rest)? {
            if let Some(block) = frame {
                count += 1;
                headers += block.split(|byte| *byte == b'\n').count();
            }
            rest = behind;
        }
        let at = filled - rest.len();
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
    std::hint::black_box(headers);
    Ok(started.elapsed())
}

/// The header block of a message, or none for another frame, and what follows.
type Cut<'b> = (Option<&'b [u8]>, &'b [u8]);

fn next_frame(bytes: &[u8]) -> anyhow::Result<Option<Cut<'_>>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let (line, rest) = bytes.split_at(end);
    let rest = rest.get(1..).unwrap_or_default();
    if !line.starts_with(b"HMSG ") {
        ensure!(!line.starts_with(b"-ERR"), "the server refused");
        return Ok(Some((None, rest)));
    }
    let mut lengths = line.trim_ascii_end().rsplit(|byte| *byte == b' ');
    let mut length = || -> anyhow::Result<usize> {
        let digits = lengths.next().context("a length is missing")?;
        Ok(std::str::from_utf8(digits)?.parse()?)
    };
    let (all, headers) = (length()?, length()?);
    let Some(behind) = rest.get(all + 2..) else {
        return Ok(None);
    };
    // A word of the server has no body.
    let block = (headers < all).then(|| rest.get(..headers)).flatten();
    Ok(Some((block, behind)))
}

async fn make_consumer(url: &str) -> anyhow::Result<String> {
    let client = async_nats::connect(url).await?;
    let stream = async_nats::jetstream::new(client)
        .get_stream(STREAM)
        .await?;
    let consumer = stream
        .create_consumer(pull::Config {
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        })
        .await?;
    Ok(consumer.cached_info().name.clone())
}

/// Counts the records that the projector's reading gives.
pub(crate) fn records(url: &str, events: u64) -> anyhow::Result<Duration> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let config = Config {
        servers: vec![url.parse()?],
        login: Arc::new(NoLogin),
        stream: STREAM.to_owned(),
        consumer: "count".to_owned(),
        inbox: "_INBOX_drain".to_owned(),
        api: ApiPrefix::default(),
        limits: BatchLimits::default(),
    };
    let started = Instant::now();
    let mut count = 0;
    let counting = read_log(config, |_, record| {
        std::hint::black_box(record);
        count += 1;
        Ok::<_, anyhow::Error>(ControlFlow::Continue(()))
    });
    let ended = runtime.block_on(counting);
    ended.map_err(|error| anyhow::anyhow!("{error}"))?;
    ensure!(count == events, "{count} of {events} records came");
    Ok(started.elapsed())
}
