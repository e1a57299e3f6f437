//! Every way to be refused, each with its code, and the ways that pass.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use policies::decision::Signer as Kind;
use rcgen::{CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::*;
mod forged;

use crate::bundle::digest::sha256;
use crate::trust::anchors::{Denial, PublisherStatus};
use crate::trust::signer::Signer as _;
use crate::trust::testing::{DAY, KEYS, Scene, authority, certify, crl, leaf, params, self_signed};

fn community() -> Scene {
    Scene { tier: Tier::Community, ..Scene::new() }
}

fn signed_by_itself(tier: Tier) -> Scene {
    let mut scene = Scene { tier, known: None, ..Scene::new() };
    scene.sign(&KEYS.leaf, &[self_signed(&leaf(), &KEYS.leaf)]);
    scene
}

/// A scene whose chain is of these certificates.
fn chained(chain: &[Certificate]) -> Scene {
    let mut scene = Scene::new();
    scene.sign(&KEYS.leaf, chain);
    scene
}

fn flipped(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 1;
    bytes
}

/// What is refused, how it comes about, and all the codes that it is refused with.
#[expect(clippy::too_many_lines, reason = "one table")]
fn refusals() -> Vec<(&'static str, Scene, &'static [&'static str])> {
    let scene = Scene::new;
    let with_leaf = |change: fn(&mut rcgen::CertificateParams)| scene().with_leaf(change);
    let good_leaf = || Scene::leaf(&leaf());
    let mut table: Vec<(&str, Scene, &[&str])> = vec![
        ("no signature", Scene { p7s: None, ..scene() }, &["signature-absent"]),
        (
            "no signature, professional",
            Scene { p7s: None, tier: Tier::Professional, ..scene() },
            &["signature-absent"],
        ),
        ("empty signature", Scene { p7s: Some(Vec::new()), ..scene() }, &["signature-malformed"]),
        (
            "garbage, community",
            Scene { p7s: Some(vec![0x30, 0x80]), ..community() },
            &["signature-malformed"],
        ),
        (
            "a byte more",
            {
                let mut s = scene();
                s.p7s.as_mut().unwrap().push(0);
                s
            },
            &["signature-malformed"],
        ),
        ("too large", Scene { p7s: Some(vec![0; 65 * 1024]), ..scene() }, &["signature-malformed"]),
        (
            "tampered manifest",
            Scene { manifest: flipped(scene().manifest, 60), ..scene() },
            &["signature-digest"],
        ),
        (
            "tampered manifest, community",
            Scene { manifest: flipped(scene().manifest, 60), ..community() },
            &["signature-digest"],
        ),
        (
            "tampered signature",
            {
                let mut s = scene();
                let p7s = s.p7s.take().unwrap();
                let last = p7s.len() - 1;
                s.p7s = Some(flipped(p7s, last));
                s
            },
            &["signature-invalid"],
        ),
        ("another id", Scene { id: "acme.other".to_owned(), ..scene() }, &["id-other"]),
        ("another version", Scene { version: "1.2.2".to_owned(), ..scene() }, &["version-other"]),
        (
            "another publisher",
            Scene { publisher: "acm".to_owned(), ..scene() },
            &["publisher-not-of-id"],
        ),
        (
            "no manifest",
            {
                let mut s = scene();
                s.manifest = b"id acme.hello\n".to_vec();
                let chain = [good_leaf(), Scene::intermediate()];
                s.sign(&KEYS.leaf, &chain);
                s
            },
            &["manifest-malformed"],
        ),
        (
            "changed files",
            Scene {
                integrity: Integrity::Broken { code: "clock-wrong", reason: String::new() },
                ..scene()
            },
            &["clock-wrong"],
        ),
        (
            "the other root",
            Scene {
                issuers: vec![self_signed(&authority("other root", 1), &KEYS.other)],
                ..scene()
            },
            &["issuer-untrusted"],
        ),
        (
            "another root of the same name",
            Scene {
                issuers: vec![{
                    let mut p = authority("root", 1);
                    p.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(
                        Scene::intermediate().authority_key_id.unwrap(),
                    );
                    self_signed(&p, &KEYS.other)
                }],
                crls: Vec::new(),
                ..scene()
            },
            &["chain-invalid", "crl-missing", "crl-missing"],
        ),
        (
            "no issuer at all, community",
            Scene { issuers: Vec::new(), ..community() },
            &["issuer-untrusted"],
        ),
        ("no intermediate", chained(&[good_leaf()]), &["issuer-untrusted"]),
        (
            "self-signed, enterprise",
            signed_by_itself(Tier::Enterprise),
            &["self-signed", "self-signed", "publisher-unknown"],
        ),
        (
            "self-signed, professional",
            {
                let mut s = signed_by_itself(Tier::Professional);
                s.known = scene().known;
                s
            },
            &["self-signed", "self-signed"],
        ),
        (
            "self-signed with a pin of another key, community",
            {
                let mut s = signed_by_itself(Tier::Community);
                s.known = Some(crate::trust::anchors::Publisher {
                    keys: vec![sha256(b"other")],
                    ..Default::default()
                });
                s
            },
            &["publisher-key"],
        ),
        (
            "expired",
            with_leaf(|p| {
                p.not_before = (SystemTime::now() - 200 * DAY).into();
                p.not_after = (SystemTime::now() - DAY).into();
            }),
            &["certificate-expired"],
        ),
        (
            "not yet valid",
            with_leaf(|p| p.not_before = (SystemTime::now() + DAY).into()),
            &["certificate-not-yet-valid"],
        ),
        (
            "valid for 89 days",
            with_leaf(|p| p.not_after = (SystemTime::now() + 88 * DAY).into()),
            &["certificate-lifetime"],
        ),
        ("no key usage", with_leaf(|p| p.key_usages = Vec::new()), &["key-usage-missing"]),
        (
            "another key usage",
            with_leaf(|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
            &["key-usage-wrong"],
        ),
        (
            "a second key usage",
            with_leaf(|p| p.key_usages.push(KeyUsagePurpose::ContentCommitment)),
            &["key-usage-wrong"],
        ),
        (
            "no extended key usage",
            with_leaf(|p| p.extended_key_usages = Vec::new()),
            &["extended-key-usage-missing"],
        ),
        (
            "for servers",
            with_leaf(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            &["extended-key-usage-wrong"],
        ),
        (
            "for code and servers",
            with_leaf(|p| p.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth)),
            &["extended-key-usage-wrong"],
        ),
        (
            "for anything",
            with_leaf(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
            &["extended-key-usage-any"],
        ),
        (
            "for code and anything",
            with_leaf(|p| p.extended_key_usages.push(ExtendedKeyUsagePurpose::Any)),
            &["extended-key-usage-any"],
        ),
        (
            "an authority",
            with_leaf(|p| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0))),
            &["certificate-is-ca"],
        ),
        (
            "a critical extension",
            with_leaf(|p| {
                let mut e = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                e.set_criticality(true);
                p.custom_extensions.push(e);
            }),
            &["certificate-critical-extension"],
        ),
        (
            "revoked",
            {
                let mut s = scene();
                let leaf = good_leaf();
                s.sign(&KEYS.leaf, &[leaf.clone(), Scene::intermediate()]);
                s.crls[1] =
                    crl(&authority("intermediate", 0), &KEYS.intermediate, 2, (-1, 6), &[&leaf]);
                s
            },
            &["certificate-revoked"],
        ),
        (
            "revoked, by a stale list, community",
            {
                let mut s = community();
                let leaf = good_leaf();
                s.sign(&KEYS.leaf, &[leaf.clone(), Scene::intermediate()]);
                s.crls[1] =
                    crl(&authority("intermediate", 0), &KEYS.intermediate, 2, (-9, -2), &[&leaf]);
                s
            },
            &["certificate-revoked"],
        ),
        (
            "revoked, and an older list beside it",
            {
                let mut s = scene();
                let leaf = good_leaf();
                s.sign(&KEYS.leaf, &[leaf.clone(), Scene::intermediate()]);
                s.crls.push(crl(
                    &authority("intermediate", 0),
                    &KEYS.intermediate,
                    300,
                    (-1, 6),
                    &[&leaf],
                ));
                s
            },
            &["certificate-revoked"],
        ),
        (
            "revoked intermediate",
            {
                let mut s = scene();
                let i = Scene::intermediate();
                s.sign(&KEYS.leaf, &[good_leaf(), i.clone()]);
                s.crls[0] = crl(&authority("root", 1), &KEYS.root, 2, (-1, 6), &[&i]);
                s
            },
            &["certificate-revoked"],
        ),
        ("no list", Scene { crls: Vec::new(), ..scene() }, &["crl-missing", "crl-missing"]),
        (
            "no list of the root, professional",
            {
                let mut s = Scene { tier: Tier::Professional, ..scene() };
                s.crls.remove(0);
                s
            },
            &["crl-missing"],
        ),
        (
            "a stale list",
            {
                let mut s = scene();
                s.crls[1] =
                    crl(&authority("intermediate", 0), &KEYS.intermediate, 2, (-9, -2), &[]);
                s
            },
            &["crl-stale"],
        ),
        (
            "a forged list",
            {
                let mut s = scene();
                let mut p = authority("intermediate", 0);
                p.key_identifier_method =
                    rcgen::KeyIdMethod::PreSpecified(Scene::intermediate().subject_key_id.unwrap());
                s.crls[1] = forged(&p);
                s
            },
            &["crl-invalid"],
        ),
        (
            "a list of tomorrow",
            {
                let mut s = scene();
                s.crls[1] = crl(&authority("intermediate", 0), &KEYS.intermediate, 2, (1, 6), &[]);
                s
            },
            &["clock-wrong"],
        ),
        (
            "a denied key",
            {
                let mut s = scene();
                s.denied.keys.push(Denial {
                    sha256: sha256(KEYS.leaf.signer.spki_der()),
                    note: "leaked".to_owned(),
                });
                s
            },
            &["key-denied"],
        ),
        (
            "a denied intermediate",
            {
                let mut s = community();
                s.denied.keys.push(Denial {
                    sha256: sha256(KEYS.intermediate.signer.spki_der()),
                    note: String::new(),
                });
                s
            },
            &["key-denied"],
        ),
        (
            "a denied bundle",
            {
                let mut s = scene();
                s.denied.digests.push(Denial { sha256: sha256(&s.manifest), note: String::new() });
                s
            },
            &["digest-denied"],
        ),
        (
            "a denied bundle, unsigned",
            {
                let mut s = Scene { p7s: None, ..community() };
                s.denied.digests.push(Denial { sha256: sha256(&s.manifest), note: String::new() });
                s
            },
            &["digest-denied"],
        ),
        ("an unknown publisher", Scene { known: None, ..scene() }, &["publisher-unknown"]),
        (
            "an unverified publisher",
            {
                let mut s = scene();
                s.known.as_mut().unwrap().status = PublisherStatus::Unverified;
                s
            },
            &["publisher-unverified"],
        ),
        (
            "a suspended publisher",
            {
                let mut s = scene();
                s.known.as_mut().unwrap().status = PublisherStatus::Suspended;
                s
            },
            &["publisher-suspended"],
        ),
        (
            "a suspended publisher, unsigned",
            {
                let mut s = Scene { p7s: None, ..community() };
                s.known.as_mut().unwrap().status = PublisherStatus::Suspended;
                s
            },
            &["publisher-suspended"],
        ),
        (
            "a key that is not pinned",
            {
                let mut s = scene();
                s.known.as_mut().unwrap().keys = vec![sha256(b"other")];
                s
            },
            &["publisher-key"],
        ),
        (
            "a certificate of another publisher",
            {
                let mut s = scene()
                    .with_leaf(|p| p.distinguished_name.push(DnType::OrganizationName, "mallory"));
                s.tier = Tier::Professional;
                s.known = None;
                s
            },
            &["publisher-other"],
        ),
        (
            "a clock of 1970",
            Scene { now: SystemTime::UNIX_EPOCH + DAY, ..scene() },
            &[
                "clock-wrong",
                "certificate-not-yet-valid",
                "clock-wrong",
                "clock-wrong",
                "clock-wrong",
                "clock-wrong",
            ],
        ),
    ];
    table.extend(chains());
    table.extend(forged::refusals());
    table
}

fn forged(issuer: &rcgen::CertificateParams) -> crate::trust::crl::Crl {
    crl(issuer, &KEYS.other, 2, (-1, 6), &[])
}

/// Wrong ways from the signer to the root.
fn chains() -> Vec<(&'static str, Scene, &'static [&'static str])> {
    let (a, b) = (authority("a", 3), authority("b", 3));
    let keys = &*KEYS;
    let loop_of = [
        certify(&leaf(), &keys.leaf, &a, &keys.intermediate),
        certify(&a, &keys.intermediate, &b, &keys.other),
        certify(&b, &keys.other, &a, &keys.intermediate),
    ];
    let (root, deep) = (authority("root", 1), authority("deep", 0));
    let long = [
        certify(&leaf(), &keys.leaf, &deep, &keys.other),
        certify(&deep, &keys.other, &authority("intermediate", 0), &keys.intermediate),
        Scene::intermediate(),
    ];
    let mut plain = leaf();
    plain.distinguished_name.push(DnType::CommonName, "no authority");
    let no_authority = [
        certify(&leaf(), &keys.leaf, &plain, &keys.other),
        certify(&plain, &keys.other, &root, &keys.root),
    ];
    let mut unsigning = authority("intermediate", 0);
    unsigning.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let no_key_usage =
        [Scene::leaf(&leaf()), certify(&unsigning, &keys.intermediate, &root, &keys.root)];
    let mut servers = authority("intermediate", 0);
    servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let for_servers =
        [Scene::leaf(&leaf()), certify(&servers, &keys.intermediate, &root, &keys.root)];
    let wrong_key = [
        certify(&leaf(), &keys.leaf, &with_id_of_intermediate(), &keys.other),
        Scene::intermediate(),
    ];
    vec![
        ("a loop", chained(&loop_of), &["chain-loop"]),
        ("four levels", chained(&long), &["chain-too-long"]),
        ("issued by no authority", chained(&no_authority), &["chain-invalid"]),
        ("issued by one that may not", chained(&no_key_usage), &["chain-invalid"]),
        ("issued by one for servers", chained(&for_servers), &["chain-invalid"]),
        ("issued with another key", chained(&wrong_key), &["chain-invalid"]),
    ]
}

fn with_id_of_intermediate() -> rcgen::CertificateParams {
    let mut params = authority("intermediate", 0);
    let id = Scene::intermediate().subject_key_id.unwrap();
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(id);
    params
}

#[test]
fn each_fault_is_refused_with_its_code() {
    let mut wrong = Vec::new();
    for (name, scene, expected) in refusals() {
        let mut found = scene.codes();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        if found != expected {
            wrong.push(format!("{name}: {found:?}, not {expected:?}"));
        }
        let verification = scene.verify();
        assert!(!verification.valid, "{name}");
        assert_eq!(verification.kind(), Evaluated::NotEvaluated, "{name}");
        if let Some(signer) = verification.signer {
            assert_eq!(signer.kind, Kind::Unsigned, "{name}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_code_has_a_scene() {
    let seen: BTreeSet<&str> =
        refusals().into_iter().flat_map(|(_, scene, _)| scene.codes()).collect();
    let missing = code::CODES.iter().map(|code| code.name).filter(|name| !seen.contains(name));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn what_is_right_passes() {
    let pass = |name: &str, scene: &Scene, kind: Kind| {
        let verification = scene.verify();
        assert!(verification.valid, "{name}: {:?}", verification.checks);
        assert_eq!(verification.kind(), Evaluated::Found(kind), "{name}");
        assert_eq!(verification.but_for_expiry(), None, "{name}");
    };
    pass("enterprise", &Scene::new(), Kind::VerifiedPublisher);
    let professional = Scene { tier: Tier::Professional, known: None, ..Scene::new() };
    pass("professional", &professional, Kind::TrustedIssuer);
    pass("community", &community(), Kind::VerifiedPublisher);
    pass("community, unsigned", &Scene { p7s: None, ..community() }, Kind::Unsigned);
    pass("self-signed", &signed_by_itself(Tier::Community), Kind::SelfSigned);
    let no_lists = Scene { crls: Vec::new(), ..community() };
    pass("community without lists", &no_lists, Kind::VerifiedPublisher);
    // As `openssl req -x509` makes them.
    let mut plain = params("anybody", "me");
    plain.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let mut scene = signed_by_itself(Tier::Community);
    scene.sign(&KEYS.leaf, &[self_signed(&plain, &KEYS.leaf)]);
    pass("self-signed authority", &scene, Kind::SelfSigned);
    // A root that came along does no harm.
    let chain = [Scene::leaf(&leaf()), Scene::intermediate(), Scene::new().issuers[0].clone()];
    pass("with its root", &chained(&chain), Kind::VerifiedPublisher);
}

#[test]
fn what_nobody_looked_at_denies() {
    let scene = Scene { integrity: Integrity::NotEvaluated, ..Scene::new() };
    assert!(!scene.verify().valid);
    assert_eq!(scene.codes(), Vec::<&str>::new());
}

#[test]
fn expiry_alone_is_told_apart() {
    let expire = |p: &mut rcgen::CertificateParams| {
        p.not_before = (SystemTime::now() - 200 * DAY).into();
        p.not_after = (SystemTime::now() - DAY).into();
    };
    let expired = Scene::new().with_leaf(expire);
    assert_eq!(expired.verify().but_for_expiry(), Some(Kind::VerifiedPublisher));
    let tampered = Scene { manifest: flipped(expired.manifest.clone(), 60), ..expired };
    assert_eq!(tampered.verify().but_for_expiry(), None);
    assert_eq!(Scene::new().verify().but_for_expiry(), None);
}

/// Damaged anywhere, a signature is refused and nothing panics.
#[test]
fn every_damaged_byte_is_refused() {
    let scene = Scene { tier: Tier::Community, known: None, crls: Vec::new(), ..Scene::new() };
    let good = scene.p7s.clone().unwrap();
    let mut scene = scene;
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        scene.p7s = Some(bytes);
        assert!(!scene.verify().valid, "byte {at}");
    }
    for length in 0..good.len() {
        scene.p7s = Some(good[..length].to_vec());
        assert!(!scene.verify().valid, "{length} bytes");
    }
}

/// Not a test of a time: prints what verification costs. `cargo test --release -- --ignored --nocapture cost`.
#[test]
#[ignore = "prints figures"]
fn cost() {
    let scene = Scene::new();
    let claim =
        Claim { id: "acme.hello", version: "1.2.3", publisher: "acme", tier: Tier::Enterprise };
    let anchors = scene.anchors();
    let manifest = Hashed::new(scene.manifest.clone());
    let mut times: Vec<Duration> = (0..2000)
        .map(|_| {
            let began = Instant::now();
            let p7s = scene.p7s.as_deref();
            let found = verify(&manifest, p7s, &claim, Integrity::Intact, &anchors, scene.now);
            assert!(found.valid);
            began.elapsed()
        })
        .collect();
    times.sort();
    println!("verify: min {:?}, median {:?}", times[0], times[times.len() / 2]);
}
