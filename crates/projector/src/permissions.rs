//! What NATS has to permit for reading, to the letter.

/// The inbox of a consumer: its own, so that nobody else's permission reaches into it.
pub fn inbox_prefix(consumer: &str) -> String {
    format!("_INBOX_{consumer}")
}

/// The subjects that one consumer's reading takes, no more and no fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects to publish to. Each takes a request.
    pub publish: Vec<String>,
    /// Subjects to subscribe to.
    pub subscribe: Vec<String>,
}

impl Permissions {
    /// For reading a stream through a consumer of this name.
    pub fn of(stream: &str, consumer: &str) -> Self {
        Self {
            publish: vec![
                format!("$JS.API.STREAM.INFO.{stream}"),
                format!("$JS.API.STREAM.MSG.GET.{stream}"),
                format!("$JS.API.CONSUMER.CREATE.{stream}.{consumer}"),
                format!("$JS.API.CONSUMER.DELETE.{stream}.{consumer}"),
                format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            ],
            subscribe: vec![format!("{}.>", inbox_prefix(consumer))],
        }
    }
}
