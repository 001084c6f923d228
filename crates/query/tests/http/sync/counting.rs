//! What an unrelated commit costs, counted by the service's own metrics.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use query::Limits;
use query::metrics::{EVALUATIONS, TRANSITIONS, WAKES};

use super::client::Client;
use crate::running::{Running, Setup, ada, set_owner, set_profile};

const SOCKETS: u32 = 2_000;
const QUERIES: u32 = 5;

/// Counts, and forgets everything else.
#[derive(Default)]
pub(crate) struct Counters(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Counters {
    /// What was counted by a name and the values of its labels, with spaces between.
    pub(crate) fn get(&self, name: &str) -> u64 {
        let counters = self.0.lock().unwrap();
        counters
            .get(name)
            .map_or(0, |counter| counter.load(Ordering::SeqCst))
    }

    fn all(&self) -> [u64; 3] {
        [EVALUATIONS, TRANSITIONS, WAKES].map(|name| self.get(name))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.0.lock().unwrap();
        let values = key.labels().map(metrics::Label::value);
        let name = values.fold(key.name().to_owned(), |name, value| {
            format!("{name} {value}")
        });
        let counter = counters.entry(name).or_default();
        Counter::from_arc(Arc::clone(counter))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// All of it runs on this test's thread, which is the one whose recorder is replaced.
#[tokio::test(flavor = "current_thread")]
async fn ten_thousand_subscriptions_cost_nothing_when_another_user_changes() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let mut limits = Limits {
        connections: 8_192,
        ..Limits::default()
    };
    // However long it takes, only Transitions are sent.
    limits.sync.quiet = Duration::from_hours(1);
    let mut running = Running::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let user = |n: u32| format!("user-{n}");
    running.commit(|batch| {
        for n in 0..SOCKETS {
            set_owner(batch, &format!("sub_{n}"), Some(&user(n)));
            set_profile(batch, &user(n), Some(ada()));
        }
    });
    let address = running.address;
    let open = |n| async move {
        let (mut client, _) = Client::subscribed(address, Some(&format!("sub_{n}"))).await;
        client.add_many(1..QUERIES).await;
        client.transition().await;
        client
    };
    let clients = stream::iter(0..SOCKETS).map(open).buffered(64);
    let mut clients: Vec<_> = clients.collect().await;

    let before = counters.all();
    let mut named = ada();
    named.display_name = "Grace".into();
    for n in 0..100 {
        running.commit(|batch| {
            set_profile(batch, "unrelated", Some(ada()));
            set_owner(batch, &format!("unrelated_{n}"), Some("unrelated"));
        });
        tokio::task::yield_now().await;
    }
    running.commit(|batch| set_profile(batch, &user(7), Some(named)));
    let told = clients[7].transition().await;
    assert_eq!(told.as_array().unwrap().len(), 5);
    let after = counters.all();
    let cost: Vec<_> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    assert_eq!(cost, [1, 1, 1], "evaluations, Transitions, wakes");
    drop(clients);
    running.stop().await;
}
