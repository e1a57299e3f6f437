//! What the tests of this folder share: keys, certificates of every kind, a bundle that is signed.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use policies::tier::Tier;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams,
    SerialNumber,
};

use super::anchors::{Publisher, PublisherStatus, TrustStore};
use super::certificate::Certificate;
use super::crl::Crl;
use super::signer::{FileSigner, Signer};
use super::verify::{Claim, Integrity, Verification, verify};
use super::{cms, code};
use crate::bundle::digest::Hashed;

pub(super) const DAY: Duration = Duration::from_hours(24);

/// A key, for us and for rcgen.
pub(super) struct Key {
    pub(super) signer: FileSigner,
    pub(super) pair: rcgen::KeyPair,
}

impl Key {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
        let pkcs8 = pkcs8.as_ref().to_vec();
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), &PKCS_RSA_SHA256);
        Self { signer: FileSigner::new(key).unwrap(), pair: pair.unwrap() }
    }
}

/// Keys are slow to make.
pub(super) struct Keys {
    pub(super) root: Key,
    pub(super) intermediate: Key,
    pub(super) leaf: Key,
    pub(super) other: Key,
}

pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    root: Key::new(),
    intermediate: Key::new(),
    leaf: Key::new(),
    other: Key::new(),
});

pub(super) fn params(organisation: &str, name: &str) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - DAY).into();
    params.not_after = (now + 365 * DAY).into();
    params.use_authority_key_identifier_extension = true;
    params
}

pub(super) fn authority(name: &str, path_length: u8) -> CertificateParams {
    let mut params = params("Test", name);
    params.not_before = (SystemTime::now() - 1000 * DAY).into();
    params.not_after = (SystemTime::now() + 1000 * DAY).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(super) fn leaf() -> CertificateParams {
    let mut params = params("acme", "acme release");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

pub(super) fn certify(
    params: &CertificateParams,
    key: &Key,
    issuer: &CertificateParams,
    by: &Key,
) -> Certificate {
    let issuer = rcgen::Issuer::from_params(issuer, &by.pair);
    Certificate::from_der(params.signed_by(&key.pair, &issuer).unwrap().der()).unwrap()
}

pub(super) fn self_signed(params: &CertificateParams, key: &Key) -> Certificate {
    Certificate::from_der(params.self_signed(&key.pair).unwrap().der()).unwrap()
}

/// A revocation list, of a number, made and replaced so many days from now.
pub(super) fn crl(
    issuer: &CertificateParams,
    by: &Key,
    number: u64,
    days: (i64, i64),
    revoked: &[&Certificate],
) -> Crl {
    let at = |days: i64| {
        let whole = DAY * u32::try_from(days.unsigned_abs()).unwrap();
        let now = SystemTime::now();
        if days < 0 { now - whole } else { now + whole }
    };
    let entry = |certificate: &&Certificate| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&certificate.serial),
        revocation_time: at(days.0).into(),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: at(days.0).into(),
        next_update: at(days.1).into(),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: issuer.key_identifier_method.clone(),
    };
    let list = params.signed_by(&rcgen::Issuer::from_params(issuer, &by.pair)).unwrap();
    Crl::from_der(list.der()).unwrap()
}

pub(super) const MANIFEST: &[u8] = b"sandboxctl-manifest 1\nid acme.hello\nversion 1.2.3\n\
0644 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad extension.toml\n";

/// A signed bundle, its claim, and a host that trusts it: valid as it is.
pub(super) struct Scene {
    pub(super) manifest: Vec<u8>,
    pub(super) p7s: Option<Vec<u8>>,
    pub(super) id: String,
    pub(super) version: String,
    pub(super) publisher: String,
    pub(super) tier: Tier,
    pub(super) integrity: Integrity,
    pub(super) issuers: Vec<Certificate>,
    pub(super) crls: Vec<Crl>,
    pub(super) known: Option<Publisher>,
    pub(super) denied: super::anchors::Denied,
    pub(super) now: SystemTime,
}

impl Scene {
    pub(super) fn new() -> Self {
        let (root, intermediate) = (authority("root", 1), authority("intermediate", 0));
        let mut scene = Self {
            manifest: MANIFEST.to_vec(),
            p7s: None,
            id: "acme.hello".to_owned(),
            version: "1.2.3".to_owned(),
            publisher: "acme".to_owned(),
            tier: Tier::Enterprise,
            integrity: Integrity::Intact,
            issuers: vec![self_signed(&root, &KEYS.root)],
            crls: vec![
                crl(&root, &KEYS.root, 1, (-1, 6), &[]),
                crl(&intermediate, &KEYS.intermediate, 1, (-1, 6), &[]),
            ],
            known: Some(Publisher {
                status: PublisherStatus::Verified,
                keys: vec![crate::bundle::digest::sha256(KEYS.leaf.signer.spki_der())],
                note: String::new(),
            }),
            denied: super::anchors::Denied::default(),
            now: SystemTime::now(),
        };
        scene.sign(&KEYS.leaf, &[Self::leaf(&leaf()), Self::intermediate()]);
        scene
    }

    pub(super) fn leaf(params: &CertificateParams) -> Certificate {
        certify(params, &KEYS.leaf, &authority("intermediate", 0), &KEYS.intermediate)
    }

    pub(super) fn intermediate() -> Certificate {
        let params = authority("intermediate", 0);
        certify(&params, &KEYS.intermediate, &authority("root", 1), &KEYS.root)
    }

    pub(super) fn sign(&mut self, key: &Key, chain: &[Certificate]) {
        self.p7s = Some(cms::make(&self.manifest, &key.signer, chain, self.now).unwrap());
    }

    /// Signed with a leaf of other parameters.
    pub(super) fn with_leaf(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = leaf();
        change(&mut params);
        self.sign(&KEYS.leaf, &[Self::leaf(&params), Self::intermediate()]);
        self
    }

    pub(super) fn anchors(&self) -> TrustStore {
        let mut store = TrustStore::of(self.issuers.clone(), self.crls.clone())
            .with_denied(self.denied.clone());
        if let Some(known) = &self.known {
            store = store.with_publisher(&self.publisher, known.clone());
        }
        store
    }

    pub(super) fn verify(&self) -> Verification {
        let claim = Claim {
            id: &self.id,
            version: &self.version,
            publisher: &self.publisher,
            tier: self.tier,
        };
        let (integrity, anchors) = (self.integrity.clone(), self.anchors());
        let manifest = Hashed::new(self.manifest.clone());
        verify(&manifest, self.p7s.as_deref(), &claim, integrity, &anchors, self.now)
    }

    /// The codes that it is refused with.
    pub(super) fn codes(&self) -> Vec<&'static str> {
        let verification = self.verify();
        let codes: Vec<&str> = verification.failures().map(|refusal| refusal.code).collect();
        assert_eq!(verification.valid, codes.is_empty() && !verification.unknown(), "{codes:?}");
        for name in &codes {
            assert!(code::CODES.iter().any(|code| code.name == *name), "{name}");
        }
        codes
    }
}

impl Verification {
    fn unknown(&self) -> bool {
        let unknown =
            |check: &super::Check| matches!(check.verdict, super::Verdict::NotEvaluated { .. });
        self.checks.iter().any(unknown)
    }
}
