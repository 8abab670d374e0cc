//! A clock that a test sets, for a server in a process of its own.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// The clock of a process, which shows another time than the real one. The package faketime must be installed.
#[derive(Clone, Debug)]
pub struct FakeClock {
    /// Says by how much.
    file: PathBuf,
}

impl FakeClock {
    /// A clock that is kept in this folder, and that was set before or will be.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { file: folder.join("clock") }
    }

    /// Sets it to so many seconds ahead of the real time. A running process sees it within a second.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn set(&self, ahead: i64) {
        // In one step: the process may read it at any time.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{ahead:+}\n")).expect("a file");
        fs::rename(new, &self.file).expect("a file");
    }

    /// What a process must find in its environment to have this clock.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, OsString); 5] {
        [
            ("LD_PRELOAD", library().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            // Reading the file whenever the time is asked for makes a server too slow.
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            // Otherwise each wait with a time limit ends at once, and threads that wait run all the time.
            ("FAKETIME_FORCE_MONOTONIC_FIX", "0".into()),
        ]
    }
}

/// Where libfaketime lies, which is part of the package faketime.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("libraries").flatten();
    let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let installed = folders.map(library).find(|library| library.exists());
    installed.expect("the tests set the clocks of servers, and need the package faketime")
}
