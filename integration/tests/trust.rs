//! Signatures through the command line, beside a real openssl: what one signs the other verifies, and what openssl makes
//! wrongly is refused with its code.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sandboxctl_integration::{Need, Publisher, require};
use serde_json::Value;

/// A publisher, and questions about bundles.
struct Rig(Publisher);

impl Deref for Rig {
    type Target = Publisher;

    fn deref(&self) -> &Publisher {
        &self.0
    }
}

impl Rig {
    fn new() -> Self {
        Self(Publisher::new())
    }

    /// Fails with this code, and says this.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, text: &str) {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(text), "{arguments:?}: {stderr}");
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A bundle, not signed.
    fn bundle(&self, name: &str, tier: &str) {
        let manifest = format!(
            "[extension]\nid = \"acme.hello\"\nname = \"hello\"\nversion = \"1.0.0\"\n\
             publisher = \"acme\"\ntier = \"{tier}\"\n[run]\ncommand = [\"bash\", \"main.sh\"]\n"
        );
        self.write(&format!("{name}/extension.toml"), &manifest);
        self.write(&format!("{name}/main.sh"), "echo hello\n");
        self.write(&format!("{name}/lib/deep/data"), "data\n");
    }

    fn signed(&self, name: &str, tier: &str) {
        self.bundle(name, tier);
        self.sign(name);
    }

    fn verify(&self, name: &str) -> (i32, Value) {
        let output = self.run(&["verify", name, "--json"]);
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        });
        (output.status.code().unwrap(), value)
    }

    /// Valid, and of this kind.
    #[track_caller]
    fn valid(&self, name: &str, kind: Option<&str>) {
        let (code, value) = self.verify(name);
        assert_eq!((code, &value["valid"]), (0, &Value::Bool(true)), "{value:#}");
        assert_eq!(value["signer"]["kind"].as_str(), kind, "{value:#}");
    }

    /// Codes of what failed.
    #[track_caller]
    fn codes(&self, name: &str) -> Vec<String> {
        let (code, value) = self.verify(name);
        assert_eq!((code, &value["valid"]), (126, &Value::Bool(false)), "{value:#}");
        let checks = value["checks"].as_array().unwrap();
        let failed = checks.iter().filter(|check| check["verdict"] == "failed");
        failed.map(|check| check["code"].as_str().unwrap().to_owned()).collect()
    }

    /// A certificate of the intermediate that openssl issues for a key of openssl's: `x.key`, `x.pem`.
    fn certify(&self, name: &str, key: &str, more: &str) {
        self.openssl(&format!("{key} -out {name}.key"));
        self.write("leaf.ext", LEAF);
        self.openssl(&format!("req -new -key {name}.key -subj /O=acme/CN=acme -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca/intermediate-1.pem -CAkey ca/intermediate-1.key \
             -passin pass:secret -extfile leaf.ext -days 365 {more} -out {name}.pem"
        ));
    }

    /// MANIFEST.p7s by openssl.
    fn openssl_signs(&self, name: &str, key: &str, more: &str) {
        self.openssl(&format!(
            "cms -sign -binary -outform DER -in {name}/MANIFEST -signer {key}.pem \
             -inkey {key}.key -certfile ca/intermediate-1.pem {more} -out {name}/MANIFEST.p7s"
        ));
    }
}

const LEAF: &str = "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n\
extendedKeyUsage = codeSigning\nauthorityKeyIdentifier = keyid\n";
const RSA: &str = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const CMS_VERIFY: &str = "cms -verify -binary -inform DER -in b/MANIFEST.p7s -content b/MANIFEST -purpose any -out /dev/null";

#[test]
fn what_we_sign_openssl_verifies() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.signed("b", "professional");
    rig.valid("b", Some("trusted-issuer"));
    rig.openssl(&format!("{CMS_VERIFY} -CAfile ca/root.pem"));
    rig.openssl(&format!("{CMS_VERIFY} -cades -CAfile ca/root.pem"));
    let read = |name: &str| fs::read_to_string(rig.dir.join(name)).unwrap();
    let all = read("ca/root.pem") + &read("ca/root.crl.pem") + &read("ca/intermediate-1.crl.pem");
    rig.write("all.pem", &all);
    rig.openssl(&format!("{CMS_VERIFY} -crl_check_all -CAfile all.pem"));
    let text = rig.openssl("x509 -in acme.pem -noout -ext extendedKeyUsage,keyUsage");
    assert!(text.contains("Code Signing") && text.contains("Digital Signature"), "{text}");
    // And not after a change.
    rig.write("b/MANIFEST", &read("b/MANIFEST").replace("acme.hello", "acme.hallo"));
    assert!(!rig.try_openssl(&format!("{CMS_VERIFY} -CAfile ca/root.pem")).status.success());
    // The digests of the list are those of sha256sum.
    rig.signed("b", "professional");
    let list = read("b/MANIFEST");
    let sums = list.lines().skip(3).map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        format!("{}  {}", fields[2], fields[3])
    });
    let sums = sums.collect::<Vec<_>>().join("\n");
    rig.write("b.sums", &sums);
    let check = ["-c", "--quiet", "../b.sums"];
    let sums = Command::new("sha256sum").args(check).current_dir(rig.dir.join("b")).status();
    assert!(sums.unwrap().success());
}

#[test]
fn what_openssl_signs_we_verify() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.signed("b", "professional");
    rig.certify("theirs", RSA, "-sha256");
    for more in ["-md sha256", "-md sha256 -cades", "-md sha256 -nosmimecap"] {
        rig.openssl_signs("b", "theirs", more);
        rig.valid("b", Some("trusted-issuer"));
    }
    // A key file of openssl's.
    rig.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -aes256 -pass pass:secret -out own.key");
    fs::set_permissions(rig.dir.join("own.key"), fs::Permissions::from_mode(0o600)).unwrap();
    rig.openssl("pkey -in own.key -passin pass:secret -pubout -out own.pub");
    rig.ok(&[
        "ca",
        "issue",
        "ca",
        "--publisher",
        "acme",
        "--public-key",
        "own.pub",
        "-o",
        "own.pem",
    ]);
    rig.ok(&["sign", "b", "--key", "own.key", "--cert", "own.pem"]);
    rig.valid("b", Some("trusted-issuer"));
    // What `openssl req -x509` makes is enough for community.
    rig.bundle("c", "community");
    rig.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout me.key -out me.pem -days 365 -subj /CN=me",
    );
    rig.write("c/MANIFEST", &fs::read_to_string(rig.dir.join("b/MANIFEST")).unwrap());
    rig.openssl_signs("c", "me", "-md sha256");
    assert_eq!(rig.codes("c"), ["files-changed"]);
}

/// Each way to sign wrongly.
#[test]
fn what_openssl_makes_wrongly_is_refused() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.signed("b", "professional");
    rig.certify("good", RSA, "-sha256");
    rig.certify("second", RSA, "-sha256");
    rig.certify("short", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024", "-sha256");
    rig.certify(
        "cubic",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3",
        "-sha256",
    );
    rig.certify("curve", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1", "-sha256");
    rig.certify("old", RSA, "-sha1");
    rig.certify("pss", RSA, "-sha256 -sigopt rsa_padding_mode:pss");
    let table = [
        ("good", "-md sha256 -noattr", &["signature-attributes"][..]),
        ("good", "-md sha256 -nodetach", &["signature-not-detached"]),
        ("good", "-md sha256 -nocerts", &["signer-certificate-missing"]),
        ("good", "-md sha256 -signer second.pem -inkey second.key", &["signature-signers"]),
        ("good", "-md sha256 -keyid", &["signature-malformed"]),
        ("good", "-md sha256 -econtent_type 1.2.3.4", &["signature-content-type"]),
        ("good", "-md sha1", &["signature-weak-digest"]),
        ("good", "-md sha512", &["signature-weak-digest"]),
        ("good", "-md sha256 -keyopt rsa_padding_mode:pss", &["signature-rsa-pss"]),
        ("curve", "-md sha256", &["signature-algorithm"]),
        ("short", "-md sha256", &["key-too-short"]),
        ("cubic", "-md sha256", &["key-exponent"]),
        ("old", "-md sha256", &["certificate-weak-digest"]),
        ("pss", "-md sha256", &["certificate-algorithm"]),
    ];
    for (key, more, expected) in table {
        rig.openssl_signs("b", key, more);
        assert_eq!(rig.codes("b"), expected, "{key} {more}");
    }
    rig.openssl_signs("b", "good", "-md sha256");
    rig.valid("b", Some("trusted-issuer"));
}

/// A missing signature and a changed bundle, and what `sign` itself refuses.
#[test]
fn stripping_and_changing_are_refused() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.signed("b", "professional");
    let at = |name: &str| rig.dir.join("b").join(name);
    let p7s = fs::read(at("MANIFEST.p7s")).unwrap();
    fs::remove_file(at("MANIFEST.p7s")).unwrap();
    assert_eq!(rig.codes("b"), ["signature-absent"]);
    fs::write(at("MANIFEST.p7s"), &p7s).unwrap();
    fs::remove_file(at("MANIFEST")).unwrap();
    assert!(rig.codes("b").contains(&"manifest-missing".to_owned()));
    for (name, act) in [("unlisted", "add"), ("main.sh", "append"), ("lib/deep/data", "remove")] {
        rig.signed("b", "professional");
        match act {
            "remove" => fs::remove_file(at(name)).unwrap(),
            _ => fs::write(at(name), "other").unwrap(),
        }
        assert_eq!(rig.codes("b"), ["files-changed"], "{act} {name}");
    }
    fs::remove_file(at("unlisted")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at("link")).unwrap();
    assert!(rig.codes("b").contains(&"file-symlink".to_owned()));
    // Unsigned is enough for community; a broken signature is not.
    rig.bundle("c", "community");
    rig.valid("c", None);
    rig.write("c/MANIFEST.p7s", "garbage");
    assert!(rig.codes("c").contains(&"signature-malformed".to_owned()));
    let sign =
        |key: &str, cert: &str| ["sign", "c", "--key", key, "--cert", cert].map(str::to_owned);
    let sign = |key, cert| sign(key, cert).to_vec();
    rig.ok(&["keygen", "-o", "other.key", "--bits", "2048"]);
    let words = sign("other.key", "acme.pem");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    rig.refused(&words, 1, "not for this key");
    rig.certify("tls", RSA, "-sha256 -days 30");
    rig.openssl("pkcs8 -topk8 -v2 aes-256-cbc -in tls.key -passout pass:secret -out tls.p8");
    fs::set_permissions(rig.dir.join("tls.p8"), fs::Permissions::from_mode(0o600)).unwrap();
    rig.refused(
        &["sign", "c", "--key", "tls.p8", "--cert", "tls.pem"],
        126,
        "certificate-lifetime",
    );
}

#[test]
fn keys_are_private() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.bundle("b", "community");
    let key = rig.dir.join("acme.key");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&key), 0o600);
    assert!(fs::read_to_string(&key).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"));
    let sign = ["sign", "b", "--key", "acme.key", "--cert", "acme.pem"];
    rig.refused(&["keygen", "-o", "acme.key"], 1, "File exists");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    rig.refused(&sign, 1, "its mode is 0640");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = rig.command(&sign).env("SANDBOXCTL_PASSPHRASE", "wrong").output().unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("passphrase is wrong"));
    let file = rig.write("passphrase", "secret\n");
    let mut with_file = sign.to_vec();
    with_file.extend(["--passphrase-file", "passphrase"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    rig.refused(&with_file, 1, "its mode is 0644");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = rig.command(&with_file);
    assert!(command.env_remove("SANDBOXCTL_PASSPHRASE").output().unwrap().status.success());
    // One that is not encrypted.
    rig.openssl("pkey -in acme.key -passin pass:secret -out plain.key");
    fs::set_permissions(rig.dir.join("plain.key"), fs::Permissions::from_mode(0o600)).unwrap();
    rig.refused(&["sign", "b", "--key", "plain.key", "--cert", "acme.pem"], 1, "PRIVATE KEY");
}

/// Issue, revoke, rotate; what hosts see of it.
#[test]
fn an_authority_issues_revokes_and_rotates() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.openssl(
        "verify -x509_strict -CAfile ca/root.pem -untrusted ca/intermediate-1.pem acme.pem",
    );
    rig.signed("b", "enterprise");
    assert_eq!(rig.codes("b"), ["publisher-unknown"]);
    rig.ok(&["trust", "add", "publisher", "acme", "--status", "verified", "--cert", "acme.pem"]);
    rig.valid("b", Some("verified-publisher"));
    rig.ok(&["trust", "add", "publisher", "acme", "--status", "suspended"]);
    assert_eq!(rig.codes("b"), ["publisher-suspended"]);
    rig.ok(&["trust", "add", "publisher", "acme", "--status", "verified"]);
    // A certificate of somebody else's, for their own extensions.
    rig.ok(&["ca", "issue", "ca", "--publisher", "mallory", "--new-key", "m.key", "-o", "m.pem"]);
    rig.ok(&["sign", "b", "--key", "m.key", "--cert", "m.pem"]);
    assert_eq!(rig.codes("b"), ["publisher-key"]);
    // A new intermediate; the old one's certificates stay valid.
    rig.signed("b", "enterprise");
    rig.ok(&["ca", "rotate", "ca", "--bits", "2048"]);
    rig.take_lists();
    rig.valid("b", Some("verified-publisher"));
    rig.ok(&["ca", "issue", "ca", "--publisher", "acme", "--csr", "acme.csr", "-o", "new.pem"]);
    rig.ok(&["sign", "b", "--key", "acme.key", "--cert", "new.pem"]);
    rig.valid("b", Some("verified-publisher"));
    // Revocation, which an older list cannot undo.
    fs::copy(rig.dir.join("ca/intermediate-2.crl.pem"), rig.dir.join("before.pem")).unwrap();
    let serial = rig.openssl("x509 -in new.pem -noout -serial").trim().replace("serial=", "");
    rig.ok(&["ca", "revoke", "ca", &serial, "--reason", "key-compromise"]);
    rig.take_lists();
    assert_eq!(rig.codes("b"), ["certificate-revoked"]);
    rig.refused(&["trust", "add", "crl", "before.pem"], 1, "its number");
    let text = rig.openssl("crl -in ca/intermediate-2.crl.pem -noout -text");
    assert!(text.contains(&serial) && text.contains("Key Compromise"), "{text}");
    rig.refused(&["ca", "revoke", "ca", &serial], 1, "revoked already");
    let again = ["ca", "issue", "ca", "--publisher", "acme", "--csr", "acme.csr"];
    rig.refused(&again, 1, "somebody else has it");
    rig.refused(&["ca", "revoke", "ca", "abcd"], 1, "has not issued it");
    let short = ["ca", "issue", "ca", "--publisher", "acme", "--csr", "acme.csr", "--days", "89"];
    rig.refused(&short, 2, "90");
    let list: Value = serde_json::from_str(&rig.ok(&["ca", "list", "ca", "--json"])).unwrap();
    let of = |serial: &str| {
        let all = list["certificates"].as_array().unwrap();
        all.iter().find(|one| one["serial"] == serial.to_lowercase()).unwrap().clone()
    };
    assert_eq!(of(&serial)["revoked"]["reason"], "key-compromise");
    // A whole intermediate.
    rig.signed("b", "enterprise");
    rig.valid("b", Some("verified-publisher"));
    let first = list["issuers"][1]["serial"].as_str().unwrap();
    rig.ok(&["ca", "revoke", "ca", first, "--reason", "ca-compromise"]);
    rig.take_lists();
    assert_eq!(rig.codes("b"), ["certificate-revoked"]);
}

/// Killed at any moment, an authority is as before or after, and goes on.
#[test]
fn a_killed_authority_is_consistent() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    let issue = ["ca", "issue", "ca", "--publisher", "acme", "--csr", "acme.csr"];
    let index = || -> Value {
        let text = fs::read_to_string(rig.dir.join("ca/index.json")).unwrap();
        serde_json::from_str(&text).expect("the index is whole")
    };
    let count = || index()["certificates"].as_array().unwrap().len();
    let kill_after = |arguments: &[&str], delay: Duration| {
        let mut command = rig.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap()
    };
    let began = std::time::Instant::now();
    rig.ok(&issue);
    let whole = began.elapsed();
    for step in 0..24 {
        let before = count();
        kill_after(&issue, whole * step / 20);
        assert!((before..=before + 1).contains(&count()), "step {step}");
    }
    // The next command removes what was never handed out.
    rig.ok(&issue);
    let files = fs::read_dir(rig.dir.join("ca/certs")).unwrap().count();
    assert_eq!(files, count());
    let serials: Vec<String> = index()["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["serial"].as_str().unwrap().to_owned())
        .collect();
    for (step, serial) in (0_u32..).zip(&serials) {
        kill_after(&["ca", "revoke", "ca", serial], whole * (step % 24) / 20);
        let revoked = |index: &Value| {
            let all = index["certificates"].as_array().unwrap();
            all.iter().filter(|one| !one["revoked"].is_null()).count()
        };
        let listed = index();
        // Done, or done again, or for the first time: the list has what the index has.
        let again = rig.run(&["ca", "revoke", "ca", serial]);
        let stderr = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success() || stderr.contains("revoked already"), "{stderr}");
        let text = rig.openssl("crl -in ca/intermediate-1.crl.pem -noout -text");
        assert_eq!(text.matches("Serial Number:").count(), revoked(&index()), "step {step}");
        assert!(revoked(&index()) >= revoked(&listed));
        let list: Value = serde_json::from_str(&rig.ok(&["ca", "list", "ca", "--json"])).unwrap();
        assert_eq!(list["behind"], Value::Array(Vec::new()));
    }
    assert_eq!(fs::read_dir(rig.dir.join("ca/certs")).unwrap().count(), count());
    // An authority that is killed while it is made is not there.
    for step in 1..6 {
        let name = format!("new-{step}");
        kill_after(&["ca", "init", &name, "--bits", "2048"], whole * step);
        let dir = rig.dir.join(&name);
        assert!(!dir.exists() || dir.join("index.json").exists());
    }
}

/// A file of the trust store that cannot be used denies, and is named.
#[test]
fn a_broken_trust_store_denies() {
    require!(Need::Program("openssl"));
    let rig = Rig::new();
    rig.signed("b", "community");
    rig.valid("b", Some("trusted-issuer"));
    let trust = rig.site.config().join("trust");
    let verify = ["verify", "b"];
    let broken = [
        ("publishers/acme.toml", "status = \"trusted\"\n", "publishers/acme.toml"),
        ("publishers/acme.toml", "status = \"verified\"\n", "at least one key"),
        ("publishers/acme.toml", "status = \"unverified\"\ncolour = 1\n", "colour"),
        ("denied.toml", "keys = 1\n", "denied.toml"),
        ("denied.toml", "[[keys]]\nsha256 = \"00\"\n", "64 lower-case"),
        ("issuers/x.pem", "nothing\n", "issuers/x.pem"),
        ("issuers/x.txt", "", "only .pem"),
        ("crls/x.pem", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "crls/x.pem"),
    ];
    for (name, text, says) in broken {
        let path = trust.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        rig.refused(&verify, 125, says);
        fs::remove_file(path).unwrap();
    }
    let path = trust.join("publishers/acme.toml");
    fs::write(&path, "status = \"unverified\"\n").unwrap();
    rig.valid("b", Some("trusted-issuer"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    rig.refused(&verify, 125, "others can write it");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    rig.refused(&verify, 125, "publishers/acme.toml");
    fs::remove_file(&path).unwrap();
    // Denied, and allowed again.
    let (_, value) = rig.verify("b");
    let digest = value["digest"].as_str().unwrap();
    let key = value["signer"]["spkiSha256"].as_str().unwrap();
    rig.ok(&["trust", "add", "denied-digest", digest, "--note", "a \"reason\""]);
    rig.ok(&["trust", "add", "denied-key", key]);
    assert_eq!(rig.codes("b"), ["digest-denied", "key-denied"]);
    let list: Value = serde_json::from_str(&rig.ok(&["trust", "list", "--json"])).unwrap();
    assert_eq!(list["denied"]["digests"][0]["note"], "a \"reason\"");
    rig.ok(&["trust", "remove", "denied-digest", digest]);
    rig.ok(&["trust", "remove", "denied-key", key]);
    rig.refused(&["trust", "remove", "denied-key", key], 1, "failed to find");
    rig.valid("b", Some("trusted-issuer"));
    let issuer = list["issuers"][0]["sha256"].as_str().unwrap();
    rig.ok(&["trust", "remove", "issuer", issuer]);
    assert_eq!(rig.codes("b"), ["issuer-untrusted"]);
    rig.refused(&["trust", "remove", "issuer", "../denied"], 1, "failed to find");
    rig.refused(&["trust", "add", "issuer", "acme.pem"], 1, "one root is wanted");
    rig.refused(&["trust", "add", "issuer", "ca/intermediate-1.pem"], 1, "no root");
}
