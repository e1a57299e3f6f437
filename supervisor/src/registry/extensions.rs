//! Acts on extensions: register, grant, deny, enable, disable, expire, remove.

use std::path::Path;
use std::time::SystemTime;

use policies::decision::{Evaluated, Signer, State};
use policies::digest::Digest;
use policies::permission::Permission;
use policies::violation::Severity as Weight;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde_json::json;

use super::act::{Act, Editor};
use super::error::refused;
use super::identify::{Identified, identify};
use super::rows::{Extension, FindingRow, RegisteredBundle};
use super::target::{Target, bundle};
use super::{RegistryError, all, findings, moment, scan};
use crate::record::audit::EventType;
use crate::state::{Dirs, disabled};

/// What registering a bundle came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The bundle.
    pub bundle: RegisteredBundle,
    /// The state of its extension.
    pub state: State,
    /// Whether it was registered already, so that nothing was done.
    pub already: bool,
}

/// One extension of a connection.
pub(super) fn extension(connection: &Connection, id: &str) -> rusqlite::Result<Option<Extension>> {
    let sql = format!("{} WHERE e.id = ?1", Extension::SELECT);
    connection.query_row(&sql, [id], Extension::read).optional()
}

/// One extension, in an act.
pub(super) fn known(act: &Act<'_>, id: &str) -> Result<Extension, RegistryError> {
    extension(act.tx, id)
        .map_err(act.failed())?
        .ok_or_else(|| RegistryError::NotRegistered { id: id.to_owned() })
}

/// Puts an extension into a state, and on record.
pub(super) fn set_state(
    act: &mut Act<'_>,
    id: &str,
    state: State,
    reason: &str,
) -> Result<(), RegistryError> {
    act.tx
        .execute(
            "UPDATE extensions SET state = ?2, state_reason = ?3, state_by = ?4, state_at = ?5 WHERE id = ?1",
            params![id, state.name(), reason, act.actor, act.now],
        )
        .map_err(act.failed())?;
    let (kind, weight) = match state {
        State::Enabled => (EventType::ExtensionEnabled, Weight::Info),
        State::Disabled => (EventType::ExtensionDisabled, Weight::Warning),
        State::AutoDisabled => (EventType::ExtensionDisabled, Weight::Critical),
        State::ReviewRequired => (EventType::ExtensionReviewRequired, Weight::Warning),
    };
    act.record(kind, weight, json!({ "state": state, "reason": reason }));
    Ok(())
}

/// The findings that count against a bundle.
pub(super) fn counting(
    act: &Act<'_>,
    of: &RegisteredBundle,
) -> Result<Vec<FindingRow>, RegistryError> {
    let sql = format!("{} WHERE ext_id = ?1", FindingRow::SELECT);
    let mut found =
        all(act.tx, &sql, [&of.extension_id], FindingRow::read).map_err(act.failed())?;
    found.retain(|finding| finding.counts(&of.digest, &of.version, act.now));
    Ok(found)
}

impl Editor {
    /// Registers a bundle, and puts it into the store: a new extension, which is enabled, or a new version of one, whose state
    /// stays. What is known about its components is looked up in the same transaction.
    ///
    /// # Errors
    /// [`RegistryError`]; refused where other bytes have this version, or where a later version is approved.
    pub fn register(
        &mut self,
        path: &Path,
        dirs: &Dirs,
        expires: Option<SystemTime>,
    ) -> Result<Registered, RegistryError> {
        let found = identify(path, dirs)?;
        let id = found.manifest.id.clone();
        self.act(&id, |act| {
            let version = found.manifest.version.to_string();
            act.of_version(&version);
            let before = extension(act.tx, &id).map_err(act.failed())?;
            if let Some(registered) = already(act, &found, before.as_ref())? {
                return Ok(registered);
            }
            insert(act, &found, before.as_ref(), expires.map(moment::seconds))?;
            record(act, &found, before.is_none());
            scan::check(act, &registered(act, &found.digest, false)?.bundle)?;
            // A finding of the extension may be about this version too.
            findings::escalate(act, &id)?;
            registered(act, &found.digest, false)
        })
    }

    /// Grants permissions: takes a denial back, and puts on record who stands for it. An extension gets what its manifest
    /// asks for and its tier has, but for what is denied.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn grant(&mut self, id: &str, permissions: &[Permission]) -> Result<(), RegistryError> {
        self.permissions(id, permissions, "", true)
    }

    /// Denies permissions, whatever the manifest asks for.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn deny(
        &mut self,
        id: &str,
        permissions: &[Permission],
        reason: &str,
    ) -> Result<(), RegistryError> {
        self.permissions(id, permissions, reason, false)
    }

    fn permissions(
        &mut self,
        id: &str,
        permissions: &[Permission],
        reason: &str,
        grant: bool,
    ) -> Result<(), RegistryError> {
        self.act(id, |act| {
            let entry = known(act, id)?;
            act.of_version(&entry.version.to_string());
            let (decision, kind) = if grant {
                ("granted", EventType::PermissionGrant)
            } else {
                ("denied", EventType::PermissionDeny)
            };
            let reason = if reason.is_empty() && !grant {
                format!("denied by {}", act.actor)
            } else {
                reason.to_owned()
            };
            for permission in permissions {
                act.tx
                    .execute(
                        "INSERT INTO permissions(ext_id, permission, decision, reason, actor, at) \
                         VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET \
                         decision = excluded.decision, reason = excluded.reason, actor = excluded.actor, \
                         at = excluded.at",
                        params![id, permission.name(), decision, reason, act.actor, act.now],
                    )
                    .map_err(act.failed())?;
            }
            act.record(kind, Weight::Info, json!({ "permissions": permissions, "reason": reason }));
            Ok(())
        })
    }

    /// Lets an extension run again, also where a reaction rule has switched it off.
    ///
    /// # Errors
    /// [`RegistryError`]; refused where a vulnerability of its latest bundle is critical, or high and seen by no reviewer.
    pub fn enable(&mut self, id: &str) -> Result<(), RegistryError> {
        let state = self.state.clone();
        let by_rule = disabled::find(&state, id)?;
        let is_by_rule = by_rule.is_some();
        self.act(id, |act| {
            let entry = known(act, id)?;
            act.of_version(&entry.version.to_string());
            if let Some(by_rule) = by_rule {
                act.record(EventType::Reaction, Weight::Warning, json!({ "cleared": by_rule }));
            }
            if entry.state == State::Enabled {
                return Ok(());
            }
            let open = open(act, &entry)?;
            if !open.is_empty() {
                return Err(refused(
                    format!("enable {id}"),
                    format!("vulnerabilities of {} stand against it: {}", entry.version, open.join(", ")),
                    "register a version without them, have it reviewed (sandboxctl review approve ID), or settle them (sandboxctl vuln set N --status accepted --until DATE)",
                ));
            }
            set_state(act, id, State::Enabled, "enabled by an operator")
        })?;
        // What a rule has switched off since is not what was put on record.
        if is_by_rule {
            disabled::enable(&state, id)?;
        }
        Ok(())
    }

    /// Switches an extension off.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn disable(&mut self, id: &str, reason: &str) -> Result<(), RegistryError> {
        self.act(id, |act| {
            let entry = known(act, id)?;
            act.of_version(&entry.version.to_string());
            let reason = if reason.is_empty() { "disabled by an operator" } else { reason };
            set_state(act, id, State::Disabled, reason)
        })
    }

    /// Sets when a registration ends; `None`: never.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn expire(&mut self, id: &str, at: Option<SystemTime>) -> Result<(), RegistryError> {
        let at = at.map(moment::seconds);
        self.act(id, |act| {
            let entry = known(act, id)?;
            act.of_version(&entry.version.to_string());
            act.tx
                .execute("UPDATE extensions SET expires_at = ?2 WHERE id = ?1", params![id, at])
                .map_err(act.failed())?;
            let data = json!({ "expiresAt": at.map(moment::text) });
            act.record(EventType::RegistrationExpiry, Weight::Info, data);
            Ok(())
        })
    }

    /// Forgets an extension with all that the registry holds about it. The audit log keeps what was recorded.
    ///
    /// # Errors
    /// [`RegistryError`]; refused for one that is not enabled, unless `force`: where registration is optional, an extension
    /// that is forgotten may run.
    pub fn remove(&mut self, id: &str, force: bool) -> Result<(), RegistryError> {
        self.act(id, |act| {
            let entry = known(act, id)?;
            act.of_version(&entry.version.to_string());
            if entry.state != State::Enabled && !force {
                return Err(refused(
                    format!("remove {id}"),
                    format!("it is {}: {}", entry.state.name(), entry.state_reason),
                    "where registration is optional it could run then; --force removes it all the same",
                ));
            }
            act.tx.execute("DELETE FROM extensions WHERE id = ?1", [id]).map_err(act.failed())?;
            let data = json!({ "state": entry.state, "reason": entry.state_reason });
            act.record(EventType::RegistrationRemoved, Weight::Warning, data);
            Ok(())
        })
    }
}

/// The findings that keep the latest bundle from running: critical ones, and those that no reviewer has seen.
fn open(act: &Act<'_>, entry: &Extension) -> Result<Vec<String>, RegistryError> {
    let current = bundle(act.tx, &Target::Digest(entry.digest)).map_err(act.failed())?;
    let Some(current) = current else { return Ok(Vec::new()) };
    let findings = counting(act, &current)?;
    let stands = findings.iter().filter(|finding| findings::stands(finding));
    Ok(stands.map(|finding| format!("#{} {}", finding.id, finding.name())).collect())
}

/// What stands in the way of registering, or that it was done before.
fn already(
    act: &Act<'_>,
    found: &Identified,
    before: Option<&Extension>,
) -> Result<Option<Registered>, RegistryError> {
    let manifest = &found.manifest;
    let doing = || format!("register {} {}", manifest.id, manifest.version);
    let target = Target::Version(manifest.id.clone(), manifest.version.clone());
    if let Some(same) = bundle(act.tx, &target).map_err(act.failed())? {
        if same.digest == found.digest {
            return registered(act, &found.digest, true).map(Some);
        }
        return Err(refused(
            doing(),
            format!("this version is registered with other bytes: digest {}", same.digest),
            "publish what changed under a new version",
        ));
    }
    let highest = before.and_then(|before| before.highest_approved.as_ref());
    if let Some(highest) =
        highest.filter(|highest| manifest.version.cmp_precedence(highest).is_lt())
    {
        return Err(refused(
            doing(),
            format!("version {highest} is approved, and this one is older"),
            "revoke the approval of the later version first, if the older one is really wanted",
        ));
    }
    Ok(None)
}

fn registered(act: &Act<'_>, digest: &Digest, already: bool) -> Result<Registered, RegistryError> {
    let missing = || RegistryError::Missing { what: format!("bundle {digest}") };
    let bundle =
        bundle(act.tx, &Target::Digest(*digest)).map_err(act.failed())?.ok_or_else(missing)?;
    let state = known(act, &bundle.extension_id)?.state;
    Ok(Registered { bundle, state, already })
}

fn insert(
    act: &Act<'_>,
    found: &Identified,
    before: Option<&Extension>,
    expires: Option<i64>,
) -> Result<(), RegistryError> {
    let (manifest, digest) = (&found.manifest, found.digest.as_bytes().as_slice());
    let signer = match found.signer {
        Evaluated::NotEvaluated => None,
        Evaluated::Found(signer) => Signer::ALL.iter().position(|one| *one == signer),
    };
    act.tx
        .execute(
            "INSERT INTO bundles(digest, ext_id, version, tier, manifest, size, files, signer, sbom, \
             registered_at, registered_by) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                digest,
                manifest.id,
                manifest.version.to_string(),
                manifest.tier.name(),
                found.manifest_text,
                found.size,
                found.files,
                signer,
                found.sbom.is_some(),
                act.now,
                act.actor
            ],
        )
        .map_err(act.failed())?;
    // An older version that is registered late is not the one that findings are judged by.
    let latest =
        before.is_none_or(|before| manifest.version.cmp_precedence(&before.version).is_ge());
    if before.is_none() {
        act.tx
            .execute(
                "INSERT INTO extensions(id, name, publisher, tier, state, state_reason, state_by, state_at, \
                 current_digest, registered_at, registered_by) \
                 VALUES(?1, ?2, ?3, ?4, 'enabled', 'registered', ?6, ?7, ?5, ?7, ?6)",
                params![
                    manifest.id,
                    manifest.name,
                    manifest.publisher,
                    manifest.tier.name(),
                    digest,
                    act.actor,
                    act.now
                ],
            )
            .map_err(act.failed())?;
    } else if latest {
        act.tx
            .execute(
                "UPDATE extensions SET name = ?2, tier = ?3, current_digest = ?4 WHERE id = ?1",
                params![manifest.id, manifest.name, manifest.tier.name(), digest],
            )
            .map_err(act.failed())?;
    }
    if expires.is_some() {
        act.tx
            .execute(
                "UPDATE extensions SET expires_at = ?2 WHERE id = ?1",
                params![manifest.id, expires],
            )
            .map_err(act.failed())?;
    }
    let mut statement = act
        .tx
        .prepare(
            "INSERT INTO components(digest, kind, name, version, purl) VALUES(?1, ?2, ?3, ?4, ?5)",
        )
        .map_err(act.failed())?;
    for one in found.sbom.iter().flatten() {
        statement
            .execute(params![digest, one.kind, one.name, one.version, one.purl])
            .map_err(act.failed())?;
    }
    Ok(())
}

fn record(act: &mut Act<'_>, found: &Identified, new: bool) {
    let data = json!({
        "new": new,
        "digest": found.digest,
        "tier": found.manifest.tier,
        "size": found.size,
        "files": found.files,
        "signer": found.signer,
        "components": found.sbom.as_ref().map(Vec::len),
        "requested": found.manifest.permissions,
    });
    act.record(EventType::Registration, Weight::Info, data);
}
