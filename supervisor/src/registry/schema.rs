//! The tables, and how one version of them becomes the next.
//!
//! Times are seconds since the epoch. Words are checked here too, so that no program can write a state that this one would
//! not understand, and take it for something harmless.

/// What `PRAGMA application_id` says: "sbxr". Another program's database is refused.
pub(super) const APPLICATION_ID: i32 = 0x7362_7872;

/// The newest version that this program knows.
pub(super) const VERSION: i32 = 1;

/// The steps: entry n makes version n + 1 out of version n.
pub(super) const MIGRATIONS: [&str; 1] = [V1];

const V1: &str = "
CREATE TABLE extensions(
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  publisher TEXT NOT NULL,
  tier TEXT NOT NULL CHECK(tier IN('community','professional','enterprise')),
  state TEXT NOT NULL CHECK(state IN('enabled','disabled','auto-disabled','review-required')),
  state_reason TEXT NOT NULL,
  state_by TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  current_digest BLOB NOT NULL REFERENCES bundles(digest) DEFERRABLE INITIALLY DEFERRED,
  highest_approved TEXT,
  expires_at INTEGER,
  registered_at INTEGER NOT NULL,
  registered_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- signer: position in Signer::ALL; NULL where a signature is there and nobody verified it.
CREATE TABLE bundles(
  digest BLOB PRIMARY KEY CHECK(length(digest) = 32),
  ext_id TEXT NOT NULL REFERENCES extensions(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  version TEXT NOT NULL,
  tier TEXT NOT NULL CHECK(tier IN('community','professional','enterprise')),
  manifest TEXT NOT NULL,
  size INTEGER NOT NULL,
  files INTEGER NOT NULL,
  signer INTEGER CHECK(signer BETWEEN 0 AND 3),
  sbom INTEGER NOT NULL CHECK(sbom IN(0, 1)),
  registered_at INTEGER NOT NULL,
  registered_by TEXT NOT NULL,
  UNIQUE(ext_id, version)
) STRICT, WITHOUT ROWID;

-- The latest row of a digest holds; none is ever changed.
CREATE TABLE reviews(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL REFERENCES bundles(digest) ON DELETE CASCADE,
  status TEXT NOT NULL CHECK(status IN('requested','approved','rejected','revoked')),
  level TEXT CHECK(level IN('PUBLIC','INTERNAL','RESTRICTED','CRITICAL')),
  reviewer TEXT NOT NULL,
  notes TEXT NOT NULL,
  at INTEGER NOT NULL,
  expires_at INTEGER,
  CHECK(status <> 'approved' OR level IS NOT NULL),
  CHECK(status = 'requested' OR notes <> '')
) STRICT;
CREATE INDEX reviews_digest ON reviews(digest, id);

CREATE TABLE permissions(
  ext_id TEXT NOT NULL REFERENCES extensions(id) ON DELETE CASCADE,
  permission TEXT NOT NULL,
  decision TEXT NOT NULL CHECK(decision IN('granted','denied')),
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY(ext_id, permission)
) STRICT, WITHOUT ROWID;

CREATE TABLE components(
  digest BLOB NOT NULL REFERENCES bundles(digest) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  purl TEXT NOT NULL
) STRICT;
CREATE INDEX components_digest ON components(digest);

-- source report: somebody's report, about versions in `affected`. source sbom: a component of one bundle.
-- seen_by: the approval of a bundle that has it; NULL where no reviewer has looked at it.
CREATE TABLE findings(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  ext_id TEXT NOT NULL REFERENCES extensions(id) ON DELETE CASCADE,
  source TEXT NOT NULL CHECK(source IN('report','sbom')),
  digest BLOB REFERENCES bundles(digest) ON DELETE CASCADE,
  advisory TEXT,
  purl TEXT,
  affected TEXT,
  title TEXT NOT NULL,
  details TEXT NOT NULL,
  cve TEXT,
  cvss TEXT,
  severity TEXT NOT NULL CHECK(severity IN('NONE','LOW','MEDIUM','HIGH','CRITICAL')),
  score INTEGER NOT NULL CHECK(score BETWEEN 0 AND 100),
  certainty TEXT NOT NULL CHECK(certainty IN('affected','unknown')),
  status TEXT NOT NULL CHECK(status IN('open','triaged','fixed','not-affected','accepted','withdrawn')),
  status_notes TEXT NOT NULL,
  fixed_in TEXT,
  accepted_until INTEGER,
  reported_by TEXT NOT NULL,
  reported_at INTEGER NOT NULL,
  due_at INTEGER,
  disclosure_at INTEGER NOT NULL,
  closed_at INTEGER,
  seen_by INTEGER REFERENCES reviews(id) ON DELETE SET NULL,
  CHECK((source = 'report') = (affected IS NOT NULL)),
  CHECK((source = 'sbom') = (digest IS NOT NULL)),
  CHECK((source = 'sbom') = (advisory IS NOT NULL)),
  CHECK((status = 'accepted') = (accepted_until IS NOT NULL)),
  CHECK((status = 'fixed') = (fixed_in IS NOT NULL)),
  UNIQUE(digest, advisory, purl)
) STRICT;
CREATE INDEX findings_extension ON findings(ext_id);

-- Who accepted what, and until when; kept when the finding moves on.
CREATE TABLE waivers(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  finding_id INTEGER NOT NULL REFERENCES findings(id) ON DELETE CASCADE,
  actor TEXT NOT NULL,
  notes TEXT NOT NULL CHECK(notes <> ''),
  at INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- void: why it does not count.
CREATE TABLE checks(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL REFERENCES bundles(digest) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  database_at INTEGER,
  components INTEGER NOT NULL,
  unidentified INTEGER NOT NULL,
  findings INTEGER NOT NULL,
  void TEXT
) STRICT;
CREATE INDEX checks_digest ON checks(digest, id);

CREATE TABLE advisories(
  id TEXT PRIMARY KEY,
  modified INTEGER NOT NULL,
  summary TEXT NOT NULL,
  cve TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE advisory_packages(
  id INTEGER PRIMARY KEY,
  ecosystem TEXT NOT NULL,
  name TEXT NOT NULL,
  advisory TEXT NOT NULL REFERENCES advisories(id) ON DELETE CASCADE,
  severity TEXT NOT NULL CHECK(severity IN('NONE','LOW','MEDIUM','HIGH','CRITICAL')),
  score INTEGER NOT NULL CHECK(score BETWEEN 0 AND 100),
  cvss TEXT,
  versions TEXT NOT NULL
) STRICT;
CREATE INDEX advisory_packages_name ON advisory_packages(ecosystem, name);
CREATE INDEX advisory_packages_advisory ON advisory_packages(advisory);
CREATE TABLE databases(
  ecosystem TEXT PRIMARY KEY,
  as_of INTEGER NOT NULL,
  imported_at INTEGER NOT NULL,
  imported_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";
