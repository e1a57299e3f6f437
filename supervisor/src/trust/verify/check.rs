//! Checks and their verdicts.

use policies::decision::Signer as Kind;
use serde::Serialize;

use super::super::code::{self, Refusal};
use super::{SignerInfo, Verification};

/// What is checked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// The clock of the host can be right.
    Clock,
    /// The files are those that MANIFEST lists.
    Integrity,
    /// MANIFEST is of the extension and version that `extension.toml` names.
    Claim,
    /// Neither the bundle nor a key is on the deny list.
    Denied,
    /// There is a signature of the profile, over these bytes, by the key of its certificate.
    Signature,
    /// The signer's key is RSA of an acceptable size.
    Key,
    /// The signer's certificate is one for signing code.
    Profile,
    /// It was issued by an issuer that the host trusts.
    Chain,
    /// Every certificate of the chain is valid now.
    Validity,
    /// None of them is revoked.
    Revocation,
    /// The signer may sign for the publisher.
    Publisher,
}

impl CheckName {
    /// What can only be checked of a signer.
    pub(super) const OF_SIGNER: [Self; 6] =
        [Self::Key, Self::Profile, Self::Chain, Self::Validity, Self::Revocation, Self::Publisher];

    /// The name in messages and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Integrity => "integrity",
            Self::Claim => "claim",
            Self::Denied => "denied",
            Self::Signature => "signature",
            Self::Key => "key",
            Self::Profile => "profile",
            Self::Chain => "chain",
            Self::Validity => "validity",
            Self::Revocation => "revocation",
            Self::Publisher => "publisher",
        }
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Nothing is wrong.
    Passed,
    /// Something is wrong or unknown that the tier lets pass.
    Waived(Refusal),
    /// Something is wrong.
    Failed(Refusal),
    /// Nothing is known: this denies.
    NotEvaluated {
        /// Why not.
        reason: String,
    },
}

/// A check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Which.
    pub check: CheckName,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What was found out about the files that MANIFEST lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Nobody looked: this denies.
    NotEvaluated,
    /// They are there, unchanged, and there are no others.
    Intact,
    /// They are not.
    Broken {
        /// Stable, kebab-case; of whoever looked.
        code: &'static str,
        /// What was found.
        reason: String,
    },
}

/// Verdicts as they come.
#[derive(Debug, Default)]
pub(in super::super) struct Checks(Vec<Check>);

impl Checks {
    fn push(&mut self, check: CheckName, verdict: Verdict) {
        self.0.push(Check { check, verdict });
    }

    /// Passed if nothing was found, else failed once for each.
    pub(in super::super) fn settle(&mut self, check: CheckName, found: Vec<Refusal>) {
        if found.is_empty() {
            self.push(check, Verdict::Passed);
        }
        for refusal in found {
            self.failed(check, refusal);
        }
    }

    pub(super) fn failed(&mut self, check: CheckName, refusal: Refusal) {
        self.push(check, Verdict::Failed(refusal));
    }

    pub(super) fn waived(&mut self, check: CheckName, refusal: Refusal) {
        self.push(check, Verdict::Waived(refusal));
    }

    /// Waived where the tier lets it pass.
    pub(super) fn judge(&mut self, check: CheckName, waived: bool, refusal: Refusal) {
        if waived {
            self.waived(check, refusal);
        } else {
            self.failed(check, refusal);
        }
    }

    pub(super) fn not_evaluated(&mut self, check: CheckName, reason: &str) {
        self.push(check, Verdict::NotEvaluated { reason: reason.to_owned() });
    }

    pub(super) fn integrity(&mut self, integrity: Integrity) {
        match integrity {
            Integrity::NotEvaluated => {
                self.not_evaluated(CheckName::Integrity, "nobody has looked at the files");
            }
            Integrity::Intact => self.push(CheckName::Integrity, Verdict::Passed),
            Integrity::Broken { code, reason } => {
                let remedy = "fetch the bundle again; its publisher: sign again after every change";
                self.failed(CheckName::Integrity, Refusal { code, reason, remedy });
            }
        }
    }

    /// Passed, unless something was said about this check already.
    pub(super) fn pass_if_silent(&mut self, check: CheckName) {
        if !self.0.iter().any(|earlier| earlier.check == check) {
            self.push(check, Verdict::Passed);
        }
    }

    /// Whether nothing failed in a check so far.
    pub(in super::super) fn good(&self, check: CheckName) -> bool {
        self.0.iter().filter(|earlier| earlier.check == check).all(|earlier| fine(&earlier.verdict))
    }

    /// The refusals so far.
    pub(in super::super) fn failures(&self) -> impl Iterator<Item = &Refusal> {
        self.0.iter().filter_map(|check| match &check.verdict {
            Verdict::Failed(refusal) => Some(refusal),
            _ => None,
        })
    }

    /// Whether every check passed or is waived.
    pub(in super::super) fn valid(&self) -> bool {
        self.0.iter().all(|check| fine(&check.verdict))
    }

    pub(super) fn into_verification(
        mut self,
        signer: Option<SignerInfo>,
        kind: Kind,
    ) -> Verification {
        self.0.sort_by_key(|check| check.check);
        let valid = !self.0.is_empty() && self.valid();
        let expired = |verdict: &Verdict| match verdict {
            Verdict::Failed(refusal) => refusal.code == code::CERTIFICATE_EXPIRED.name,
            verdict => fine(verdict),
        };
        let but_for_expiry =
            (!valid && self.0.iter().all(|check| expired(&check.verdict))).then_some(kind);
        let proven = if valid { kind } else { Kind::Unsigned };
        let signer = signer.map(|signer| SignerInfo { kind: proven, ..signer });
        Verification { valid, signer, checks: self.0, but_for_expiry }
    }
}

const fn fine(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Passed | Verdict::Waived(_))
}
