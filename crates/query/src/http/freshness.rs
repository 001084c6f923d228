//! Sequences in headers: how new the answer is, and how new the client wants it to be.

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use tokio::time::timeout;

use super::failure::Failure;
use crate::QueryState;

/// The last sequence that the answer's rows hold.
static SEQUENCE: HeaderName = HeaderName::from_static("read-model-sequence");
/// The sequence, as of a publish ack, that the answer's rows shall hold.
static MIN_SEQUENCE: HeaderName = HeaderName::from_static("read-model-min-sequence");

/// Reads what the client wants.
pub(super) fn min_sequence(request: &Parts) -> Result<Option<u64>, Failure> {
    let Some(value) = request.headers.get(&MIN_SEQUENCE) else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let digits = text.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let sequence = digits.and_then(|digits| digits.parse().ok());
    sequence.map(Some).ok_or(Failure::BadMinSequence)
}

pub(super) fn tell(response: &mut Response, sequence: u64) {
    response
        .headers_mut()
        .insert(SEQUENCE.clone(), HeaderValue::from(sequence));
}

impl QueryState {
    /// Waits until the rows hold `wanted` or it cannot come any more, within the bounds on time and on how many wait.
    pub(super) async fn reach(&self, wanted: u64) -> Result<(), Failure> {
        if self.progress.borrow().reached() >= wanted {
            return Ok(());
        }
        let _place = self
            .waiting
            .try_acquire()
            .map_err(|_none_left| Failure::Busy)?;
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|progress| progress.reached() >= wanted);
        match timeout(self.limits.sequence_timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            // Too late, or nobody tells progress any more.
            Ok(Err(_)) | Err(_) => Err(Failure::Behind {
                wanted,
                applied: self.progress.borrow().applied(),
            }),
        }
    }
}
