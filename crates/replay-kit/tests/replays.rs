//! A replay is the fold, however its messages came to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use domain::testing::history;
use domain::{MemoryState, Record, WorkosUserId, apply};
use event_lines::Message;
use proptest::prelude::*;
use replay_kit::{Person, Replay, ReplayError};
use serde_json::{Value, json};

fn folded(records: &[Record]) -> MemoryState {
    let mut state = MemoryState::default();
    for record in records {
        let Ok(_) = record.with_ref(|record| apply(&mut state, record));
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn k1_in_pieces_from_lines_and_from_a_folder_it_is_the_same_fold(
        history in history(60),
        together in 1_usize..20,
    ) {
        let messages: Vec<Message> = history.iter().map(Message::from).collect();
        let lines: Vec<String> = messages.iter().map(Message::to_line).collect();
        let of_lines = Replay::of_lines(&lines.join("\n")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut in_pieces = Replay::in_folder(folder.path()).unwrap();
        for piece in messages.chunks(together) {
            in_pieces.apply(piece).unwrap();
        }
        prop_assert_eq!(of_lines.digest(), in_pieces.digest());
        prop_assert_eq!(of_lines.parked().unwrap(), in_pieces.parked().unwrap());
        let state = folded(&history);
        prop_assert_eq!(of_lines.totals().outcomes, *state.tally());
        for identity in ["w0", "w1", "w2", "w3"] {
            let answer: Value = serde_json::from_str(&of_lines.answer(identity).unwrap()).unwrap();
            let expected = state.profile_of(&WorkosUserId::parse(identity).unwrap());
            let expected = expected.map(|(_, live)| live.id.as_str());
            prop_assert_eq!(answer["_id"].as_str(), expected);
        }
    }
}

#[test]
fn the_golden_streams_come_to_what_they_say() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/golden/v1");
    let mut replayed = 0;
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        let expected = path.with_extension("expected.json");
        if !expected.is_file() {
            continue;
        }
        let replay = Replay::of_lines(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let expected = std::fs::read_to_string(expected).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        for (sub, answer) in expected["answers"].as_object().unwrap() {
            replay.expect_answer(sub, answer).unwrap();
        }
        let parked = expected["parked"].as_array().unwrap();
        let place = |one: &Value| one["sequence"].as_u64().unwrap();
        let parked: Vec<(u64, &str)> = parked
            .iter()
            .map(|one| (place(one), one["reason"].as_str().unwrap()))
            .collect();
        replay.expect_parked(&parked).unwrap();
        replay
            .expect_digest(expected["digest"].as_str().unwrap())
            .unwrap();
        replayed += 1;
    }
    assert!(replayed > 10, "{replayed}");
}

#[test]
fn k2_what_is_not_as_expected_is_told_member_by_member() {
    let mut ada = Person::new("ada", "pa");
    let replay = Replay::of_events([
        ada.registered("user_ada"),
        ada.profile(&json!({"displayName": "Ada", "age": 36})),
        ada.profile_patched(&json!({"bio": "looms"})),
        Person::new("ada", "pb").profile(&json!({"displayName": "Other"})),
    ])
    .unwrap();
    let said = |result: Result<(), ReplayError>| format!("{:?}", result.unwrap_err());
    let expected = json!({
        "_id": "pa", "userId": "ada", "displayName": "Grace", "age": 36, "languages": [],
        "createdAt": 0, "updatedAt": 0, "company": "Engines",
    });
    assert_eq!(
        said(replay.expect_answer("user_ada", &expected)),
        "the answer to user_ada is not as expected:\n  \
         company: expected \"Engines\", is not there\n  \
         displayName: expected \"Grace\", is \"Ada\"\n  \
         bio: not expected, is \"looms\""
    );
    replay.expect_answer("nobody", &Value::Null).unwrap();
    replay.expect_parked(&[(4, "profile_conflict")]).unwrap();
    assert_eq!(
        said(replay.expect_parked(&[(3, "patch_base")])),
        "what is parked is not as expected:\n  3: expected patch_base, is not parked so\n  \
         4: not expected, is profile_conflict"
    );
    assert!(said(replay.expect_digest("0")).contains("expected 0, is "));
    let gone = Replay::of_events([
        ada.deleted(),
        ada.registered("user_new"),
        ada.profile_deleted(),
        ada.erased(),
    ]);
    assert_eq!(gone.unwrap().totals().users, 0);
}

#[test]
fn what_cannot_be_replayed_names_its_line() {
    let said = |lines: &str| {
        let replayed = Replay::of_lines(lines).map(|_| ());
        replayed.unwrap_err().to_string()
    };
    assert!(said("\n{").starts_with("line 2: "), "{}", said("\n{"));
    assert!(said("{}").starts_with("line 1: "));
    let placed = |at: u64| format!(r#"{{"sequence":{at},"subject":"s","payload":"x"}}"#);
    let backward = format!("{}\n{}", placed(7), placed(7));
    assert_eq!(said(&backward), "message 7 comes behind message 7");
    assert_eq!(Replay::of_lines("").unwrap().sequence(), 0);
}
