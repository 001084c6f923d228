//! The page of metrics, as Prometheus' own tool judges it and as those rely on it who write rules.

use std::collections::BTreeSet;
use std::process::Command;

use domain::testing::{Form, profile_patched, user_state};
use serde_json::json;
use tests::broker::eventually;
use tests::service::{SOON, Service, command};
use tests::tools::{judged, tool};
use tests::world::World;

/// What a page of a service that nothing has happened to may have: it is scraped four times a minute for years.
const SERIES_MAX: usize = 280;

async fn page(service: &Service) -> anyhow::Result<String> {
    Ok(service.client.operator("/metrics").await?.1)
}

fn samples(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' '))
}

fn value(page: &str, series: &str) -> f64 {
    let found = samples(page).find(|(name, _)| *name == series);
    let (_, value) = found.unwrap_or_else(|| panic!("no {series} in {page}"));
    value.parse().unwrap()
}

/// What the page says behind a user, a patch of nothing, and two requests.
fn after_one_profile() -> [(&'static str, f64); 15] {
    [
        ("profile_projector_ready", 1.0),
        ("profile_projector_users", 1.0),
        ("profile_projector_applied_sequence", 2.0),
        ("profile_projector_read_sequence", 2.0),
        ("profile_projector_tail_sequence", 2.0),
        ("profile_projector_lag_seconds", 0.0),
        ("profile_projector_connection{state=\"connected\"}", 1.0),
        (
            "profile_projector_parked_records{reason=\"patch_base\"}",
            1.0,
        ),
        ("profile_projector_parked_lanes", 1.0),
        (
            "profile_projector_requests_total{route=\"query\",code=\"2xx\"}",
            1.0,
        ),
        (
            "profile_projector_requests_total{route=\"query\",code=\"4xx\"}",
            1.0,
        ),
        (
            "profile_projector_request_duration_seconds_count{route=\"query\"}",
            2.0,
        ),
        ("profile_projector_tokens_total{result=\"payload\"}", 1.0),
        ("profile_projector_diverged", 0.0),
        ("profile_projector_verified_timestamp_seconds", 0.0),
    ]
}

async fn something_happens(world: &World, service: &Service) -> anyhow::Result<()> {
    let patch = profile_patched("u1", "p1", 9, &json!({"bio": "x"}));
    let last = world
        .broker
        .publish([
            user_state("u1", 1, "user_1").message(Form::Binary),
            patch.message(Form::Binary),
        ])
        .await?;
    service.applied(last).await?;
    service.client.query(Some(&world.token("user_1")?)).await?;
    service.client.query(Some("no.good.token")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_as_prometheus_wants_it_before_anything_happened() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let live = |status: &serde_json::Value| status["phase"] == "live";
    service.status_when("live", live).await?;
    let before = page(&service).await?;
    let promtool = tool("prometheus")?.join("promtool");
    judged(Command::new(promtool).args(["check", "metrics"]), &before)?;

    let series: Vec<&str> = samples(&before).map(|(name, _)| name).collect();
    let distinct: BTreeSet<&str> = series.iter().copied().collect();
    assert_eq!(distinct.len(), series.len(), "each is there once");
    assert!(series.len() <= SERIES_MAX, "{} series", series.len());
    for name in &series {
        let is_ours = name.starts_with("profile_projector_") || name.starts_with("process_");
        assert!(is_ours, "{name}");
    }
    for metric in before
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP "))
    {
        assert!(metric.split(' ').count() > 2, "{metric} has no help");
    }

    // Whatever happens: no series comes to be by it, so each first increase is seen as one.
    something_happens(&world, &service).await?;
    let after = eventually("what was asked", SOON, async || {
        let page = page(&service).await.ok()?;
        let refused = "profile_projector_tokens_total{result=\"accepted\"}";
        (value(&page, refused) > 0.0).then_some(page)
    })
    .await?;
    let new: Vec<&str> = samples(&after)
        .map(|(name, _)| name)
        .filter(|name| !distinct.contains(name))
        .collect();
    assert_eq!(new, Vec::<&str>::new());
    for (series, wanted) in after_one_profile() {
        assert!(
            (value(&after, series) - wanted).abs() < 0.1,
            "{series} in {after}"
        );
    }
    assert!(value(&after, "profile_projector_apply_delay_seconds_count") > 0.0);
    assert!(value(&after, "profile_projector_file_bytes{file=\"live\"}") > 1000.0);
    assert!(value(&after, "process_cpu_seconds_total") > 0.0);
    assert!(value(&after, "process_resident_memory_bytes") > 1e6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_show_one_digest_and_a_verification_its_time() -> anyhow::Result<()> {
    let world = World::new().await?;
    let user = user_state("u1", 1, "user_1").message(Form::Binary);
    let last = world.broker.publish([user]).await?;
    let (first, second) = (world.serve("one").await?, world.serve("two").await?);
    let mut digests = Vec::new();
    for service in [&first, &second] {
        service.applied(last).await?;
        digests.push(value(&page(service).await?, "profile_projector_digest"));
    }
    assert!(digests[0] > 0.0, "{digests:?}");
    assert!((digests[0] - digests[1]).abs() < 0.5, "{digests:?}");
    let admin = format!("http://{}", first.client.admin);
    let ended = command(&["verify", "--admin", &admin]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let page = page(&first).await?;
    assert!(value(&page, "profile_projector_verified_timestamp_seconds") > 1e9);
    assert!(
        value(
            &page,
            "profile_projector_jobs_total{kind=\"verify\",result=\"done\"}"
        ) > 0.0
    );
    Ok(())
}
