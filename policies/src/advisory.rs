//! Advisories of the OSV format, and whether they affect a version: <https://ossf.github.io/osv-schema/>.

use std::str::FromStr;

use pep440_rs::Version as PythonVersion;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::sbom::normal_python;
use crate::vulnerability::{Severity, Tenths};

/// A larger advisory is refused: 8 MiB. The largest of the public database, which list thousands of versions, have less
/// than half of it.
pub const MAX_BYTES: u64 = 8 << 20;

/// An advisory, as far as a check needs it. Unknown fields are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Advisory {
    /// `GHSA-...`, `RUSTSEC-...`, `MAL-...`.
    pub id: String,
    /// RFC 3339.
    pub modified: String,
    /// RFC 3339; set where it was withdrawn.
    #[serde(default)]
    pub withdrawn: Option<String>,
    /// Other ids of the same thing; CVE ids among them.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// One line.
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    database_specific: Specific,
    /// Which versions of which packages.
    #[serde(default)]
    pub affected: Vec<Affected>,
}

#[derive(Clone, Debug, Deserialize)]
struct Score {
    #[serde(default)]
    score: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Specific {
    /// Some databases have a list or an object here.
    #[serde(default)]
    severity: serde_json::Value,
}

/// The versions of one package.
#[derive(Clone, Debug, Deserialize)]
pub struct Affected {
    /// Which package; absent in advisories about repositories only.
    #[serde(default)]
    pub package: Option<PackageName>,
    #[serde(default)]
    severity: Vec<Score>,
    /// Which versions.
    #[serde(flatten)]
    pub versions: Versions,
}

/// Which versions, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// By order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
}

/// A package.
#[derive(Clone, Debug, Deserialize)]
pub struct PackageName {
    /// `npm`, `Debian:12`, ...
    pub ecosystem: String,
    /// Its name there.
    pub name: String,
}

/// A range of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// `SEMVER`, `ECOSYSTEM` or `GIT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it begins and ends.
    #[serde(default)]
    pub events: Vec<Edge>,
}

/// One edge of a range; one of the fields is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The first that is affected; `0` is before every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduced: Option<String>,
    /// The first that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// The last that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_affected: Option<String>,
}

/// How bad an advisory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// In words.
    pub severity: Severity,
    /// Of 100.
    pub score: u8,
    /// The worst vector that it came from.
    pub vector: Option<String>,
}

impl Advisory {
    /// Its severity for one of the affected packages: a malicious package is critical; else the worst CVSS; else the word
    /// of the database; else high, because nobody has said that it is less.
    #[must_use]
    pub fn rating(&self, affected: &Affected) -> Rating {
        if self.id.starts_with("MAL-") {
            let severity = Severity::Critical;
            return Rating { severity, score: severity.worst_score(), vector: None };
        }
        let vectors = self.severity.iter().chain(&affected.severity);
        let worst = vectors
            .filter_map(|one| Some((Tenths::of_vector(&one.score).ok()?, one.score.clone())))
            .max_by_key(|(tenths, _)| *tenths);
        if let Some((tenths, vector)) = worst {
            let (severity, score) = (tenths.severity(), tenths.score());
            return Rating { severity, score, vector: Some(vector) };
        }
        let word = self.database_specific.severity.as_str().and_then(Severity::parse);
        let severity = word.unwrap_or(Severity::High);
        Rating { severity, score: severity.worst_score(), vector: None }
    }

    /// Its first CVE id.
    #[must_use]
    pub fn cve(&self) -> Option<&str> {
        let ids = std::iter::once(&self.id).chain(&self.aliases);
        ids.map(String::as_str).find(|id| crate::vulnerability::is_cve(id))
    }
}

impl PackageName {
    /// Ecosystem and name as [`crate::sbom::package`] gives them: without the release of a distribution, Python names in
    /// their normal form.
    #[must_use]
    pub fn key(&self) -> (&str, String) {
        let ecosystem = self.ecosystem.split(':').next().unwrap_or_default();
        let name = if ecosystem == "PyPI" { normal_python(&self.name) } else { self.name.clone() };
        (ecosystem, name)
    }
}

/// Whether a version is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is.
    Affected,
    /// It is not.
    NotAffected,
    /// It cannot be told: the version or an edge cannot be read, or nobody knows the order of that ecosystem's versions.
    /// Never taken for safe.
    Unknown,
}

impl Versions {
    /// Whether `version` of a package of `ecosystem` is affected.
    ///
    /// The list of versions decides first. Ranges of commits are skipped. Where the order of versions is not known
    /// (anything but semantic versions and Python's), a list that is there is believed to be complete, unless a range has
    /// no end: then a newer version may be affected and not listed.
    #[must_use]
    pub fn affect(&self, ecosystem: &str, version: &str) -> Match {
        if version.is_empty() {
            return Match::Unknown;
        }
        if self.versions.iter().any(|listed| listed == version) {
            return Match::Affected;
        }
        let mut answer = Match::NotAffected;
        let mut ordered = 0;
        for range in self.ranges.iter().filter(|range| range.kind != "GIT") {
            ordered += 1;
            let found = match (range.kind.as_str(), ecosystem) {
                (_, "PyPI") => walk::<Python>(&range.events, version),
                ("SEMVER", _) | (_, "npm" | "crates.io" | "Go" | "Hex" | "Pub") => {
                    walk::<Semantic>(&range.events, version)
                }
                _ => self.listed_or_unknown(range),
            };
            match found {
                Match::Affected => return Match::Affected,
                Match::Unknown => answer = Match::Unknown,
                Match::NotAffected => {}
            }
        }
        // Commits only, or nothing: there is no version to compare with.
        if ordered == 0 && self.versions.is_empty() { Match::Unknown } else { answer }
    }

    fn listed_or_unknown(&self, range: &Range) -> Match {
        let ends =
            range.events.iter().any(|edge| edge.fixed.is_some() || edge.last_affected.is_some());
        if ends && !self.versions.is_empty() { Match::NotAffected } else { Match::Unknown }
    }
}

/// A way to order versions.
trait Order {
    type Version: Ord;
    fn parse(text: &str) -> Option<Self::Version>;
}

struct Semantic;
struct Python;

/// Semantic versions in their order of precedence, without build metadata.
#[derive(PartialEq, Eq)]
struct Precedence(Version);

impl Ord for Precedence {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

impl PartialOrd for Precedence {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Order for Semantic {
    type Version = Precedence;

    fn parse(text: &str) -> Option<Precedence> {
        Version::parse(text)
            .ok()
            .map(|version| Precedence(Version { build: semver::BuildMetadata::EMPTY, ..version }))
    }
}

impl Order for Python {
    type Version = PythonVersion;

    fn parse(text: &str) -> Option<PythonVersion> {
        PythonVersion::from_str(text).ok()
    }
}

/// What changes at an edge, in the order that applies at one version: a range that ends after it ends before the next one
/// begins there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    After,
    Begins,
    Ends,
}

/// The evaluation of <https://ossf.github.io/osv-schema/#evaluation>: the edges in order, each switching at its version.
fn walk<O: Order>(events: &[Edge], version: &str) -> Match {
    let Some(version) = O::parse(version) else {
        return Match::Unknown;
    };
    // `None` is before every version.
    let mut edges = Vec::with_capacity(events.len());
    for event in events {
        let fields = [
            (&event.last_affected, Change::After),
            (&event.introduced, Change::Begins),
            (&event.fixed, Change::Ends),
        ];
        for (text, change) in fields {
            match text.as_deref() {
                None => {}
                Some("0") if change == Change::Begins => edges.push((None, change)),
                Some(text) => match O::parse(text) {
                    Some(edge) => edges.push((Some(edge), change)),
                    None => return Match::Unknown,
                },
            }
        }
    }
    edges.sort();
    let mut affected = false;
    for (edge, change) in &edges {
        let reached = edge.as_ref().is_none_or(|edge| *edge <= version);
        let passed = edge.as_ref().is_none_or(|edge| *edge < version);
        match change {
            Change::After if passed => affected = false,
            Change::Begins if reached => affected = true,
            Change::Ends if reached => affected = false,
            _ => {}
        }
    }
    if affected { Match::Affected } else { Match::NotAffected }
}

#[cfg(test)]
mod tests;
