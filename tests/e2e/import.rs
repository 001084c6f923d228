//! `import`: a Convex export becomes users and profiles, once; what does not fit is told by row.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::service::{Ended, command, peak_memory_of};
use tests::world::World;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::golden;

/// Writes a zip of these files.
fn zip(path: PathBuf, files: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    let mut zip = ZipWriter::new(std::fs::File::create(&path)?);
    for (name, text) in files {
        zip.start_file(*name, SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    zip.finish()?;
    Ok(path)
}

/// An export of these two tables, with the files around them that every export has.
fn export(path: PathBuf, users: &str, profiles: &str) -> anyhow::Result<PathBuf> {
    let files = [
        ("README.md", "Welcome to your Convex snapshot export!"),
        ("_tables/documents.jsonl", ""),
        ("profiles/documents.jsonl", profiles),
        ("profiles/generated_schema.jsonl", "{}"),
        ("users/documents.jsonl", users),
    ];
    zip(path, &files)
}

fn lines(rows: &[Value]) -> String {
    let rows: Vec<_> = rows.iter().map(ToString::to_string).collect();
    rows.join("\n") + "\n"
}

fn user(id: &str, identity: &str) -> Value {
    json!({
        "_id": id, "_creationTime": 1_795_420_800_000.5, "workosUserId": identity,
        "email": "someone@example.com", "isActive": false,
        "createdAt": 1_795_420_800_000.0, "updatedAt": {"$integer": "IQAAAAAAAAA="},
    })
}

fn profile(id: &str, user: &str, name: &str) -> Value {
    json!({
        "_id": id, "_creationTime": 1.0, "userId": user, "displayName": name, "languages": ["English"],
        "createdAt": 1.0, "updatedAt": 2.5, "age": {"$float": "AAAAAAAAAIA="},
    })
}

fn with(mut row: Value, member: &str, value: Value) -> Value {
    row[member] = value;
    row
}

async fn import(world: &World, export: &Path, more: &[&str]) -> anyhow::Result<Ended> {
    let (url, export) = (world.broker.server.url(), export.to_str().unwrap());
    let arguments = ["import", export, "--nats-url", &url];
    command(&[&arguments[..], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_becomes_answers_once_however_often_it_is_imported() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    let users = lines(&[
        user("u1", "user_a"),
        with(user("u2", "user_b"), "theme", json!("dark")),
    ]);
    let profiles = lines(&[profile("p1", "u1", "Ada"), profile("p2", "u2", "Grace")]);
    let file = export(world.data("export.zip"), &users, &profiles)?;
    let dry = import(&world, &file, &["--dry-run"]).await?;
    let fits = "2 users and 2 profiles fit, 0 rows do not\n";
    let left_out = "users: member theme of 1 row is not in the contract and is left out\n";
    let expected = Ended {
        code: Some(0),
        output: fits.into(),
        said: left_out.into(),
    };
    assert_eq!(dry, expected);
    let untouched = service.status_when("the tail", |status| status["tail_sequence"] == 0);
    untouched.await?;

    let first = import(&world, &file, &["--wait", &url]).await?;
    let said =
        "IDENTITY_EVENTS: 4 new, 0 duplicates, 0 refused; the last is at sequence 4, and applied\n";
    assert_eq!(
        (first.code, &*first.output, &*first.said),
        (Some(0), said, left_out)
    );
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    let value = &answer.body["value"];
    assert_eq!((&value["_id"], &value["age"]), (&json!("p1"), &json!(-0.0)));
    assert_eq!(
        (&value["displayName"], &value["updatedAt"]),
        (&json!("Ada"), &json!(2.5))
    );

    // Changed in the stream since, changed in the export since, and new in the export.
    let newer = domain::testing::profile_state("u1", "p1", 2, &domain::testing::named("Countess"));
    world
        .broker
        .publish([newer.message(domain::testing::Form::Binary)])
        .await?;
    let profiles = [
        profile("p1", "u1", "Ada"),
        profile("p2", "u2", "Admiral"),
        profile("p3", "u3", "Joan"),
    ];
    let users = format!("{users}{}", lines(&[user("u3", "user_c")]));
    let later = export(world.data("later.zip"), &users, &lines(&profiles))?;
    let again = import(&world, &later, &["--wait", &url]).await?;
    assert_eq!(
        again.output,
        "IDENTITY_EVENTS: 2 new, 2 duplicates, 1 passed by a later version, 1 refused; the last is at sequence 7, and applied\n"
    );
    let refused = "profiles row 2: data.entity.version: found version 1 with other data, expected what the stream has for it at sequence 4\n";
    assert_eq!(again.said, format!("{refused}{left_out}"));
    assert_eq!(again.code, Some(1));

    // As a file it is what `check` and `publish` take.
    let events = world.data("events.ndjson");
    let events = events.to_str().unwrap();
    let written = import(&world, &later, &["--output", events]).await?;
    let fits = "3 users and 3 profiles fit, 0 rows do not\n";
    assert_eq!(written.said, format!("{left_out}{fits}"));
    let checked = command(&["check", events]).await?;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let there = import(&world, &later, &["--output", events]).await?;
    assert_eq!(there.code, Some(1));
    assert!(
        there
            .said
            .ends_with("events.ndjson cannot be made: File exists (os error 17)\n"),
        "{there:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_fit_is_told_by_row_member_and_kind() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut users = lines(&[
        user("u1", "user_a"),
        user("u1", "user_b"),
        user("u2", "user_a"),
        user("a@b.example", "user_c"),
        with(user("u3", "user_d"), "_id", Value::Null),
        with(user("u3", "user_d"), "email", Value::Null),
        with(
            user("u3", "user_d"),
            "createdAt",
            json!({"$float": "AAAAAAAA+H8="}),
        ),
        with(user("u3", "user_d"), "updatedAt", json!("33")),
        with(user("u3", "user_d"), "orgId", json!({"$bytes": "AA=="})),
        json!(["u3"]),
    ]);
    users.push_str("{\"_id\": \"u3\", \"_id\": \"u3\"}\n{\"_id\": \"u3\"\n\n");
    users.push_str(&lines(&[json!({"_id": "x".repeat(400_000)})]));
    users.push_str(&lines(&[user("u9", "user_z")]));
    let second = profile("p2", "u1", "second");
    let profiles = lines(&[
        profile("p1", "u1", "Ada"),
        profile("p1", "u9", "same id"),
        second,
        profile("p3", "u2", "user was refused"),
        profile("p4", "nobody", "no user"),
        with(profile("p5", "u9", "x"), "gender", json!("other")),
        with(profile("p5", "u9", "x"), "languages", json!("English")),
        with(
            profile("p5", "u9", "x"),
            "displayName",
            json!({"$integer": "IQAAAAAAAAA="}),
        ),
        with(
            profile("p5", "u9", "x"),
            "age",
            json!({"$float": "not base64"}),
        ),
        profile("p5", "u9", "Zoe"),
    ]);
    let file = export(world.data("export.zip"), &users, &profiles)?;
    let ended = import(&world, &file, &["--dry-run"]).await?;
    assert_eq!(ended.code, Some(1));
    assert!(!ended.said.contains("example") && !ended.said.contains("English"));
    golden::assert(
        "import_rows.txt",
        &format!("{}{}", ended.said, ended.output),
    );
    let ended = import(&world, &file, &["--dry-run", "--json"]).await?;
    golden::assert("import_rows.json.txt", &ended.output);
    let ended = import(&world, &file, &[]).await?;
    let said = "IDENTITY_EVENTS: 4 new, 0 duplicates, 20 refused; the last is at sequence 4\n";
    assert_eq!(ended.output, said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_export_is_told_in_one_line() -> anyhow::Result<()> {
    let world = World::new().await?;
    let write = |name: &str, bytes: &[u8]| {
        let path = world.data(name);
        std::fs::write(&path, bytes).map(|()| path)
    };
    let good = export(world.data("good.zip"), &lines(&[user("u1", "a")]), "")?;
    let bytes = std::fs::read(&good)?;
    let mut damaged = bytes.clone();
    let place = bytes
        .windows(21)
        .position(|name| name == b"users/documents.jsonl")
        .unwrap();
    for byte in &mut damaged[place + 30..place + 60] {
        *byte ^= 0x55;
    }
    let cases = [
        world.data("missing.zip"),
        world.data("."),
        PathBuf::from("-"),
        write("empty.zip", b"")?,
        write("text.zip", b"{\"_id\": \"u1\"}\n")?,
        write("cut.zip", &bytes[..bytes.len() / 2])?,
        write("damaged.zip", &damaged)?,
        zip(world.data("other.zip"), &[("a.txt", "x")])?,
        zip(
            world.data("users.zip"),
            &[("users/documents.jsonl", ""), ("todos/documents.jsonl", "")],
        )?,
    ];
    let mut told = String::new();
    for file in cases {
        let ended = import(&world, &file, &["--dry-run"]).await?;
        assert_eq!(
            (ended.code, &*ended.output),
            (Some(1), ""),
            "{}",
            file.display()
        );
        told.push_str(&ended.said);
    }
    let folder = world.data("");
    let told = told.replace(folder.to_str().unwrap(), "FOLDER/");
    golden::assert("import_no_export.txt", &told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_unpacks_to_something_huge_takes_little_memory() -> anyhow::Result<()> {
    const MIB: usize = 1 << 20;
    let world = World::new().await?;
    let path = world.data("bomb.zip");
    let mut zip = ZipWriter::new(std::fs::File::create(&path)?);
    zip.start_file("profiles/documents.jsonl", SimpleFileOptions::default())?;
    zip.start_file("users/documents.jsonl", SimpleFileOptions::default())?;
    for _ in 0..100 {
        zip.write_all(&vec![b'x'; MIB])?;
    }
    zip.finish()?;
    assert!(usize::try_from(path.metadata()?.len())? < MIB);
    let arguments = ["import", path.to_str().unwrap(), "--dry-run"];
    let peak = peak_memory_of(&arguments).await?;
    assert!(peak < 50 * MIB, "it took {peak} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_found_in_a_folder_and_beside_what_finder_adds() -> anyhow::Result<()> {
    let world = World::new().await?;
    let users = lines(&[user("u1", "user_a")]);
    let profiles = lines(&[profile("p1", "u1", "Ada")]);
    let tables = |folder: &str| {
        ["users", "profiles"].map(|table| format!("{folder}{table}/documents.jsonl"))
    };
    let dry = async |name: &str, folders: &[&str]| {
        let names: Vec<[String; 2]> = folders.iter().map(|folder| tables(folder)).collect();
        let mut files = vec![
            ("snapshot_1/.DS_Store", "\0\0"),
            ("__MACOSX/snapshot_1/users/._documents.jsonl", "\0"),
            ("__MACOSX/users/documents.jsonl", "\0"),
            ("_components/auth/users/documents.jsonl", "{}"),
        ];
        for [of_users, of_profiles] in &names {
            files.extend([(&**of_users, &*users), (&**of_profiles, &*profiles)]);
        }
        let file = zip(world.data(name), &files)?;
        import(&world, &file, &["--dry-run"]).await
    };
    let fits = "1 user and 1 profile fit, 0 rows do not\n";
    for (name, folder) in [("plain", ""), ("folder", "snapshot_1/"), ("deep", "a/b c/")] {
        let told = dry(name, &[folder]).await?;
        assert_eq!((told.code, &*told.output), (Some(0), fits), "{told:?}");
    }
    let told = dry("two", &["one/", "two/"]).await?;
    assert!(told.said.contains("more than one export"), "{told:?}");
    let told = dry("none", &[]).await?;
    assert!(
        told.said.contains("it has no users/documents.jsonl"),
        "{told:?}"
    );
    assert_eq!(told.code, Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_in_an_export_is_named() -> anyhow::Result<()> {
    let world = World::new().await?;
    let users = format!("\u{feff}{}", lines(&[user("u1", "user_a")]));
    let profiles = lines(&[profile("p1", "u1", "Ada")]);
    let file = export(world.data("marked.zip"), &users, &profiles)?;
    let told = import(&world, &file, &["--dry-run"]).await?;
    let first = told.said.lines().next().unwrap();
    assert_eq!(
        first,
        "users row 1: row: found a byte order mark, expected one JSON object in UTF-8, without a byte order mark"
    );
    Ok(())
}
