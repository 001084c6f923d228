//! The memory of requests and answers, shared out among connections.
//!
//! What is small stands on the connection's own allowance, so that nobody can take it from others. What is larger comes
//! out of a pool that all share, and no connection gets more of that than its part.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Limits;

/// Bytes that all connections share.
pub(crate) struct Pool(Arc<Semaphore>);

impl Pool {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(semaphore(bytes))
    }
}

/// What one connection may hold.
pub(crate) struct Share {
    own: Arc<Semaphore>,
    part: Arc<Semaphore>,
}

/// Bytes that are held, given back when this is dropped.
#[derive(Default)]
pub(crate) struct Held {
    own: Option<OwnedSemaphorePermit>,
    part: Option<OwnedSemaphorePermit>,
    pool: Option<OwnedSemaphorePermit>,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Share {
    pub(crate) fn new(own: usize, part: usize) -> Self {
        Self {
            own: semaphore(own),
            part: semaphore(part),
        }
    }

    pub(crate) fn take(&self, pool: &Pool, bytes: usize) -> Result<Held, Full> {
        let mut held = Held::default();
        self.add(&mut held, pool, bytes)?;
        Ok(held)
    }

    /// Takes more; what is held already stays so whether there is room or not.
    pub(crate) fn add(&self, held: &mut Held, pool: &Pool, bytes: usize) -> Result<(), Full> {
        let bytes = u32::try_from(bytes).map_err(|_huge| Full)?;
        let take = |from: &Arc<Semaphore>| Arc::clone(from).try_acquire_many_owned(bytes).ok();
        if let Some(own) = take(&self.own) {
            merge(&mut held.own, own);
            return Ok(());
        }
        let part = take(&self.part).ok_or(Full)?;
        merge(&mut held.pool, take(&pool.0).ok_or(Full)?);
        merge(&mut held.part, part);
        Ok(())
    }
}

fn merge(held: &mut Option<OwnedSemaphorePermit>, more: OwnedSemaphorePermit) {
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
}

fn semaphore(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)))
}

/// Who is at the other end of a connection, and what that connection may hold.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Inner>);

struct Inner {
    address: Option<IpAddr>,
    requests: Share,
    answers: Share,
}

impl Peer {
    pub(crate) fn new(address: Option<IpAddr>, limits: &Limits) -> Self {
        let share = || Share::new(limits.own_bytes, limits.part_bytes);
        Self(Arc::new(Inner {
            address,
            requests: share(),
            answers: share(),
        }))
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.0.address
    }

    pub(crate) fn requests(&self) -> &Share {
        &self.0.requests
    }

    pub(crate) fn answers(&self) -> &Share {
        &self.0.answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_never_taken_by_others() {
        let pool = Pool::new(100);
        let (greedy, modest) = (Share::new(10, 60), Share::new(10, 60));
        let first = greedy.take(&pool, 60).unwrap();
        assert!(greedy.take(&pool, 11).is_err(), "more than its part");
        let rest = modest.take(&pool, 40).unwrap();
        assert!(modest.take(&pool, 11).is_err(), "the pool is empty");
        let small = modest.take(&pool, 10).unwrap();
        assert!(modest.take(&pool, 1).is_err());
        drop((first, rest, small));
        let mut all = modest.take(&pool, 10).unwrap();
        modest.add(&mut all, &pool, 60).unwrap();
        assert_eq!(modest.add(&mut all, &pool, 1), Err(Full));
        drop(all);
        assert!(greedy.take(&pool, 60).is_ok());
    }
}
