//! What goes wrong with NATS, in the words that people read: commands, `/status`, the log.

/// What went wrong with NATS, and what to do about it, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NatsError {
    /// A file of the configuration cannot be used any more.
    #[error("{problem}")]
    Login {
        /// Which, and what is wrong with it; never its content.
        problem: String,
    },
    /// Nobody answers.
    #[error("NATS cannot be reached at {servers} ({problem}): {why}")]
    Unreachable {
        /// Where.
        servers: String,
        /// What the client saw.
        problem: String,
        /// What to look for.
        why: String,
    },
    /// The server does not know us.
    #[error("NATS at {servers} refused our credentials: {why}")]
    Unauthorized {
        /// Where.
        servers: String,
        /// The likely reason, and what to do.
        why: String,
    },
    /// The server knows us but does not let us.
    #[error("NATS does not permit it ({said}): grant it to this user, or use another one")]
    PermissionDenied {
        /// The server's words; they name the subject.
        said: String,
    },
    /// There is no JetStream.
    #[error(
        "JetStream does not answer at {servers}: is it enabled for this server and account, or behind a domain (--nats-js-domain)?"
    )]
    JetStreamDisabled {
        /// Where.
        servers: String,
    },
    /// There is no such stream.
    #[error(
        "there is no stream {stream} at {servers}: create it (deploy/nats/stream.json holds its configuration), or name another with --stream or its domain with --nats-js-domain"
    )]
    StreamMissing {
        /// Where.
        servers: String,
        /// The stream.
        stream: String,
    },
    /// The events' subjects belong to another stream.
    #[error(
        "the events went to stream {found}, not to {expected}: give --stream {found} if that is right"
    )]
    OtherStream {
        /// The stream asked for.
        expected: String,
        /// The stream that took them.
        found: String,
    },
    /// The same, found out before any was stored.
    #[error("the events' subjects belong to another stream than {stream}: name it with --stream")]
    SubjectElsewhere {
        /// The stream asked for.
        stream: String,
    },
    /// The stream differs from its file.
    #[error("stream {stream} is not what its file says: {differences}")]
    StreamDiffers {
        /// The stream.
        stream: String,
        /// Members and their values.
        differences: String,
    },
    /// No answer in time.
    #[error("NATS at {servers} did not answer in time: {asked}")]
    TimedOut {
        /// Where.
        servers: String,
        /// What it was asked.
        asked: &'static str,
    },
    /// Anything else that the server said.
    #[error("NATS refused: {said}")]
    Refused {
        /// The server's words.
        said: String,
    },
}
