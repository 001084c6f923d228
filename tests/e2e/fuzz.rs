//! Every target of `tests::fuzz` on its seeds and on a fixed number of changes of them.

use tests::fuzz;

macro_rules! targets {
    ($($name:ident: $changes:literal,)*) => {
        $(#[test]
        fn $name() {
            fuzz::run(stringify!($name), fuzz::$name, $changes);
        })*

        /// A target that nobody runs finds nothing.
        #[test]
        fn each_target_has_its_program() {
            let manifest = tests::broker::project_file("tests/fuzz/Cargo.toml").unwrap();
            let named: Vec<&str> = manifest
                .lines()
                .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
                .collect();
            assert_eq!(named, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    bearer: 5_000,
    event_line: 20_000,
    frames: 20_000,
    header_block: 20_000,
    jwks: 20_000,
    // Each that gets that far makes a file.
    snapshot: 500,
    subject: 20_000,
    sync_message: 20_000,
}
