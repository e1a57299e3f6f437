//! A real token of SoftHSM: `scripts/setup test` installs it. Run by scripts/test with the feature, in a dynamic build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::PassphraseSource;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "1234";
/// The keys in it, each with a file `NAME.pem` in the folder.
const KEYS: [&str; 3] = ["release", "log-1", "log-2"];

/// The library is initialised once a process, and a token's login is the whole process's: one token, one test at a time.
static TOKEN: Mutex<Option<Token>> = Mutex::new(None);

/// A token of this process with an RSA key of each name in [`KEYS`].
pub(crate) struct Token {
    label: String,
    folder: PathBuf,
}

/// The token, for one test at a time; none where there is no SoftHSM, or a static build, unless all are required.
pub(crate) fn token() -> Option<Held> {
    if !Path::new(MODULE).exists() || cfg!(target_feature = "crt-static") {
        assert_ne!(
            std::env::var("SANDBOXCTL_REQUIRE_ALL").as_deref(),
            Ok("1"),
            "softhsm2 and a dynamic build are needed"
        );
        eprintln!("skipped: softhsm2 and a dynamic build are needed");
        return None;
    }
    let mut token = TOKEN.lock().unwrap_or_else(PoisonError::into_inner);
    token.get_or_insert_with(Token::make);
    Some(Held(token))
}

/// A lock on it.
pub(crate) struct Held(MutexGuard<'static, Option<Token>>);

impl std::ops::Deref for Held {
    type Target = Token;

    fn deref(&self) -> &Token {
        self.0.as_ref().unwrap()
    }
}

impl Token {
    fn make() -> Self {
        // scripts/test names the folder of the configuration: a process cannot change its own environment safely.
        let conf = std::env::var_os("SOFTHSM2_CONF").map(PathBuf::from);
        let conf = conf.expect("SOFTHSM2_CONF names a configuration of the test's own");
        let tokens = fs::read_to_string(&conf).unwrap();
        let tokens =
            tokens.lines().find_map(|line| line.strip_prefix("directories.tokendir = ")).unwrap();
        fs::create_dir_all(tokens.trim()).unwrap();
        // Beside the configuration, and gone with it.
        let folder = conf.with_file_name(format!("keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let label = format!("t{}", std::process::id());
        run(
            "softhsm2-util",
            &["--init-token", "--free", "--label", &label, "--pin", PIN, "--so-pin", "5678"],
        );
        for (at, name) in KEYS.iter().enumerate() {
            let key = folder.join(format!("{name}.pem"));
            let key = key.to_str().unwrap();
            run(
                "openssl",
                &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key],
            );
            let id = format!("a{at}");
            run(
                "softhsm2-util",
                &["--import", key, "--token", &label, "--label", name, "--id", &id, "--pin", PIN],
            );
        }
        let token = Self { label, folder };
        fs::write(token.pin_file(), format!("{PIN}\n")).unwrap();
        run("chmod", &["600", token.pin_file().to_str().unwrap()]);
        token
    }

    /// Where its keys are as files, and its PIN.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address of a key.
    pub(crate) fn address(&self, object: &str) -> String {
        format!("pkcs11:token={};object={object}?module-path={MODULE}", self.label)
    }

    /// The file of its PIN.
    pub(crate) fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    /// Its PIN.
    pub(crate) fn pin(&self) -> PassphraseSource {
        PassphraseSource { file: Some(self.pin_file()) }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
