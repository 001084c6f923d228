//! What is parked costs nothing where it cannot heal, however much there is.

use domain::testing::{
    Draft, Form, Message, Probe, named, profile_deleted, profile_patched, profile_state, records,
    user_state,
};
use domain::{MemoryState, apply};

/// More than the contract's lanes keep: growth shows.
const LANE: usize = 100_000;

/// How many looks at parked records folding these takes, and what it ends in.
fn looks_of(drafts: impl IntoIterator<Item = Draft>) -> (u64, MemoryState) {
    let drafts = drafts.into_iter();
    let messages: Vec<Message> = drafts.map(|one| one.message(Form::Bare)).collect();
    let mut counting = Probe::<LANE, 256>::default();
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

#[test]
fn patches_that_cannot_fit_are_not_looked_at_while_their_document_changes() {
    let waiting = 2_000;
    let patches = (0..waiting).map(|n| profile_patched("u", "own", 500_000 + n, &named("a")));
    let states = (1..=200).map(|version| profile_state("u", "own", version, &named("b")));
    let (looks, state) = looks_of(patches.chain(states));
    assert_eq!(state.all_parked().count(), 2_000);
    assert_eq!(looks, 0);
}

#[test]
fn states_that_heal_one_by_one_do_not_look_at_what_waits_for_something_else() {
    let n = 1_000;
    let live = [profile_state("u", "a", 1, &named("a"))];
    let patches = (0..n).map(|n| profile_patched("u", "c", 5_000 + n, &named("c")));
    let states = (1..=n).map(|version| profile_state("u", "b", version, &named("b")));
    let gone = [profile_deleted("u", "a", 2)];
    let (looks, state) = looks_of(live.into_iter().chain(patches).chain(states).chain(gone));
    assert_eq!(state.all_parked().count(), 1_000);
    assert_eq!(looks, 1_000, "one for each that leaves");
}

#[test]
fn chain_of_patches_heals_with_one_look_each() {
    let n = 1_000;
    let patches = (3..n + 3).map(|version| profile_patched("u", "p", version, &named("a")));
    let states = [2, n + 9].map(|version| profile_state("u", "p", version, &named("b")));
    let (looks, state) = looks_of(patches.chain(states));
    assert_eq!(state.all_parked().count(), 0);
    assert_eq!(looks, 1_000);
}

#[test]
fn states_for_one_identity_do_not_look_at_those_for_others() {
    let n = 300;
    let owners = (0..n).map(|n| user_state(&format!("o{n}"), 1, &format!("w{n}")));
    let waiting = (0..n).map(|n| user_state("u", n + 1, &format!("w{n}")));
    let released = (0..n).map(|n| user_state(&format!("o{n}"), 2, &format!("x{n}")));
    let (looks, state) = looks_of(owners.chain(waiting).chain(released));
    assert_eq!(state.all_parked().count(), 0);
    assert!(looks < n * 6, "{looks} looks");
}

#[test]
fn versions_that_are_not_believed_cost_nothing_until_they_go() {
    let n = 1_000;
    let jumps = (0..n).map(|n| profile_state("u", "p", 9_000_000 + n, &named("a")));
    let (looks, _) = looks_of(jumps.clone());
    assert_eq!(looks, 0);
    let (looks, state) = looks_of(jumps.chain([profile_state("u", "p", 1, &named("b"))]));
    assert_eq!(state.all_parked().count(), 0);
    assert_eq!(looks, 1_000);
}
