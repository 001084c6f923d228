//! `replay`: folds a file of events or the stream, without serving, and tells what it comes to.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use event_lines::{Lines, Message};
use replay_kit::{FoundParked, Replay, ReplayError};
use serde_json::{Map, Value, json};

use super::{bar, new_file, replay_serve};
use crate::cli::ReplayArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::log_access::{LogAccess, READS};
use crate::printable::{self, counted};
use crate::stream_reader::{self, Extent, Until};
use crate::{nats, producer};

/// Messages folded together: few commits, and bounded memory.
const TOGETHER: usize = 10_000;

pub(crate) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    if args.serve {
        return replay_serve::run();
    }
    let expected = args.expect.as_deref().map(read_value).transpose()?;
    let until = match &args.until {
        Some(text) => parse_until(text)?,
        None => Until::Tail,
    };
    let folder = tempfile::tempdir().context("there is no folder for temporary files")?;
    let mut fold = Fold::new(folder.path(), args.write.as_deref())?;
    if let Some(input) = &args.input {
        of_file(&mut fold, input, until)?;
    } else {
        let nats = NatsConfig::of(&args.nats)?;
        let log = LogAccess::reading(nats, args.consumer_name.clone());
        super::block_on(of_stream(&mut fold, log, until))?;
    }
    let replay = fold.finish()?;
    tell(args, &replay, &mut io::stdout().lock())?;
    if let (Some(sub), Some(expected)) = (&args.sub, expected) {
        let compared = replay.expect_answer(sub, &expected);
        compared.map_err(anyhow::Error::from)?;
    }
    match replay.totals().parked_records {
        parked if args.strict && parked != 0 => Err(Failure::Told),
        _ => Ok(()),
    }
}

/// A sequence, or a time as RFC 3339 writes it.
pub(super) fn parse_until(text: &str) -> anyhow::Result<Until> {
    if let Ok(sequence) = text.parse() {
        return Ok(Until::Sequence(sequence));
    }
    parse_time(text).map(Until::Time)
}

/// Nanoseconds since the epoch of a time as RFC 3339 writes it.
pub(super) fn parse_time(text: &str) -> anyhow::Result<i128> {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(text, &Rfc3339);
    time.map(time::OffsetDateTime::unix_timestamp_nanos)
        .map_err(|problem| {
            anyhow!("{text} is neither a sequence nor a time like 2026-11-24T12:00:00Z ({problem})")
        })
}

fn read_value(path: &Path) -> anyhow::Result<Value> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))
}

/// A fold, fed with one message at a time.
pub(super) struct Fold {
    replay: Replay,
    waiting: Vec<Message>,
    write: Option<BufWriter<File>>,
    messages: u64,
}

impl Fold {
    /// Into a folder that is empty; what is folded is written to `write` too.
    pub(super) fn new(folder: &Path, write: Option<&Path>) -> anyhow::Result<Self> {
        let write = write.map(new_file);
        Ok(Self {
            replay: Replay::in_folder(folder)?,
            waiting: Vec::with_capacity(TOGETHER),
            write: write.transpose()?.map(BufWriter::new),
            messages: 0,
        })
    }

    pub(super) fn take(&mut self, message: Message) -> anyhow::Result<()> {
        if let Some(write) = &mut self.write {
            writeln!(write, "{}", message.to_line()).context("the file cannot be written")?;
        }
        self.messages = self.messages.saturating_add(1);
        self.waiting.push(message);
        if self.waiting.len() == TOGETHER {
            self.fold()?;
        }
        Ok(())
    }

    fn fold(&mut self) -> anyhow::Result<()> {
        self.replay.apply(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> anyhow::Result<Replay> {
        self.fold()?;
        if let Some(write) = &mut self.write {
            let written = write.flush().and_then(|()| write.get_ref().sync_all());
            written.context("the file cannot be written")?;
        }
        Ok(self.replay)
    }
}

fn of_file(fold: &mut Fold, input: &Path, until: Until) -> anyhow::Result<()> {
    let last = match until {
        Until::Tail => u64::MAX,
        Until::Sequence(sequence) => sequence,
        Until::Time(_) => anyhow::bail!("--until takes a sequence where a file is replayed"),
    };
    let (input, _) = producer::open(input)?;
    let mut lines = Lines::of(io::BufReader::new(input));
    let mut place = 0_u64;
    while let Some(line) = lines.next_line().context("the events cannot be read")? {
        let message = replay_kit::message_of(&line)?;
        place = message
            .sequence
            .map_or(place.saturating_add(1), domain::Sequence::get);
        if last < place {
            break;
        }
        fold.take(message)?;
    }
    Ok(())
}

/// Folds what the stream holds, with progress on a terminal.
pub(super) async fn of_stream(
    fold: &mut Fold,
    log: LogAccess,
    until: Until,
) -> Result<(), Failure> {
    let inbox = log.projector_config("").inbox;
    let connection = nats::connect_with(log.nats(), READS, inbox).await;
    let connection = connection.map_err(anyhow::Error::from)?;
    let bar = bar::of("events");
    let begin = |Extent { first, last }: Extent| {
        bar.set_length(last);
        if 1 < first && first <= last {
            let _ = writeln!(
                io::stderr(),
                "the stream begins at {first}: what was before is gone and is missing here"
            );
        }
    };
    let each = |message: Message| {
        let sequence = message.sequence.map_or(0, domain::Sequence::get);
        bar::advance(&bar, sequence, bar.length().unwrap_or(sequence));
        fold.take(message)
    };
    let ended = stream_reader::read(&connection, &log, until, begin, each).await;
    bar.finish_and_clear();
    Ok(ended?)
}

/// Tells what a replay came to, as asked for.
fn tell(args: &ReplayArgs, replay: &Replay, out: &mut impl Write) -> anyhow::Result<()> {
    let told = if args.digest {
        format!("{}\n", replay.digest())
    } else if args.json {
        format!("{}\n", as_json(args, replay)?)
    } else {
        for_people(replay, &replay.parked()?, answer(args, replay)?.as_deref())
    };
    let told = out.write_all(printable::text(&told).as_bytes());
    told.context("standard output is gone")
}

fn answer(args: &ReplayArgs, replay: &Replay) -> anyhow::Result<Option<String>> {
    let sub = args.sub.as_deref();
    Ok(sub.map(|sub| replay.answer(sub)).transpose()?)
}

fn as_json(args: &ReplayArgs, replay: &Replay) -> anyhow::Result<Value> {
    let answer = answer(args, replay)?;
    let answer: Option<Value> = answer.map(|text| serde_json::from_str(&text)).transpose()?;
    let mut figures = figures(replay)?;
    figures.insert("answer".to_owned(), answer.into());
    Ok(figures.into())
}

/// What a replay comes to, for programs.
pub(super) fn figures(replay: &Replay) -> Result<Map<String, Value>, ReplayError> {
    let totals = replay.totals();
    let outcomes = totals.outcomes.iter().filter(|(_, count)| *count != 0);
    let outcomes: Map<String, Value> = outcomes
        .map(|(outcome, count)| (outcome.as_str().to_owned(), count.into()))
        .collect();
    let parked = replay.parked()?.iter().map(|one| json!(one)).collect();
    let members = [
        ("sequence", replay.sequence().into()),
        ("users", totals.users.into()),
        ("profiles", totals.profiles.into()),
        ("parked", Value::Array(parked)),
        ("outcomes", outcomes.into()),
        ("digest", totals.digest.to_string().into()),
    ];
    Ok(members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect())
}

fn for_people(replay: &Replay, parked: &[FoundParked], answer: Option<&str>) -> String {
    let totals = replay.totals();
    let mut text = format!(
        "replayed up to sequence {}: {}, {}, {} parked\n",
        replay.sequence(),
        counted(totals.users, "user", "users"),
        counted(totals.profiles, "profile", "profiles"),
        totals.parked_records
    );
    for one in parked {
        let lane = one.lane.as_deref().unwrap_or("no lane");
        let _ = write!(text, "parked: {} in {lane}, {}", one.sequence, one.reason);
        if !one.detail.is_empty() {
            let _ = write!(text, ": {}", one.detail);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "digest: {}", totals.digest);
    if let Some(answer) = answer {
        let _ = writeln!(text, "answer: {answer}");
    }
    text
}
