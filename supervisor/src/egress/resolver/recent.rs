//! Names that were refused lately, so that one lookup counts once however many queries it takes.

use std::collections::{HashMap, VecDeque};

use super::answer::Asked;

/// Names that are remembered; the oldest is forgotten first.
const MOST: usize = 1024;

/// How often each name was asked for, by type.
#[derive(Debug, Default)]
pub(super) struct Recent {
    lookups: HashMap<String, Lookups>,
    order: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Lookups {
    /// Queries for A, AAAA and anything else.
    asked: [u64; 3],
    /// The largest of them: the lookups that there must have been.
    counted: u64,
}

/// What a refused query adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// A lookup, not another query of one that was counted.
    pub(super) lookup: bool,
    /// A name that is not remembered.
    pub(super) name: bool,
}

impl Recent {
    /// Notes a refused query.
    ///
    /// Of a name, as many lookups count as there were queries of its most frequent type. So A and AAAA of one
    /// `getaddrinfo` count once, in whatever order and from whatever sockets they come, and no clock decides.
    pub(super) fn add(&mut self, name: &str, asked: Asked) -> Added {
        let known = self.lookups.contains_key(name);
        if !known {
            if self.order.len() >= MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.lookups.remove(&oldest);
            }
            self.order.push_back(name.to_owned());
        }
        let lookups = self.lookups.entry(name.to_owned()).or_default();
        let queries = match asked {
            Asked::V4 => &mut lookups.asked[0],
            Asked::V6 => &mut lookups.asked[1],
            Asked::Other => &mut lookups.asked[2],
        };
        *queries = queries.saturating_add(1);
        let lookup = *queries > lookups.counted;
        lookups.counted = lookups.counted.max(*queries);
        Added { lookup, name: !known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookups(queries: &[(&str, Asked)]) -> usize {
        let mut recent = Recent::default();
        queries.iter().filter(|(name, asked)| recent.add(name, *asked).lookup).count()
    }

    #[test]
    fn a_lookup_counts_once_whatever_it_asks_for() {
        use Asked::{Other, V4, V6};
        let cases: [(&[(&str, Asked)], usize); 7] = [
            (&[("a", V4)], 1),
            (&[("a", V4), ("a", V6)], 1),
            (&[("a", Other), ("a", V6), ("a", V4)], 1),
            (&[("a", V4), ("b", V6)], 2),
            (&[("a", V4), ("a", V6), ("a", V4), ("a", V6)], 2),
            (&[("a", V4), ("a", V4), ("a", V6), ("a", V6)], 2),
            (&[("a", V4), ("a", V4), ("a", V4), ("a", V6)], 3),
        ];
        for (queries, expected) in cases {
            assert_eq!(lookups(queries), expected, "{queries:?}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_name_goes_first() {
        let mut recent = Recent::default();
        for number in 0..=MOST {
            assert!(recent.add(&number.to_string(), Asked::V4).name);
        }
        assert_eq!(recent.lookups.len(), MOST);
        assert_eq!(recent.order.len(), MOST);
        let again = recent.add("1", Asked::V6);
        assert_eq!(again, Added { lookup: false, name: false });
        let forgotten = recent.add("0", Asked::V6);
        assert_eq!(forgotten, Added { lookup: true, name: true });
    }
}
