//! Rows whose checks hold and that do not belong together.

use domain::testing::{Form, named, profile_state, records, user_state};
use domain::{Checkpoint, Fingerprint, StreamId, WorkosUserId, apply};

use crate::ReadModel;
use crate::check::RowsMut;
use crate::tables::OWNERS;

/// Two people with profiles, in memory.
fn two_people() -> ReadModel {
    let person = |user: &str, identity| {
        let state = user_state(user, 1, identity).message(Form::Binary);
        let profile = profile_state(user, &format!("p{user}"), 1, &named(user));
        [state, profile.message(Form::Binary)]
    };
    let messages = [person("u1", "user_a"), person("u2", "user_b")].concat();
    let mut model = ReadModel::in_memory().unwrap();
    let mut batch = model.begin();
    let mut to = Checkpoint::start_of(StreamId {
        name: "S".into(),
        created_ns: 5,
    });
    for record in records(&messages) {
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
        to = to.advanced(Fingerprint {
            sequence: record.sequence,
            time_ns: 7,
        });
    }
    batch.commit(to).unwrap();
    model
}

#[test]
fn r8_an_owner_that_leads_to_somebody_else_is_damage_though_its_check_holds() {
    let model = two_people();
    let transaction = model.database().unwrap().begin_write().unwrap();
    let mut owners = RowsMut::open(&transaction, &OWNERS).unwrap();
    owners.put(b"user_a", Some(b"u2")).unwrap();
    drop(owners);
    transaction.commit().unwrap();
    model.publish(None).unwrap();
    let reader = model.reader();
    let ask = |identity| reader.profile_of(&WorkosUserId::parse(identity).unwrap());
    let refused = ask("user_a").err().unwrap();
    assert_eq!(refused.damage().unwrap().table, "owners");
    assert_eq!(ask("user_b").unwrap().user.unwrap().as_str(), "u2");
    let found = reader.inspect().audit().unwrap().damages;
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "the row of people for u1 is damaged: its identity does not lead to it",
            "the row of owners for u2 is damaged: it names a user who does not have the identity",
        ]
    );
    assert_eq!(reader.damages().len(), 3, "what the query met is in it");
}
