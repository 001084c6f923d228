//! The golden streams of `schemas/golden`: histories and what they come to, held against the fold in
//! memory, the read model on disk in several batchings, and the bytes of the answer.
//! `UPDATE_GOLDEN=1` writes what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use convex_wire::Format;
use domain::{
    Checkpoint, Fingerprint, MemoryState, Outcome, PackedProfile, Parked, Sequence, StreamId,
    Tally, WorkosUserId, apply,
};
use event_lines::Message;
use read_model::{AnsweredProfile, Options, ReadModel};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Every row of the apply table that a stream can show, and what else the histories are for. The row
/// `reread` is the reader's: no stream holds a record twice at one place.
const SHOWN: [&str; 28] = [
    "behind",
    "conflict",
    "decision_void",
    "deleted",
    "dropped",
    "duplicate",
    "erased",
    "every_type",
    "invalid",
    "lane_full",
    "mapping_conflict",
    "mapping_moves",
    "newer_whole_state",
    "patch",
    "patch_base",
    "profile_before_user",
    "profile_conflict",
    "resurrect",
    "retried",
    "retried_for_identity",
    "stale",
    "superseded",
    "three_forms",
    "too_many_profiles",
    "unknown_type",
    "values",
    "version_gap",
    "version_jump",
];

/// What a history comes to: `<history>.expected.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    about: String,
    shows: Vec<String>,
    /// Of each line.
    outcomes: Vec<String>,
    /// What was counted beside them: records that left their lanes.
    healed: BTreeMap<String, u64>,
    /// By the token's `sub`: the query's value, to the byte.
    answers: BTreeMap<String, Box<RawValue>>,
    parked: Vec<StillParked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    same_digest_as: Option<String>,
    /// Of the rows as this release stores them: another layout has other digests.
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StillParked {
    sequence: u64,
    lane: Option<String>,
    reason: String,
    detail: Option<String>,
}

fn folders() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/golden");
    let entries = std::fs::read_dir(golden).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders
}

/// Every history of a contract version, and its expectations' file.
fn histories(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let expected = files.filter(|path| path.to_str().unwrap().ends_with(".expected.json"));
    let mut found: Vec<(PathBuf, PathBuf)> = expected
        .map(|path| (path.with_extension("").with_extension("ndjson"), path))
        .collect();
    found.sort();
    found
}

/// The messages of a file at their places: the one that a line names, else the next.
fn messages(path: &Path) -> Vec<(Sequence, Message)> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut last = 0;
    let place = |message: Message| {
        last = message.sequence.map_or(last + 1, Sequence::get);
        (Sequence::new(last).unwrap(), message)
    };
    let lines = text.lines().map(|line| Message::of_line(line.as_bytes()));
    lines.map(Result::unwrap).map(place).collect()
}

fn in_memory(messages: &[(Sequence, Message)]) -> (MemoryState, Vec<String>) {
    let mut state = MemoryState::default();
    let mut outcomes = Vec::new();
    for (place, message) in messages {
        let Ok(outcome) = message.with_record(*place, |record| apply(&mut state, record));
        outcomes.push(outcome.as_str().to_owned());
    }
    (state, outcomes)
}

/// The read model of a history, committed every so many records.
fn on_disk(folder: &Path, messages: &[(Sequence, Message)], together: usize) -> ReadModel {
    let mut model = ReadModel::open(folder, Options::default()).unwrap();
    for some in messages.chunks(together) {
        let mut batch = model.begin();
        let stream = || StreamId {
            name: "IDENTITY_EVENTS".into(),
            created_ns: 1,
        };
        let held = batch.checkpoint().cloned();
        let held = held.unwrap_or_else(|| Checkpoint::start_of(stream()));
        for (place, message) in some {
            message
                .with_record(*place, |record| apply(&mut batch, record))
                .unwrap();
        }
        let sequence = some.last().unwrap().0;
        let last = Fingerprint {
            sequence,
            time_ns: 1,
        };
        batch.commit(held.advanced(last)).unwrap();
    }
    model
}

/// What was counted beside the outcomes of the lines.
fn healed(tally: &Tally, outcomes: &[String]) -> BTreeMap<String, u64> {
    let of_lines = |outcome: Outcome| outcomes.iter().filter(|o| *o == outcome.as_str()).count();
    let more = tally.iter().map(|(outcome, count)| {
        let more = count - u64::try_from(of_lines(outcome)).unwrap();
        (outcome.as_str().to_owned(), more)
    });
    more.filter(|(_, more)| *more != 0).collect()
}

fn still_parked(parked: &Parked) -> StillParked {
    StillParked {
        sequence: parked.sequence().get(),
        lane: parked.lane.as_ref().map(ToString::to_string),
        reason: parked.reason.as_str().to_owned(),
        detail: Some(parked.detail.to_string()),
    }
}

/// What a history comes to in this release.
fn found(path: &Path, about: &Expected) -> Expected {
    let messages = messages(path);
    let (state, outcomes) = in_memory(&messages);
    let mut digests = BTreeSet::new();
    let mut answers = BTreeMap::new();
    let mut parked = Vec::new();
    for together in [1, 3, messages.len()] {
        let folder = tempfile::tempdir().unwrap();
        let model = on_disk(folder.path(), &messages, together);
        let reader = model.reader();
        let totals = reader.totals();
        assert_eq!(totals.outcomes, *state.tally(), "{}", path.display());
        digests.insert(totals.digest.to_string());
        for sub in about.answers.keys() {
            let identity = WorkosUserId::parse(sub).unwrap();
            let answer = reader.profile_of(&identity).unwrap();
            let answered = answer.profile().unwrap();
            answers.insert(sub.clone(), written(answered.as_ref()));
            let on_disk =
                answered.map(|found| (found.user, found.id, PackedProfile::from(&found.profile)));
            let in_memory = state.profile_of(&identity).map(|(user, live)| {
                let profile = live.profile.clone();
                (user.as_str(), live.id.as_str(), profile)
            });
            assert_eq!(on_disk, in_memory, "{sub} of {}", path.display());
        }
        let held = reader.inspect();
        let held = held.parked_after(0).unwrap();
        parked = held.map(|one| one.unwrap().parked).collect();
        let mut in_memory: Vec<Parked> = state.all_parked().cloned().collect();
        in_memory.sort_by_key(Parked::sequence);
        assert_eq!(parked, in_memory, "{}", path.display());
    }
    assert_eq!(digests.len(), 1, "{}: {digests:?}", path.display());
    Expected {
        about: about.about.clone(),
        shows: about.shows.clone(),
        healed: healed(state.tally(), &outcomes),
        outcomes,
        answers,
        parked: parked.iter().map(still_parked).collect(),
        same_digest_as: about.same_digest_as.clone(),
        digest: digests.into_iter().next().unwrap(),
    }
}

fn found_in(folder: &Path, name: &str) -> Expected {
    let text = std::fs::read_to_string(folder.join(format!("{name}.expected.json"))).unwrap();
    let expected = serde_json::from_str(&text).unwrap();
    found(&folder.join(format!("{name}.ndjson")), &expected)
}

fn written(answer: Option<&AnsweredProfile<'_>>) -> Box<RawValue> {
    let mut bytes = Vec::new();
    answer::write_profile(&mut bytes, Format::Clean, answer);
    RawValue::from_string(String::from_utf8(bytes).unwrap()).unwrap()
}

#[test]
fn every_history_comes_to_what_it_says() {
    for folder in folders() {
        let mut shown = BTreeSet::new();
        for (history, file) in histories(&folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            let expected: Expected = serde_json::from_str(&text).unwrap();
            let found = found(&history, &expected);
            let written = serde_json::to_string_pretty(&found).unwrap() + "\n";
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&file, &written).unwrap();
            } else {
                assert_eq!(written, text, "{}", file.display());
            }
            if let Some(other) = &found.same_digest_as {
                let other = found_in(&folder, other);
                assert_eq!(found.digest, other.digest, "{}", file.display());
            }
            shown.extend(expected.shows);
        }
        assert_eq!(
            shown,
            SHOWN.map(str::to_owned).into(),
            "{}",
            folder.display()
        );
    }
}

fn json(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The answers of all histories together show every member, and no more than is always there.
#[test]
fn the_answer_has_the_members_of_its_schema_and_of_the_api_document() {
    let mut members: Vec<BTreeSet<String>> = Vec::new();
    for (_, file) in folders().iter().flat_map(|folder| histories(folder)) {
        let text = std::fs::read_to_string(file).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        let answers = expected.answers.values();
        let answers = answers.map(|answer| serde_json::from_str::<Value>(answer.get()).unwrap());
        members.extend(answers.filter_map(|answer| {
            let members = answer.as_object()?;
            Some(members.keys().cloned().collect::<BTreeSet<String>>())
        }));
    }
    let all: BTreeSet<String> = members.iter().flatten().cloned().collect();
    let is_always = |name: &&String| members.iter().all(|some| some.contains(*name));
    let always: BTreeSet<String> = all.iter().filter(is_always).cloned().collect();
    let api =
        "/components/schemas/Response_profiles.queries.getCurrentUserProfile/properties/value";
    for (document, pointer) in [
        ("schemas/answer.json", "/$defs/profile"),
        ("crates/query/src/http/openapi.json", api),
    ] {
        let schema = json(document).pointer(pointer).cloned().unwrap();
        let required = schema["required"].as_array().unwrap();
        let required = required
            .iter()
            .map(|name| name.as_str().unwrap().to_owned());
        assert_eq!(required.collect::<BTreeSet<_>>(), always, "{document}");
        let properties = schema["properties"].as_object().unwrap().keys();
        assert_eq!(
            properties.cloned().collect::<BTreeSet<_>>(),
            all,
            "{document}"
        );
    }
}
