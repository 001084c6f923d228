//! What NATS has to permit for reading, to the letter.

use jetstream::ApiPrefix;

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
    /// For reading a stream through a consumer of this name, with inboxes that begin so.
    pub fn of(api: &ApiPrefix, stream: &str, consumer: &str, inbox: &str) -> Self {
        let requests = [
            format!("STREAM.INFO.{stream}"),
            format!("STREAM.MSG.GET.{stream}"),
            format!("CONSUMER.CREATE.{stream}.{consumer}"),
            format!("CONSUMER.DELETE.{stream}.{consumer}"),
            format!("CONSUMER.MSG.NEXT.{stream}.{consumer}"),
        ];
        Self {
            publish: requests.map(|request| api.subject(&request)).into(),
            subscribe: vec![format!("{inbox}.>")],
        }
    }
}
