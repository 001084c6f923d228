//! Sequences in headers: how new the answer is, and how new the client wants it to be.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use domain::WorkosUserId;
use tokio::time::timeout;

use super::failure::{Failure, NotAwaited};
use crate::QueryState;
use crate::metrics::shed;

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
    /// Nobody has no place, and what the stream cannot hold soon is not waited for.
    pub(super) async fn reach(
        &self,
        wanted: u64,
        subject: Option<&WorkosUserId>,
    ) -> Result<(), Failure> {
        let (applied, reached, tail) = {
            let progress = self.progress.borrow();
            (progress.applied(), progress.reached(), progress.tail)
        };
        if reached >= wanted {
            return Ok(());
        }
        let refused = |why| Failure::NotAwaited {
            wanted,
            applied,
            why,
        };
        let subject = subject.ok_or_else(|| refused(NotAwaited::Nobody))?;
        let end = tail.map(|tail| tail.max(applied));
        let furthest = end.map(|end| end.saturating_add(self.limits.waiting_ahead));
        if furthest.is_some_and(|furthest| furthest < wanted) {
            return Err(refused(NotAwaited::FarAhead));
        }
        let _place = self.waiting.enter(subject).ok_or_else(|| {
            shed("waiting");
            Failure::Busy
        })?;
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

/// Those who wait for a sequence.
pub(crate) struct Waiting {
    places: usize,
    /// Places for one identity.
    of_one: usize,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    all: usize,
    of: HashMap<WorkosUserId, usize>,
}

/// A place among those who wait, given up when it is dropped.
struct WaitingPlace<'w> {
    waiting: &'w Waiting,
    subject: WorkosUserId,
}

impl Waiting {
    pub(crate) fn new(places: usize, of_one: usize) -> Self {
        Self {
            places,
            of_one,
            waiters: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, subject: &WorkosUserId) -> Option<WaitingPlace<'_>> {
        let mut waiters = self.lock();
        let own = waiters.of.get(subject).copied().unwrap_or(0);
        if waiters.all >= self.places || own >= self.of_one {
            return None;
        }
        waiters.all += 1;
        waiters.of.insert(subject.clone(), own + 1);
        Some(WaitingPlace {
            waiting: self,
            subject: subject.clone(),
        })
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        let mut waiters = self.waiting.lock();
        waiters.all -= 1;
        if let Some(own) = waiters.of.get_mut(&self.subject) {
            *own -= 1;
            if *own == 0 {
                waiters.of.remove(&self.subject);
            }
        }
    }
}
