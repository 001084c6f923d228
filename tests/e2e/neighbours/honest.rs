//! A client that does no harm: it asks, and probes, and sees how long it takes.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use tests::client::RUN;
use tests::service::Service;
use tokio::time::sleep;

/// An answer that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Honest {
    http: reqwest::Client,
    public: String,
    admin: String,
    token: String,
}

/// What came of many requests.
#[derive(Default)]
pub(super) struct Seen {
    times: Vec<Duration>,
    failed: usize,
}

impl Seen {
    fn at(&self, hundredths: usize) -> Duration {
        let at = self.times.len() * hundredths / 100;
        self.times.get(at).copied().unwrap_or(Duration::MAX)
    }

    pub(super) fn p99(&self) -> Duration {
        self.at(99)
    }

    /// At least nineteen of twenty were answered.
    pub(super) fn is_served(&self) -> bool {
        !self.times.is_empty() && self.failed * 20 <= self.times.len()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, asked) = (self.times.len(), self.times.len() + self.failed);
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let (half, most) = (millis(self.at(50)), millis(self.p99()));
        write!(
            f,
            "{answered} of {asked}, p50 {half:.1} ms, p99 {most:.1} ms"
        )
    }
}

impl Honest {
    /// That of a service which speaks TLS, by whatever certificate, or does not.
    pub(super) fn of(service: &Service, is_tls: bool, token: &str) -> anyhow::Result<Self> {
        let scheme = if is_tls { "https" } else { "http" };
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .tls_danger_accept_invalid_certs(is_tls)
            .build()?;
        Ok(Self {
            http,
            public: format!("{scheme}://{}", service.client.public),
            admin: format!("{scheme}://{}", service.client.admin),
            token: token.to_owned(),
        })
    }

    fn query(&self) -> RequestBuilder {
        let request = self.http.post(format!("{}{RUN}", self.public));
        let request = request.header("Content-Type", "application/json");
        request.bearer_auth(&self.token).body(r#"{"args":{}}"#)
    }

    /// The query's answer, once there is one.
    pub(super) async fn answer(&self) -> Option<String> {
        let response = self.query().send().await.ok()?;
        response.error_for_status().ok()?.text().await.ok()
    }

    /// What an open route of the operators says.
    pub(super) async fn look(&self, path: &str) -> Option<String> {
        let response = self.http.get(format!("{}{path}", self.admin)).send();
        response.await.ok()?.text().await.ok()
    }

    async fn many(
        &self,
        pause: Duration,
        within: Duration,
        request: impl Fn() -> RequestBuilder,
    ) -> Seen {
        let until = Instant::now() + within;
        let mut seen = Seen::default();
        while Instant::now() < until {
            let asked = Instant::now();
            let answered = async {
                let response = request().send().await?.error_for_status()?;
                response.bytes().await
            };
            match answered.await {
                Ok(_) => seen.times.push(asked.elapsed()),
                Err(_) => seen.failed += 1,
            }
            sleep(pause).await;
        }
        seen.times.sort_unstable();
        seen
    }

    /// Asks and probes while `within` passes, from a thread of its own: attackers in this process must not be what it
    /// waits for.
    pub(super) async fn ask(&self, within: Duration) -> anyhow::Result<[Seen; 2]> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (seen, result) = tokio::sync::oneshot::channel();
        let client = self.clone();
        let thread = std::thread::spawn(move || {
            let probe = || client.http.get(format!("{}/readyz", client.admin));
            let (pause, rare) = (Duration::from_millis(5), Duration::from_millis(20));
            let both = async {
                tokio::join!(
                    client.many(pause, within, || client.query()),
                    client.many(rare, within, probe),
                )
            };
            seen.send(runtime.block_on(both)).is_ok()
        });
        let (asked, probed) = result.await?;
        assert!(thread.join().is_ok_and(|sent| sent));
        Ok([asked, probed])
    }
}
