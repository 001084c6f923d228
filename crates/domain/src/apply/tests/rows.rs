//! One test for each row of the apply table. Where several rows fit one event the order is: erased,
//! stale, duplicate, behind, conflict, and then what only a newer version can meet.

use serde_json::json;

use super::{Given, profile, rename, typed, unreadable, with};
use crate::testing::{
    Message, dropped, named, profile_deleted, profile_patched, profile_state, user_deleted,
    user_state,
};

#[test]
fn newer_whole_state_replaces_row_and_mapping() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(profile("u1", "p1", 2, "Eve"), "applied")
        .then_answer("w1", "u1 Eve v2")
        .when(user_state("u1", 2, "w2"), "applied")
        .then_answer("w2", "u1 Eve v2")
        .then_no_answer("w1")
        .then_parked([]);
}

#[test]
fn every_type_of_a_whole_state_is_applied_by_the_same_rule() {
    Given::nothing()
        .when(
            typed("app.connvo.user.reactivated.v1", user_state("u1", 1, "w1")),
            "applied",
        )
        .when(
            typed("app.connvo.user.registered.v1", user_state("u1", 2, "w2")),
            "applied",
        )
        .when(
            typed("app.connvo.user.deactivated.v1", user_state("u1", 3, "w3")),
            "applied",
        )
        .when(
            typed(
                "app.connvo.profile.updated.v1",
                profile("u1", "p1", 1, "Ada"),
            ),
            "applied",
        )
        .when(
            typed(
                "app.connvo.profile.created.v1",
                profile("u1", "p1", 2, "Eve"),
            ),
            "applied",
        )
        .then_answer("w3", "u1 Eve v2");
}

#[test]
fn a_deactivated_user_still_has_the_profile() {
    let mut deactivated = typed("app.connvo.user.deactivated.v1", user_state("u1", 2, "w1"));
    deactivated.data["state"]["isActive"] = json!(false);
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(deactivated, "applied")
        .then_answer("w1", "u1 Ada v1");
}

#[test]
fn held_version_that_would_change_nothing_stored_is_duplicate() {
    let mut other_email = user_state("u1", 1, "w1");
    other_email.data["state"]["email"] = json!("other@example.com");
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when_in_vain(user_state("u1", 1, "w1"), "duplicate")
        .when_in_vain(other_email, "duplicate")
        .when_in_vain(profile("u1", "p1", 1, "Ada"), "duplicate")
        .when(rename("u1", "p1", 2, "Eve"), "applied")
        .when_in_vain(rename("u1", "p1", 2, "Eve"), "duplicate")
        .when_in_vain(
            profile_patched("u1", "p1", 2, &json!({"bio": null})),
            "duplicate",
        )
        .when_in_vain(profile("u1", "p1", 2, "Eve"), "duplicate")
        .when(profile_deleted("u1", "p1", 3), "deleted")
        .when_in_vain(profile_deleted("u1", "p1", 3), "duplicate")
        .when(user_deleted("u1", 2), "deleted")
        .when_in_vain(user_deleted("u1", 2), "duplicate");
}

#[test]
fn held_version_with_other_content_is_parked_conflict() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 2, "Ada")])
        .when(user_state("u1", 1, "w2"), "parked{conflict}")
        .when(user_deleted("u1", 1), "parked{conflict}")
        .when(profile_deleted("u1", "p1", 2), "parked{conflict}")
        .when(profile("u1", "p1", 2, "Eve"), "parked{conflict}")
        .then_parked([
            "3 u1.user conflict",
            "4 u1.user conflict",
            "5 u1.profile conflict",
            "6 u1.profile conflict",
        ])
        .then_answer("w1", "u1 Ada v2");
}

#[test]
fn held_version_of_a_patch_or_a_tombstone_with_other_content_is_parked_conflict() {
    Given::events([profile("u1", "p1", 2, "Ada")])
        .when(rename("u1", "p1", 2, "Eve"), "parked{conflict}");
    Given::events([profile_deleted("u1", "p1", 2), user_deleted("u1", 2)])
        .when(user_state("u1", 2, "w1"), "parked{conflict}")
        .when(profile("u1", "p1", 2, "Ada"), "parked{conflict}");
    Given::events([profile_deleted("u1", "p1", 2)])
        .when(rename("u1", "p1", 2, "Eve"), "parked{conflict}");
}

#[test]
fn minus_zero_is_another_content_than_zero() {
    let aged = |age| profile_state("u1", "p1", 1, &with(named("Ada"), "age", age));
    Given::events([aged(json!(0.0))])
        .when(aged(json!(0)), "duplicate")
        .when(aged(json!(-0.0)), "parked{conflict}");
}

#[test]
fn a_conflict_of_versions_goes_before_one_of_mappings_or_profiles() {
    Given::events([user_state("u1", 1, "w1"), user_state("u2", 1, "w2")])
        .when(user_state("u2", 1, "w1"), "parked{conflict}");
    Given::events([
        profile_deleted("u1", "p2", 1),
        profile("u1", "p1", 1, "Ada"),
    ])
    .when(profile("u1", "p2", 1, "Eve"), "parked{conflict}");
}

#[test]
fn older_version_is_stale() {
    Given::events([user_state("u1", 3, "w1"), profile("u1", "p1", 3, "Ada")])
        .when_in_vain(user_state("u1", 2, "w2"), "stale")
        .when_in_vain(user_deleted("u1", 2), "stale")
        .when_in_vain(profile("u1", "p1", 2, "Eve"), "stale")
        .when_in_vain(rename("u1", "p1", 2, "Eve"), "stale")
        .when_in_vain(profile_deleted("u1", "p1", 2), "stale");
    Given::events([user_deleted("u1", 3), profile_deleted("u1", "p1", 3)])
        .when_in_vain(user_state("u1", 2, "w2"), "stale")
        .when_in_vain(profile("u1", "p1", 2, "Eve"), "stale")
        .when_in_vain(rename("u1", "p1", 2, "Eve"), "stale");
}

#[test]
fn version_beyond_the_next_is_applied_and_counted_version_gap_instead() {
    Given::nothing()
        .when(user_state("u1", 2, "w1"), "version_gap")
        .when(user_state("u1", 4, "w1"), "version_gap")
        .when(profile("u1", "p1", 3, "Ada"), "version_gap")
        .when(profile_deleted("u1", "p1", 5), "deleted")
        .when(profile("u1", "p1", 7, "Ada"), "version_gap")
        .then_answer("w1", "u1 Ada v7")
        .then_counted("applied", 0);
}

#[test]
fn patch_on_the_version_it_names_is_applied() {
    let full = with(with(named("Ada"), "bio", json!("x")), "age", json!(36));
    let patch = json!({"displayName": "Eve", "bio": null, "languages": ["fr"]});
    let given = Given::events([
        user_state("u1", 1, "w1"),
        profile_state("u1", "p1", 1, &full),
    ])
    .when(profile_patched("u1", "p1", 2, &patch), "applied")
    .then_answer("w1", "u1 Eve v2");
    let (_, row) = given.state.profiles().next().unwrap();
    let profile = row.live.as_ref().unwrap().profile.members();
    assert_eq!(profile.bio, None, "null removes");
    assert_eq!(profile.age.map(|age| age.0), Some(36.0), "absent keeps");
    assert_eq!(profile.languages, ["fr"], "a value sets");
}

#[test]
fn patch_on_another_version_or_a_tombstone_is_parked_patch_base() {
    Given::events([profile("u1", "p1", 1, "Ada")])
        .when(rename("u1", "p1", 3, "Eve"), "parked{patch_base}")
        .then_parked(["2 u1.profile patch_base"]);
    Given::nothing().when(rename("u1", "p1", 2, "Eve"), "parked{patch_base}");
    Given::events([profile_deleted("u1", "p1", 1)])
        .when(rename("u1", "p1", 2, "Eve"), "parked{patch_base}");
    Given::events([profile("u1", "p1", 1, "Ada")])
        .when(rename("u1", "p2", 2, "Eve"), "parked{patch_base}");
}

#[test]
fn patch_waits_behind_parked_records_of_its_document_or_undecodable_ones() {
    Given::events([profile("u1", "p1", 1, "Ada"), profile("u1", "p1", 1, "Eve")])
        .when(rename("u1", "p1", 2, "Joy"), "parked{behind}")
        .when(rename("u1", "p1", 3, "May"), "parked{behind}")
        .then_parked([
            "2 u1.profile conflict",
            "3 u1.profile behind",
            "4 u1.profile behind",
        ]);
    Given::events([profile("u1", "p1", 1, "Ada")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(rename("u1", "p1", 2, "Joy"), "parked{behind}");
}

#[test]
fn patch_does_not_wait_for_other_documents_or_lanes() {
    Given::events([profile("u1", "p1", 1, "Ada"), profile("u1", "p2", 1, "Eve")])
        .when(unreadable("u1", "user"), "parked{invalid}")
        .when(unreadable("u1", "quarantine"), "parked{invalid}")
        .when(unreadable("u2", "profile"), "parked{invalid}")
        .when(rename("u1", "p1", 2, "Joy"), "applied");
}

#[test]
fn stale_or_duplicate_patch_is_not_parked_behind_but_one_in_conflict_is() {
    Given::events([
        profile("u1", "p1", 1, "Ada"),
        rename("u1", "p1", 2, "Eve"),
        profile("u1", "p1", 2, "Joy"),
    ])
    .when_in_vain(rename("u1", "p1", 2, "Eve"), "duplicate")
    .when(rename("u1", "p1", 2, "May"), "parked{behind}")
    .when(profile("u1", "p1", 3, "Zoe"), "applied")
    .when(profile("u1", "p1", 3, "Lea"), "parked{conflict}")
    .when_in_vain(rename("u1", "p1", 2, "May"), "stale");
}

#[test]
fn whole_state_waits_for_nothing() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(profile("u1", "p1", 2, "Eve"), "applied")
        .then_answer("w1", "u1 Eve v2");
}

#[test]
fn user_deleted_releases_the_mapping_and_hides_the_profile_until_recreation() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(user_deleted("u1", 2), "deleted")
        .then_no_answer("w1")
        .then_held(["u1 v2 deleted", "u1 p1 v1 live"])
        .when(user_state("u2", 1, "w1"), "applied")
        .when(profile("u1", "p1", 2, "Eve"), "applied")
        .when(user_state("u1", 3, "w2"), "applied")
        .then_answer("w2", "u1 Eve v2")
        .then_no_answer("w1");
}

#[test]
fn user_deleted_before_ever_seen_leaves_its_tombstone() {
    Given::events([user_deleted("u1", 2)])
        .when_in_vain(user_state("u1", 1, "w1"), "stale")
        .when(user_state("u1", 3, "w1"), "applied");
}

#[test]
fn profile_tombstones_are_kept_per_document_id() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p2", 1, "Ada")])
        .when(profile_deleted("u1", "p2", 2), "deleted")
        .then_no_answer("w1")
        .when(profile("u1", "p1", 1, "Eve"), "applied")
        .when_in_vain(profile("u1", "p2", 1, "Ada"), "stale")
        .when(profile_deleted("u1", "p3", 4), "deleted")
        .then_held([
            "u1 v1 w1",
            "u1 p1 v1 live",
            "u1 p2 v2 deleted",
            "u1 p3 v4 deleted",
        ])
        .when(profile_deleted("u1", "p1", 2), "deleted")
        .when(profile("u1", "p2", 3, "Joy"), "applied")
        .then_held([
            "u1 v1 w1",
            "u1 p2 v3 live",
            "u1 p1 v2 deleted",
            "u1 p3 v4 deleted",
        ])
        .then_answer("w1", "u1 Joy v3");
}

#[test]
fn identity_held_by_another_live_user_is_parked_mapping_conflict() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(user_state("u2", 1, "w1"), "parked{mapping_conflict}")
        .then_parked(["3 u2.user mapping_conflict"])
        .then_held(["u1 v1 w1", "u1 p1 v1 live"])
        .then_answer("w1", "u1 Ada v1");
    Given::events([user_state("u1", 1, "w1"), user_state("u2", 1, "w2")])
        .when(user_state("u2", 2, "w1"), "parked{mapping_conflict}")
        .then_held(["u1 v1 w1", "u2 v1 w2"]);
}

#[test]
fn changed_identity_moves_the_mapping_at_once() {
    Given::events([user_state("u1", 1, "w1"), user_state("u1", 2, "w2")])
        .when(user_state("u2", 1, "w1"), "applied")
        .then_held(["u1 v2 w2", "u2 v1 w1"]);
}

#[test]
fn second_profile_that_is_not_deleted_is_parked_profile_conflict() {
    Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(profile("u1", "p2", 1, "Eve"), "parked{profile_conflict}")
        .when(user_deleted("u1", 2), "deleted")
        .when(profile("u1", "p3", 1, "Joy"), "parked{profile_conflict}")
        .then_parked([
            "3 u1.profile profile_conflict",
            "5 u1.profile profile_conflict",
        ]);
    Given::events([profile("u1", "p1", 1, "Ada")])
        .when(profile("u1", "p2", 1, "Eve"), "parked{profile_conflict}");
}

#[test]
fn one_profile_id_may_name_documents_of_two_users() {
    Given::events([profile("u1", "p1", 1, "Ada"), profile("u2", "p1", 1, "Eve")])
        .then_held(["u1 p1 v1 live", "u2 p1 v1 live"]);
}

#[test]
fn profile_before_its_user_is_stored_and_found_with_the_mapping() {
    Given::nothing()
        .when(profile("u1", "p1", 1, "Ada"), "applied")
        .then_no_answer("w1")
        .when(user_state("u1", 1, "w1"), "applied")
        .then_answer("w1", "u1 Ada v1");
}

#[test]
fn unknown_type_of_a_known_family_and_major_is_skipped() {
    for family in ["user", "profile", "quarantine"] {
        let unknown = typed(&format!("app.connvo.{family}.merged.v1"), dropped("u1", 1));
        let unknown = crate::testing::Draft { family, ..unknown };
        Given::events([user_state("u1", 1, "w1")]).when_in_vain(unknown, "unknown_type");
    }
}

#[test]
fn what_cannot_be_decoded_is_parked_invalid_in_the_lane_of_its_subject() {
    let next_major = typed("app.connvo.user.updated.v2", user_state("u1", 2, "w2"));
    let mut no_state = profile("u1", "p1", 2, "Eve");
    no_state.data["state"] = json!(null);
    let mut too_long = Message::from(profile("u1", "p1", 2, "Eve"));
    too_long
        .payload
        .resize(crate::STRUCTURED_BYTES_MAX + 1, b' ');
    let mut other_user = Message::from(user_state("u2", 1, "w2"));
    other_user.subject = "identity.v1.u1.user".into();
    let given = Given::events([user_state("u1", 1, "w1"), profile("u1", "p1", 1, "Ada")])
        .when(next_major, "parked{invalid}")
        .when(no_state, "parked{invalid}")
        .when(too_long, "parked{invalid}")
        .when(other_user, "parked{invalid}")
        .when(unreadable("u1", "quarantine"), "parked{invalid}")
        .when(Message::bare("identity.v1.u1", "{}"), "parked{invalid}")
        .then_parked([
            "3 u1.user invalid",
            "4 u1.profile invalid",
            "5 u1.profile invalid",
            "6 u1.user invalid",
            "7 u1.quarantine invalid",
            "8 nowhere invalid",
        ])
        .then_answer("w1", "u1 Ada v1");
    let body_of = |sequence| {
        let mut parked = given.state.all_parked();
        let one = parked.find(|one| one.sequence().get() == sequence).unwrap();
        one.record.payload.len()
    };
    assert_eq!(
        body_of(5),
        0,
        "one beyond the limit is not kept a second time"
    );
    assert_ne!(body_of(4), 0);
}

#[test]
fn decision_that_names_a_parked_record_removes_it() {
    Given::events([user_state("u1", 1, "w1"), user_state("u1", 1, "w2")])
        .when(unreadable("u1", "profile"), "parked{invalid}")
        .when(unreadable("u1", "quarantine"), "parked{invalid}")
        .when(dropped("u1", 2), "dropped")
        .when(dropped("u1", 4), "dropped")
        .then_parked(["3 u1.profile invalid"])
        .when(dropped("u1", 3), "dropped")
        .then_parked([])
        .then_held(["u1 v1 w1"]);
}

#[test]
fn decision_that_names_none_is_void() {
    Given::events([user_state("u1", 1, "w1"), user_state("u1", 1, "w2")])
        .when_in_vain(dropped("u1", 1), "decision_void")
        .when_in_vain(dropped("u1", 99), "decision_void")
        .when(dropped("u1", 2), "dropped")
        .when_in_vain(dropped("u1", 2), "decision_void");
}

#[test]
fn decision_about_a_record_of_another_user_is_void() {
    Given::events([user_state("u1", 1, "w1"), user_state("u1", 1, "w2")])
        .when_in_vain(dropped("u2", 2), "decision_void");
}

#[test]
fn decision_about_a_record_without_a_lane_is_void() {
    Given::nothing()
        .when(Message::bare("elsewhere", "{}"), "parked{invalid}")
        .when_in_vain(dropped("u1", 1), "decision_void");
}
