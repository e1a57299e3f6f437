//! What it costs at every launch to know whose bytes run, and that they may: from nothing to a signature, a registration and
//! a review.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::competitors::Competitor;
use crate::{Bench, Result, launch, programs};

/// The extension of both bundles.
const ID: &str = "bench.true";
const FOLDER: &str = "a folder, as it is";

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let site = Site::new(bench)?;
    let community = site.bundle("community")?;
    let professional = site.bundle("professional")?;
    let row =
        |name, command| Competitor { name, command: Some(command), is_reference: name == FOLDER };
    let plain = site.tool("plain", &["run", &community]);
    let packed = site.path("true.sbx")?;
    site.done("plain", &["pack", &community, "-o", &packed])?;
    let archive = site.tool("plain", &["run", &packed]);
    site.done("registered", &["ext", "register", &community])?;
    let registered = site.tool("registered", &["run", ID]);
    site.sign(&professional)?;
    site.done("signed", &["ext", "register", &professional])?;
    site.done("signed", &["review", "approve", ID, "--level", "internal", "--notes", "bench"])?;
    let signed = site.tool("signed", &["run", ID]);
    let mut all = [
        row(FOLDER, plain),
        row("an .sbx, compared to its end", archive),
        row("registered, from the store", registered),
        row("registered, reviewed, signed (RSA 3072, chain, revocation lists)", signed),
    ];
    let title = "Launch of a static `true`, and what is known of it, ms";
    launch::table(bench, title, FOLDER, &mut all)
}

/// A folder with a state and a configuration for each row.
struct Site<'a> {
    bench: &'a Bench,
    folder: PathBuf,
}

impl<'a> Site<'a> {
    fn new(bench: &'a Bench) -> Result<Self> {
        let folder = bench.folder.join("trust");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        Ok(Self { bench, folder })
    }

    fn path(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        Ok(path.to_str().ok_or("the folder of the bench is not UTF-8")?.to_owned())
    }

    fn tool(&self, row: &str, arguments: &[&str]) -> Command {
        let mut command = self.bench.sandboxctl(arguments);
        command
            .env("SANDBOXCTL_STATE_DIR", self.folder.join(row).join("state"))
            .env("SANDBOXCTL_CONFIG_DIR", self.folder.join(row).join("config"))
            .env("SANDBOXCTL_PASSPHRASE", "bench");
        command
    }

    fn done(&self, row: &str, arguments: &[&str]) -> Result<()> {
        let status = self.tool(row, arguments).status()?;
        if status.success() { Ok(()) } else { Err(format!("{arguments:?}: {status}").into()) }
    }

    /// The static `true` as a bundle of this tier.
    fn bundle(&self, tier: &str) -> Result<String> {
        let path = self.path(tier)?;
        fs::create_dir(&path)?;
        fs::copy(
            programs::bundle(&self.bench.folder, "true").join("true"),
            format!("{path}/true"),
        )?;
        let manifest = format!(
            "[extension]\nid = \"{ID}\"\nname = \"true\"\nversion = \"1.0.0\"\npublisher = \"bench\"\n\
             tier = \"{tier}\"\n[run]\ncommand = [\"/ext/true\"]\n"
        );
        fs::write(format!("{path}/extension.toml"), manifest)?;
        Ok(path)
    }

    /// By a publisher of an authority that the host trusts.
    fn sign(&self, bundle: &str) -> Result<()> {
        let (key, public, ca) = (self.path("key")?, self.path("key.pub")?, self.path("ca")?);
        let certificate = self.path("certificate.pem")?;
        let mut keygen = self.tool("signed", &["keygen", "-o", &key]);
        if !keygen.stdout(fs::File::create(&public)?).status()?.success() {
            return Err("keygen failed".into());
        }
        let run = |arguments: &[&str]| self.done("signed", arguments);
        run(&["ca", "init", &ca, "--name", "Bench"])?;
        run(&[
            "ca",
            "issue",
            &ca,
            "--publisher",
            "bench",
            "--public-key",
            &public,
            "-o",
            &certificate,
        ])?;
        run(&["sign", bundle, "--key", &key, "--cert", &certificate])?;
        run(&["trust", "add", "issuer", &format!("{ca}/root.pem")])?;
        for list in ["root.crl.pem", "intermediate-1.crl.pem"] {
            run(&["trust", "add", "crl", &format!("{ca}/{list}")])?;
        }
        Ok(())
    }
}
