//! Object stores as others leave them: what cannot be a snapshot is refused by name, whatever bytes it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::ensure;
use async_nats::jetstream::object_store::ObjectStore as TheirStore;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use jetstream::{ApiPrefix, Connection, NoLogin, ObjectError, ObjectStore, Settings};
use serde_json::{Value, json};
use tests::broker::Broker;
use tests::raw::RawPublisher;
use tests::service::run_to_end;
use tokio::io::AsyncReadExt;

const BUCKET: &str = "snapshots";

async fn connection(broker: &Broker) -> anyhow::Result<Connection> {
    let settings = Settings {
        servers: vec![broker.server.url().parse()?],
        login: Arc::new(NoLogin),
        api: ApiPrefix::default(),
        name: "test".to_owned(),
        inbox: "_INBOX_test".to_owned(),
    };
    Ok(Connection::open(settings).await?)
}

async fn read(store: &ObjectStore, object: &str) -> Result<Vec<u8>, ObjectError> {
    let mut reader = store.read(object).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next().await? {
        bytes.extend(chunk);
    }
    Ok(bytes)
}

async fn write(store: &ObjectStore, object: &str, bytes: &[u8]) -> Result<(), ObjectError> {
    let mut writer = store.write(object, BTreeMap::new());
    for piece in bytes.chunks(writer.piece_max()) {
        writer.put(piece.to_vec().into()).await?;
    }
    writer.finish().await
}

fn bytes(count: usize) -> Vec<u8> {
    (0..=255).cycle().take(count).collect()
}

/// What the store says of an object, published as it is.
async fn say(broker: &Broker, object: &str, says: &[u8]) -> anyhow::Result<()> {
    let subject = format!("$O.{BUCKET}.M.{}", BASE64_URL_SAFE.encode(object));
    let jetstream = broker.jetstream().await?;
    jetstream
        .publish(subject, says.to_vec().into())
        .await?
        .await?;
    Ok(())
}

/// What the store says of an object.
async fn said(theirs: &TheirStore, object: &str) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(theirs.info(object).await?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_library_stores_the_other_reads() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    broker.create_bucket(BUCKET).await?;
    let theirs = broker.jetstream().await?.get_object_store(BUCKET).await?;
    let connection = connection(&broker).await?;
    let ours = ObjectStore::open(&connection, BUCKET).await?;
    for size in [0, 1, 131_072, 1_500_000] {
        let whole = bytes(size);
        theirs.put("theirs/a", &mut whole.as_slice()).await?;
        ensure!(read(&ours, "theirs/a").await? == whole, "{size}");
        write(&ours, "ours/a", &whole).await?;
        let mut found = Vec::new();
        theirs.get("ours/a").await?.read_to_end(&mut found).await?;
        ensure!(found == whole, "{size}");
    }
    // The chunks of what had the name before are gone.
    let state = broker
        .jetstream()
        .await?
        .get_stream(format!("OBJ_{BUCKET}"))
        .await?;
    let messages = state.cached_info().state.messages;
    ensure!(messages == 12 + 3 + 2, "{messages}");
    theirs.delete("ours/a").await?;
    ensure!(read(&ours, "ours/a").await == Err(ObjectError::Missing));
    theirs
        .add_link("linked", &theirs.info("theirs/a").await?)
        .await?;
    ensure!(read(&ours, "linked").await == Err(ObjectError::Link));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_objects_are_refused_by_name() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    broker.create_bucket(BUCKET).await?;
    let jetstream = broker.jetstream().await?;
    let theirs = jetstream.get_object_store(BUCKET).await?;
    let connection = connection(&broker).await?;
    let ours = ObjectStore::open(&connection, BUCKET).await?;
    let whole = bytes(300_000);

    // A chunk that is gone.
    theirs.put("gone", &mut whole.as_slice()).await?;
    let stream = jetstream.get_stream(format!("OBJ_{BUCKET}")).await?;
    stream.delete_message(2).await?;
    let expected = ObjectError::CutOff {
        said: 300_000,
        found: 300_000 - 131_072,
    };
    ensure!(read(&ours, "gone").await == Err(expected));

    // Descriptions that say what is not so.
    theirs.put("good", &mut whole.as_slice()).await?;
    let good = said(&theirs, "good").await?;
    let changed = |name: &str, value: Value| {
        let mut said = good.clone();
        said[name] = value;
        said.to_string()
    };
    let digest = format!("SHA-256={}", BASE64_URL_SAFE.encode([7; 32]));
    for (object, says, expected) in [
        (
            "digest",
            changed("digest", digest.into()),
            ObjectError::Differs,
        ),
        (
            "huge",
            changed("size", json!(1_000_000_000_000_u64)),
            ObjectError::CutOff {
                said: 1_000_000_000_000,
                found: 300_000,
            },
        ),
        (
            "short",
            changed("size", json!(5)),
            ObjectError::TooLong { said: 5 },
        ),
    ] {
        say(&broker, object, says.as_bytes()).await?;
        let found = read(&ours, object).await;
        ensure!(found == Err(expected.clone()), "{object}: {found:?}");
    }
    for (object, says) in [
        ("text", "no JSON".to_owned()),
        ("empty", String::new()),
        ("list", "[]".to_owned()),
        ("negative", changed("size", json!(-1))),
        ("wild", changed("nuid", json!(">"))),
        ("lines", changed("nuid", json!("a\r\nPUB x 0\r\n"))),
        ("nameless", changed("nuid", json!(""))),
    ] {
        say(&broker, object, says.as_bytes()).await?;
        let found = read(&ours, object).await;
        let is_named = matches!(found, Err(ObjectError::Description(_)));
        ensure!(is_named, "{object}: {found:?}");
    }

    told_to_who_types(&broker).await
}

/// Whoever types a command is told which object, and why.
async fn told_to_who_types(broker: &Broker) -> anyhow::Result<()> {
    let url = broker.server.url();
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("model");
    let data = data.to_str().unwrap();
    for (object, why) in [
        ("gone", "is no snapshot"),
        (
            "text",
            "object text: the object store snapshots: what the store says of it",
        ),
        ("none", "there is no object none"),
    ] {
        let at = format!("object:{BUCKET}/{object}");
        let words = ["restore", &at, "--nats-url", &url, "--data-dir", data];
        let (code, told) = run_to_end(&words).await?;
        ensure!(code == Some(1) && told.contains(why), "{object}: {told}");
    }
    Ok(())
}

/// Odd header bytes in the bucket's stream stop the client library, and nothing of ours.
#[tokio::test(flavor = "multi_thread")]
async fn odd_header_bytes_in_a_bucket_do_not_matter() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    broker.create_bucket(BUCKET).await?;
    let connection = connection(&broker).await?;
    let ours = ObjectStore::open(&connection, BUCKET).await?;
    let whole = bytes(700_000);
    write(&ours, "a", &whole).await?;
    let jetstream = broker.jetstream().await?;
    let theirs = jetstream.get_object_store(BUCKET).await?;
    let described = said(&theirs, "a").await?.to_string();
    let nuid = said(&theirs, "a").await?["nuid"]
        .as_str()
        .unwrap()
        .to_owned();
    let server = ([127, 0, 0, 1], broker.server.port()).into();
    let mut raw = RawPublisher::connect(server).await?;
    let subject = format!("$O.{BUCKET}.M.{}", BASE64_URL_SAFE.encode("a"));
    for block in [
        &b"NATS/1.0\r\nuser name: x\r\n\r\n"[..],
        b"NATS/1.0\r\na: M\xfcller\r\n\r\n",
        b"NATS/1.0\r\na: a\rb\r\n\r\n",
    ] {
        raw.publish(subject.as_bytes(), block, described.as_bytes())
            .await?;
        raw.settle().await?;
        ensure!(read(&ours, "a").await? == whole, "{}", block.escape_ascii());
    }
    // All that is said to be there was read before, and nobody looks behind it.
    let chunks = format!("$O.{BUCKET}.C.{nuid}");
    let block = b"NATS/1.0\r\na b: \xff\r\n\r\n";
    raw.publish(chunks.as_bytes(), block, b"more").await?;
    raw.settle().await?;
    ensure!(read(&ours, "a").await? == whole);
    Ok(())
}
