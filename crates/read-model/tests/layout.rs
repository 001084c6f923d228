//! What reaches the disk keeps its bytes as long as it keeps its number.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use domain::testing::{
    Form, Message, named, profile_patched, profile_state, records, user_deleted, user_erased,
    user_state,
};
use domain::{Checkpoint, Fingerprint, StreamId, apply};
use read_model::{Incoming, Options, Place, ReadModel};
use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableHandle};
use serde_json::json;

/// Every kind of row.
fn messages() -> Vec<Message> {
    let members = json!({
        "displayName": "Zoë", "languages": ["English", "Français"], "createdAt": 0.5, "updatedAt": 2,
        "age": 36, "gender": "non-binary", "bio": "b", "company": "c", "experience": "e", "field": "f",
        "goals": "g", "jobTitle": "j", "linkedinUrl": "l",
    });
    let bare = |subject: &str| Message::bare(subject, "{");
    vec![
        user_state("u1", 1, "user_a").message(Form::Binary),
        profile_state("u1", "p1", 300, &members).message(Form::Binary),
        user_state("u2", 1, "user_a").message(Form::Binary),
        profile_patched("u1", "p1", 9, &json!({ "bio": null })).message(Form::Structured),
        profile_patched("u1", "p1", 900, &json!({ "bio": null })).message(Form::Structured),
        profile_state("u1", "p2", 1, &named("Other")).message(Form::Binary),
        user_state("u3", 1, "user_c").message(Form::Binary),
        user_deleted("u3", 2).message(Form::Binary),
        user_erased("u4", 1).message(Form::Binary),
        bare("identity.v1.u1.user"),
        bare("identity.v1.u1.quarantine"),
        bare("identity"),
    ]
}

/// Two commits, or as many spills.
fn made(folder: &Path, spilled: bool) -> ReadModel {
    let mut model = ReadModel::open(folder, Options::default()).unwrap();
    let start = Checkpoint::start_of(StreamId {
        name: "S".into(),
        created_ns: 5,
    });
    for records in records(&messages()).chunks(7) {
        let mut batch = model.begin();
        let mut to = batch.checkpoint().cloned().unwrap_or(start.clone());
        for record in records {
            let at = Fingerprint {
                sequence: record.sequence,
                time_ns: 7,
            };
            batch.arrives(at);
            record.with_ref(|record| apply(&mut batch, record)).unwrap();
            to = to.advanced(at);
        }
        if spilled {
            batch.spill(to, 0).unwrap();
        } else {
            batch.commit(to).unwrap();
        }
    }
    model.mark_live().unwrap();
    model
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The layout that a file says it has, and all that is in its tables, a line a row.
fn dump(folder: &Path) -> (u32, String) {
    let database = redb::Database::open(Place::Live.path(folder)).unwrap();
    let transaction = database.begin_read().unwrap();
    let mut names: Vec<String> = transaction
        .list_tables()
        .unwrap()
        .map(|table| table.name().to_owned())
        .collect();
    names.sort();
    let (mut layout, mut text) = (0, String::new());
    for name in names {
        let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(&name);
        let table = transaction.open_table(definition).unwrap();
        for row in table.iter().unwrap() {
            let (key, row) = row.unwrap();
            if key.value() == b"layout" {
                layout = u32::from_le_bytes(*row.value().first_chunk().unwrap());
            }
            // It names the release, so it differs from one to the next; its own test holds its form.
            let is_origin = key.value() == b"origin";
            let row = if is_origin {
                String::new()
            } else {
                hex(row.value())
            };
            let key = hex(key.value());
            let _ = writeln!(text, "{name} {key} {row}");
        }
    }
    (layout, text)
}

/// Compares with what is kept of this number. A number that is new has nothing yet: it is written then.
#[track_caller]
fn assert_kept(name: &str, layout: u32, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = path.join(format!("{name}-{layout}.txt"));
    if !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
        panic!(
            "{} is written: keep it, and remove that of the number before",
            path.display()
        );
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(
        found, kept,
        "the bytes changed, so LAYOUT has to: it is still {layout}"
    );
}

#[test]
fn r4_rows_keep_their_bytes_as_long_as_their_layout_has_its_number() {
    for (name, spilled) in [("rows", false), ("spilled", true)] {
        let folder = tempfile::tempdir().unwrap();
        drop(made(folder.path(), spilled));
        let (layout, found) = dump(folder.path());
        assert_kept(name, layout, &found);
    }
}

#[test]
fn r4_so_does_a_snapshot_and_the_kept_one_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let model = made(folder.path(), false);
    let inspection = model.reader().inspect();
    let mut bytes = Vec::new();
    let on = |_| ControlFlow::Continue(());
    inspection.write_snapshot(&mut bytes, on).unwrap();
    let layout = inspection.manifest().unwrap().layout;
    let lines: Vec<String> = bytes.chunks(60).map(hex).collect();
    assert_kept("snapshot", layout, &(lines.join("\n") + "\n"));

    let other = tempfile::tempdir().unwrap();
    let incoming = Incoming::open(bytes.as_slice()).unwrap();
    incoming
        .restore(other.path(), Options::default(), on)
        .unwrap();
    let restored = ReadModel::open(other.path(), Options::default()).unwrap();
    assert_eq!(restored.reader().totals(), model.reader().totals());
    assert!(restored.reader().inspect().audit().unwrap().is_clean());
}
