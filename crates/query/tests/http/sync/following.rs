//! Who is told of a commit, and who is left alone.

use serde_json::json;

use super::client::Client;
use crate::running::{FULL, MIN, Running, Setup, ada, set_owner, set_profile};

const USER: &str = "j57bq0g31py2qjnt6amgqwq20x6dpzyk";

/// Gives a user a profile with this name.
fn name(batch: &mut read_model::Batch<'_>, user: &str, name: &str) {
    let mut profile = ada();
    profile.display_name = name.into();
    set_profile(batch, user, Some(profile));
}

#[tokio::test]
async fn only_those_who_are_concerned() {
    let mut running = Running::start(Setup::default()).await;
    let (mut ada, value) = Client::subscribed(running.address, Some("user_1")).await;
    assert_eq!(value.to_string(), FULL);
    let (mut min, value) = Client::subscribed(running.address, Some("user_min")).await;
    assert_eq!(value.to_string(), MIN);
    let (mut nobody, value) = Client::subscribed(running.address, None).await;
    assert_eq!(value, json!(null));
    let (mut new, value) = Client::subscribed(running.address, Some("user_new")).await;
    assert_eq!(value, json!(null));
    running.commit(|batch| name(batch, USER, "Grace"));
    assert_eq!(ada.transition().await[0]["value"]["displayName"], "Grace");
    // A user comes, then a profile: each alone would not do.
    running.commit(|batch| set_owner(batch, "user_new", Some("user-new")));
    running.commit(|batch| name(batch, "user-new", "Newton"));
    assert_eq!(new.transition().await[0]["value"]["displayName"], "Newton");
    running.commit(|batch| name(batch, "user-min", "Minnie"));
    assert_eq!(min.transition().await[0]["value"]["displayName"], "Minnie");
    // The others were told nothing in the meantime: what they hear next is what they ask for next.
    for client in [&mut ada, &mut nobody] {
        client.add(7).await;
        assert_eq!(client.transition().await[0]["queryId"], 7);
    }
    running.stop().await;
}

#[tokio::test]
async fn whoever_missed_commits_reads_again() {
    let mut running = Running::start(Setup::default()).await;
    let (mut client, _) = Client::subscribed(running.address, Some("user_1")).await;
    // More than the channel holds, told while nobody can listen: this test has one thread.
    let commit = running.commit(|batch| name(batch, USER, "Grace"));
    for _ in 0..100 {
        let nobody = read_model::Changes::default();
        let told = read_model::Committed {
            checkpoint: commit.checkpoint.clone(),
            changes: nobody,
        };
        running.commits.send(std::sync::Arc::new(told)).unwrap();
    }
    assert_eq!(
        client.transition().await[0]["value"]["displayName"],
        "Grace"
    );
    running.stop().await;
}
