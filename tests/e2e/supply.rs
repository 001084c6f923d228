//! What the program is made of, as its bill of materials says it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use tests::broker::project_file;

fn made(what: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let made = Command::new("python3")
        .args(["deploy/supply.py", what])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    String::from_utf8(made.stdout).unwrap()
}

/// Places of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment says what must not be told"
)]
fn places() -> Vec<String> {
    let names = ["HOME", "CARGO_HOME", "USER"].map(std::env::var);
    let root = env!("CARGO_MANIFEST_DIR").to_owned();
    let long = |name: &String| name.len() > 4;
    names
        .into_iter()
        .flatten()
        .chain([root, "registry/src".to_owned()])
        .filter(long)
        .collect()
}

#[test]
fn the_bill_of_materials_lists_what_is_linked_and_no_machine() {
    let text = made("sbom");
    assert_eq!(made("sbom"), text, "one tree, one text");
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&bill["bomFormat"], &bill["specVersion"]),
        (&"CycloneDX".into(), &"1.5".into())
    );
    let components = bill["components"].as_array().unwrap();
    let name = |component: &Value| component["name"].as_str().unwrap().to_owned();
    let names: BTreeSet<String> = components.iter().map(name).collect();
    for linked in ["async-nats", "redb", "axum", "aws-lc-sys", "domain"] {
        assert!(names.contains(linked), "no {linked}");
    }
    for tested in ["proptest", "tokio-postgres", "tests"] {
        assert!(!names.contains(tested), "{tested} is not in the program");
    }
    let lock = project_file("Cargo.lock").unwrap();
    let references: BTreeSet<&str> = components
        .iter()
        .map(|component| {
            assert_ne!(component["licenses"][0]["expression"], "", "{component}");
            if let Some(hash) = component["hashes"][0]["content"].as_str() {
                assert!(lock.contains(hash), "{component}");
            }
            component["bom-ref"].as_str().unwrap()
        })
        .collect();
    assert_eq!(references.len(), components.len(), "each is named once");
    for needs in bill["dependencies"].as_array().unwrap() {
        for on in needs["dependsOn"].as_array().unwrap() {
            assert!(
                references.contains(on.as_str().unwrap()),
                "{on} is not listed"
            );
        }
    }
    for place in places() {
        assert!(!text.contains(&place), "it names {place}");
    }
}

#[test]
fn the_notices_have_a_text_for_nearly_every_crate() {
    let text = made("notices");
    assert_eq!(made("notices"), text, "one tree, one text");
    let crates = text.lines().filter(|line| line.contains(" (texts: "));
    let (without, with): (Vec<&str>, Vec<&str>) =
        crates.partition(|line| line.contains("none in the package"));
    assert!(with.len() > 100 && without.len() < 10, "{without:?}");
    for place in places() {
        assert!(!text.contains(&place), "it names {place}");
    }
}

#[test]
fn the_image_is_run_by_a_number() {
    let dockerfile = project_file("deploy/Dockerfile").unwrap();
    let user = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("USER "));
    let (user, group) = user.and_then(|user| user.split_once(':')).unwrap();
    for id in [user, group] {
        assert!(id.parse::<u32>().unwrap() > 0, "{id}");
    }
    let from = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "));
    for image in from {
        assert!(image.starts_with("${"), "{image} cannot be given by digest");
    }
}
