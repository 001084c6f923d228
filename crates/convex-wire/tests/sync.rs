//! What holds for every order of a client's messages (S1 to S4), and for every text of a client (W4).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use convex_wire::args::check_empty;
use convex_wire::sync::{End, Hashed, Received, Session};
use convex_wire::{FunctionError, FunctionKind, FunctionPath, TextMode, Timestamp};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const BYTES_MAX: usize = 1 << 20;

fn check(path: FunctionPath, called: FunctionKind, args: &RawValue) -> Result<(), FunctionError> {
    match called {
        FunctionKind::Query if path.to_string() == "m:f" => Ok(check_empty(&path, args)?),
        FunctionKind::Query | FunctionKind::Mutation | FunctionKind::Action => {
            Err(FunctionError::NotPublic(path))
        }
    }
}

/// What a client does, or what happens to it.
#[derive(Debug, Clone)]
enum Step {
    Connect,
    /// Adds ids that are not there and removes those that are, or the wrong way round; up by so many versions.
    Modify(Vec<(bool, u32, bool)>, u32),
    /// Signs in, with a token that holds for so long.
    SignIn(u64),
    SignOut,
    Mutation(u32),
    /// The value changes, to one of a few.
    Change(u8),
    Time(u64),
    /// A message that may be refused.
    Text(String),
}

fn steps() -> impl Strategy<Value = Step> {
    let change = (
        prop::bool::weighted(0.98),
        0..3_u32,
        prop::bool::weighted(0.8),
    );
    prop_oneof![
        1 => Just(Step::Connect),
        6 => (prop::collection::vec(change, 0..4), 1..3_u32).prop_map(|(c, up)| Step::Modify(c, up)),
        2 => (1..1_000_u64).prop_map(Step::SignIn),
        1 => Just(Step::SignOut),
        1 => any::<u32>().prop_map(Step::Mutation),
        4 => (0..3_u8).prop_map(Step::Change),
        2 => (0..400_u64).prop_map(Step::Time),
        1 => prop::option::weighted(0.1, texts()).prop_map(|text| text.map_or(Step::Time(10), Step::Text)),
    ]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        r#"\{"type":"(Connect|Authenticate|ModifyQuerySet|Mutation|Event)"(,"[a-zA-Z]{1,12}":([0-9]{1,12}|"[a-z0-9:=-]{0,40}"|null|\[\{\}\]))*\}"#,
    ]
}

/// A client and what it believes, with the session it talks to.
struct Client {
    session: Session,
    seconds: u64,
    value: u8,
    query_set: u32,
    identity: u32,
    /// The queries it has added; true for those that have a value.
    added: BTreeMap<u32, bool>,
    /// What it was told of each.
    told: BTreeMap<u32, Value>,
    /// The version it was told of last.
    version: Value,
    ts: Timestamp,
    connected: bool,
}

impl Client {
    fn new() -> Self {
        Self {
            session: Session::new(TextMode::Verbose, 3, BYTES_MAX, check),
            seconds: 1_000,
            value: 0,
            query_set: 0,
            identity: 0,
            added: BTreeMap::new(),
            told: BTreeMap::new(),
            version: json!({"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}),
            ts: Timestamp::ZERO,
            connected: false,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.seconds * 1_000_000_000)
    }

    fn wall(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn say(&mut self, message: &Value) -> Result<Received, End> {
        self.session
            .receive(&message.to_string(), self.now(), self.wall())
    }

    fn step(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Connect => {
                let id = "00000000-0000-4000-8000-000000000001";
                self.say(&json!({"type": "Connect", "sessionId": id, "connectionCount": 0}))?;
                assert!(!std::mem::replace(&mut self.connected, true));
            }
            Step::Modify(changes, up) => self.modify(&changes, up)?,
            Step::SignIn(seconds) => {
                let token = json!({"type": "Authenticate", "baseVersion": self.identity,
                    "tokenType": "User", "value": "t"});
                let Received::Verify { base_version, .. } = self.say(&token)? else {
                    panic!("a token that nobody verifies");
                };
                self.session
                    .authenticated(base_version, self.seconds + seconds)?;
                self.identity += 1;
            }
            Step::SignOut => {
                let nobody = json!({"type": "Authenticate", "baseVersion": self.identity,
                    "tokenType": "None"});
                self.say(&nobody)?;
                self.identity += 1;
            }
            Step::Mutation(id) => {
                let call =
                    json!({"type": "Mutation", "requestId": id, "udfPath": "m:f", "args": []});
                let Received::Reply(reply) = self.say(&call)? else {
                    panic!("a mutation without an answer");
                };
                let reply: Value = serde_json::from_str(&reply).unwrap();
                assert_eq!(
                    (&reply["requestId"], &reply["success"]),
                    (&json!(id), &json!(false))
                );
            }
            Step::Change(value) => {
                self.value = value;
                self.session.invalidate();
            }
            Step::Time(seconds) => self.seconds = self.seconds.saturating_add(seconds) - 10,
            // One that passes for a message moves the session to where the model cannot follow.
            Step::Text(text) => {
                self.session.receive(&text, self.now(), self.wall())?;
                return Err(End::Internal);
            }
        }
        Ok(())
    }

    fn modify(&mut self, changes: &[(bool, u32, bool)], up: u32) -> Result<(), End> {
        let mut added = self.added.clone();
        let mut modifications = Vec::new();
        let mut wrong = false;
        for &(right, id, good) in changes {
            let path = if good { "m:f" } else { "m:g" };
            let add = added.contains_key(&id) != right;
            if add {
                wrong |= added.insert(id, good).is_some();
                modifications
                    .push(json!({"type": "Add", "queryId": id, "udfPath": path, "args": [{}]}));
            } else {
                wrong |= added.remove(&id).is_none();
                modifications.push(json!({"type": "Remove", "queryId": id}));
            }
        }
        let (base, new) = (self.query_set, self.query_set + up);
        self.say(
            &json!({"type": "ModifyQuerySet", "baseVersion": base, "newVersion": new,
            "modifications": modifications}),
        )?;
        assert!(!wrong);
        self.query_set = new;
        // An id that came back is another query.
        let back = changes.iter().filter(|(_, id, _)| added.contains_key(id));
        back.for_each(|(_, id, _)| drop(self.told.remove(id)));
        self.added = added;
        Ok(())
    }

    fn update(&mut self) -> Result<(), End> {
        let (now, wall) = (self.now(), self.wall());
        if let Some(update) = self.session.update(wall)? {
            let value = Ok::<_, ()>(Hashed::new(self.value.to_string()));
            if let Some(transition) = update.finish(now, || 0, || value).unwrap() {
                self.hear(&serde_json::from_str(&transition.to_string()).unwrap());
            }
        }
        let versions = (&self.version["querySet"], &self.version["identity"]);
        assert_eq!(versions, (&json!(self.query_set), &json!(self.identity)));
        let known: Vec<_> = self.told.keys().collect();
        assert_eq!(known, self.added.keys().collect::<Vec<_>>());
        for (id, good) in &self.added {
            assert!(!good || self.told[id] == self.value, "{id} is stale");
        }
        Ok(())
    }

    fn hear(&mut self, transition: &Value) {
        assert_eq!(transition["startVersion"], self.version);
        self.version = transition["endVersion"].clone();
        let ts = Timestamp::parse(self.version["ts"].as_str().unwrap()).unwrap();
        assert!(ts > self.ts, "time stands still");
        self.ts = ts;
        let mut last = None;
        for modification in transition["modifications"].as_array().unwrap() {
            let id = u32::try_from(modification["queryId"].as_u64().unwrap()).unwrap();
            assert!(last.replace(id) < Some(id), "out of order");
            self.hear_of(id, modification);
        }
    }

    fn hear_of(&mut self, id: u32, modification: &Value) {
        if modification["type"] == "QueryRemoved" {
            assert!(!self.added.contains_key(&id), "{id} is still wanted");
            self.told.remove(&id);
            return;
        }
        let result = if self.added[&id] {
            "value"
        } else {
            "errorMessage"
        };
        let told = self.told.insert(id, modification[result].clone());
        assert_ne!(told.as_ref(), Some(&modification[result]), "told twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_always_knows_what_it_asked_for(script in prop::collection::vec((steps(), any::<bool>()), 0..40)) {
        let mut client = Client::new();
        for (step, pipelined) in script {
            // Updates may wait while messages come in.
            let result = client.step(step).and_then(|()| if pipelined { Ok(()) } else { client.update() });
            if let Err(end) = result {
                prop_assert_eq!(end.farewell().is_some(), end.close().is_none());
                return Ok(());
            }
        }
        client.update().ok();
    }

    #[test]
    fn no_text_makes_it_panic(texts in prop::collection::vec(texts(), 0..4)) {
        let mut session = Session::new(TextMode::Redacted, 3, BYTES_MAX, check);
        for text in texts {
            let (now, wall) = (Timestamp(u64::MAX), Duration::MAX);
            let Ok(_taken) = session.receive(&text, now, wall) else {
                return Ok(());
            };
            if let Ok(Some(update)) = session.update(wall) {
                update.finish::<Hashed, ()>(now, || 0, || Err(())).ok();
            }
        }
    }
}

#[test]
fn an_update_that_fails_has_not_taken_place() {
    let mut client = Client::new();
    client.modify(&[(true, 0, true)], 1).unwrap();
    let (now, wall) = (client.now(), client.wall());
    let update = client.session.update(wall).unwrap().unwrap();
    let failed = update.finish::<Hashed, _>(now, || 0, || Err("disk"));
    assert_eq!(failed, Err("disk"));
    drop(client.session.update(wall).unwrap().unwrap());
    client.update().unwrap();
}

/// What is told stands still where the wall clock was set back: a token is not held to it.
#[test]
fn a_token_runs_out_by_the_wall_clock() {
    let mut client = Client::new();
    client.step(Step::SignIn(300)).unwrap();
    client.modify(&[(true, 0, true)], 1).unwrap();
    let told = Timestamp((client.seconds + 18_000) * 1_000_000_000);
    let update = client.session.update(client.wall()).unwrap().unwrap();
    let transition = update.finish(told, || 0, || Ok::<_, ()>(Hashed::new("1".to_owned())));
    assert!(transition.unwrap().is_some());
    for (passed, is_good) in [(300, true), (1, false)] {
        client.seconds += passed;
        client.session.invalidate();
        let update = client.session.update(client.wall());
        assert_eq!(update.is_ok(), is_good);
    }
}

/// Equal queries have equal values: those that do not fit fail, and are told of again when the value changes.
#[test]
fn the_values_of_one_transition_are_bounded() {
    let mut session = Session::new(TextMode::Verbose, 8, 1000, check);
    let add = |id| json!({"type": "Add", "queryId": id, "udfPath": "m:f", "args": [{}]});
    let message = json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1,
        "modifications": (0..5).map(add).collect::<Vec<_>>()});
    let (now, wall) = (Timestamp(1), Duration::ZERO);
    session.receive(&message.to_string(), now, wall).unwrap();
    for (letter, bytes, fit) in [("a", 300, 3), ("b", 300, 3), ("c", 10, 5)] {
        session.invalidate();
        let value = json!(letter.repeat(bytes)).to_string();
        let update = session.update(wall).unwrap().unwrap();
        let told = update.finish(now, || 0, || Ok::<_, ()>(Hashed::new(value)));
        let told: Value = serde_json::from_str(&told.unwrap().unwrap().to_string()).unwrap();
        let told = told["modifications"].as_array().unwrap();
        let of = |kind: &str| told.iter().filter(|told| told["type"] == kind).count();
        assert_eq!((of("QueryUpdated"), of("QueryFailed")), (fit, 5 - fit));
        // What has failed is not told again of the same value.
        session.invalidate();
        let value = json!(letter.repeat(bytes)).to_string();
        let update = session.update(wall).unwrap().unwrap();
        let again = update.finish(now, || 0, || Ok::<_, ()>(Hashed::new(value)));
        assert_eq!(again.unwrap(), None);
    }
}
