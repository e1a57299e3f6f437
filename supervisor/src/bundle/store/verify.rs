//! Looking at stored bundles once more: when they are met by an ingest, or when somebody asks.

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
    /// Looks at every bundle: names, lengths, modes and owners; with `deep` also every byte. A damaged one loses its name:
    /// nobody can run it any more, its next ingest stores it anew, and `gc` removes what is left of it.
    ///
    /// # Errors
    /// [`StoreError`] where the store itself cannot be read; a damaged bundle is no error.
    pub fn verify(&self, deep: bool) -> Result<Vec<Health>, StoreError> {
        let mut all = Vec::new();
        for digest in self.digests()? {
            // `None`: `gc` took it away meanwhile.
            if let Some(damage) = self.look(&digest, deep)? {
                all.push(Health { digest, damage: damage.err() });
            }
        }
        Ok(all)
    }

    /// Looks at one bundle, in the same way; `None` where there is none.
    pub(super) fn look(
        &self,
        digest: &Digest,
        deep: bool,
    ) -> Result<Option<Result<Stored, Damage>>, StoreError> {
        let damaged = |reason: Damage, held: Option<&Stored>| {
            tracing::warn!(%digest, %reason, "taken out of the store");
            self.set_aside(digest, held)?;
            Ok(Some(Err(reason)))
        };
        match self.get(digest) {
            Ok(Some(stored)) => match intact(&stored, deep) {
                Ok(()) => Ok(Some(Ok(stored))),
                Err(reason) => damaged(reason, Some(&stored)),
            },
            Ok(None) => Ok(None),
            Err(StoreError::Damaged { reason, .. }) => damaged(reason, None),
            Err(error) => Err(error),
        }
    }
}

fn intact(stored: &Stored, deep: bool) -> Result<(), Damage> {
    let found = walk(stored.as_fd()).map_err(Damage::Files)?;
    let listed = stored.listed()?;
    let mut faults = listed.names_and_sizes(&found);
    for file in found.iter().filter(|file| !file.sealed) {
        faults.push(&file.path, What::Ownership);
    }
    faults.into_result().map_err(Damage::Files)?;
    if deep {
        listed.compare(stored.as_fd())?;
    }
    Ok(())
}
