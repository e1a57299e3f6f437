//! Which synthetic address stands for which name.
//!
//! A name keeps its addresses for the life of the sandbox, because programs cache them. Nothing is looked up outside
//! when a name gets one: that happens when somebody connects.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policies::domain::{DomainName, DomainPattern};
use policies::plan::egress::Egress;

use super::ranges::Ranges;

/// The addresses of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthetic {
    /// For A.
    pub v4: Ipv4Addr,
    /// For AAAA.
    pub v6: Ipv6Addr,
}

/// Why a name gets no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameRefusal {
    /// No rule means it.
    NotAllowed,
    /// Its wildcard, the rule at this place, already stands for as many names as the tier allows.
    TooMany(usize),
    /// Every address of a range stands for a name.
    Exhausted,
}

/// The names that a sandbox has looked up.
#[derive(Debug)]
pub struct Names {
    ranges: Ranges,
    most: u32,
    /// In the order in which they came; the place is the offset in both ranges.
    known: Vec<DomainName>,
    places: HashMap<DomainName, usize>,
    /// Names that each rule stands for.
    used: Vec<u32>,
}

/// The first address of a range that is handed out: no network address, no gateway that a program may guess.
const FIRST: usize = 2;

impl Names {
    /// No name has an address yet.
    #[must_use]
    pub fn new(egress: &Egress, ranges: Ranges) -> Self {
        Self {
            ranges,
            most: egress.limits.names_per_wildcard,
            known: Vec::new(),
            places: HashMap::new(),
            used: vec![0; egress.rules.len()],
        }
    }

    /// The addresses of a name, new ones if it is allowed and has none.
    ///
    /// # Errors
    /// [`NameRefusal`].
    pub fn resolve(
        &mut self,
        name: &DomainName,
        egress: &Egress,
    ) -> Result<Synthetic, NameRefusal> {
        if let Some(place) = self.places.get(name) {
            return self.at(*place).ok_or(NameRefusal::NotAllowed);
        }
        let (rule, found) = egress.rule_of(name).ok_or(NameRefusal::NotAllowed)?;
        let place = self.known.len();
        let addresses = self.at(place).ok_or(NameRefusal::Exhausted)?;
        if let Some(used) = self.used.get_mut(rule) {
            if !matches!(found.names, DomainPattern::Exact(_)) && *used >= self.most {
                return Err(NameRefusal::TooMany(rule));
            }
            *used = used.saturating_add(1);
        }
        self.known.push(name.clone());
        self.places.insert(name.clone(), place);
        Ok(addresses)
    }

    /// The name that an address was given to.
    #[must_use]
    pub fn name_of(&self, address: IpAddr) -> Option<&DomainName> {
        let offset = match address {
            IpAddr::V4(v4) if self.ranges.synthetic_v4.contains(&v4) => {
                u128::from(u32::from(v4) - u32::from(self.ranges.synthetic_v4.network()))
            }
            IpAddr::V6(v6) if self.ranges.synthetic_v6.contains(&v6) => {
                u128::from(v6) - u128::from(self.ranges.synthetic_v6.network())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        let place = usize::try_from(offset).ok()?.checked_sub(FIRST)?;
        self.known.get(place)
    }

    /// The ranges.
    #[must_use]
    pub const fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// The addresses of a place; none where a range is used up.
    fn at(&self, place: usize) -> Option<Synthetic> {
        let offset = place.checked_add(FIRST)?;
        let v4 = u32::from(self.ranges.synthetic_v4.network())
            .checked_add(u32::try_from(offset).ok()?)?;
        let v6 = u128::from(self.ranges.synthetic_v6.network())
            .checked_add(u128::try_from(offset).ok()?)?;
        let addresses = Synthetic { v4: v4.into(), v6: v6.into() };
        let inside = self.ranges.synthetic_v4.contains(&addresses.v4)
            && addresses.v4 != self.ranges.synthetic_v4.broadcast()
            && self.ranges.synthetic_v6.contains(&addresses.v6);
        inside.then_some(addresses)
    }
}

#[cfg(test)]
mod tests;
