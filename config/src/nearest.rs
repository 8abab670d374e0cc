//! The known name that an unknown one was meant to be.

/// Longest name that is compared.
pub(crate) const MAX_COMPARED: usize = 64;

/// The nearest of `known` to `name`, if it is near enough to be a slip.
#[must_use]
pub fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > MAX_COMPARED {
        return None;
    }
    let most = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

/// How many letters have to be added, left out, changed or swapped to make `right` of `left`.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (index, letter) in left.chars().enumerate() {
        let mut next = vec![index + 1];
        for (column, other) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let mut cost = at(&row, column)
                .saturating_add(usize::from(letter != *other))
                .min(at(&row, column + 1).saturating_add(1))
                .min(at(&next, column).saturating_add(1));
            let previous = column.checked_sub(1);
            if let Some(previous) = previous
                && last == Some(*other)
                && right.get(previous) == Some(&letter)
            {
                cost = cost.min(at(&before, previous).saturating_add(1));
            }
            next.push(cost);
        }
        last = Some(letter);
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    //! Slips are recognised, other names are not.

    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        let known = &["owners", "segments", "max-idle", "lifespan", "statistics"];
        assert_eq!(nearest("owner", known), Some("owners"));
        assert_eq!(nearest("segements", known), Some("segments"));
        assert_eq!(nearest("max-idl", known), Some("max-idle"));
        assert_eq!(nearest("statistic", known), Some("statistics"));
        assert_eq!(nearest("bogus", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("prot", "port"), 1);
        assert_eq!(distance("cahce", "cache"), 1);
    }
}
