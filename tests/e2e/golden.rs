//! Texts that people see, kept beside the tests. `UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;

/// Compares `found` with `e2e/golden/<name>`.
#[track_caller]
pub(crate) fn assert(name: &str, found: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/golden");
    let path = folder.join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, golden, "{name} differs; UPDATE_GOLDEN=1 accepts it");
}
