//! Calibrations that a user fitted on their own data, one for each model, in the user's data folder.
//!
//! Invariant: a file that is damaged or made for another model is never used. Writing replaces a
//! file as a whole or not at all.

use super::map::{Calibration, CalibrationError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder of all local calibrations.
#[derive(Debug, Clone)]
pub struct LocalCalibrations {
    folder: PathBuf,
}

/// Why a local calibration cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The system does not let us.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is a file and it is no calibration.
    #[error("{}: {error}; `diffidence calibrate --undo` removes it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: CalibrationError,
    },
}

impl LocalCalibrations {
    /// Below the folder for the user's data.
    #[must_use]
    pub fn in_folder(data: &Path) -> Self {
        Self {
            folder: data.join("calibrations"),
        }
    }

    /// The file for the model with this bundle hash.
    #[must_use]
    pub fn path(&self, bundle_hash: &str) -> PathBuf {
        self.folder.join(format!("{bundle_hash}.json"))
    }

    /// The calibration for a model, if there is one.
    ///
    /// # Errors
    /// If there is a file that cannot be read or is none.
    pub fn load(&self, bundle_hash: &str) -> Result<Option<Calibration>, LocalError> {
        let path = self.path(bundle_hash);
        match std::fs::read(&path) {
            Ok(bytes) => match Calibration::from_json(&bytes) {
                Ok(calibration) => Ok(Some(calibration)),
                Err(error) => Err(LocalError::Damaged { path, error }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LocalError::Io { path, error }),
        }
    }

    /// Puts a calibration in place of the one before. Returns where it is.
    ///
    /// # Errors
    /// If it cannot be written; the one before is still there then.
    pub fn save(
        &self,
        bundle_hash: &str,
        calibration: &Calibration,
    ) -> Result<PathBuf, LocalError> {
        let path = self.path(bundle_hash);
        let write = || {
            std::fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            serde_json::to_writer_pretty(&mut file, calibration)?;
            writeln!(file)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        match write() {
            Ok(()) => Ok(path),
            Err(error) => Err(LocalError::Io { path, error }),
        }
    }

    /// Removes the calibration for a model. Whether there was one.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, bundle_hash: &str) -> Result<bool, LocalError> {
        let path = self.path(bundle_hash);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(LocalError::Io { path, error }),
        }
    }
}
