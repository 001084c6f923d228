//! Clients that ask over HTTP.

use domain::testing::{Form, profile_state, user_state};
use serde_json::{Value, json};
use tests::service::Service;
use tests::world::World;

use crate::script::{api_document, node, python, run};

/// Whose profile it is.
const SUB: &str = "user_ada";

/// Every member that an answer can have, but for the two ids.
fn members() -> Value {
    json!({
        "displayName": "Ada \u{1f389}", "languages": ["en", "fr"], "age": 30, "bio": "hi\n\"there\"",
        "company": "Analytical Engines", "experience": "long", "field": "mathematics",
        "gender": "female", "goals": "more", "jobTitle": "Countess",
        "linkedinUrl": "https://example.com/ada",
        "createdAt": 1_700_000_000_000_u64, "updatedAt": 1_700_000_000_123.5,
    })
}

/// A service that knows one profile, what asks for it, and the answer.
struct Known {
    _world: World,
    _service: Service,
    url: String,
    token: String,
    profile: String,
}

async fn known() -> anyhow::Result<Known> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let published = world.broker.publish([
        user_state("u1", 1, SUB).message(Form::Binary),
        profile_state("u1", "p1", 1, &members()).message(Form::Binary),
    ]);
    service.applied(published.await?).await?;
    let mut profile = members();
    profile["_id"] = "p1".into();
    profile["userId"] = "u1".into();
    Ok(Known {
        url: format!("http://{}", service.client.public),
        token: world.token(SUB)?,
        profile: profile.to_string(),
        _world: world,
        _service: service,
    })
}

impl Known {
    fn arguments(&self) -> [&str; 3] {
        [&self.url, &self.token, &self.profile]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_convex_newest() -> anyhow::Result<()> {
    let known = known().await?;
    run(node("http.mjs").arg("convex").args(known.arguments())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_convex_1_28() -> anyhow::Result<()> {
    let known = known().await?;
    run(node("http.mjs")
        .arg("convex-1.28.0")
        .args(known.arguments()))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pypi_convex() -> anyhow::Result<()> {
    let known = known().await?;
    run(python("http_client.py").args(known.arguments())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_generated_from_the_api_document() -> anyhow::Result<()> {
    let known = known().await?;
    let folder = tempfile::tempdir()?;
    let document = api_document(folder.path())?;
    let mut python = python("generated.py");
    let python = python.arg(document).arg(folder.path());
    run(python.args(known.arguments())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis() -> anyhow::Result<()> {
    let known = known().await?;
    let folder = tempfile::tempdir()?;
    let document = api_document(folder.path())?;
    let mut python = python("fuzz.py");
    let python = python.current_dir(folder.path()).arg(document);
    run(python.args([&known.url, &known.token])).await
}
