//! What follows a change: superseding, the rest of the lane, and who waited for an identity.

use super::{Given, profile, rename, unreadable};
use crate::testing::{
    dropped, profile_deleted, profile_erased, user_deleted, user_erased, user_state,
};

#[test]
fn whole_state_supersedes_parked_records_of_its_document_up_to_its_version() {
    Given::events([
        profile("u1", "p1", 2, "Ada"),
        profile("u1", "p1", 2, "Eve"),
        rename("u1", "p1", 4, "Joy"),
        rename("u1", "p1", 7, "May"),
    ])
    .when(unreadable("u1", "profile"), "parked{invalid}")
    .when(profile("u1", "p1", 5, "Zoe"), "version_gap")
    .then_counted("superseded", 3)
    .then_parked(["4 u1.profile patch_base"])
    .then_held(["u1 p1 v5 live"]);
}

#[test]
fn deletion_supersedes_too() {
    Given::events([user_state("u1", 1, "w1"), user_state("u1", 1, "w2")])
        .when(unreadable("u1", "user"), "parked{invalid}")
        .when(user_deleted("u1", 2), "deleted")
        .then_counted("superseded", 2)
        .then_parked([]);
    Given::events([profile("u1", "p1", 1, "Ada"), profile("u1", "p1", 1, "Eve")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(profile_deleted("u1", "p1", 2), "deleted")
        .then_counted("superseded", 2)
        .then_parked([]);
}

#[test]
fn what_changes_nothing_supersedes_nothing() {
    Given::events([profile("u1", "p1", 2, "Ada")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when_in_vain(profile("u1", "p1", 2, "Ada"), "duplicate")
        .when_in_vain(profile("u1", "p1", 1, "Ada"), "stale");
}

#[test]
fn patch_supersedes_nothing() {
    Given::events([profile("u1", "p1", 1, "Ada"), profile("u1", "p2", 1, "Eve")])
        .when(rename("u1", "p1", 2, "Joy"), "applied")
        .then_counted("superseded", 0)
        .then_parked(["2 u1.profile profile_conflict"]);
}

#[test]
fn superseding_keeps_to_its_document_and_its_lane() {
    Given::events([
        user_state("u1", 1, "w1"),
        user_state("u1", 1, "w2"),
        profile("u1", "p1", 1, "Ada"),
        profile("u1", "p2", 1, "Eve"),
    ])
    .when(unreadable("u1", "quarantine"), "parked{invalid}")
    .when(unreadable("u2", "profile"), "parked{invalid}")
    .when(profile("u1", "p1", 2, "Joy"), "applied")
    .then_counted("superseded", 0)
    .then_parked([
        "2 u1.user conflict",
        "4 u1.profile profile_conflict",
        "5 u1.quarantine invalid",
        "6 u2.profile invalid",
    ]);
}

#[test]
fn chain_of_patches_heals_when_its_base_arrives() {
    Given::events([
        user_state("u1", 1, "w1"),
        profile("u1", "p1", 1, "Ada"),
        rename("u1", "p1", 3, "Eve"),
        rename("u1", "p1", 4, "Joy"),
        rename("u1", "p1", 5, "May"),
    ])
    .then_parked([
        "3 u1.profile patch_base",
        "4 u1.profile behind",
        "5 u1.profile behind",
    ])
    .then_answer("w1", "u1 Ada v1")
    .when(profile("u1", "p1", 2, "Zoe"), "applied")
    .then_parked([])
    .then_counted("applied", 6)
    .then_answer("w1", "u1 May v5");
}

#[test]
fn chain_of_patches_heals_when_what_it_waits_behind_is_dropped() {
    Given::events([profile("u1", "p1", 1, "Ada")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(rename("u1", "p1", 2, "Eve"), "parked{behind}")
        .when(rename("u1", "p1", 3, "Joy"), "parked{behind}")
        .when(dropped("u1", 2), "dropped")
        .then_parked([])
        .then_held(["u1 p1 v3 live"]);
}

#[test]
fn decision_lets_the_rest_of_the_chain_meet_the_table_again() {
    Given::events([
        profile("u1", "p1", 1, "Ada"),
        profile("u1", "p1", 1, "Eve"),
        rename("u1", "p1", 3, "Joy"),
    ])
    .then_parked(["2 u1.profile conflict", "3 u1.profile behind"])
    .when(dropped("u1", 2), "dropped")
    .then_parked(["3 u1.profile patch_base"]);
}

#[test]
fn first_unfit_record_keeps_later_patches_of_its_document_waiting() {
    Given::events([
        profile("u1", "p1", 1, "Ada"),
        rename("u1", "p1", 5, "Eve"),
        rename("u1", "p1", 4, "Joy"),
        rename("u1", "p1", 3, "May"),
    ])
    .when(profile("u1", "p1", 2, "Zoe"), "applied")
    .then_parked([
        "2 u1.profile patch_base",
        "3 u1.profile behind",
        "4 u1.profile behind",
    ])
    .when(dropped("u1", 2), "dropped")
    .then_parked(["3 u1.profile patch_base", "4 u1.profile behind"])
    .when(dropped("u1", 3), "dropped")
    .then_parked([])
    .then_held(["u1 p1 v3 live"]);
}

#[test]
fn unfit_record_does_not_keep_another_document_waiting() {
    Given::events([
        profile("u1", "p1", 1, "Ada"),
        profile("u1", "p2", 1, "Eve"),
        rename("u1", "p1", 3, "Joy"),
    ])
    .when(profile("u1", "p1", 2, "Zoe"), "applied")
    .then_parked(["2 u1.profile profile_conflict"])
    .then_held(["u1 p1 v3 live"]);
}

#[test]
fn record_parked_before_an_undecodable_one_does_not_wait_for_it() {
    Given::events([profile("u1", "p1", 1, "Ada"), profile("u1", "p2", 1, "Eve")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(dropped("u1", 4), "dropped")
        .when(profile_deleted("u1", "p1", 2), "deleted")
        .then_parked([])
        .then_held(["u1 p2 v1 live", "u1 p1 v2 deleted"]);
}

#[test]
fn freed_identity_goes_to_its_waiters_in_sequence_order() {
    Given::events([
        user_state("u1", 1, "w1"),
        user_state("u3", 1, "w1"),
        user_state("u2", 1, "w1"),
    ])
    .when(user_deleted("u1", 2), "deleted")
    .then_held(["u1 v2 deleted", "u3 v1 w1"])
    .then_parked(["3 u2.user mapping_conflict"])
    .when(user_state("u3", 2, "w3"), "applied")
    .then_held(["u1 v2 deleted", "u2 v1 w1", "u3 v2 w3"])
    .then_parked([]);
}

#[test]
fn registration_that_overtook_a_deletion_heals() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(user_state("u2", 1, "w1"), "parked{mapping_conflict}")
        .when(profile("u2", "p2", 1, "Eve"), "applied")
        .then_answer("w1", "u1 Ada v1")
        .when(user_deleted("u1", 2), "deleted")
        .then_answer("w1", "u2 Eve v1");
}

#[test]
fn erasure_frees_the_identity_for_who_waits() {
    Given::events([user_state("u1", 1, "w1"), user_state("u2", 1, "w1")])
        .when(user_erased("u1", 2), "erased")
        .then_held(["u1 erased", "u2 v1 w1"])
        .then_parked([]);
}

#[test]
fn identities_passed_around_heal_in_a_cascade() {
    Given::events([
        user_state("u1", 1, "w1"),
        user_state("u2", 1, "w2"),
        user_state("u3", 1, "w3"),
        user_state("u3", 2, "w2"),
        user_state("u2", 2, "w1"),
    ])
    .then_parked(["4 u3.user mapping_conflict", "5 u2.user mapping_conflict"])
    .when(user_state("u1", 2, "w4"), "applied")
    .then_parked([])
    .then_held(["u1 v2 w4", "u2 v2 w1", "u3 v2 w2"]);
}

#[test]
fn swapped_identities_stay_parked_for_a_person_until_a_third_is_used() {
    Given::events([
        user_state("u1", 1, "w1"),
        user_state("u2", 1, "w2"),
        user_state("u1", 2, "w2"),
        user_state("u2", 2, "w1"),
    ])
    .then_parked(["3 u1.user mapping_conflict", "4 u2.user mapping_conflict"])
    .when(user_state("u1", 3, "w3"), "version_gap")
    .then_parked([])
    .then_held(["u1 v3 w3", "u2 v2 w1"]);
}

#[test]
fn identity_freed_by_healing_is_offered_before_the_next_lane_is_tried() {
    Given::events([
        user_state("u1", 1, "w1"),
        user_state("u2", 1, "w2"),
        user_state("u3", 1, "w2"),
        user_state("u2", 2, "w1"),
        user_state("u4", 1, "w1"),
        user_state("u4", 2, "w2"),
    ])
    .then_parked([
        "3 u3.user mapping_conflict",
        "4 u2.user mapping_conflict",
        "5 u4.user mapping_conflict",
        "6 u4.user mapping_conflict",
    ])
    .when(user_deleted("u1", 2), "deleted")
    .then_held(["u1 v2 deleted", "u2 v2 w1", "u3 v1 w2"])
    .then_parked(["5 u4.user mapping_conflict", "6 u4.user mapping_conflict"]);
}

#[test]
fn newer_state_makes_a_waiting_one_pointless() {
    Given::events([
        user_state("u1", 1, "w1"),
        user_state("u2", 1, "w1"),
        user_state("u2", 2, "w2"),
    ])
    .then_parked([])
    .then_counted("superseded", 1)
    .when(user_deleted("u1", 2), "deleted")
    .then_held(["u1 v2 deleted", "u2 v2 w2"]);
}

#[test]
fn profile_conflict_heals_when_the_other_profile_is_deleted_or_erased() {
    let conflict = || {
        Given::events([
            user_state("u1", 1, "w1"),
            profile("u1", "p1", 1, "Ada"),
            profile("u1", "p2", 1, "Eve"),
            rename("u1", "p2", 2, "Joy"),
        ])
        .then_parked(["3 u1.profile profile_conflict", "4 u1.profile behind"])
    };
    conflict()
        .when(profile_deleted("u1", "p1", 2), "deleted")
        .then_parked([])
        .then_answer("w1", "u1 Joy v2");
    conflict()
        .when(profile_erased("u1", "p1", 2), "erased")
        .then_parked([])
        .then_answer("w1", "u1 Joy v2");
}

#[test]
fn waiting_profiles_take_their_turns() {
    Given::events([
        profile("u1", "p1", 1, "Ada"),
        profile("u1", "p2", 1, "Eve"),
        profile("u1", "p3", 1, "Joy"),
        profile_deleted("u1", "p1", 2),
    ])
    .then_held(["u1 p2 v1 live", "u1 p1 v2 deleted"])
    .then_parked(["3 u1.profile profile_conflict"])
    .when(profile_deleted("u1", "p2", 2), "deleted")
    .then_parked([])
    .then_held(["u1 p3 v1 live", "u1 p1 v2 deleted", "u1 p2 v2 deleted"]);
}

#[test]
fn healed_whole_state_supersedes_undecodable_records_after_it_too() {
    Given::events([user_state("u1", 1, "w1"), user_state("u2", 1, "w1")])
        .when(unreadable("u2", "user"), "parked{invalid}")
        .when(user_deleted("u1", 2), "deleted")
        .then_parked([])
        .then_counted("superseded", 1);
}

#[test]
fn parked_record_counts_once_more_when_it_leaves_its_lane() {
    Given::events([
        profile("u1", "p1", 1, "Ada"),
        rename("u1", "p1", 3, "Eve"),
        profile("u1", "p1", 2, "Joy"),
    ])
    .then_counted("parked{patch_base}", 1)
    .then_counted("applied", 3);
}
