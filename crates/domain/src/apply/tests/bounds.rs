//! What one document, lane or user can make grow, and versions that are not believed.

use super::{Given, profile, rename, unreadable};
use crate::testing::{
    Draft, Message, dropped, profile_deleted, profile_erased, profile_patched, user_deleted,
    user_erased, user_state,
};
use crate::{
    HEADERS_BYTES_MAX, MemoryState, Outcome, ParkReason, Record, STRUCTURED_BYTES_MAX, Sequence,
    apply, block_of,
};

/// The contract's bound, of records in a lane and of a user's profile documents.
const MAX: u64 = 256;

/// As many as there may be.
fn full<T: Into<Message>>(mut given: Given, one: impl Fn(u64) -> T) -> Given {
    for n in 1..=MAX {
        given.publish(one(n));
    }
    given
}

fn parked(given: &Given) -> Vec<u64> {
    let mut places: Vec<u64> = given
        .state
        .all_parked()
        .map(|parked| parked.sequence().get())
        .collect();
    places.sort_unstable();
    places
}

#[test]
fn version_far_above_the_held_one_is_parked_whatever_says_it() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(user_state("u1", 1_000_002, "w1"), "parked{version_jump}")
        .when(user_deleted("u1", 1_000_003), "parked{version_jump}")
        .when(
            profile("u1", "p1", 1_000_002, "Eve"),
            "parked{version_jump}",
        )
        .when(
            profile_deleted("u1", "p1", 1_000_002),
            "parked{version_jump}",
        )
        .when(rename("u1", "p1", 1_000_002, "Eve"), "parked{version_jump}")
        .then_answer("w1", "u1 Ada v1")
        .when(profile("u1", "p1", 2, "Joy"), "applied")
        .when(user_state("u1", 2, "w1"), "applied")
        .then_parked([])
        .then_counted("superseded", 5)
        .then_answer("w1", "u1 Joy v2");
}

#[test]
fn version_as_far_above_as_may_be_is_applied() {
    Given::events([user_state("u1", 1, "w1")])
        .when(user_state("u1", 1_000_001, "w1"), "version_gap")
        .when(user_deleted("u1", 2_000_001), "deleted")
        .when(user_deleted("u2", 1_000_000), "deleted")
        .when(user_state("u3", 1_000_001, "w3"), "parked{version_jump}")
        .when(user_deleted("u3", 1), "deleted")
        .then_parked([]);
}

#[test]
fn version_that_comes_within_reach_by_a_patch_is_applied() {
    Given::events([profile("u1", "p1", 1, "Ada")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(rename("u1", "p1", 2, "Eve"), "parked{behind}")
        .when(
            profile("u1", "p1", 1_000_002, "Joy"),
            "parked{version_jump}",
        )
        .when(dropped("u1", 2), "dropped")
        .then_parked([])
        .then_held(["u1 p1 v1000002 live"]);
}

#[test]
fn full_lane_keeps_the_earliest_of_what_is_worth_the_same() {
    let given = full(Given::nothing(), |_| unreadable("u1", "profile"));
    let given = given
        .when_in_vain(unreadable("u1", "profile"), "lane_full")
        .when(unreadable("u1", "user"), "parked{invalid}")
        .when(profile("u1", "p1", 1, "Ada"), "applied")
        .then_parked(["258 u1.user invalid"])
        .then_counted("superseded", MAX);
    let given = full(given, |n| rename("u1", "p1", n + 2, "Eve"));
    given
        .when_in_vain(rename("u1", "p1", MAX + 3, "Eve"), "lane_full")
        .when(profile("u1", "p1", 2, "Joy"), "applied")
        .then_held(["u1 p1 v258 live"])
        .when(rename("u1", "p1", MAX + 4, "Eve"), "parked{patch_base}");
}

#[test]
fn full_lane_gives_up_what_is_worth_less() {
    let given = full(Given::events([profile("u1", "p1", 1, "Ada")]), |_| {
        unreadable("u1", "profile")
    });
    let given = given
        .when(rename("u1", "p1", 3, "Eve"), "parked{behind}")
        .when(profile("u1", "p2", 1, "Joy"), "parked{profile_conflict}")
        .then_counted("lane_full", 2);
    assert!(!parked(&given).contains(&257) && !parked(&given).contains(&256));
    given
        .when(profile_deleted("u1", "p1", 2), "deleted")
        .then_held(["u1 p2 v1 live", "u1 p1 v2 deleted"]);
}

#[test]
fn full_lane_lets_go_what_waited_behind_the_one_that_it_gives_up() {
    let junk = |n: u64| match n {
        1 => Message::from(profile("u1", "p1", 1, "Ada")),
        2 => unreadable("u1", "profile"),
        _ => rename("u1", "p2", n, "Eve").into(),
    };
    let given = full(Given::nothing(), junk);
    let given = given.when(rename("u1", "p1", 2, "Eve"), "parked{behind}");
    assert_eq!(parked(&given).len(), 256);
    given
        .when(rename("u1", "p1", 3, "Joy"), "parked{behind}")
        .then_counted("lane_full", 1)
        .then_held(["u1 p1 v3 live"]);
}

#[test]
fn newest_of_many_waiting_states_is_kept() {
    let first = Given::events([user_state("u1", 1, "w1")]);
    let mut given = full(first, |n| user_state("u2", n, "w1"));
    for version in MAX + 1..=2_000 {
        given = given.when(user_state("u2", version, "w1"), "parked{mapping_conflict}");
    }
    assert_eq!(parked(&given).len(), 256);
    given
        .when(user_deleted("u1", 2), "deleted")
        .then_held(["u1 v2 deleted", "u2 v2000 w1"])
        .then_parked([]);
}

#[test]
fn states_of_too_many_documents_wait_in_their_turn() {
    let first = Given::events([profile("u1", "p", 1, "Ada")]);
    let id = |n: u64| format!("p{n}");
    full(first, |n| profile("u1", &id(n), 1, "Eve"))
        .when_in_vain(profile("u1", "last", 1, "Joy"), "lane_full")
        .when(profile("u1", "p7", 2, "Joy"), "parked{profile_conflict}")
        .then_counted("lane_full", 2)
        .when(profile_deleted("u1", "p", 2), "deleted")
        .then_held(["u1 p1 v1 live", "u1 p v2 deleted"]);
}

#[test]
fn decisions_and_records_without_a_lane_are_bounded() {
    for subject in ["identity.v1.u1.quarantine", "identity.v1.nobody"] {
        full(Given::nothing(), |_| Message::bare(subject, "{"))
            .when_in_vain(Message::bare(subject, "{"), "lane_full");
    }
    full(Given::nothing(), |_| unreadable("u1", "quarantine"))
        .when(dropped("u1", 7), "dropped")
        .when(unreadable("u1", "quarantine"), "parked{invalid}")
        .when_in_vain(unreadable("u1", "quarantine"), "lane_full")
        .when(user_erased("u1", 1), "erased")
        .then_parked([]);
}

#[test]
fn decision_and_erasure_make_room() {
    let lane = || full(Given::nothing(), |_| unreadable("u1", "user"));
    lane()
        .when(dropped("u1", 9), "dropped")
        .when(unreadable("u1", "user"), "parked{invalid}")
        .when(unreadable("u1", "user"), "lane_full");
    lane().when(user_erased("u1", 1), "erased").then_parked([]);
}

/// Profiles that were deleted, as many as there may be.
fn buried(given: Given) -> Given {
    full(given, |n| profile_deleted("u1", &format!("p{n}"), 1))
}

#[test]
fn user_with_all_profiles_takes_no_new_one() {
    let draft: fn(&str) -> Draft = |id| profile("u1", id, 2, "Ada");
    buried(Given::events([user_state("u1", 1, "w1")]))
        .when(draft("new"), "parked{too_many_profiles}")
        .when(profile_deleted("u1", "new", 3), "parked{too_many_profiles}")
        .when(
            profile_patched("u1", "new", 4, &serde_json::json!({})),
            "parked{behind}",
        )
        .then_no_answer("w1")
        .when(draft("p7"), "applied")
        .then_answer("w1", "u1 Ada v2")
        .when(profile_deleted("u1", "p7", 3), "deleted")
        .when(profile_erased("u1", "new", 3), "erased")
        .then_parked([])
        .when(draft("p7"), "stale")
        .when(profile_erased("u1", "p7", 4), "erased")
        .when(draft("p7"), "resurrect")
        .when(user_erased("u1", 1), "erased")
        .then_held(["u1 erased"]);
}

#[test]
fn waiting_profiles_learn_that_there_is_no_room() {
    let first = [
        profile("u1", "live", 1, "Ada"),
        profile("u1", "wait", 1, "Eve"),
    ];
    let mut given = Given::events(first).then_parked(["2 u1.profile profile_conflict"]);
    for n in 2..=MAX {
        given.publish(profile_deleted("u1", &format!("p{n}"), 1));
    }
    given
        .then_parked(["2 u1.profile too_many_profiles"])
        .when(profile_deleted("u1", "live", 2), "deleted")
        .then_parked(["2 u1.profile too_many_profiles"]);
}

/// What is parked of a record of this size, with headers that are right or not.
fn kept(subject: &str, version_line: &str, headers: usize, payload: usize) -> [usize; 2] {
    let mut state = MemoryState::default();
    let record = Record {
        sequence: Sequence::FIRST,
        subject: subject.into(),
        headers: format!("{version_line}\r\nx: {}\r\n\r\n", "x".repeat(headers))
            .into_bytes()
            .into(),
        payload: vec![b' '; payload].into(),
    };
    let Ok(outcome) = record.with_ref(|record| apply(&mut state, record));
    assert_eq!(outcome, Outcome::Parked(ParkReason::Invalid));
    let parked = state.all_parked().next().unwrap();
    [parked.record.headers.len(), parked.record.payload.len()]
}

#[test]
fn a_parked_record_has_a_bound_whatever_is_wrong_with_it() {
    let large = 8 * 1024 * 1024;
    for subject in ["identity.v1.u1.user", "identity.v1.u1", "elsewhere"] {
        for version_line in ["NATS/1.0", "NATS/9"] {
            let [headers, payload] = kept(subject, version_line, 100, 100);
            assert!(100 < headers && payload == 100, "{subject}: as it came");
            let [headers, payload] = kept(subject, version_line, 100, large);
            assert!(100 < headers && payload == 0, "{subject}");
            let [headers, payload] = kept(subject, version_line, large, 100);
            assert!(headers == 0 && payload <= 100, "{subject}");
            let most = kept(
                subject,
                version_line,
                HEADERS_BYTES_MAX - 50,
                STRUCTURED_BYTES_MAX,
            );
            assert!(
                most.iter().sum::<usize>() <= 384 * 1024,
                "the contract's figure"
            );
        }
    }
}

#[test]
fn headers_up_to_the_limit_are_read() {
    let with = |bytes: usize| {
        let mut message = Message::from(user_state("u1", 1, "w1"));
        let others: usize = block_of(message.headers.iter().map(|(n, v)| (&**n, &**v))).len();
        let filling = bytes - others - "x: \r\n".len();
        message.headers.push(("x".into(), "x".repeat(filling)));
        message
    };
    Given::nothing()
        .when(with(HEADERS_BYTES_MAX + 1), "parked{invalid}")
        .when(with(HEADERS_BYTES_MAX), "applied")
        .then_parked([]);
}
