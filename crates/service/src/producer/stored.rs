//! Messages of the stream, as far as commands look into them.

use domain::Headers;
use jetstream::StoredMessage;
use serde_json::Value;

use super::repeats::Contents;

/// Document and version of an event id `<kind>:<document>:<version>`.
pub(crate) fn version_of(id: &str) -> Option<(&str, u64)> {
    let (document, version) = id.rsplit_once(':')?;
    let is_versioned = document.starts_with("user:") || document.starts_with("profile:");
    let version = version.parse().ok()?;
    is_versioned.then_some((document, version))
}

/// What a message of the stream is, in whichever form it came.
pub(super) struct Stored {
    /// The event's id.
    pub(super) id: Option<String>,
    /// What it says.
    pub(super) contents: Option<Contents>,
    /// Whether it says that a document is gone for good.
    pub(super) is_erasure: bool,
}

impl Stored {
    /// Whether it is an event of this document.
    pub(super) fn is_of(&self, document: &str) -> bool {
        let version = self.id.as_deref().and_then(version_of);
        version.is_some_and(|(of, _)| of == document)
    }

    pub(super) fn of(message: &StoredMessage) -> Self {
        let header = |wanted: &str| {
            let block = Headers::of_block(&message.headers);
            let mut headers = block.iter().filter_map(Result::ok);
            let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.to_owned())
        };
        Self::read(&message.payload, header)
    }

    fn read(payload: &[u8], header: impl Fn(&str) -> Option<String>) -> Self {
        let body: Option<Value> = serde_json::from_slice(payload).ok();
        let member = |name: &str| Some(body.as_ref()?.get(name)?.as_str()?.to_owned());
        let (id, kind, is_binary) = match header("ce-id") {
            Some(id) => (Some(id), header("ce-type"), true),
            None => (member("id"), member("type"), false),
        };
        let data = match &body {
            Some(body) if !is_binary => body.get("data"),
            body => body.as_ref(),
        };
        let contents = kind.as_deref().zip(data);
        Self {
            id,
            contents: contents.map(|(kind, data)| Contents::of(kind, data)),
            is_erasure: kind.is_some_and(|kind| kind.ends_with(".erased.v1")),
        }
    }
}
