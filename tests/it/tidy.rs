//! Rules that a compiler cannot keep.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every Rust file below a folder of the workspace.
pub(crate) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

const CRATES: &[&str] = &[
    "bench", "client", "cluster", "config", "hotrod", "media", "migrate", "rest", "server",
    "store", "tests",
];

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in CRATES.iter().flat_map(|folder| sources(folder)) {
        assert!(text.starts_with("//! "), "{} does not begin with `//!`", path.display());
    }
}

#[test]
fn what_decides_has_no_runtime() {
    for (path, text) in ["store", "hotrod", "media"].iter().flat_map(|folder| sources(folder)) {
        assert!(!text.contains("tokio"), "{} names tokio", path.display());
        let waits = text.lines().find(|line| line.contains("async fn") || line.contains(".await"));
        assert_eq!(waits, None, "{} waits", path.display());
    }
}

#[test]
fn the_client_does_without_the_store() {
    let manifest = fs::read_to_string(root().join("client/Cargo.toml")).unwrap();
    assert!(!manifest.contains("store") && !manifest.contains("serve"));
}

#[test]
fn only_tests_reach_into_the_server() {
    for folder in CRATES.iter().filter(|folder| !matches!(**folder, "tests" | "server")) {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("server.workspace"), "{folder} depends on the server");
    }
}

#[test]
fn one_file_names_the_serializer() {
    let files = CRATES.iter().flat_map(|folder| sources(folder));
    let named: Vec<PathBuf> = files
        .filter(|(path, text)| text.contains("bincode") && !path.ends_with("tidy.rs"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(named, [root().join("cluster/src/wire.rs")]);
}

#[test]
fn one_file_knows_how_an_entry_lies_in_memory() {
    for (path, text) in sources("store") {
        let allowed = path.ends_with("entry.rs");
        assert!(allowed || !text.contains("mod flag {"), "{}", path.display());
    }
}

#[test]
fn nothing_is_left_for_later_without_saying_so() {
    for (path, text) in CRATES.iter().flat_map(|folder| sources(folder)) {
        // Put together here, so that this file does not have them.
        for word in ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!(")) {
            assert!(!text.contains(&word), "{} has {word}", path.display());
        }
        assert!(!text.contains(&["#[", "ignore"].concat()), "{} skips a test", path.display());
    }
}
