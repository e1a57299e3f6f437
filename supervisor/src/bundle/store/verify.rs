//! Looking at stored bundles once more: after a crash of the machine, or when somebody asks.

use std::os::fd::AsFd;

use policies::digest::Digest;

use super::{Damage, Store, StoreError, Stored};
use crate::bundle::fault::What;
use crate::bundle::walk::walk;

/// One bundle, and what is wrong with it.
#[derive(Debug)]
pub struct Health {
    /// Its name.
    pub digest: Digest,
    /// None where it is as it was stored.
    pub damage: Option<Damage>,
}

impl Store {
    /// Looks at every bundle: names, lengths, modes and owners; with `deep` also every byte.
    ///
    /// # Errors
    /// [`StoreError`] where the store itself cannot be read; a damaged bundle is no error.
    pub fn verify(&self, deep: bool) -> Result<Vec<Health>, StoreError> {
        let mut all = Vec::new();
        for digest in self.digests()? {
            let damage = match self.get(&digest) {
                Ok(Some(stored)) => look(&stored, deep).err(),
                // `gc` took it away meanwhile.
                Ok(None) => continue,
                Err(StoreError::Damaged { reason, .. }) => Some(reason),
                Err(error) => return Err(error),
            };
            all.push(Health { digest, damage });
        }
        Ok(all)
    }
}

fn look(stored: &Stored, deep: bool) -> Result<(), Damage> {
    let found = walk(stored.as_fd()).map_err(Damage::Files)?;
    let mut faults = stored.listed.names_and_sizes(&found);
    for file in found.iter().filter(|file| !file.sealed) {
        faults.push(&file.path, What::Ownership);
    }
    faults.into_result().map_err(Damage::Files)?;
    if deep {
        stored.listed.compare(stored.as_fd())?;
    }
    Ok(())
}
