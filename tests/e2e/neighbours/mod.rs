//! What hostile neighbours do at the ports and at the broker, each alone and all at once, while an honest client asks. The
//! process stays below the sum of its bounds, and the honest client is answered. It prints the table.

mod attacks;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::testing::{Form, profile_state, user_state};
use serde_json::json;
use service::memory;
use tests::broker::eventually;
use tests::client::Client;
use tests::service::{SOON, Service};
use tests::world::World;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::attacks::{ATTACKS, Attack, Target};

/// How long each goes on, and all at once.
const ALONE: Duration = Duration::from_millis(1500);
const TOGETHER: Duration = Duration::from_secs(8);
/// For the honest client's slowest answers but one in a hundred, in a release: `cargo test --release --workspace --test e2e
/// neighbours`. A debug build on cores that other tests use has no such bound; there an answer that takes longer than
/// [`PATIENCE`] has failed.
const P99_MAX: Option<Duration> = if cfg!(debug_assertions) {
    None
} else {
    Some(Duration::from_millis(100))
};
const PATIENCE: Duration = Duration::from_secs(5);

/// What an honest client saw.
struct Seen {
    times: Vec<Duration>,
    failed: usize,
}

impl Seen {
    fn p99(&self) -> Duration {
        let at = self.times.len() * 99 / 100;
        self.times.get(at).copied().unwrap_or(Duration::MAX)
    }
}

/// Asks while `within` passes, from a thread of its own: attackers in this process must not be what it waits for.
async fn honest(service: &Service, token: &str, within: Duration) -> anyhow::Result<Seen> {
    let client = Client::new(service.client.public, service.client.admin, Path::new(""))?;
    let token = token.to_owned();
    let asking = async move {
        let until = Instant::now() + within;
        let (mut times, mut failed) = (Vec::new(), 0);
        while Instant::now() < until {
            let asked = Instant::now();
            match timeout(PATIENCE, client.query(Some(&token))).await {
                Ok(Ok(answer)) if answer.status == 200 => times.push(asked.elapsed()),
                _ => failed += 1,
            }
            sleep(Duration::from_millis(5)).await;
        }
        times.sort_unstable();
        Seen { times, failed }
    };
    let (seen, result) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::spawn(move || seen.send(runtime.block_on(asking)).is_ok());
    let seen = result.await?;
    assert!(thread.join().is_ok_and(|sent| sent));
    Ok(seen)
}

/// What was refused and ended so far, by what ran out and by why.
async fn shed(service: &Service) -> anyhow::Result<BTreeMap<String, u64>> {
    let metrics = eventually("the metrics", SOON, async || {
        Some(service.client.operator("/metrics").await.ok()?.1)
    });
    let metrics = metrics.await?;
    let counted = [
        "profile_projector_shed_total",
        "profile_projector_sync_sockets_ended_total",
        "profile_projector_outcomes_total",
    ];
    let lines = metrics
        .lines()
        .filter(|line| counted.iter().any(|name| line.starts_with(name)));
    let label = |line: &str| {
        let (labels, count) = line.rsplit_once(' ')?;
        let labels = labels.split('"').skip(1).step_by(2);
        let name: Vec<&str> = labels.filter(|label| !label.is_empty()).collect();
        Some((name.join(" "), count.parse().ok()?))
    };
    Ok(lines.filter_map(label).collect())
}

/// What happened between two looks.
fn outcome(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> String {
    let grown = after.iter().filter_map(|(name, count)| {
        let more = count - before.get(name).copied().unwrap_or(0).min(*count);
        (more != 0).then(|| format!("{name} {more}"))
    });
    grown.collect::<Vec<_>>().join(", ")
}

/// What an attack came to.
struct Endured {
    /// Of the table.
    row: String,
    /// The most memory of the process, in bytes.
    peak: u64,
    seen: Seen,
}

/// Lets these attacks run.
async fn endure(
    service: &Service,
    target: &Target,
    attacks: &[Attack],
    (name, bound): (&str, &str),
    (token, within): (&str, Duration),
) -> anyhow::Result<Endured> {
    let before = shed(service).await?;
    service.forget_peak()?;
    let mut tasks = JoinSet::new();
    for attack in attacks {
        (attack.begin)(target, &mut tasks);
    }
    let seen = honest(service, token, within).await?;
    tasks.shutdown().await;
    let peak = service.memory_bytes()?;
    let after = shed(service).await?;
    let row = format!(
        "| {name} | {bound} | {} MiB | {} of {}, p99 {:.1} ms | {} |",
        peak >> 20,
        seen.times.len(),
        seen.times.len() + seen.failed,
        seen.p99().as_secs_f64() * 1e3,
        outcome(&before, &after)
    );
    Ok(Endured { row, peak, seen })
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hurts_the_neighbours() -> anyhow::Result<()> {
    let world = World::new().await?;
    let flags = [
        "--max-connections",
        "256",
        "--max-sockets",
        "128",
        "--memory-budget",
        "16MiB",
    ];
    let url = world.broker.server.url();
    let service = world.serve_from(&url, "model", &flags).await?;
    let profile = |bio: usize| json!({"displayName": "Ada", "languages": [], "createdAt": 0, "updatedAt": 0, "bio": "b".repeat(bio)});
    let messages = [
        user_state("u1", 1, "user_1").message(Form::Binary),
        profile_state("u1", "p1", 1, &profile(10)).message(Form::Binary),
        user_state("u2", 1, "user_2").message(Form::Binary),
        profile_state("u2", "p2", 1, &profile(200_000)).message(Form::Binary),
    ];
    service
        .applied(world.broker.publish(messages).await?)
        .await?;
    let token = world.token("user_1")?;
    let target = Target::of(&world, &service, "user_2").await?;

    let mut limits = query::Limits::default();
    (limits.connections, limits.sync.sockets) = (256, 128);
    let most = memory::sum(&memory::bounds(&limits, 16 << 20));
    println!("the most that the bounds come to: {} MiB", most >> 20);
    println!("| attack | bound | peak memory | honest answers | outcome |");
    println!("| --- | --- | --- | --- | --- |");
    let rest = endure(&service, &target, &[], ("none", ""), (&token, ALONE)).await?;
    println!("{}", rest.row);
    let mut all = Vec::new();
    for attack in &ATTACKS {
        let named = (attack.name, attack.bound);
        let alone = std::slice::from_ref(attack);
        let endured = endure(&service, &target, alone, named, (&token, ALONE)).await?;
        println!("{}", endured.row);
        all.push((attack.name, endured));
    }
    let named = ("all of these at once", "all of these");
    let endured = endure(&service, &target, &ATTACKS, named, (&token, TOGETHER)).await?;
    println!("{}", endured.row);
    all.push((named.0, endured));

    for (name, Endured { peak, seen, .. }) in all {
        assert!(peak < most.try_into()?, "{name}: {peak} bytes");
        let (answered, failed) = (seen.times.len(), seen.failed);
        assert!(
            answered != 0 && failed * 20 <= answered,
            "{name}: {failed} of {answered} failed"
        );
        let (p99, at_rest) = (seen.p99(), rest.seen.p99());
        let Some(most) = P99_MAX else { continue };
        assert!(p99 < most, "{name}: {p99:?}, at rest {at_rest:?}");
    }
    let status = service.client.status().await?;
    assert_eq!(status["job"]["number"], 0, "no page gave an order");
    let log = std::fs::read_to_string(&service.log)?;
    let lines = log.matches("a bound is reached").count();
    assert!((1..=40).contains(&lines), "{lines} lines of what was shed");
    service.stop().await?;
    Ok(())
}

/// The page on deployment has the sum that the code has.
#[test]
fn the_page_has_the_sum() -> anyhow::Result<()> {
    let page = tests::broker::project_file("deploy/MEMORY.md")?;
    let default = query::Limits::default();
    let budget = projector::BatchLimits::default().memory_bytes_max;
    let bounds = memory::bounds(&default, budget);
    for bound in &bounds {
        let flag = bound
            .flag
            .map(|flag| format!("`{flag}`"))
            .unwrap_or_default();
        let row = format!("| {} | {flag} | {} |", bound.what, bound.bytes >> 20);
        assert!(page.contains(&row), "the page lacks {row}");
    }
    let sum = memory::sum(&bounds);
    assert!(sum <= 1 << 30, "the defaults fit a gibibyte: {sum}");
    let row = format!("| **the sum** | | **{}** |", sum >> 20);
    assert!(page.contains(&row), "the page lacks {row}");

    let mut small = default;
    (small.connections, small.sync.sockets) = (128, 512);
    let sum = memory::sum(&memory::bounds(&small, 16 << 20));
    assert!(sum <= 512 << 20, "{sum} is more than the page says");
    let said = format!("come to {} MiB", sum >> 20);
    assert!(page.contains(&said), "the page does not say: {said}");
    Ok(())
}
