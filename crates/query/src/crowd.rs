//! Places, and who leaves when all are taken: the one of least use first, and of those the idlest. A newcomer has a
//! moment to be of use, unless newcomers are too many. And places of one address, of which nobody leaves: the next one
//! is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::shed;
use crate::proxies::counted_as;
use crate::tally::{Counted, Tally};

/// How long a newcomer has to be of use before it counts as one of none.
const YOUTH: Duration = Duration::from_secs(2);
/// Newcomers may have this part of all places: more of them push each other out, and not those who are known.
const PART_OF_YOUNG: usize = 4;

/// Who has a place.
pub(crate) struct Crowd {
    /// The metric's word for who had to leave.
    what: &'static str,
    places: usize,
    addresses: Arc<Tally<IpAddr>>,
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
    /// It has not done anything, and has had the time to.
    None,
    /// It is known, and asks for nothing now.
    Idle,
    /// It asks for something.
    Busy,
    /// It has come just now, and has not done anything yet.
    Young,
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
    _of_address: Option<Counted<IpAddr>>,
}

/// Bits of a standing that hold the time: some thirty thousand years.
const TIME_BITS: u32 = 50;
const TIME_MAX: u64 = (1 << TIME_BITS) - 1;

impl Crowd {
    pub(crate) fn new(what: &'static str, places: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            what,
            places,
            addresses: Tally::new("address", per_address),
            began: Instant::now(),
            members: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn standing(&self, of: Use) -> u64 {
        rank(of) | self.millis().min(TIME_MAX)
    }

    /// Takes a place, if need be from another. `None`: this address has all that it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let of_address = self.addresses.enter(address.map(counted_as)).ok()?;
        let mut members = self.lock();
        if members.by_number.len() >= self.places {
            let leaver = self.leaver(&members)?;
            if let Some(leaver) = members.by_number.remove(&leaver) {
                shed(self.what);
                leaver.leave.cancel();
            }
        }
        let number = members.next;
        members.next += 1;
        let member = Arc::new(Member {
            standing: AtomicU64::new(self.standing(Use::Young)),
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

impl Crowd {
    /// Who leaves for somebody else.
    fn leaver(&self, members: &Members) -> Option<u64> {
        let youth = u64::try_from(YOUTH.as_millis()).unwrap_or(u64::MAX);
        let grown_up = self.millis().checked_sub(youth);
        let (mut young, mut oldest_of_young, mut least) = (0, None, None);
        let min = |one: Option<(u64, u64)>, other| one.into_iter().chain([other]).min();
        for (&number, member) in &members.by_number {
            let mut standing = member.standing.load(Ordering::Relaxed);
            let since = standing & TIME_MAX;
            if standing - since == rank(Use::Young) {
                if grown_up.is_some_and(|grown_up| since <= grown_up) {
                    standing = rank(Use::None) | since;
                } else {
                    young += 1;
                    oldest_of_young = min(oldest_of_young, (standing, number));
                }
            }
            least = min(least, (standing, number));
        }
        let leaver = if young > self.places / PART_OF_YOUNG {
            oldest_of_young
        } else {
            least
        };
        leaver.map(|(_, number)| number)
    }
}

/// The use, above the time.
fn rank(of: Use) -> u64 {
    let of = match of {
        Use::None => 0,
        Use::Idle => 1,
        Use::Busy => 2,
        Use::Young => 3,
        Use::Known => 4_u64,
    };
    of << TIME_BITS
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.member.leave.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_of_the_least_use_leaves() {
        let crowd = Crowd::new("test", 5, 0);
        let enter = |of: Option<Use>| {
            let place = crowd.enter(None).unwrap();
            if let Some(of) = of {
                place.used(of);
            }
            place
        };
        let known = enter(Some(Use::Known));
        let idle = enter(Some(Use::Idle));
        tokio::time::advance(Duration::from_secs(1)).await;
        let busy = enter(Some(Use::Busy));
        let other = enter(Some(Use::Idle));
        let useless = enter(None);
        tokio::time::advance(YOUTH).await;
        let first = enter(None);
        assert!(is_lost(&useless), "it has had its time");
        first.used(Use::Busy);
        let mut kept = Vec::new();
        for leaver in [&idle, &other, &busy] {
            let next = enter(None);
            assert!(is_lost(leaver) && !is_lost(&known));
            next.used(Use::Busy);
            tokio::time::advance(Duration::from_millis(1)).await;
            // Those who lost theirs give no other's up.
            drop(next);
            kept.push(enter(Some(Use::Known)));
        }
    }

    /// Each newcomer asks a moment after it came, while others come all the time and never ask.
    #[tokio::test(start_paused = true)]
    async fn a_newcomer_has_a_moment_to_be_of_use() {
        let crowd = Crowd::new("test", 100, 0);
        let kept = crowd.enter(None).unwrap();
        kept.used(Use::Idle);
        let fill = |count: usize| (0..count).map(|_| crowd.enter(None).unwrap());
        let useless: Vec<_> = fill(99).collect();
        tokio::time::advance(YOUTH).await;
        let honest = crowd.enter(None).unwrap();
        let flood: Vec<_> = fill(24).collect();
        assert!(!is_lost(&honest), "a quarter of the places is theirs");
        honest.used(Use::Busy);
        let more: Vec<_> = fill(200).collect();
        assert!(!is_lost(&honest) && !is_lost(&kept));
        let lost = |places: &[Place]| places.iter().filter(|place| is_lost(place)).count();
        assert_eq!((lost(&flood), lost(&more)), (24, 174), "the oldest of them");
        assert_eq!(lost(&useless), 27);
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
