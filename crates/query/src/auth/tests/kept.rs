//! Key sets over a restart: which a start uses before its issuer answers, and for how long.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::kept::KeptFile;
use super::server::{Answer, Server};
use super::*;

const DAY: u64 = 24 * 60 * 60;

fn good() -> String {
    key_set(&[K1.entry("k1")])
}

fn config(issuers: &[&str], jwks: &str) -> AuthConfig {
    let issuers: Vec<_> = issuers
        .iter()
        .map(|issuer| serde_json::json!({"issuer": issuer, "jwks": jwks}))
        .collect();
    let document = serde_json::json!({ "issuers": issuers });
    AuthConfig::parse(&document.to_string(), Path::new("")).unwrap()
}

/// A verifier at this time that has begun on this folder, and its loader, which does not run yet.
async fn begun(config: AuthConfig, folder: &Path, now: u64) -> (Verifier, KeyLoader) {
    let clock = Clock::at(now);
    let (verifier, mut loader) = Verifier::new(config, clock.wall()).unwrap();
    loader.begin(folder).await;
    (verifier, loader)
}

fn running(loader: KeyLoader) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(loader.run(stop.clone()));
    stop.drop_guard()
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "waited for {what}");
}

/// The sets that are kept in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("signing-keys"));
    let paths = entries.into_iter().flatten().map(|e| e.unwrap().path());
    let is_whole = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
    paths.filter(is_whole).collect()
}

/// A folder with the set of an address at which nobody answers any more, kept at [`NOW`].
struct Kept {
    folder: tempfile::TempDir,
    url: String,
}

impl Kept {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Answer::document(&good())).await;
        let url = server.url.clone();
        let (verifier, loader) = begun(config(&[ISSUER], &url), folder.path(), NOW).await;
        assert!(!verifier.ready(), "a first start has no keys");
        let kept = Self { folder, url };
        let _run = running(loader);
        until("the file", || files(kept.folder.path()).len() == 1).await;
        assert!(verifier.ready());
        kept
    }

    fn file(&self) -> PathBuf {
        files(self.folder.path()).remove(0)
    }

    /// Whether a start at this time has keys before anybody answers.
    async fn ready_at(&self, now: u64) -> bool {
        let (verifier, _loader) =
            begun(config(&[ISSUER], &self.url), self.folder.path(), now).await;
        verifier.ready()
    }
}

#[tokio::test]
async fn a_restart_accepts_tokens_before_its_issuer_answers() {
    let kept = Kept::new().await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let file = kept.file();
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

    let (verifier, loader) =
        begun(config(&[ISSUER], &kept.url), kept.folder.path(), NOW + 60).await;
    assert!(verifier.verify(&Token::good().signed()).is_ok());
    let status = verifier.status().remove(0);
    assert_eq!(
        (status.usable, status.keys, status.age_seconds),
        (true, 1, Some(60))
    );

    let _run = running(loader);
    until("a failure", || verifier.status().remove(0).failures > 0).await;
    assert!(verifier.verify(&Token::good().signed()).is_ok());
}

#[tokio::test]
async fn the_issuers_answer_takes_the_place_of_what_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Answer::document(&good())).await;
    let now = || config(&[ISSUER], &server.url);
    let (verifier, loader) = begun(now(), folder.path(), NOW).await;
    let run = running(loader);
    until("the file", || !files(folder.path()).is_empty()).await;
    assert!(verifier.ready());
    drop(run);

    // The key was revoked meanwhile.
    server.set(Answer::document(&key_set(&[STRANGER.entry("k2")])));
    let (verifier, loader) = begun(now(), folder.path(), NOW).await;
    let by_k2 = Token::good().header("kid", r#""k2""#).signed_by(&STRANGER);
    let _run = running(loader);
    until("the new key", || verifier.verify(&by_k2).is_ok()).await;
    assert!(verifier.verify(&Token::good().signed()).is_err());
}

#[tokio::test]
async fn the_age_limit_holds_over_restarts_and_steps_of_the_clock() {
    let kept = Kept::new().await;
    for (name, now, ready) in [
        ("at once", NOW, true),
        ("nearly a day later", NOW + DAY - 60, true),
        ("more than a day later", NOW + DAY + 60, false),
        ("set right by a minute", NOW - 60, true),
        ("an hour before", NOW - 3600, false),
        ("in 1970", 0, false),
    ] {
        assert_eq!(kept.ready_at(now).await, ready, "{name}");
    }
    // Each start had it: none of them made it younger.
    assert!(!kept.ready_at(NOW + DAY + 60).await);
}

#[tokio::test(start_paused = true)]
async fn a_kept_set_grows_old_while_it_is_used() {
    // Time stands still but for who waits for it, so nothing is asked of an address here.
    let folder = tempfile::tempdir().unwrap();
    let address = "http://127.0.0.1:9/jwks";
    let file = KeptFile::of(folder.path(), address.to_owned(), vec![ISSUER.into()]);
    let hour = Duration::from_hours(1);
    let confirmed = UNIX_EPOCH + Duration::from_secs(NOW) - hour * 20;
    file.write(good().as_bytes(), confirmed).unwrap();
    let (verifier, _loader) = begun(config(&[ISSUER], address), folder.path(), NOW).await;
    assert!(verifier.ready());
    sleep(hour * 4).await;
    assert!(verifier.ready());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(
        verifier.verify(&Token::good().signed()),
        Err(AuthError::NoKeys)
    );
}

#[tokio::test]
async fn a_damaged_file_is_not_used() {
    let kept = Kept::new().await;
    let whole = fs::read(kept.file()).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(kept.file(), damaged).unwrap();
        assert!(!kept.ready_at(NOW).await, "the bit at {at}");
    }
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(kept.file(), &whole[..length]).unwrap();
        assert!(!kept.ready_at(NOW).await, "{length} bytes");
    }
    let large = [whole.clone(), vec![b' '; 200_000]].concat();
    fs::write(kept.file(), large).unwrap();
    assert!(!kept.ready_at(NOW).await, "a large one");
    fs::write(kept.file(), whole).unwrap();
    assert!(kept.ready_at(NOW).await);
}

#[tokio::test]
async fn what_is_no_file_of_ours_is_not_used() {
    let kept = Kept::new().await;
    let file = kept.file();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o602)).unwrap();
    assert!(!kept.ready_at(NOW).await, "anybody can write to it");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o660)).unwrap();
    assert!(kept.ready_at(NOW).await, "a volume's group may");
    let elsewhere = kept.folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(!kept.ready_at(NOW).await, "a link");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(!kept.ready_at(NOW).await, "a folder");
}

#[tokio::test]
async fn another_address_or_issuer_has_no_part_in_it() {
    let kept = Kept::new().await;
    let folder = kept.folder.path();
    let ready = async |issuers: &[&str], url: &str| {
        let (verifier, _loader) = begun(config(issuers, url), folder, NOW).await;
        verifier.ready()
    };
    assert!(ready(&[ISSUER], &kept.url).await);
    assert!(!ready(&["https://other.example/"], &kept.url).await);
    assert!(!ready(&[ISSUER, "https://other.example/"], &kept.url).await);
    let other = "http://127.0.0.1:9/jwks";
    assert!(!ready(&[ISSUER], other).await);

    // The file of one address under the name of another.
    let names = KeptFile::of(folder, other.to_owned(), vec![ISSUER.into()]);
    fs::copy(kept.file(), &names.path).unwrap();
    assert!(!ready(&[ISSUER], other).await);
}

#[tokio::test]
async fn keys_of_a_file_are_there_when_it_has_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    fs::write(&path, good()).unwrap();
    let jwks = path.to_str().unwrap();
    let (verifier, _loader) = begun(config(&[ISSUER], jwks), folder.path(), NOW).await;
    assert!(verifier.verify(&Token::good().signed()).is_ok());
    assert!(!folder.path().join("signing-keys").exists());
    fs::remove_file(&path).unwrap();
    let (verifier, _loader) = begun(config(&[ISSUER], jwks), folder.path(), NOW).await;
    assert!(!verifier.ready());
}
