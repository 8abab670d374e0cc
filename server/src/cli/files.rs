//! Which files a configuration consists of: those that are named, those of a directory, and what an
//! Infinispan server keeps beside them.

use std::path::{Path, PathBuf};

/// Names that the configuration of a server has by itself.
const NAMES: &[&str] = &[
    "infinispan.xml",
    "infinispan.json",
    "infinispan.yaml",
    "infinispan.yml",
    "standalone.xml",
    "clustered.xml",
    "godwit.toml",
];

/// Endings of files that can be read.
const ENDINGS: &[&str] = &["xml", "json", "yaml", "yml", "toml"];

/// Beginnings of the names of files that lie beside a configuration and are none.
const OTHERS: &[&str] = &["log4j", "logging", "jgroups", "default-jgroups", "users", "groups"];

/// Files in which a server remembers what was created at run time.
const REMEMBERED: &[&str] = &["caches.xml", "templates.xml"];

/// A path leads to no configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFile {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no configuration in a directory.
    #[error(
        "{0}: there is no configuration in this directory; name a file, the root of a server (with \
         conf/infinispan.xml in it), or its conf directory"
    )]
    Nothing(String),
    /// There are several, of which a server would take one.
    #[error("{path}: there are {first} and {second} in this directory; name one of them")]
    Ambiguous {
        /// The directory.
        path: String,
        /// A file.
        first: &'static str,
        /// Another one.
        second: &'static str,
    },
}

/// The files to read, in the order in which they are laid over each other.
pub(super) fn find(configs: &[PathBuf], root: Option<&Path>) -> Result<Vec<PathBuf>, NoFile> {
    let mut files = Vec::new();
    if let (Some(root), []) = (root, configs) {
        push_all(directory(root)?, &mut files);
    }
    for config in configs {
        let path = match root.map(|root| root.join("conf").join(config)) {
            Some(inside) if !config.exists() && inside.exists() => inside,
            _ => config.clone(),
        };
        if path.is_dir() {
            push_all(directory(&path)?, &mut files);
            continue;
        }
        if let Err(source) = std::fs::metadata(&path) {
            return Err(NoFile::Unreadable { path: path.display().to_string(), source });
        }
        let beside = remembered_beside(path.parent());
        push_all(std::iter::once(path).chain(beside), &mut files);
    }
    if !configs.is_empty() {
        push_all(root.map(remembered).unwrap_or_default(), &mut files);
    }
    Ok(files)
}

/// The files of a directory: the root of a server or of a distribution, its `conf`, or any other.
fn directory(path: &Path) -> Result<Vec<PathBuf>, NoFile> {
    for root in [path.to_owned(), path.join("server")] {
        if let Some(file) = known_in(&root.join("conf"))? {
            return Ok(std::iter::once(file).chain(remembered(&root)).collect());
        }
    }
    if let Some(file) = known_in(path)? {
        return Ok(std::iter::once(file).chain(remembered_beside(Some(path))).collect());
    }
    let unreadable = |source| NoFile::Unreadable { path: path.display().to_string(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.is_file() && is_configuration(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(NoFile::Nothing(path.display().to_string())) } else { Ok(files) }
}

/// The configuration of a directory, if it has one by its name.
fn known_in(path: &Path) -> Result<Option<PathBuf>, NoFile> {
    let mut known = NAMES.iter().filter(|name| path.join(name).is_file());
    match (known.next(), known.next()) {
        (Some(first), Some(second)) => {
            let path = path.display().to_string();
            Err(NoFile::Ambiguous { path, first, second })
        }
        (first, _) => Ok(first.map(|name| path.join(name))),
    }
}

/// What a server with this root remembers.
fn remembered(root: &Path) -> Vec<PathBuf> {
    let files = REMEMBERED.iter().map(|name| root.join("data").join(name));
    files.filter(|file| file.is_file()).collect()
}

/// What the server remembers whose `conf` this is.
fn remembered_beside(conf: Option<&Path>) -> Vec<PathBuf> {
    let Some(conf) = conf else { return Vec::new() };
    let conf = if conf.as_os_str().is_empty() { Path::new(".") } else { conf };
    // `conf` may be named through links or from within.
    let Ok(conf) = conf.canonicalize() else { return Vec::new() };
    match (conf.file_name(), conf.parent()) {
        (Some(name), Some(root)) if name == "conf" => remembered(root),
        _ => Vec::new(),
    }
}

fn is_configuration(file: &Path) -> bool {
    let text =
        |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
    let ending = text(file.extension()).is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
    let is_other = text(file.file_name())
        .is_none_or(|name| OTHERS.iter().any(|other| name.starts_with(other)));
    ending && !is_other
}

/// Adds files that are not there yet.
fn push_all(more: impl IntoIterator<Item = PathBuf>, files: &mut Vec<PathBuf>) {
    let same = |one: &PathBuf, other: &PathBuf| {
        one == other
            || one.canonicalize().ok().is_some_and(|one| other.canonicalize().ok() == Some(one))
    };
    for file in more {
        if !files.iter().any(|known| same(known, &file)) {
            files.push(file);
        }
    }
}

#[cfg(test)]
mod tests {
    //! Where operators point.

    use std::fs;

    use super::*;

    fn server() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (folder, file) in [
            ("server/conf", "infinispan.xml"),
            ("server/conf", "log4j2.xml"),
            ("server/data", "caches.xml"),
            ("parts", "b.xml"),
            ("parts", "a.yaml"),
            ("parts", "log4j2.xml"),
            ("parts", "users.properties"),
            ("old", "standalone.xml"),
            ("both", "standalone.xml"),
            ("both", "clustered.xml"),
        ] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
            fs::write(home.path().join(folder).join(file), "").unwrap();
        }
        fs::create_dir_all(home.path().join("empty")).unwrap();
        home
    }

    fn found(home: &Path, configs: &[&str], root: Option<&str>) -> Result<Vec<String>, String> {
        let configs: Vec<_> = configs.iter().map(|config| home.join(config)).collect();
        let root = root.map(|root| home.join(root));
        let files = find(&configs, root.as_deref()).map_err(|error| error.to_string())?;
        let home = home.canonicalize().unwrap();
        let relative = |file: &PathBuf| {
            let file = file.canonicalize().unwrap();
            file.strip_prefix(&home).unwrap().display().to_string()
        };
        Ok(files.iter().map(relative).collect())
    }

    #[test]
    fn a_server_is_found_wherever_one_points_at_it() {
        let home = server();
        let both =
            vec!["server/conf/infinispan.xml".to_owned(), "server/data/caches.xml".to_owned()];
        for config in ["", "server", "server/conf", "server/conf/infinispan.xml"] {
            assert_eq!(found(home.path(), &[config], None), Ok(both.clone()), "{config}");
        }
        assert_eq!(found(home.path(), &[], Some("server")), Ok(both.clone()));
        let twice = ["server/conf", "server/data/caches.xml"];
        assert_eq!(found(home.path(), &twice, Some("server")), Ok(both));
        assert_eq!(found(home.path(), &[], None), Ok(vec![]));
    }

    #[test]
    fn a_name_is_looked_up_in_the_server_that_is_named() {
        let home = server();
        let root = home.path().join("server");
        let files = find(&["infinispan.xml".into()], Some(&root)).unwrap();
        assert_eq!(files, [root.join("conf/infinispan.xml"), root.join("data/caches.xml")]);
    }

    #[test]
    fn any_other_directory_is_read_whole_or_says_what_is_wrong() {
        let home = server();
        let parts = vec!["parts/a.yaml".to_owned(), "parts/b.xml".to_owned()];
        assert_eq!(found(home.path(), &["parts"], None), Ok(parts));
        assert_eq!(found(home.path(), &["old"], None), Ok(vec!["old/standalone.xml".to_owned()]));
        for (config, part) in [
            ("both", "standalone.xml and clustered.xml"),
            ("empty", "no configuration in this directory"),
            ("nowhere.xml", "No such file"),
        ] {
            let error = found(home.path(), &[config], None).unwrap_err();
            assert!(error.contains(part) && error.contains(config), "{error}");
        }
    }
}
