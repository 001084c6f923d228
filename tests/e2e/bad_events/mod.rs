//! A long stream of which one event in a hundred is bad: the good are answered, the bad are parked for
//! the right reasons, and healing, decisions, replicas and rebuilds agree.

mod kinds;

use std::collections::{BTreeMap, BTreeSet};

use domain::testing::{Form, Message, dropped, named, profile_patched, profile_state, user_state};
use futures::{StreamExt, TryStreamExt, stream};
use query::quarantine::Page;
use serde_json::json;
use tests::service::Service;
use tests::world::World;

use kinds::Bad;

/// Versions of everybody's profile; with the registration, 55 good events a person.
const VERSIONS: u64 = 54;
/// People whose events come in turn; the next ones come behind them.
const AT_A_TIME: usize = 60;
/// Questions under way at a time.
const ASKED_AT_A_TIME: usize = 32;

/// Events in all. `BAD_EVENTS_TOTAL` makes the stream longer or shorter.
fn total() -> usize {
    let wanted = std::env::var_os("BAD_EVENTS_TOTAL");
    wanted.map_or(100_000, |wanted| wanted.to_str().unwrap().parse().unwrap())
}

struct Person {
    user: String,
    profile: String,
    identity: String,
    /// An identity that somebody else has by then.
    neighbour: String,
}

impl Person {
    fn new(number: usize) -> Self {
        let neighbour = if number == 0 { 1 } else { number - 1 };
        Self {
            user: format!("u{number:05}"),
            profile: format!("p{number:05}"),
            identity: format!("user_{number}"),
            neighbour: format!("user_{neighbour}"),
        }
    }

    fn second_profile(&self) -> String {
        format!("q{}", self.profile)
    }

    /// The good event of this version, in one form or another.
    fn good(&self, version: u64) -> Message {
        let form = Form::ALL[usize::try_from(version).unwrap() % 3];
        if version == 0 {
            return user_state(&self.user, 1, &self.identity).message(form);
        }
        if version % 10 == 9 {
            let patch = json!({"bio": format!("patched in {version}")});
            return profile_patched(&self.user, &self.profile, version, &patch).message(form);
        }
        let state = named(&format!("{} {version}", self.user));
        profile_state(&self.user, &self.profile, version, &state).message(form)
    }
}

/// What has to be in the quarantine: by sequence, the person's number and the reason.
type Expected = BTreeMap<u64, (usize, Parked)>;

struct Parked {
    reason: &'static str,
    heals: bool,
    names_user: bool,
}

/// The stream, and what of it has to be parked at its end.
fn written(people: &[Person], bad: usize) -> (Vec<Message>, Expected) {
    let mut messages = Vec::new();
    let mut expected = Expected::new();
    for (turn, some) in people.chunks(AT_A_TIME).enumerate() {
        for version in 0..=VERSIONS {
            messages.extend(some.iter().map(|person| person.good(version)));
        }
        for (place, person) in some.iter().enumerate() {
            let number = turn * AT_A_TIME + place;
            if bad <= expected.len() {
                break;
            }
            for Bad {
                message,
                reason,
                heals,
            } in kinds::of(person, number)
            {
                let names_user = message.subject.is_ascii();
                messages.push(message);
                let sequence = u64::try_from(messages.len()).unwrap();
                let parked = Parked {
                    reason,
                    heals,
                    names_user,
                };
                expected.insert(sequence, (number, parked));
            }
        }
    }
    (messages, expected)
}

/// The quarantine as the operators' listener tells it, page by page: sequences and reasons.
async fn quarantine(service: &Service) -> anyhow::Result<BTreeMap<u64, String>> {
    let mut found = BTreeMap::new();
    let mut after = Some(0);
    while let Some(sequence) = after {
        let route = format!("/quarantine?limit=500&after={sequence}");
        let (_, body) = service.client.operator(&route).await?;
        let page: Page = serde_json::from_str(&body)?;
        let records = page.records.into_iter();
        found.extend(records.map(|record| (record.sequence, record.reason)));
        after = page.next;
    }
    Ok(found)
}

fn reasons(expected: &Expected) -> BTreeMap<u64, String> {
    let reasons = expected.iter();
    reasons
        .map(|(sequence, (_, parked))| (*sequence, parked.reason.to_owned()))
        .collect()
}

/// Asks for everybody, and compares name and bio.
async fn assert_answers(
    world: &World,
    service: &Service,
    people: &[Person],
    of: impl Fn(usize) -> (String, Option<&'static str>),
) -> anyhow::Result<()> {
    let asked = people.iter().enumerate().map(|(number, person)| {
        let (name, bio) = of(number);
        async move {
            let token = world.token(&person.identity)?;
            let value = service.client.query(Some(&token)).await?.body["value"].take();
            let found = (&value["_id"], &value["displayName"], value["bio"].as_str());
            assert_eq!(found, (&json!(person.profile), &json!(name), bio));
            anyhow::Ok(())
        }
    });
    stream::iter(asked)
        .buffer_unordered(ASKED_AT_A_TIME)
        .try_collect()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_in_a_hundred_is_bad_and_harms_nobody_else() -> anyhow::Result<()> {
    let total = total();
    let good = usize::try_from(VERSIONS + 1).unwrap();
    let people: Vec<_> = (0..total * 99 / 100 / good).map(Person::new).collect();
    let (messages, mut expected) = written(&people, total / 100);
    let world = World::new().await?;
    let (one, other) = tokio::try_join!(world.serve("one"), world.serve("other"))?;
    let mut last = world.broker.publish(&messages).await?;
    assert_eq!(last, u64::try_from(messages.len()).unwrap());

    // Every bad event is parked for its reason, and everybody has what was last good.
    one.applied(last).await?;
    assert_eq!(quarantine(&one).await?, reasons(&expected));
    let last_good = |number: usize| (format!("{} {VERSIONS}", people[number].user), None);
    assert_answers(&world, &one, &people, last_good).await?;

    // The next whole states of every second person heal what they can.
    let healed: BTreeSet<usize> = expected.values().map(|(number, _)| *number).collect();
    let healed: BTreeSet<usize> = healed
        .into_iter()
        .filter(|number| number % 2 == 0)
        .collect();
    let cures = healed.iter().flat_map(|number| {
        let Person {
            user,
            profile,
            identity,
            ..
        } = &people[*number];
        let state = profile_state(user, profile, VERSIONS + 5, &named("healed"));
        [user_state(user, 3, identity).into(), Message::from(state)]
    });
    last = world.broker.publish(cures).await?;
    one.applied(last).await?;
    expected.retain(|_, (number, parked)| !(parked.heals && healed.contains(number)));
    assert_eq!(quarantine(&one).await?, reasons(&expected));

    // Decisions take the rest, and let the patches behind it go on.
    let mut patched = BTreeSet::new();
    let mut decisions: Vec<Message> = Vec::new();
    for (sequence, (number, parked)) in &expected {
        if parked.reason == "behind" {
            patched.insert(*number);
        } else if parked.names_user {
            decisions.push(dropped(&people[*number].user, *sequence).into());
        }
    }
    assert!(total < 10_000 || !patched.is_empty());
    last = world.broker.publish(decisions).await?;
    expected.retain(|_, (_, parked)| !parked.names_user);
    let status = one.applied(last).await?;
    assert_eq!(quarantine(&one).await?, reasons(&expected));
    let at_last = |number: usize| {
        if healed.contains(&number) {
            ("healed".to_owned(), None)
        } else {
            let bio = patched.contains(&number).then_some("patched");
            (last_good(number).0, bio)
        }
    };
    assert_answers(&world, &one, &people, at_last).await?;

    // A second replica and one that is built anew from the stream are the same.
    let rebuilt = world.serve("rebuilt").await?;
    for replica in [&other, &rebuilt] {
        let same = replica.applied(last).await?;
        assert_eq!(same["digest"], status["digest"]);
        assert_eq!(same["outcomes"], status["outcomes"]);
        assert_eq!(quarantine(replica).await?, reasons(&expected));
    }
    Ok(())
}
