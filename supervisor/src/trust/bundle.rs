//! What a bundle's signature says for the decision about it.

use std::path::Path;
use std::time::SystemTime;

use policies::decision::{Evaluated, PolicyViolation, Signer, TrustFacts};
use policies::manifest::Manifest;

use super::anchors::{TrustStore, TrustStoreError};
use super::code::{self, Refusal};
use super::verify::{Claim, Integrity, Verdict, Verification, suspended, verify};
use crate::bundle::Bundle;

/// What was found out about a bundle's signature.
#[derive(Clone, Debug)]
pub struct Vetted {
    /// For the decision.
    pub facts: TrustFacts,
    /// Every check; none of a folder without `MANIFEST`, which can carry no signature.
    pub verification: Option<Verification>,
}

/// Verifies an open bundle, whose files were compared with its list when it was opened.
///
/// # Errors
/// [`TrustStoreError`]: what the host trusts cannot be read, so nothing may be concluded.
pub fn vet(
    bundle: &Bundle,
    manifest: &Manifest,
    config: &Path,
    now: SystemTime,
) -> Result<Vetted, TrustStoreError> {
    let anchors = TrustStore::load_for(config, &manifest.publisher)?;
    let version = manifest.version.to_string();
    let claim = Claim {
        id: &manifest.id,
        version: &version,
        publisher: &manifest.publisher,
        tier: manifest.tier,
    };
    let Some(statement) = bundle.statement() else {
        let refusals: Vec<_> = suspended(&claim, &anchors).iter().map(violation).collect();
        let signature = Evaluated::Found(Signer::Unsigned);
        let facts = TrustFacts { signature, refusals, ..TrustFacts::default() };
        return Ok(Vetted { facts, verification: None });
    };
    let verification =
        verify(&statement.text, statement.p7s.as_deref(), &claim, Integrity::Intact, &anchors, now);
    Ok(Vetted { facts: facts(&verification), verification: Some(verification) })
}

/// A missing signature is the decision's business, because a development run may go without; what is wrong with one that is
/// there never is.
fn facts(verification: &Verification) -> TrustFacts {
    let is_absent = |refusal: &&Refusal| refusal.code == code::SIGNATURE_ABSENT.name;
    let refusals: Vec<_> =
        verification.failures().filter(|refusal| !is_absent(refusal)).map(violation).collect();
    let absent = verification.failures().any(|refusal| is_absent(&refusal));
    let signature = if absent && refusals.is_empty() {
        Evaluated::Found(Signer::Unsigned)
    } else {
        verification.kind()
    };
    let accepted_if_expired = verification.but_for_expiry();
    let mut facts = TrustFacts { signature, refusals, accepted_if_expired };
    if facts.signature == Evaluated::NotEvaluated && facts.refusals.is_empty() {
        // Something was not looked at, which is no reason to let it run.
        facts.refusals.extend(verification.checks.iter().filter_map(
            |check| match &check.verdict {
                Verdict::NotEvaluated { reason } => Some(PolicyViolation {
                    code: policies::decision::code::SIGNATURE_NOT_EVALUATED,
                    reason: format!("{} was not checked: {reason}", check.check.name()),
                    remedy: "sandboxctl verify BUNDLE shows every check".to_owned(),
                }),
                _ => None,
            },
        ));
    }
    facts
}

fn violation(refusal: &Refusal) -> PolicyViolation {
    PolicyViolation {
        code: refusal.code,
        reason: refusal.reason.clone(),
        remedy: refusal.remedy.to_owned(),
    }
}
