//! Offsets into a text as places.

use crate::Place;

/// Bytes between two places that are remembered.
const STRIDE: usize = 1 << 6;

/// Turns byte offsets into places, in any order.
pub(super) struct Cursor<'t> {
    text: &'t str,
    /// A place in each stride, so that no more than a stride is walked.
    known: Vec<(usize, Place)>,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut known = vec![(0, Place::START)];
        let (mut place, mut next) = (Place::START, STRIDE);
        for (offset, letter) in text.char_indices() {
            if offset >= next {
                known.push((offset, place));
                next = offset + STRIDE;
            }
            place = after(place, letter);
        }
        Self { text, known }
    }

    /// The place of a byte offset; of the end for an offset beyond it.
    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.known.partition_point(|(known, _)| *known <= offset);
        let known = before.checked_sub(1).and_then(|index| self.known.get(index));
        let (start, place) = known.copied().unwrap_or((0, Place::START));
        let ahead = self.text.get(start..).unwrap_or_default().char_indices();
        ahead
            .take_while(|(ahead, _)| start + ahead < offset)
            .fold(place, |place, (_, letter)| after(place, letter))
    }
}

/// The place behind a letter.
pub(super) const fn after(place: Place, letter: char) -> Place {
    match letter {
        '\n' => Place { line: place.line + 1, column: 1 },
        _ => Place { line: place.line, column: place.column + 1 },
    }
}

#[cfg(test)]
mod tests {
    //! Lines and columns are counted from one.

    use super::*;

    #[test]
    fn an_offset_becomes_a_place_in_any_order() {
        let cursor = Cursor::new("ab\nöx\n");
        for (offset, line, column) in
            [(0, 1, 1), (2, 1, 3), (3, 2, 1), (5, 2, 2), (1, 1, 2), (99, 3, 1)]
        {
            assert_eq!(cursor.place(offset), Place { line, column }, "{offset}");
        }
    }

    #[test]
    fn a_long_line_and_many_lines_are_counted_to_the_letter() {
        let line = format!("{}x", "ö".repeat(5_000));
        assert_eq!(Cursor::new(&line).place(10_000), Place { line: 1, column: 5_001 });
        let lines = "ab\n".repeat(5_000);
        assert_eq!(Cursor::new(&lines).place(3_001 * 3 + 1), Place { line: 3_002, column: 2 });
    }
}
