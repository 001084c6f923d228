//! `publish`: a file of events into the stream.

use std::io::{self, Write};

use crate::cli::PublishArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats::{self, Connection, REQUEST_WITHIN};
use crate::producer::send::How;
use crate::producer::{Checker, open, read_in_background};
use crate::signals;

use super::sending::Sending;

pub(crate) fn run(args: &PublishArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    let (input, length) = open(&args.input)?;
    super::block_on(async {
        let stop = signals::stop_token()?;
        let connecting = nats::connect(&config, "publish");
        let connection = stop.run_until_cancelled(connecting).await;
        let connection = connection
            .ok_or_else(|| anyhow::anyhow!("interrupted before the first event"))?
            .map_err(anyhow::Error::from)?;
        let how = How {
            compare_and_set: args.compare_and_set,
            pairs: args.atomic && takes_pairs(&connection, &config.stream).await,
            from_line: args.from_line,
            keeps_places: !args.wait.wait.is_empty(),
        };
        let sending = Sending {
            connection: &connection,
            stream: &config.stream,
            how,
            wait: &args.wait,
            json: args.json,
            length,
            can_skip: true,
        };
        let batches = read_in_background(input, Checker::new()?)?;
        sending.run(batches, &stop).await
    })
}

/// Whether the stream takes atomic batches. Says so when it does not: then the events go one by one.
async fn takes_pairs(connection: &Connection, stream: &str) -> bool {
    let asked = tokio::time::timeout(REQUEST_WITHIN, connection.jetstream.get_stream(stream)).await;
    let why = match asked {
        Ok(Ok(found)) if found.cached_info().config.allow_atomic_publish => return true,
        Ok(Ok(_)) => "its setting allow_atomic is off (servers from 2.12 on know it)",
        Ok(Err(_)) | Err(_) => "its settings cannot be read",
    };
    let _ = writeln!(
        io::stderr(),
        "stream {stream} takes no atomic batches: {why}; each user and its profile go one after the other"
    );
    false
}
