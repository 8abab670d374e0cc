//! A clock that a test sets for a server in a process of its own.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// A process's clock with an offset to the real time. Needs the package faketime.
#[derive(Clone, Debug)]
pub struct FakeClock {
    /// Holds the offset.
    file: PathBuf,
}

impl FakeClock {
    /// Returns the clock in this folder, whether or not it was set before.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { file: folder.join("clock") }
    }

    /// Sets the clock to `ahead` seconds ahead of the real time. A running process sees it within a
    /// second.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn set(&self, ahead: i64) {
        // In one step, because the process may read the file at any time.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{ahead:+}\n")).expect("a file");
        fs::rename(new, &self.file).expect("a file");
    }

    /// Returns the environment variables that give a process this clock.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, OsString); 5] {
        [
            ("LD_PRELOAD", library().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            // Reading the file at each query of the time makes a server too slow.
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            // Otherwise every wait with a timeout ends at once, and waiting threads spin.
            ("FAKETIME_FORCE_MONOTONIC_FIX", "0".into()),
        ]
    }
}

/// Returns the path of libfaketime, which is part of the package faketime.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("libraries").flatten();
    let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let installed = folders.map(library).find(|library| library.exists());
    installed.expect("the tests set the clocks of servers, and need the package faketime")
}
