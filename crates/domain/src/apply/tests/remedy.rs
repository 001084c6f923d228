//! What is said to heal a parked record heals it.

use proptest::prelude::*;
use serde_json::json;

use super::Given;
use crate::testing::{
    Message, history, named, profile_deleted, profile_erased, profile_patched, profile_state,
    user_deleted, user_state,
};
use crate::{
    Family, MemoryState, Parked, ProfileRow, Remedy, Sequence, State, Surroundings, UserRow, apply,
    remedies, waits_behind,
};

fn remedies_of(state: &mut MemoryState, parked: &Parked) -> Vec<Remedy> {
    let Some(lane) = &parked.lane else {
        return remedies(
            parked,
            &Surroundings {
                user: &UserRow::default(),
                profiles: &ProfileRow::default(),
                owner: None,
                before: &[],
            },
        );
    };
    let Ok(user) = state.user(&lane.user).cloned();
    let Ok(profiles) = state.profiles(&lane.user).cloned();
    let Ok(owner) = parked
        .awaits
        .as_ref()
        .map_or(Ok(None), |identity| state.owner(identity));
    let owner = owner.map(|owner| {
        let Ok(row) = state.user(&owner);
        (owner, row.document.clone())
    });
    let in_lane = state.all_parked().filter(|other| other.lane == parked.lane);
    let before = in_lane.filter(|other| waits_behind(parked, other));
    let mut before: Vec<_> = before.map(Parked::sequence).collect();
    before.sort_unstable();
    before.truncate(2);
    let around = Surroundings {
        user: &user,
        profiles: &profiles,
        owner: owner.as_ref().map(|(owner, document)| (owner, document)),
        before: &before,
    };
    remedies(parked, &around)
}

fn told(given: &mut Given) -> Vec<String> {
    let parked = given.state.all_parked().last().unwrap().clone();
    let remedies = remedies_of(&mut given.state, &parked);
    remedies.iter().map(ToString::to_string).collect()
}

const UNDERSTOOD: &str = "a release that can read it, and a rebuild by it";

fn drop_of(sequence: u64) -> String {
    format!("a decision: profile-projector quarantine drop u1 {sequence} --reason TEXT")
}

/// The line that publishes a deletion.
fn deleting(document: &str, id: &str, user: &str, version: u64) -> String {
    let kind = document.split(':').next().unwrap();
    let entity =
        format!(r#"{{"kind":"{kind}","id":"{id}","userId":"{user}","version":{version}}}"#);
    format!(
        "Where the source has it no more, and its producer will not say so, this publishes the deletion:\n      \
         echo '{{\"specversion\":\"1.0\",\"id\":\"{document}:{version}\",\"source\":\"/operator\",\
         \"type\":\"app.connvo.{kind}.deleted.v1\",\"data\":{{\"entity\":{entity},\
         \"deletedAt\":'$(date +%s000)'}}}}' | profile-projector publish -"
    )
}

#[test]
fn each_reason_has_its_ways_out() {
    let profile = |version| profile_state("u1", "p1", version, &named("Ada"));
    let patch = |version| profile_patched("u1", "p1", version, &json!({"bio": "b"}));
    let not_json = || Message::bare("identity.v1.u1.profile", "no");

    let mut given = Given::events([profile(3)]);
    given.publish(not_json());
    let whole = "the whole state or the deletion of profile p1, version 4 or later";
    assert_eq!(told(&mut given), [whole, UNDERSTOOD, &drop_of(2)]);
    given.publish(patch(4));
    let before = "a decision on record 2, which it waits behind: profile-projector quarantine drop u1 2 --reason TEXT";
    let whole_5 = "the whole state or the deletion of profile p1, version 5 or later";
    assert_eq!(told(&mut given), [before, whole_5, &drop_of(3)]);

    let mut given = Given::nothing();
    given.publish(not_json());
    let any = "the whole state of a profile of this user";
    assert_eq!(told(&mut given), [any, UNDERSTOOD, &drop_of(1)]);

    let mut given = Given::events([profile(1), patch(4)]);
    let base = "the whole state of profile p1, version 3, which the patch builds on (a patch to it would wait behind this one)";
    assert_eq!(told(&mut given), [base, whole_5, &drop_of(2)]);
    given.publish(patch(5));
    let whole_6 = "the whole state or the deletion of profile p1, version 6 or later";
    assert_eq!(
        told(&mut given),
        [whole_6, &drop_of(3)],
        "it needs more than record 2 gone"
    );
    let mut given = Given::events([profile(1), patch(2), patch(4), patch(3)]);
    let before = "a decision on record 3, which it waits behind: profile-projector quarantine drop u1 3 --reason TEXT";
    assert_eq!(told(&mut given), [before, whole, &drop_of(4)]);

    let mut given = Given::events([profile(3), profile_state("u1", "p1", 3, &named("B"))]);
    assert_eq!(told(&mut given), [whole, &drop_of(2)]);

    let mut given = Given::events([user_state("u2", 1, "w"), user_state("u1", 1, "w")]);
    let release =
        "user u2, who has the workosUserId, is deleted, erased or gets another one, and nobody else has waited for it longer. ".to_owned()
            + &deleting("user:u2", "u2", "u2", 2);
    let whole = "the whole state or the deletion of user u1, version 2 or later".to_owned();
    assert_eq!(told(&mut given), [release, whole, drop_of(2)]);

    let mut given = Given::events([profile(1), profile_state("u1", "p2", 1, &named("B"))]);
    let vacate = "profile p1 of this user is deleted or erased. ".to_owned()
        + &deleting("profile:p1", "p1", "u1", 2);
    assert_eq!(told(&mut given), [vacate, drop_of(2)]);
    given.publish(profile_state("u1", "p3", 1, &named("C")));
    assert_eq!(told(&mut given), [drop_of(3)], "p2 would take the place");

    let mut given = Given::events([profile(1), profile(1_000_002)]);
    let reached = "the whole state or the deletion of profile p1, version 2 to 1000001".to_owned();
    assert_eq!(told(&mut given), [reached, drop_of(2)]);

    let mut given = Given::nothing();
    given.publish(Message::bare("identity.v1.\u{e4}.user", "no"));
    let [first, last] = told(&mut given).try_into().unwrap();
    assert_eq!(first, UNDERSTOOD);
    assert!(
        last.starts_with("no decision: its subject names no user."),
        "{last}"
    );
}

/// A remedy of the next version, where its own is the parked record's: the broker may take that for the record itself.
fn above_its_own(parked: &Parked, remedy: &Remedy) -> Option<Remedy> {
    let mut above = remedy.clone();
    let Remedy::WholeState {
        document, version, ..
    } = &mut above
    else {
        return None;
    };
    let own = parked.document.as_ref()?;
    let is_own = own.version.get() == *version && document.as_ref() == Some(&own.id);
    *version += 1;
    is_own.then_some(above)
}

/// Whether a parked record is gone after what a remedy asks for.
fn heals(state: &MemoryState, parked: &Parked, message: &Message) -> bool {
    let mut after = state.clone();
    let record = message.at(Sequence::new(1_000).unwrap());
    let Ok(_) = record.with_ref(|record| apply(&mut after, record));
    let mut left = after.all_parked().map(Parked::sequence);
    !left.any(|left| left == parked.sequence())
}

/// What a remedy asks for, as a message; none where that is not one event.
fn cure(parked: &Parked, remedy: &Remedy) -> Option<Message> {
    let lane = parked.lane.as_ref()?;
    let user = lane.user.as_str();
    let message: Message = match remedy {
        Remedy::WholeState {
            family: Family::User,
            version,
            ..
        } if version % 2 == 0 => user_deleted(user, *version).into(),
        Remedy::WholeState {
            family: Family::User,
            version,
            ..
        } => user_state(user, *version, "nobody's yet").into(),
        Remedy::WholeState {
            document,
            version,
            deletion_only,
            ..
        } => {
            let document = document.as_deref().unwrap_or("p9");
            if *deletion_only {
                profile_deleted(user, document, *version).into()
            } else {
                profile_state(user, document, *version, &named("cured")).into()
            }
        }
        Remedy::Drop { user, sequence } | Remedy::Before { user, sequence } => {
            crate::testing::dropped(user.as_str(), sequence.get()).into()
        }
        Remedy::Base { document, version } => {
            profile_state(user, document, *version, &named("cured")).into()
        }
        Remedy::Vacate {
            user,
            profile,
            version,
        } if version % 2 == 0 => profile_deleted(user.as_str(), profile.as_str(), *version).into(),
        Remedy::Vacate { user, profile, .. } => {
            profile_erased(user.as_str(), profile.as_str(), 1).into()
        }
        Remedy::Release { .. } | Remedy::Understood | Remedy::None => return None,
    };
    Some(message)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_event_that_is_said_to_heal_a_record_does(history in history(60)) {
        let mut state = MemoryState::default();
        for record in &history {
            let Ok(_) = record.with_ref(|record| apply(&mut state, record));
        }
        let parked: Vec<_> = state.all_parked().cloned().collect();
        for parked in parked {
            for remedy in remedies_of(&mut state, &parked) {
                let Some(message) = cure(&parked, &remedy) else { continue };
                prop_assert!(heals(&state, &parked, &message), "{remedy} does not heal {parked:?}");
                // Only where nothing above it is believed.
                let above = above_its_own(&parked, &remedy);
                if let Some(message) = above.and_then(|above| cure(&parked, &above)) {
                    prop_assert!(!heals(&state, &parked, &message), "{remedy} is {parked:?} itself");
                }
            }
        }
    }
}
