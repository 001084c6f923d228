//! The histories that a fresh stream of `dev` begins with.

use std::io;

use tokio_util::sync::CancellationToken;

use crate::nats::Connection;
use crate::producer::send::{How, Report, Sender};
use crate::producer::{Account, Checker, Fault, Place, read_in_background};

const SAMPLES: &str = concat!(
    include_str!("../../../../../schemas/examples/people.ndjson"),
    include_str!("../../../../../schemas/examples/lifecycle.ndjson"),
);

/// The identity of the person whom the lines to paste are about, with her user and profile.
pub(super) const IDENTITY: &str = "user_01SAMPLEADA000000000000000";
pub(super) const USER: &str = "jd7adasampleuser0000000000000000";
pub(super) const PROFILE: &str = "k57adasampleprofile0000000000000";

/// Publishes the samples unless the stream has them.
pub(super) async fn publish(
    connection: &Connection,
    stream: &str,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let held = connection.stream(stream).await?.last;
    if usize::try_from(held).is_ok_and(|held| held >= SAMPLES.lines().count()) {
        return Ok(());
    }
    let batches = read_in_background(Box::new(io::Cursor::new(SAMPLES)), Checker::new()?)?;
    let mut report = Silent;
    let mut sender = Sender::new(connection, stream, How::default(), &mut report);
    sender.run(batches, stop).await?;
    let refused = sender.account().refused;
    anyhow::ensure!(refused == 0, "{refused} samples were refused");
    Ok(())
}

struct Silent;

impl Report for Silent {
    fn refused(&mut self, place: Place, fault: &Fault) {
        tracing::error!(%place, %fault, "sample refused");
    }

    fn progress(&mut self, _account: &Account) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_of_the_guide_is_among_the_samples() {
        for name in [IDENTITY, USER, PROFILE] {
            assert!(SAMPLES.contains(name), "{name}");
        }
    }
}
