//! What hostile neighbours do at the ports and at the broker, each alone and all at once, while an honest client asks and
//! probes. The process stays below the sum of its bounds, and the honest client is answered. It prints the table.
//!
//! Attackers run at the lowest priority: where cores are few, they must not be what the honest client waits for.

mod attacks;
mod bytes;
mod fill;
mod honest;
mod means;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::testing::{Form, profile_state, user_state};
use serde_json::{Value, json};
use service::memory;
use tests::bench::processor_time;
use tests::broker::eventually;
use tests::service::{SOON, Service};
use tests::world::World;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::attacks::{ATTACKS, Attack, TLS_ATTACKS, Target};
use self::honest::Honest;

/// How long each goes on, and all at once.
const ALONE: Duration = Duration::from_millis(1500);
const TOGETHER: Duration = Duration::from_secs(8);
/// For the honest client's slowest answers but one in a hundred, in a release on cores with nothing else to do: `cargo
/// test --release --workspace --test e2e neighbours`.
const P99_MAX: Duration = Duration::from_millis(100);
/// What the same takes without any attack, if nothing else runs.
const P99_AT_REST_MAX: Duration = Duration::from_millis(20);

/// Who is attacked, and by whom.
struct Field<'s> {
    service: &'s Service,
    target: Target,
    honest: Honest,
    /// There until this is dropped.
    attackers: Option<Runtime>,
    /// The most memory, in bytes.
    most: u64,
    /// Answers without any attack came so fast that times can be judged.
    is_judged: bool,
}

impl Drop for Field<'_> {
    fn drop(&mut self) {
        if let Some(attackers) = self.attackers.take() {
            attackers.shutdown_background();
        }
    }
}

fn attackers() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| {
            // Without it the attack is only harder.
            let _ = rustix::process::nice(19);
        })
        .build()
}

impl Field<'_> {
    /// What was refused and ended so far, by what ran out and by why.
    async fn shed(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let metrics = eventually("the metrics", SOON, async || {
            self.honest.look("/metrics").await
        });
        let metrics = metrics.await?;
        let counted = [
            "profile_projector_shed_total",
            "profile_projector_connections_ended_total",
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

    /// Lets these attacks run and judges what came of it; its row.
    async fn endure(
        &mut self,
        attacks: &[Attack],
        (name, bound): (&str, &str),
        within: Duration,
    ) -> anyhow::Result<String> {
        let before = self.shed().await?;
        self.service.forget_peak()?;
        let (worked, began) = (processor_time(self.service.id()?)?, Instant::now());
        let mut tasks = JoinSet::new();
        {
            let _entered = self.attackers.as_ref().map(Runtime::enter);
            for attack in attacks {
                (attack.begin)(&self.target, &mut tasks);
            }
        }
        let [asked, probed] = self.honest.ask(within).await?;
        tasks.shutdown().await;
        let peak = self.service.memory_bytes()?;
        let worked = processor_time(self.service.id()?)?.saturating_sub(worked);
        let cores = worked.as_secs_f64() / began.elapsed().as_secs_f64();
        let outcome = outcome(&before, &self.shed().await?);
        let row = format!(
            "| {name} | {bound} | {} MiB | {cores:.1} | {asked} | {probed} | {outcome} |",
            peak >> 20
        );
        assert!(peak < self.most, "{row}");
        if attacks.is_empty() {
            self.is_judged = !cfg!(debug_assertions) && asked.p99() < P99_AT_REST_MAX;
        }
        for seen in [asked, probed] {
            assert!(seen.is_served(), "{row}");
            assert!(!self.is_judged || seen.p99() < P99_MAX, "{row}");
        }
        Ok(row)
    }
}

/// What happened between two looks.
fn outcome(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> String {
    let grown = after.iter().filter_map(|(name, count)| {
        let more = count - before.get(name).copied().unwrap_or(0).min(*count);
        (more != 0).then(|| format!("{name} {more}"))
    });
    grown.collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hurts_the_neighbours() -> anyhow::Result<()> {
    let world = World::new().await?;
    let profile = |bio: usize| json!({"displayName": "Ada", "languages": [], "createdAt": 0, "updatedAt": 0, "bio": "b".repeat(bio)});
    let messages = [
        user_state("u1", 1, "user_1").message(Form::Binary),
        profile_state("u1", "p1", 1, &profile(10)).message(Form::Binary),
        user_state("u2", 1, "user_2").message(Form::Binary),
        profile_state("u2", "p2", 1, &profile(200_000)).message(Form::Binary),
    ];
    world.broker.publish(messages).await?;
    let mut limits = query::Limits::default();
    (limits.connections, limits.sync.sockets) = (256, 128);
    let most = memory::sum(&memory::bounds(&limits, 16 << 20));
    println!("the most that the bounds come to: {} MiB", most >> 20);
    println!("| attack | bound | peak memory | cores | honest answers | probes | outcome |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (cert, key) = (world.data("cert.pem"), world.data("key.pem"));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let tls = [
        ["--tls-cert", &cert, "--tls-key", &key],
        ["--admin-tls-cert", &cert, "--admin-tls-key", &key],
    ]
    .concat();
    for (name, more, attacks) in [
        ("model", &[][..], &ATTACKS[..]),
        ("encrypted", &tls[..], &TLS_ATTACKS[..]),
    ] {
        let bounds = ["--max-connections", "256", "--max-sockets", "128"];
        let flags = [&bounds[..], &["--memory-budget", "16MiB"], more].concat();
        let url = world.broker.server.url();
        let service = world.serve_from(&url, name, &flags).await?;
        let honest = Honest::of(&service, !more.is_empty(), &world.token("user_1")?)?;
        let served = eventually("the profile", SOON, async || {
            honest
                .answer()
                .await
                .filter(|answer| answer.contains("Ada"))
        });
        served.await?;
        let mut field = Field {
            target: Target::of(&world, &service, "user_2").await?,
            service: &service,
            honest,
            attackers: Some(attackers()?),
            most: most.try_into()?,
            is_judged: false,
        };
        println!("{}", field.endure(&[], ("none", ""), ALONE).await?);
        for attack in attacks {
            let (named, alone) = ((attack.name, attack.bound), std::slice::from_ref(attack));
            println!("{}", field.endure(alone, named, ALONE).await?);
        }
        let named = ("all of these at once", "all of these");
        println!("{}", field.endure(attacks, named, TOGETHER).await?);
        let status = field.honest.look("/status").await.unwrap_or_default();
        let status: Value = serde_json::from_str(&status)?;
        assert_eq!(status["job"]["number"], 0, "no page gave an order");
        drop(field);
        let log = std::fs::read_to_string(&service.log)?;
        let lines = log.matches("a bound is reached").count();
        assert!((1..=40).contains(&lines), "{lines} lines of what was shed");
        service.stop().await?;
    }
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
