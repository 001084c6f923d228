//! The operators' look at the quarantine and at what is kept of a person.

use domain::testing::{Message, named, profile_patched, profile_state, user_erased, user_state};
use domain::{Fingerprint, Sequence, apply};
use query::quarantine::{Kept, Page, Shown};
use serde_json::{Value, json};

use crate::running::{Running, Setup};

/// Parks four records behind the rows that every service of these tests has; the first is at 4712.
fn park(running: &mut Running) {
    let subject = "identity.v1.u1.profile";
    let messages = [
        profile_state("u1", "p1", 1, &named("Ada Secret")).into(),
        Message::bare(subject, r#"{"displayName": "Ada Secret""#),
        profile_patched("u1", "p1", 2, &json!({"bio": "secret"})).into(),
        user_state("u2", 1, "user_1").into(),
        Message::bare("identity.v1.ada@secret.user", "x"),
    ];
    running.commit_at(4716, |batch| {
        for (place, message) in (4712..).zip(messages) {
            let sequence = Sequence::new(place).unwrap();
            batch.arrives(Fingerprint {
                sequence,
                time_ns: 1_795_420_800_000_000_000,
            });
            let message: Message = message;
            message
                .at(sequence)
                .with_ref(|record| apply(batch, record))
                .unwrap();
        }
    });
}

#[tokio::test]
async fn the_quarantine_is_told_page_by_page_and_shows_no_content() {
    let mut running = Running::start(Setup::default()).await;
    let nothing: Value = json_of(&running.admin("/quarantine").await.body);
    assert_eq!(
        nothing,
        json!({
            "applied_sequence": 4711, "parked_records": 0, "parked_by_reason": {},
            "oldest": null, "records": [], "next": null,
        })
    );
    park(&mut running);
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let reply = running
            .admin(&format!("/quarantine?after={after}&limit=3"))
            .await;
        assert!(
            !reply.body.to_lowercase().contains("secret"),
            "{}",
            reply.body
        );
        let page: Page = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(page.parked_records, 4);
        assert_eq!(page.oldest.unwrap().sequence, 4713);
        found.extend(page.records.into_iter().map(|entry| {
            let lane = entry.lane.unwrap_or_default();
            (
                entry.sequence,
                entry.user.unwrap_or_default(),
                lane,
                entry.reason,
            )
        }));
        let Some(next) = page.next else { break };
        after = next;
    }
    let expected = [
        (4713, "u1", "profile", "invalid"),
        (4714, "u1", "profile", "behind"),
        (4715, "u2", "user", "mapping_conflict"),
        (4716, "", "", "invalid"),
    ];
    let own = |text: &str| text.to_owned();
    assert_eq!(
        found,
        expected.map(|(sequence, user, lane, reason)| (
            sequence,
            own(user),
            own(lane),
            own(reason)
        ))
    );
    let of_user: Page = json_of(&running.admin("/quarantine?user=u1&after=4713").await.body);
    assert_eq!(of_user.records.len(), 1);
    let status: Value = json_of(&running.admin("/status").await.body);
    assert_eq!(
        status["parked_by_reason"],
        json!({"invalid": 2, "behind": 1, "mapping_conflict": 1})
    );
    running.stop().await;
}

#[tokio::test]
async fn one_record_is_shown_with_what_would_heal_it() {
    let mut running = Running::start(Setup::default()).await;
    park(&mut running);
    let reply = running.admin("/quarantine/4714").await;
    let mut shown: Value = json_of(&reply.body);
    let age = shown
        .as_object_mut()
        .unwrap()
        .remove("age_seconds")
        .unwrap();
    assert!(age.is_u64(), "{age}");
    assert_eq!(
        shown,
        json!({
            "sequence": 4714, "user": "u1", "lane": "profile", "reason": "behind", "detail": null,
            "document": {"id": "p1", "version": 2}, "bytes": shown["bytes"],
            "stored": "2026-11-23T08:00:00Z",
            "heals": [
                "a decision on record 4713, which it waits behind: profile-projector quarantine drop u1 4713 --reason TEXT",
                "the whole state or the deletion of profile p1, version 3 or later",
                "a decision: profile-projector quarantine drop u1 4714 --reason TEXT",
            ],
        })
    );
    let shown: Shown = json_of(&running.admin("/quarantine/4716").await.body);
    assert_eq!((shown.entry.user, shown.entry.lane), (None, None));
    let awaiting: Shown = json_of(&running.admin("/quarantine/4715").await.body);
    assert!(awaiting.heals[0].starts_with("user j57bq0g31py2qjnt6amgqwq20x6dpzyk, who has"));
    let none = running.admin("/quarantine/4712").await;
    assert_eq!(
        (none.status, &*none.body),
        (404, r#"{"error":"no such record is parked"}"#)
    );
    for wrong in [
        "/quarantine/x",
        "/quarantine?limit=x",
        "/quarantine?user=a%20b",
        "/users/a%20b",
    ] {
        assert_eq!(running.admin(wrong).await.status, 400, "{wrong}");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_is_kept_of_a_person_is_counted_and_after_an_erasure_nothing_is() {
    let mut running = Running::start(Setup::default()).await;
    park(&mut running);
    let kept: Kept = json_of(&running.admin("/users/u1").await.body);
    assert_eq!((kept.profiles, kept.parked, &*kept.user), (1, 2, "absent"));
    assert!(!kept.is_erased());
    let kept: Kept = json_of(&running.admin("/users/u2").await.body);
    assert_eq!((kept.parked, kept.awaiting), (1, 1));
    running.commit_at(4717, |batch| {
        for user in ["u1", "u2"] {
            let message: Message = user_erased(user, 9).into();
            let record = message.at(Sequence::new(4717).unwrap());
            record.with_ref(|record| apply(batch, record)).unwrap();
        }
    });
    for user in ["u1", "u2"] {
        let kept: Kept = json_of(&running.admin(&format!("/users/{user}")).await.body);
        assert!(kept.is_erased(), "{kept:?}");
    }
    running.stop().await;
}

fn json_of<T: serde::de::DeserializeOwned>(body: &str) -> T {
    serde_json::from_str(body).unwrap()
}
