//! What is parked costs nothing where it cannot heal, however much there is.

use std::convert::Infallible;

use domain::testing::{
    Draft, Form, Message, named, profile_deleted, profile_state, records, user_state,
};
use domain::{
    Lane, MemoryState, Outcome, Parked, ProfileRow, Sequence, State, UserId, UserRow, WorkosUserId,
    apply,
};

/// Counts the parked records that are looked at.
#[derive(Default)]
struct Counting {
    state: MemoryState,
    looks: u64,
}

impl State for Counting {
    type Error = Infallible;

    fn user(&mut self, user: &UserId) -> Result<&UserRow, Infallible> {
        self.state.user(user)
    }

    fn user_mut(&mut self, user: &UserId) -> Result<&mut UserRow, Infallible> {
        self.state.user_mut(user)
    }

    fn profiles(&mut self, user: &UserId) -> Result<&ProfileRow, Infallible> {
        State::profiles(&mut self.state, user)
    }

    fn profiles_mut(&mut self, user: &UserId) -> Result<&mut ProfileRow, Infallible> {
        self.state.profiles_mut(user)
    }

    fn owner(&mut self, workos_id: &WorkosUserId) -> Result<Option<UserId>, Infallible> {
        self.state.owner(workos_id)
    }

    fn set_owner(
        &mut self,
        workos_id: &WorkosUserId,
        owner: Option<&UserId>,
    ) -> Result<(), Infallible> {
        self.state.set_owner(workos_id, owner)
    }

    fn next_parked(&mut self, lane: &Lane, after: u64) -> Result<Option<Parked>, Infallible> {
        self.looks += 1;
        self.state.next_parked(lane, after)
    }

    fn next_awaiting(
        &mut self,
        workos_id: &WorkosUserId,
        after: u64,
    ) -> Result<Option<(Sequence, UserId)>, Infallible> {
        self.looks += 1;
        self.state.next_awaiting(workos_id, after)
    }

    fn park(&mut self, parked: Parked) -> Result<(), Infallible> {
        self.state.park(parked)
    }

    fn unpark(&mut self, parked: &Parked) -> Result<(), Infallible> {
        self.state.unpark(parked)
    }

    fn count(&mut self, outcome: Outcome) {
        self.state.count(outcome);
    }
}

/// How many looks at parked records folding these takes, and what it ends in.
fn looks_of(drafts: impl IntoIterator<Item = Draft>) -> (u64, MemoryState) {
    let drafts = drafts.into_iter();
    let messages: Vec<Message> = drafts.map(|one| one.message(Form::Bare)).collect();
    let mut counting = Counting::default();
    for record in &records(&messages) {
        let Ok(_) = record.with_ref(|record| apply(&mut counting, record));
    }
    (counting.looks, counting.state)
}

#[test]
fn many_who_wait_for_one_identity_are_asked_one_at_a_time() {
    let users = 200;
    let user = |n: u64| format!("u{n}");
    let first = (0..users).map(|n| user_state(&user(n), 1, "everybody"));
    let mended = (0..users).map(|n| user_state(&user(n), 2, &user(n)));
    let (looks, state) = looks_of(first.chain(mended));
    assert_eq!(state.all_parked().count(), 0);
    assert_eq!(state.owners().count(), 200);
    assert!(looks < users * 8, "{looks} looks");
}

#[test]
fn records_of_a_profile_beside_the_live_one_are_left_alone_until_it_goes() {
    let versions = 200;
    let both = (1..=versions).flat_map(|version| {
        ["live", "other"].map(|id| profile_state("u", id, version, &named("a")))
    });
    let (looks, state) = looks_of(both.clone());
    assert_eq!(looks, 0);
    assert_eq!(state.all_parked().count(), 200);
    let gone = profile_deleted("u", "live", versions + 1);
    let (looks, state) = looks_of(both.chain([gone]));
    assert_eq!(state.all_parked().count(), 0);
    assert!(looks < versions * 2, "{looks} looks");
}
