//! Notes for people who watch the tests run: slow steps and their results.

use std::{fmt::Display, io::Write};

/// Writes a line that is shown even if the test succeeds.
pub fn note(text: impl Display) {
    // Standard error may be closed.
    let _ = writeln!(std::io::stderr(), "    {text}");
}
