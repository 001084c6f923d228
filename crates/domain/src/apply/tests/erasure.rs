//! Erasures and what comes after them. An erasure of something already erased counts as `erased`
//! and changes nothing.

use super::{Given, profile, rename, typed, unreadable};
use crate::testing::{
    Draft, dropped, profile_deleted, profile_erased, user_deleted, user_erased, user_state,
};

#[test]
fn user_erased_leaves_nothing_but_the_tombstone() {
    Given::events([
        user_state("u1", 5, "w1"),
        profile("u1", "p1", 1, "Ada"),
        profile_deleted("u1", "p2", 1),
        profile_erased("u1", "p3", 1),
        user_state("u1", 5, "w2"),
        profile("u1", "p1", 1, "Eve"),
    ])
    .when(unreadable("u1", "user"), "parked{invalid}")
    .when(unreadable("u1", "profile"), "parked{invalid}")
    .when(unreadable("u1", "quarantine"), "parked{invalid}")
    .when(unreadable("u2", "user"), "parked{invalid}")
    .when(user_erased("u1", 1), "erased")
    .then_held(["u1 erased"])
    .then_no_answer("w1")
    .then_parked(["10 u2.user invalid"])
    .then_counted("superseded", 0)
    .then_counted("erased", 2);
}

#[test]
fn user_erased_who_was_never_seen_or_is_deleted_is_erased_too() {
    Given::nothing()
        .when(user_erased("u1", 1), "erased")
        .then_held(["u1 erased"]);
    Given::events([user_deleted("u1", 1)])
        .when(user_erased("u1", 2), "erased")
        .then_held(["u1 erased"]);
    Given::events([profile("u1", "p1", 1, "Ada")])
        .when(user_erased("u1", 1), "erased")
        .then_held(["u1 erased"]);
}

#[test]
fn profile_erased_removes_its_row_its_parked_records_and_the_undecodable_ones() {
    Given::events([
        user_state("u1", 1, "w1"),
        profile("u1", "p1", 5, "Ada"),
        profile("u1", "p1", 5, "Eve"),
        rename("u1", "p1", 9, "Joy"),
        rename("u1", "p2", 2, "May"),
    ])
    .when(unreadable("u1", "profile"), "parked{invalid}")
    .when(unreadable("u1", "user"), "parked{invalid}")
    .when(profile_erased("u1", "p1", 1), "erased")
    .then_held(["u1 v1 w1", "u1 p1 erased"])
    .then_no_answer("w1")
    .then_parked(["5 u1.profile patch_base", "7 u1.user invalid"])
    .then_counted("superseded", 0);
}

#[test]
fn profile_erased_that_was_deleted_keeps_no_version() {
    Given::events([
        profile("u1", "p1", 1, "Ada"),
        profile_deleted("u1", "p1", 2),
    ])
    .when(profile_erased("u1", "p1", 3), "erased")
    .then_held(["u1 p1 erased"]);
}

#[test]
fn erasure_of_something_erased_counts_erased_and_changes_nothing() {
    Given::events([user_erased("u1", 1), profile_erased("u2", "p1", 1)])
        .when_in_vain(user_erased("u1", 1), "erased")
        .when_in_vain(user_erased("u1", 2), "erased")
        .when_in_vain(profile_erased("u1", "p1", 1), "erased")
        .when_in_vain(profile_erased("u2", "p1", 2), "erased");
}

#[test]
fn any_record_of_an_erased_user_is_dropped_as_resurrect() {
    let unknown = |family| Draft {
        family,
        ..typed(&format!("app.connvo.{family}.merged.v1"), dropped("u1", 1))
    };
    Given::events([user_state("u1", 1, "w1"), user_erased("u1", 2)])
        .when_in_vain(user_state("u1", 3, "w1"), "resurrect")
        .when_in_vain(user_state("u1", 1, "w1"), "resurrect")
        .when_in_vain(user_deleted("u1", 3), "resurrect")
        .when_in_vain(profile("u1", "p1", 1, "Ada"), "resurrect")
        .when_in_vain(rename("u1", "p1", 2, "Ada"), "resurrect")
        .when_in_vain(profile_deleted("u1", "p1", 3), "resurrect")
        .when_in_vain(unreadable("u1", "user"), "resurrect")
        .when_in_vain(unreadable("u1", "profile"), "resurrect")
        .when_in_vain(unreadable("u1", "quarantine"), "resurrect")
        .when_in_vain(unknown("user"), "resurrect")
        .when_in_vain(unknown("profile"), "resurrect")
        .when_in_vain(unknown("quarantine"), "resurrect")
        .then_held(["u1 erased"]);
}

#[test]
fn decision_for_an_erased_user_is_void_because_nothing_is_parked() {
    Given::events([user_erased("u1", 1)]).when_in_vain(dropped("u1", 1), "decision_void");
}

#[test]
fn any_event_of_an_erased_profile_is_dropped_as_resurrect() {
    Given::events([profile("u1", "p1", 3, "Ada"), profile_erased("u1", "p1", 4)])
        .when_in_vain(profile("u1", "p1", 5, "Ada"), "resurrect")
        .when_in_vain(profile("u1", "p1", 1, "Ada"), "resurrect")
        .when_in_vain(rename("u1", "p1", 4, "Ada"), "resurrect")
        .when_in_vain(profile_deleted("u1", "p1", 5), "resurrect");
}

#[test]
fn user_of_an_erased_profile_may_have_another() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(profile_erased("u1", "p1", 2), "erased")
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(profile("u1", "p2", 1, "Eve"), "applied")
        .then_parked([])
        .then_answer("w1", "u1 Eve v1")
        .then_held(["u1 v1 w1", "u1 p2 v1 live", "u1 p1 erased"]);
}

#[test]
fn rebuild_without_the_personal_messages_gives_the_same_rows() {
    let told = Given::events([
        user_state("u1", 1, "w1"),
        profile("u1", "p1", 1, "Ada"),
        profile_erased("u1", "p1", 2),
        user_erased("u1", 2),
        user_state("u2", 1, "w1"),
    ]);
    let rebuilt = Given::events([
        profile_erased("u1", "p1", 2),
        user_erased("u1", 2),
        user_state("u2", 1, "w1"),
    ]);
    assert!(told.state.users().eq(rebuilt.state.users()));
    assert!(told.state.profiles().eq(rebuilt.state.profiles()));
    assert!(told.state.owners().eq(rebuilt.state.owners()));
}
