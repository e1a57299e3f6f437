//! "Did you mean": the nearest of a few known words.

/// The known word nearest to `word`, unless all are far from it.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // The table of distances is quadratic: a hostile key of 200 KB gets no suggestion.
    if word.len() > 64 {
        return None;
    }
    let bound = (word.chars().count() / 3).max(1) + 1;
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, letter case aside.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn typing_mistakes_are_near() {
        assert_eq!(distance("memory", "memroy"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("memroy_mb", ["memory_mb", "disk_mb"]), Some("memory_mb"));
        assert_eq!(nearest("read_work_order", ["READ_WORK_ORDERS"]), Some("READ_WORK_ORDERS"));
        assert_eq!(nearest("zebra", ["memory_mb", "disk_mb"]), None);
    }
}
