//! A publisher with a key and a certificate, and a host that trusts the authority which issued it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::site::{self, Site};

/// `ca/`, `acme.key`, `acme.csr`, `acme.pem` in a folder; every passphrase is `secret`.
#[derive(Debug)]
pub struct Publisher {
    /// The host.
    pub site: Site,
    /// Where commands run.
    pub dir: PathBuf,
}

impl Publisher {
    /// Makes authority, key and certificate. Needs `openssl`.
    #[must_use]
    pub fn new() -> Self {
        let site = Site::new();
        let dir = site.fresh_dir("publisher");
        let this = Self { site, dir };
        this.ok(&["ca", "init", "ca", "--name", "Plant", "--bits", "2048"]);
        this.ok(&["keygen", "-o", "acme.key", "--bits", "2048"]);
        this.openssl("req -new -key acme.key -passin pass:secret -subj /CN=anything -out acme.csr");
        let issue = ["ca", "issue", "ca", "--publisher", "acme", "--csr", "acme.csr"];
        this.ok(&[&issue[..], &["-o", "acme.pem"]].concat());
        this.ok(&["trust", "add", "issuer", "ca/root.pem"]);
        this.take_lists();
        this
    }

    /// The host gets the authority's revocation lists.
    #[track_caller]
    pub fn take_lists(&self) {
        for entry in fs::read_dir(self.dir.join("ca")).unwrap().flatten() {
            let path = entry.path();
            if path.to_str().unwrap().ends_with(".crl.pem") {
                self.ok(&["trust", "add", "crl", path.to_str().unwrap()]);
            }
        }
    }

    /// `sandboxctl`, in the folder and with the passphrase.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.prepare(site::binary());
        command.args(arguments).current_dir(&self.dir).env("SANDBOXCTL_PASSPHRASE", "secret");
        command
    }

    /// To its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Succeeds; what it prints.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `openssl` in the folder, its arguments parted by blanks.
    pub fn try_openssl(&self, arguments: &str) -> Output {
        let words = arguments.split(' ');
        Command::new("openssl").args(words).current_dir(&self.dir).output().unwrap()
    }

    /// The same, and it succeeds.
    #[track_caller]
    pub fn openssl(&self, arguments: &str) -> String {
        let output = self.try_openssl(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Signs a bundle with the publisher's key.
    #[track_caller]
    pub fn sign(&self, name: &str) {
        self.ok(&["sign", name, "--key", "acme.key", "--cert", "acme.pem"]);
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}
