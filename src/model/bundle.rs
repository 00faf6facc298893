//! A model bundle on disk: a folder with `bundle.json` and the files it names.
//!
//! Invariant: no byte of a file is used before the file was found within its size limit and its
//! SHA-256 was that of `bundle.json`; for the weights of a verifier, when they were last changed.
//! Opening a bundle reads only the two small files, so that results that are already known need no
//! weights in memory.

use super::gguf::Gguf;
use super::hardware::Hardware;
use super::heads::HeadWeights;
use super::manifest::{AnyManifest, FileEntry, Manifest, Refusal};
use super::reader::{LateReader, Reader};
use super::remote::{Destination, RemoteVerifier};
use super::reward::{ModelError, ModelIdentity, RewardModel};
use super::stamp::Stamp;
use super::threads::Threads;
use super::trunk::Trunk;
use super::trunk_heads::TrunkHeads;
use super::verifier::GenerativeVerifier;
use crate::calibration::{Calibration, Probability};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// The file that makes a folder a bundle.
pub const MANIFEST: &str = "bundle.json";

/// Largest `bundle.json` or `calibration.json`, in bytes.
const MAX_SMALL: u64 = 1 << 20;
/// Largest `tokenizer.json`, in bytes.
const MAX_TOKENIZER: u64 = 64 << 20;
/// Largest file of weights, in bytes.
const MAX_WEIGHTS: u64 = 512 << 20;

/// A bundle of which only the small files were read.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Which model this is.
    pub identity: ModelIdentity,
    /// How its logits become probabilities.
    pub calibration: Calibration,
    /// Languages that the model was trained on, as the bundle states them; none if it does not.
    pub languages: Vec<String>,
    /// Share of the changed lines that must have been read for a score, if the bundle states one.
    pub min_read: Option<Probability>,
    dir: PathBuf,
    manifest: AnyManifest,
    anew: bool,
}

impl Bundle {
    /// Reads `bundle.json` and `calibration.json` in `dir`; no weights.
    ///
    /// # Errors
    /// [`ModelError::NotFound`] if there is no `bundle.json`; [`ModelError::Read`],
    /// [`ModelError::Invalid`] or [`ModelError::Unsupported`] if a small file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(MANIFEST);
        let bytes = match read(&path, MAX_SMALL) {
            Err(ModelError::Read { source, .. }) if is_absent(&source) => {
                return Err(ModelError::NotFound(dir.to_path_buf()));
            }
            other => other?,
        };
        let manifest = AnyManifest::from_json(&bytes).map_err(|refusal| at(&path, refusal))?;
        let stated = manifest.stated();
        let calibration_path = dir.join(stated.calibration);
        let calibration = read(&calibration_path, MAX_SMALL)?;
        verify(&calibration_path, &calibration, stated.calibration_sha256)?;
        let calibration = Calibration::from_json(&calibration)
            .map_err(|error| invalid(&calibration_path, error.to_string()))?;
        Ok(Self {
            identity: ModelIdentity {
                name: stated.name.into(),
                version: stated.version.into(),
                bundle_hash: hex(&Sha256::digest(&bytes)),
                renderer: stated.renderer.into(),
            },
            calibration,
            languages: stated.languages.to_vec(),
            min_read: stated.min_read,
            dir: dir.to_path_buf(),
            manifest,
            anew: false,
        })
    }

    /// Hashes all files when the model is loaded, also those that had the right hash before and
    /// seem unchanged.
    #[must_use]
    pub fn verified_anew(self) -> Self {
        Self { anew: true, ..self }
    }

    /// The folder that the bundle was opened from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Verifies all files and builds the model, computing on the given hardware. What only patches
    /// with a description need is read for the first of them.
    ///
    /// # Errors
    /// [`ModelError`] naming the file and field at fault, or what memory the model needs.
    pub fn model(&self, hardware: impl Into<Hardware>) -> Result<Box<dyn RewardModel>, ModelError> {
        Ok(match &self.manifest {
            AnyManifest::TrunkHeads(_) => Box::new(self.heads_on(hardware.into().threads)?),
            AnyManifest::Verifier(_) => Box::new(self.verifier(hardware)?),
            AnyManifest::Remote(manifest) => {
                let files = self.files();
                let identity = self.identity.clone();
                Box::new(RemoteVerifier::load(identity, manifest, &files)?)
            }
        })
    }

    /// Where changed code is sent to be judged; none if this process judges it.
    #[must_use]
    pub fn destination(&self) -> Option<Destination> {
        match &self.manifest {
            AnyManifest::Remote(manifest) => Some(manifest.destination()),
            AnyManifest::TrunkHeads(_) | AnyManifest::Verifier(_) => None,
        }
    }

    /// Like [`Bundle::model`] for a bundle that must be of kind `generative-verifier`.
    ///
    /// # Errors
    /// As for [`Bundle::model`].
    pub fn verifier(
        &self,
        hardware: impl Into<Hardware>,
    ) -> Result<GenerativeVerifier, ModelError> {
        let AnyManifest::Verifier(manifest) = &self.manifest else {
            return Err(self.other_kind("generative-verifier"));
        };
        let files = self.files();
        GenerativeVerifier::load(self.identity.clone(), manifest, &files, hardware.into())
    }

    /// Like [`Bundle::model`] for a bundle that must be of kind `trunk-heads`, with all that any patch
    /// needs, on the default number of threads: `RAYON_NUM_THREADS`, or the number of physical cores.
    ///
    /// # Errors
    /// As for [`Bundle::model`].
    pub fn load(&self) -> Result<TrunkHeads, ModelError> {
        self.load_on(Threads::new(None)?)
    }

    /// Like [`Bundle::load`], computing on the given threads.
    ///
    /// # Errors
    /// As for [`Bundle::model`].
    pub fn load_on(&self, threads: Threads) -> Result<TrunkHeads, ModelError> {
        let model = self.heads_on(threads)?;
        model.load_reader()?;
        Ok(model)
    }

    fn heads_on(&self, threads: Threads) -> Result<TrunkHeads, ModelError> {
        let parts = self.parts()?;
        let (later, pool) = (self.clone(), threads.clone());
        let load = move || pool.run(|| later.parts()?.load_reader());
        let (heads, sound) =
            threads.run(|| rayon::join(|| parts.load_heads(), || parts.check_reader()));
        sound?;
        Ok(TrunkHeads::new(
            self.identity.clone(),
            parts.manifest.limits(),
            parts.manifest.trunk.hidden,
            LateReader::new(Box::new(load)),
            heads?,
            threads,
        ))
    }

    fn parts(&self) -> Result<Parts<'_>, ModelError> {
        let AnyManifest::TrunkHeads(manifest) = &self.manifest else {
            return Err(self.other_kind("trunk-heads"));
        };
        Ok(Parts {
            files: self.files(),
            manifest,
        })
    }

    fn files(&self) -> BundleFiles<'_> {
        BundleFiles {
            dir: &self.dir,
            anew: self.anew,
        }
    }

    fn other_kind(&self, wanted: &str) -> ModelError {
        ModelError::Unsupported {
            file: self.dir.join(MANIFEST),
            problem: format!("field `kind` is not {wanted}"),
        }
    }
}

/// The files of a bundle with trunk and heads.
struct Parts<'a> {
    files: BundleFiles<'a>,
    manifest: &'a Manifest,
}

impl Parts<'_> {
    fn load_reader(&self) -> Result<Reader, ModelError> {
        // They take about the same time, so each gets its own thread.
        let (trunk, tokenizer) = rayon::join(|| self.load_trunk(), || self.load_tokenizer());
        Ok(Reader {
            tokenizer: tokenizer?,
            trunk: trunk?,
        })
    }

    /// Hashes its files. A damaged bundle is refused at once, not when somebody describes a task.
    fn check_reader(&self) -> Result<(), ModelError> {
        self.files.check(self.entry(".gguf")?)?;
        self.files.check(&self.manifest.tokenizer)
    }

    fn load_trunk(&self) -> Result<Trunk, ModelError> {
        let (path, bytes) = self.weights(".gguf")?;
        let load = || {
            let gguf = Gguf::parse(&bytes)?;
            Trunk::load(&gguf, &self.manifest.trunk, self.manifest.context)
        };
        load().map_err(|problem| invalid(&path, problem))
    }

    fn load_heads(&self) -> Result<HeadWeights, ModelError> {
        let (path, bytes) = self.weights(".safetensors")?;
        HeadWeights::load(&bytes, self.manifest).map_err(|problem| invalid(&path, problem))
    }

    fn load_tokenizer(&self) -> Result<Tokenizer, ModelError> {
        let (path, bytes) = self.files.tokenizer(&self.manifest.tokenizer)?;
        let tokenizer = tokenizer_from(&bytes).map_err(|problem| invalid(&path, problem))?;
        let vocab = self.manifest.trunk.vocab;
        let too_large = tokenizer
            .get_vocab(true)
            .into_values()
            .find(|&id| id as usize >= vocab);
        if let Some(id) = too_large {
            return Err(invalid(
                &path,
                format!(
                    "field `model.vocab` holds id {id}, but `trunk.vocab` in bundle.json is {vocab}"
                ),
            ));
        }
        Ok(tokenizer)
    }

    fn weights(&self, extension: &str) -> Result<(PathBuf, Vec<u8>), ModelError> {
        self.files.whole(self.entry(extension)?, MAX_WEIGHTS)
    }

    fn entry(&self, extension: &str) -> Result<&FileEntry, ModelError> {
        self.manifest
            .weights(extension)
            .map_err(|refusal| at(&self.files.dir.join(MANIFEST), refusal))
    }
}

/// The files of a bundle's folder.
pub(super) struct BundleFiles<'a> {
    dir: &'a Path,
    /// Whether stamps do not count.
    anew: bool,
}

impl BundleFiles<'_> {
    /// A small file, whole.
    pub(super) fn small(&self, entry: &FileEntry) -> Result<(PathBuf, Vec<u8>), ModelError> {
        self.whole(entry, MAX_SMALL)
    }

    /// A tokenizer's file, whole.
    pub(super) fn tokenizer(&self, entry: &FileEntry) -> Result<(PathBuf, Vec<u8>), ModelError> {
        self.whole(entry, MAX_TOKENIZER)
    }

    /// A file of weights of any size, open. It is hashed unless it is as it was when it had the
    /// right hash.
    pub(super) fn weights(&self, entry: &FileEntry) -> Result<(PathBuf, File), ModelError> {
        let path = self.dir.join(&entry.file);
        let (mut file, metadata) = open(&path)?;
        let stamp = Stamp::new(&entry.file, &entry.sha256, &metadata);
        if self.anew || !stamp.as_ref().is_some_and(|stamp| stamp.is_in(self.dir)) {
            verify_open(&path, &mut file, &entry.sha256)?;
            if let Some(stamp) = stamp {
                stamp.keep(self.dir);
            }
        }
        Ok((path, file))
    }

    /// Hashes a file that is not needed yet.
    fn check(&self, entry: &FileEntry) -> Result<(), ModelError> {
        let path = self.dir.join(&entry.file);
        let (mut file, _) = open(&path)?;
        verify_open(&path, &mut file, &entry.sha256)
    }

    /// What is wrong with a file, as an error.
    pub(super) fn invalid(&self, path: &Path, problem: String) -> ModelError {
        invalid(path, problem)
    }

    fn whole(&self, entry: &FileEntry, limit: u64) -> Result<(PathBuf, Vec<u8>), ModelError> {
        let path = self.dir.join(&entry.file);
        let bytes = read(&path, limit)?;
        verify(&path, &bytes, &entry.sha256)?;
        Ok((path, bytes))
    }
}

/// Reads `tokenizer.json`. Fails with a clause that says what is wrong with it.
pub(super) fn tokenizer_from(bytes: &[u8]) -> Result<Tokenizer, String> {
    // The tokenizer's own reader panics on JSON that breaks off.
    serde_json::from_slice::<serde_json::Value>(bytes).map_err(|error| error.to_string())?;
    let fault = |error: tokenizers::Error| error.to_string();
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(fault)?;
    // A window is filled by this program, never by the tokenizer.
    tokenizer.with_truncation(None).map_err(fault)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// SHA-256 of all that can be read, in hexadecimal.
pub(super) fn digest(from: &mut impl Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(from, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// What all kinds of manifest state.
struct Stated<'a> {
    name: &'a str,
    version: &'a str,
    renderer: &'a str,
    calibration: &'a str,
    calibration_sha256: &'a str,
    languages: &'a [String],
    min_read: Option<Probability>,
}

impl AnyManifest {
    fn stated(&self) -> Stated<'_> {
        macro_rules! stated {
            ($manifest:expr) => {
                Stated {
                    name: &$manifest.name,
                    version: &$manifest.version,
                    renderer: &$manifest.renderer,
                    calibration: &$manifest.calibration,
                    calibration_sha256: &$manifest.calibration_sha256,
                    languages: &$manifest.languages,
                    min_read: $manifest.min_read,
                }
            };
        }
        match self {
            Self::TrunkHeads(manifest) => stated!(manifest),
            Self::Verifier(manifest) => stated!(manifest),
            Self::Remote(manifest) => stated!(manifest),
        }
    }
}

/// Reads a regular file of at most `limit` bytes.
/// Opens what must be a file.
fn open(path: &Path) -> Result<(File, Metadata), ModelError> {
    let metadata = std::fs::metadata(path).map_err(unreadable(path))?;
    if !metadata.is_file() {
        return Err(invalid(path, "is not a file".into()));
    }
    Ok((File::open(path).map_err(unreadable(path))?, metadata))
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> ModelError {
    |source| ModelError::Read {
        file: path.to_path_buf(),
        source,
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    let (file, metadata) = open(path)?;
    let too_large = || invalid(path, format!("is larger than the limit of {limit} bytes"));
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable(path))?;
    // The file may have grown since it was measured.
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

fn verify(path: &Path, bytes: &[u8], expected: &str) -> Result<(), ModelError> {
    compare(path, &hex(&Sha256::digest(bytes)), expected)
}

fn verify_open(path: &Path, file: &mut File, expected: &str) -> Result<(), ModelError> {
    compare(path, &digest(file).map_err(unreadable(path))?, expected)
}

fn compare(path: &Path, actual: &str, expected: &str) -> Result<(), ModelError> {
    if actual == expected {
        return Ok(());
    }
    Err(invalid(
        path,
        format!("field `sha256` in bundle.json is {expected}, but the file's is {actual}"),
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

fn at(path: &Path, refusal: Refusal) -> ModelError {
    match refusal {
        Refusal::Invalid(problem) => invalid(path, problem),
        Refusal::Unsupported(problem) => ModelError::Unsupported {
            file: path.to_path_buf(),
            problem: one_line(&problem),
        },
    }
}

fn invalid(path: &Path, problem: String) -> ModelError {
    ModelError::Invalid {
        file: path.to_path_buf(),
        problem: one_line(&problem),
    }
}

/// Foreign messages and names in a file may hold line breaks and be long.
pub(super) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().take(300).collect();
    line.retain(|c| !c.is_control());
    line
}
