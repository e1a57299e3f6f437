//! A real token of SoftHSM: `scripts/setup test` installs it. Run by scripts/test with the feature, in a dynamic build.

use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::trust::key::RsaPublicKey;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn addresses_are_taken_apart() {
    let uri = Uri::parse("pkcs11:token=my%20token;object=k;id=%01%ff?module-path=/x.so").unwrap();
    assert_eq!(uri.token.as_deref(), Some("my token"));
    assert_eq!(uri.id.as_deref(), Some(&[1, 0xff][..]));
    assert_eq!(uri.module_path, PathBuf::from("/x.so"));
    for wrong in [
        "token=t",
        "pkcs11:token=t?module-path=/x.so",
        "pkcs11:object=k",
        "pkcs11:object=k?module-path=x.so",
        "pkcs11:object=k;colour=red?module-path=/x.so",
        "pkcs11:object=k?module-path=/x.so&pin-value=1234",
        "pkcs11:object=%0?module-path=/x.so",
        "pkcs11:object=k;type=public?module-path=/x.so",
    ] {
        assert!(Uri::parse(wrong).is_err(), "{wrong}");
    }
}

/// Makes a token with a key, signs with it, and checks the signature with our verifier.
///
/// One test: a PKCS#11 library is initialised once a process, and reads `SOFTHSM2_CONF` then.
#[test]
fn a_key_in_a_token_signs() {
    if !Path::new(MODULE).exists() || cfg!(target_feature = "crt-static") {
        assert_ne!(
            std::env::var("SANDBOXCTL_REQUIRE_ALL").as_deref(),
            Ok("1"),
            "softhsm2 and a dynamic build are needed"
        );
        eprintln!("skipped: softhsm2 and a dynamic build are needed");
        return;
    }
    let folder = std::env::temp_dir().join(format!("sandboxctl-hsm-{}", std::process::id()));
    // scripts/test names the folder of the configuration: a process cannot change its own environment safely.
    let conf = std::env::var_os("SOFTHSM2_CONF").map(PathBuf::from);
    let conf = conf.expect("SOFTHSM2_CONF names a configuration of the test's own");
    let tokens = fs::read_to_string(&conf).unwrap();
    let tokens =
        tokens.lines().find_map(|line| line.strip_prefix("directories.tokendir = ")).unwrap();
    fs::create_dir_all(tokens.trim()).unwrap();
    fs::create_dir_all(&folder).unwrap();
    let key = folder.join("key.pem");
    let key = key.to_str().unwrap();
    run(
        "openssl",
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key],
    );
    let label = format!("t{}", std::process::id());
    run(
        "softhsm2-util",
        &["--init-token", "--free", "--label", &label, "--pin", "1234", "--so-pin", "5678"],
    );
    run(
        "softhsm2-util",
        &["--import", key, "--token", &label, "--label", "release", "--id", "a1", "--pin", "1234"],
    );
    let pin = folder.join("pin");
    fs::write(&pin, "1234\n").unwrap();
    run("chmod", &["600", pin.to_str().unwrap()]);
    let address =
        |object: &str| format!("pkcs11:token={label};object={object}?module-path={MODULE}");
    let source = PassphraseSource { file: Some(pin) };

    let signer = Pkcs11Signer::open(&address("release"), &source).unwrap();
    let signature = signer.sign_sha256_rsa(b"message").unwrap();
    let public = RsaPublicKey::from_spki(signer.spki_der()).unwrap();
    assert!(public.verifies(b"message", &signature));
    assert!(!public.verifies(b"massage", &signature));
    let mut openssl = Command::new("openssl");
    let spki = openssl.args(["pkey", "-in", key, "-pubout", "-outform", "DER"]).output().unwrap();
    assert_eq!(signer.spki_der(), spki.stdout);
    drop(signer);
    fs::remove_dir_all(folder).unwrap();
}
