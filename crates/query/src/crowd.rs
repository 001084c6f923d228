//! Places, and who leaves when all are taken: the one of least use first, and of those the idlest. And places of one
//! address, of which nobody leaves: the next one is refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::shed;
use crate::proxies::counted_as;

/// Who has a place.
pub(crate) struct Crowd {
    /// The metric's word for who had to leave.
    what: &'static str,
    places: usize,
    addresses: Arc<Addresses>,
    began: Instant,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    next: u64,
    by_number: HashMap<u64, Arc<Member>>,
}

/// Of what use a member is; the least leaves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// It has not done anything yet.
    None,
    /// It is known, and asks for nothing now.
    Idle,
    /// It asks for something.
    Busy,
    /// It asks for something, and has shown a good token.
    Known,
}

struct Member {
    /// The use, then the milliseconds since the crowd began: the smallest leaves first.
    standing: AtomicU64,
    leave: CancellationToken,
}

/// A place, given up when it is dropped.
pub(crate) struct Place {
    number: u64,
    member: Arc<Member>,
    crowd: Arc<Crowd>,
    _of_address: Option<OfAddress>,
}

/// Bits of a standing that hold the time: some thirty thousand years.
const TIME_BITS: u32 = 50;

impl Crowd {
    pub(crate) fn new(what: &'static str, places: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            what,
            places,
            addresses: Addresses::new(per_address),
            began: Instant::now(),
            members: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self, of: Use) -> u64 {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let of = match of {
            Use::None => 0,
            Use::Idle => 1,
            Use::Busy => 2,
            Use::Known => 3_u64,
        };
        of << TIME_BITS | millis.min((1 << TIME_BITS) - 1)
    }

    /// Takes a place, if need be from another. `None`: this address has all that it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let of_address = self.addresses.enter(address).ok()?;
        let mut members = self.lock();
        if members.by_number.len() >= self.places {
            let standings = members.by_number.iter();
            let standings = standings.map(|(&n, m)| (m.standing.load(Ordering::Relaxed), n));
            let (_, leaver) = standings.min()?;
            if let Some(leaver) = members.by_number.remove(&leaver) {
                shed(self.what);
                leaver.leave.cancel();
            }
        }
        let number = members.next;
        members.next += 1;
        let member = Arc::new(Member {
            standing: AtomicU64::new(self.standing(Use::None)),
            leave: CancellationToken::new(),
        });
        members.by_number.insert(number, Arc::clone(&member));
        drop(members);
        Some(Place {
            number,
            member,
            crowd: Arc::clone(self),
            _of_address: of_address,
        })
    }
}

impl Place {
    /// It was used just now, and is of this use from now on.
    pub(crate) fn used(&self, of: Use) {
        let standing = self.crowd.standing(of);
        self.member.standing.store(standing, Ordering::Relaxed);
    }

    /// Returns when the place went to somebody else.
    pub(crate) async fn lost(&self) {
        self.member.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().by_number.remove(&self.number);
    }
}

/// How much each address has.
pub(crate) struct Addresses {
    /// Places for one; 0 is no limit.
    limit: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place of an address, given up when it is dropped.
pub(crate) struct OfAddress {
    address: IpAddr,
    addresses: Arc<Addresses>,
}

/// An address has all that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressFull;

impl Addresses {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { limit, taken })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place; `Ok(None)` where addresses are not counted.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Result<Option<OfAddress>, AddressFull> {
        let Some(address) = address.filter(|_| self.limit != 0).map(counted_as) else {
            return Ok(None);
        };
        let mut taken = self.lock();
        let own = taken.entry(address).or_default();
        if *own >= self.limit {
            drop(taken);
            shed("address");
            return Err(AddressFull);
        }
        *own += 1;
        drop(taken);
        let addresses = Arc::clone(self);
        Ok(Some(OfAddress { address, addresses }))
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut taken = self.addresses.lock();
        if let Entry::Occupied(mut own) = taken.entry(self.address) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.member.leave.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_of_the_least_use_leaves() {
        let crowd = Crowd::new("test", 3, 0);
        let known = crowd.enter(None).unwrap();
        known.used(Use::Known);
        let idle = crowd.enter(None).unwrap();
        idle.used(Use::Idle);
        tokio::time::advance(Duration::from_secs(1)).await;
        let other = crowd.enter(None).unwrap();
        other.used(Use::Idle);
        let new = crowd.enter(None).unwrap();
        assert!(is_lost(&idle) && !is_lost(&other) && !is_lost(&known));
        let newer = crowd.enter(None).unwrap();
        assert!(is_lost(&new) && !is_lost(&other));
        // Those who lost theirs give no other's up.
        drop((idle, new));
        let newest = crowd.enter(None).unwrap();
        assert!(is_lost(&newer));
        drop(other);
        crowd.enter(None).unwrap();
        assert!(!is_lost(&newest) && !is_lost(&known));
    }

    #[test]
    fn an_address_has_its_part() {
        let crowd = Crowd::new("test", 9, 2);
        let (one, two) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = crowd.enter(Some(one));
        let second = crowd.enter(Some(one));
        assert!(first.is_some() && second.is_some());
        assert!(crowd.enter(Some(one)).is_none());
        assert!(crowd.enter(Some(two)).is_some());
        drop(first);
        assert!(crowd.enter(Some(one)).is_some());
    }
}
