//! What the documents say about the code is what the code is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::tidy::{root, sources};

/// The folders of all crates.
fn crates() -> BTreeSet<String> {
    let folders = fs::read_dir(root()).unwrap().map(Result::unwrap);
    let with_manifest = folders.filter(|folder| folder.path().join("Cargo.toml").exists());
    with_manifest.map(|folder| folder.file_name().into_string().unwrap()).collect()
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The names in backquotes of a text.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the table with this heading: the names in the first cell of each, and the rest of its text.
fn rows<'t>(text: &'t str, heading: &str) -> Vec<(Vec<&'t str>, &'t str)> {
    let (_, table) = text.split_once(heading).unwrap_or_else(|| panic!("no table {heading}"));
    let lines = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = lines.map(|line| line.trim_matches('|').split_once('|').unwrap());
    cells.map(|(first, second)| (quoted(first), second)).collect()
}

#[test]
fn the_map_shows_every_crate() {
    let text = document("ARCHITECTURE.md");
    let (_, map) = text.split_once("## The map\n\n```\n").unwrap();
    let (map, _) = map.split_once("```").unwrap();
    let shown = map.lines().map(|line| line.split('/').next().unwrap().to_owned());
    assert_eq!(shown.collect::<BTreeSet<String>>(), crates());
}

#[test]
fn the_table_of_dependencies_is_that_of_the_manifests() {
    let text = document("ARCHITECTURE.md");
    let crates = crates();
    let all = || crates.iter().filter(|name| !matches!(name.as_str(), "tests" | "fuzz" | "server"));
    let mut said = BTreeMap::new();
    for (names, others) in rows(&text, "| A crate | depends on |\n") {
        let depends: BTreeSet<String> = match others.contains("all of them but") {
            true => all().cloned().collect(),
            false => quoted(others)
                .into_iter()
                .filter(|name| crates.contains(*name))
                .map(str::to_owned)
                .collect(),
        };
        said.insert(names.concat(), depends);
    }
    let real: BTreeMap<String, BTreeSet<String>> = crates
        .iter()
        .filter(|name| !matches!(name.as_str(), "tests" | "fuzz"))
        .map(|name| {
            let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
            let (_, manifest) = manifest.split_once("[dependencies]").unwrap();
            // What tests need beside that is no part of the map.
            let manifest = manifest.split("[dev-dependencies]").next().unwrap();
            let is_named = |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase());
            let names = manifest.lines().filter(is_named).map(|line| {
                line.split(|end: char| !end.is_ascii_lowercase()).next().unwrap().to_owned()
            });
            (name.clone(), names.filter(|name| crates.contains(name)).collect())
        })
        .collect();
    assert_eq!(said, real);
}

#[test]
fn files_and_functions_that_the_document_names_are_there() {
    let text = document("ARCHITECTURE.md");
    let names = quoted(&text);
    let mut checked = 0;
    for name in &names {
        if name.contains('/') && name.ends_with(".rs") && name.contains("src/") {
            assert!(root().join(name).exists(), "ARCHITECTURE.md names {name}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
    // `file.rs` (`function`): the function is in a file of that name.
    let mut functions = 0;
    let pieces: Vec<&str> = text.split('`').collect();
    for window in pieces.windows(4) {
        let [file, between, function, after] = window else { continue };
        if file.ends_with(".rs") && *between == " (" && after.starts_with([')', ',']) {
            let short = file.rsplit("src/").next().unwrap();
            let found = crates().iter().flat_map(|folder| sources(folder)).any(|(path, text)| {
                path.ends_with(short) && text.contains(&format!("fn {function}"))
            });
            assert!(found, "ARCHITECTURE.md: no {function} in {file}");
            functions += 1;
        }
    }
    assert!(functions >= 4, "{functions}");
}

#[test]
fn the_clock_is_read_where_the_document_says() {
    let mut readers = BTreeSet::new();
    for (path, text) in crates().iter().flat_map(|folder| sources(folder)) {
        let short = path.strip_prefix(root()).unwrap().display().to_string();
        let measures = short.starts_with("bench/") || short.starts_with("tests/");
        if !measures && text.contains(&["SystemTime", "::now"].concat()) {
            readers.insert(short);
        }
    }
    let expected = ["client/src/expiration.rs", "cluster/src/clock.rs"].map(str::to_owned);
    assert_eq!(readers, BTreeSet::from(expected));
}

#[test]
fn every_metric_has_a_row_and_every_row_a_metric() {
    let text = document("operations.md");
    let is_metric = |name: &&str| name.starts_with("godwit_");
    let documented: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with("| `godwit_"))
        .flat_map(|line| quoted(line.split('|').nth(1).unwrap()))
        .filter(is_metric)
        .map(str::to_owned)
        .collect();
    let mut in_code = BTreeSet::new();
    for (_, text) in sources("server/src") {
        let strings = text.split('"').filter(|piece| piece.starts_with("godwit_"));
        let is_name = |name: &&str| name.chars().all(|c| c == '_' || c.is_ascii_lowercase());
        in_code.extend(strings.filter(is_name).map(str::to_owned));
    }
    assert_eq!(documented, in_code);
}
