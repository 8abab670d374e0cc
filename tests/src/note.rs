//! Notes for people who watch the tests run: what takes long, and what came of it.

use std::{fmt::Display, io::Write};

/// Writes a line that is seen although the test succeeds.
pub fn note(text: impl Display) {
    // Nobody may be watching.
    let _ = writeln!(std::io::stderr(), "    {text}");
}
