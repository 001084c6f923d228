//! `as-of`: the answer that a client would have had when the stream was that far.

use std::io::{self, Write};

use anyhow::{Context, anyhow};

use super::replay::{Fold, of_stream, parse_time};
use crate::cli::AsOfArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::log_access::LogAccess;
use crate::printable;
use crate::stream_reader::Until;

pub(crate) fn run(args: &AsOfArgs) -> Result<(), Failure> {
    let nats = NatsConfig::of(&args.nats)?;
    let until = match (args.sequence, &args.time) {
        (Some(sequence), _) => Until::Sequence(sequence),
        (None, Some(time)) => Until::Time(parse_time(time)?),
        (None, None) => return Err(anyhow!("--sequence or --time is missing: as of when?").into()),
    };
    let folder = tempfile::tempdir().context("there is no folder for temporary files")?;
    let mut fold = Fold::new(folder.path(), None)?;
    let log = LogAccess::reading(nats, args.consumer_name.clone());
    super::block_on(of_stream(&mut fold, log, until))?;
    let replay = fold.finish()?;
    let answer = match (&args.subject, &args.user) {
        (Some(sub), _) => replay.answer(sub),
        (None, Some(user)) => replay.answer_of_user(user),
        (None, None) => return Err(anyhow!("--subject or --user is missing: whose answer?").into()),
    };
    let value = answer.map_err(anyhow::Error::from)?;
    // The value alone goes to standard output, where programs read it.
    let _ = writeln!(io::stderr(), "as of sequence {}:", replay.sequence());
    writeln!(io::stdout(), "{}", printable::text(&value)).context("standard output is gone")?;
    Ok(())
}
