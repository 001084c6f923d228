//! A service of a test's own: rows, keys, listeners on free ports. It ends with the test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convex_wire::TextMode;
use domain::{
    Checkpoint, Fingerprint, Gender, LiveProfile, Number, Phase, Profile, ProfileId, Progress,
    Sequence, State as _, StreamId, UserDocument, UserId, Version, WorkosUserId,
};
use query::auth::{AuthConfig, Verifier};
use query::server::{Server, Tls};
use query::{AdminDoor, Limits, QueryState, admin, http, sync};
use read_model::{Batch, Committed, Options, ReadModel};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::exchange::{Reply, ask, exchange, request};
use crate::tokens;

pub(crate) const FULL: &str = r#"{"_id":"j97fchahzkbf0y13se3se77vj56dq0cb","age":30.0,"bio":"hi","createdAt":1700000000000.0,"displayName":"Ada","gender":"female","languages":["en","fr"],"updatedAt":1700000000123.0,"userId":"j57bq0g31py2qjnt6amgqwq20x6dpzyk"}"#;
pub(crate) const MIN: &str = r#"{"_id":"j97fchahzkbf0y13se3se77vj56dq0cb","createdAt":1700000000000.0,"displayName":"Ada","languages":["en","fr"],"updatedAt":1700000000123.0,"userId":"user-min"}"#;
const GRACE: Duration = Duration::from_secs(5);

/// How a service differs from the usual one.
pub(crate) struct Setup {
    pub(crate) texts: TextMode,
    pub(crate) limits: Limits,
    /// An address to get the keys from instead of a file.
    pub(crate) jwks: Option<String>,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits {
            body_bytes: (1 << 24) + 2000,
            part_bytes: 1 << 25,
            ..Limits::default()
        };
        Self {
            texts: TextMode::Verbose,
            limits,
            jwks: None,
            tls: None,
        }
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) stop: CancellationToken,
    pub(crate) commits: broadcast::Sender<Arc<Committed>>,
    tasks: JoinSet<()>,
    model: ReadModel,
    sequence: u64,
    pub(crate) folder: TempDir,
}

impl Running {
    pub(crate) async fn start(setup: Setup) -> Self {
        query::auth::install_crypto();
        let folder = TempDir::new().unwrap();
        let model = rows(folder.path());
        let (progress, seen) = watch::channel(Progress {
            phase: Phase::Live,
            checkpoint: model.reader().checkpoint(),
            tail: Some(4711),
            ..Progress::default()
        });
        let (verifier, loader) = verifier(folder.path(), setup.jwks.as_deref());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(loader.run(stop.clone()));
        let patient = setup.jwks.is_some();
        let state = QueryState::new(
            model.reader(),
            Arc::new(verifier),
            seen,
            setup.texts,
            setup.limits.clone(),
        );
        let routes = http::router(Arc::clone(&state));
        let (commits, told) = broadcast::channel(16);
        tasks.spawn(sync::follow(Arc::clone(&state), told, GRACE, stop.clone()));
        let door = AdminDoor::open(folder.path(), vec!["test".to_owned()]).unwrap();
        let operators = admin::router(admin::Admin {
            query: state,
            door: Arc::clone(&door),
            more_metrics: Box::new(|page| page.rendered("some_metric 1\n")),
            more_status: Box::new(std::collections::BTreeMap::new),
            stopping: stop.clone(),
        });
        let mut listen = async |name, router, tls| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = Server {
                name,
                router,
                limits: setup.limits.clone(),
                tls,
            };
            tasks.spawn(server.serve(listener, GRACE, stop.clone()));
            address
        };
        let address = listen("public", routes, setup.tls).await;
        let admin = listen("admin", door.front(operators), None).await;
        let running = Self {
            address,
            admin,
            progress,
            stop,
            commits,
            tasks,
            model,
            sequence: 4711,
            folder,
        };
        if !patient {
            running.until_ready().await;
        }
        running
    }

    pub(crate) async fn ask(&self) -> Reply {
        exchange(self.address, &ask()).await
    }

    pub(crate) async fn admin(&self, target: &str) -> Reply {
        self.admin_with(target, &self.admin_token()).await
    }

    /// The same with another token.
    pub(crate) async fn admin_with(&self, target: &str, token: &str) -> Reply {
        let headers = [("Authorization".to_owned(), format!("Bearer {token}"))];
        exchange(self.admin, &request("GET", target, &headers, b"")).await
    }

    pub(crate) fn admin_token(&self) -> String {
        query::read_token(&self.folder.path().join(query::TOKEN_FILE)).unwrap()
    }

    pub(crate) async fn until_ready(&self) {
        while self.admin("/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    }

    /// Tells that rows up to here were committed.
    pub(crate) fn applied(&self, sequence: u64) {
        let checkpoint = Some(checkpoint(sequence));
        self.progress
            .send_modify(|progress| progress.checkpoint = checkpoint);
    }

    /// Commits what `change` does, and tells those who follow.
    pub(crate) fn commit(&mut self, change: impl FnOnce(&mut Batch<'_>)) -> Arc<Committed> {
        self.commit_at(self.sequence + 1, change)
    }

    /// The same for records up to this sequence.
    pub(crate) fn commit_at(
        &mut self,
        sequence: u64,
        change: impl FnOnce(&mut Batch<'_>),
    ) -> Arc<Committed> {
        self.sequence = sequence;
        let mut batch = self.model.begin();
        change(&mut batch);
        let committed = Arc::new(batch.commit(checkpoint(self.sequence)).unwrap());
        self.commits.send(Arc::clone(&committed)).unwrap();
        committed
    }

    /// Ends it, and sees that every task of it ended.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

fn verifier(folder: &Path, jwks: Option<&str>) -> (Verifier, query::auth::KeyLoader) {
    std::fs::write(folder.join("jwks.json"), tokens::jwks().to_string()).unwrap();
    let config = tokens::auth_config(jwks.unwrap_or("jwks.json"));
    let config = AuthConfig::parse(&config, folder).unwrap();
    Verifier::new(config, Arc::new(SystemTime::now)).unwrap()
}

fn checkpoint(sequence: u64) -> Checkpoint {
    let stream = StreamId {
        name: "IDENTITY_EVENTS".into(),
        created_ns: 1_795_420_800_000_000_000,
    };
    let sequence = Sequence::new(sequence).unwrap();
    Checkpoint::start_of(stream).advanced(Fingerprint {
        sequence,
        time_ns: 1_795_420_801_000_000_000,
    })
}

/// The rows that the cases speak of, as of sequence 4711.
fn rows(folder: &Path) -> ReadModel {
    let ada = ada();
    let aged = |age: f64| {
        Some(Profile {
            age: Some(Number(age)),
            ..ada.clone()
        })
    };
    let min = Profile {
        age: None,
        gender: None,
        bio: None,
        ..ada.clone()
    };
    let same = "j57bq0g31py2qjnt6amgqwq20x6dpzyk";
    let users = [
        ("user_1", same, Some(ada.clone())),
        ("user_min", "user-min", Some(min)),
        ("user_no_profile", "user-no-profile", None),
        ("user_minus_zero", "user-minus-zero", aged(-0.0)),
        ("user_nan", "user-nan", aged(f64::NAN)),
        ("user_infinity", "user-infinity", aged(f64::INFINITY)),
    ];
    let mut model = ReadModel::open(folder, Options::default()).unwrap();
    let mut batch = model.begin();
    for (identity, user, profile) in users {
        set_owner(&mut batch, identity, Some(user));
        set_profile(&mut batch, user, profile);
    }
    batch.commit(checkpoint(4711)).unwrap();
    model
}

/// The profile of [`FULL`].
pub(crate) fn ada() -> Profile {
    Profile {
        display_name: "Ada".into(),
        languages: vec!["en".into(), "fr".into()],
        created_at: Number(1_700_000_000_000.0),
        updated_at: Number(1_700_000_000_123.0),
        age: Some(Number(30.0)),
        gender: Some(Gender::Female),
        bio: Some("hi".into()),
        company: None,
        experience: None,
        field: None,
        goals: None,
        job_title: None,
        linkedin_url: None,
    }
}

/// Gives a user a profile, or none.
pub(crate) fn set_profile(batch: &mut Batch<'_>, user: &str, profile: Option<Profile>) {
    let user = UserId::parse(user).unwrap();
    batch.profiles_mut(&user).unwrap().live = profile.map(|profile| LiveProfile {
        id: ProfileId::parse("j97fchahzkbf0y13se3se77vj56dq0cb").unwrap(),
        version: Version::new(1).unwrap(),
        profile: (&profile).into(),
    });
}

/// Lets an identity be a user, or nobody.
pub(crate) fn set_owner(batch: &mut Batch<'_>, identity: &str, user: Option<&str>) {
    let user = user.map(|user| UserId::parse(user).unwrap());
    let identity = WorkosUserId::parse(identity).unwrap();
    batch.set_owner(&identity, user.as_ref()).unwrap();
    if let Some(user) = user {
        batch.user_mut(&user).unwrap().document = UserDocument::Live {
            version: Version::new(1).unwrap(),
            workos_id: identity,
        };
    }
}
