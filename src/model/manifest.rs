//! The content of `bundle.json`, checked field by field.
//!
//! Invariant: a [`Manifest`] names only plain files within its folder, and its numbers are small
//! enough to allocate by. It says nothing about whether the files hold what it promises.

use super::heads::{HunkPool, PatchPool};
use super::lines::LINE_NUMBERS;
use super::metrics::METRICS;
use super::remote;
use super::render::RENDERER;
use super::reversal::REVERSAL;
use super::surroundings::SURROUNDINGS;
use super::verifier;
use super::window::Limits;
use crate::calibration::Probability;
use serde::{Deserialize, Serialize};

/// Largest window that is accepted, in tokens.
const MAX_CONTEXT: usize = 32_768;
/// Most windows that are accepted.
const MAX_WINDOWS: usize = 256;
/// Largest hash table that is accepted.
const MAX_BUCKETS: u32 = 1 << 24;
/// Largest hidden layer of a head that is accepted.
const MAX_HEAD_HIDDEN: usize = 8_192;
/// Largest value accepted for any dimension of the trunk.
const MAX_TRUNK: usize = 1 << 20;

/// Why `bundle.json` cannot be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not what the format asks for; names the field.
    Invalid(String),
    /// It is right, but for another version of this program; says what to do.
    Unsupported(String),
}

/// A description of a trunk with heads.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) weights: Vec<FileEntry>,
    pub(super) tokenizer: FileEntry,
    pub(super) renderer: String,
    pub(super) context: usize,
    pub(super) calibration: String,
    pub(super) calibration_sha256: String,
    #[serde(default)]
    pub(super) languages: Vec<String>,
    /// Share of the changed lines that must have been read for a score.
    #[serde(default)]
    pub(super) min_read: Option<Probability>,
    pub(super) trunk: TrunkShape,
    pub(super) task_tokens: usize,
    pub(super) max_windows: usize,
    pub(super) readouts: Vec<usize>,
    pub(super) heads: HeadShapes,
    pub(super) lexical: LexicalShape,
}

/// A file of the bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// A plain name within the folder.
    pub(super) file: String,
    /// Lower-case hexadecimal.
    pub(super) sha256: String,
}

/// The dimensions of the trunk.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TrunkShape {
    pub(super) layers: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) intermediate: usize,
    pub(super) vocab: usize,
    pub(super) rope_theta: f64,
    pub(super) rms_norm_eps: f64,
}

/// The two heads on the trunk.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct HeadShapes {
    pub(super) patch: HeadShape<PatchPool>,
    pub(super) hunk: HeadShape<HunkPool>,
}

/// What a head reads and how wide it is.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct HeadShape<Pool> {
    pub(super) pools: Vec<Pool>,
    /// Size of the hidden layer; 0 for none.
    pub(super) hidden: usize,
}

/// Sizes of what is counted: the hash tables, and the numbers that the trees see.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LexicalShape {
    pub(super) buckets: u32,
    pub(super) metrics: usize,
    pub(super) surroundings: usize,
    pub(super) line_numbers: usize,
    pub(super) reversal: usize,
}

/// What has to be known before the rest can be read.
#[derive(Deserialize)]
struct Preamble {
    schema: u32,
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    TrunkHeads,
    GenerativeVerifier,
    Remote,
}

/// A manifest of any kind.
#[derive(Debug, Clone)]
pub(super) enum AnyManifest {
    TrunkHeads(Box<Manifest>),
    Verifier(Box<verifier::Manifest>),
    Remote(Box<remote::Manifest>),
}

impl AnyManifest {
    /// Reads and checks `bundle.json`.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, Refusal> {
        // Fields that are passed over would hide damage otherwise.
        std::str::from_utf8(bytes).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let preamble: Preamble = parse(bytes)?;
        if preamble.schema != 1 {
            return Err(Refusal::Unsupported(format!(
                "field `schema` is {}, but this version reads 1",
                preamble.schema
            )));
        }
        Ok(match preamble.kind {
            Kind::TrunkHeads => Self::TrunkHeads(Box::new(Manifest::from_json(bytes)?)),
            Kind::GenerativeVerifier => {
                Self::Verifier(Box::new(verifier::Manifest::from_json(bytes)?))
            }
            Kind::Remote => Self::Remote(Box::new(remote::Manifest::from_json(bytes)?)),
        })
    }
}

impl Manifest {
    fn from_json(bytes: &[u8]) -> Result<Self, Refusal> {
        let manifest: Self = parse(bytes)?;
        if manifest.renderer != RENDERER {
            return Err(Refusal::Unsupported(format!(
                "field `renderer` is {:?}, but this version renders {RENDERER}",
                manifest.renderer
            )));
        }
        if manifest.architecture != "llama" {
            return Err(Refusal::Unsupported(format!(
                "field `architecture` is {:?}, but this version runs llama",
                manifest.architecture
            )));
        }
        manifest.check_files()?;
        manifest.check_trunk()?;
        manifest.check_windows()?;
        manifest.check_heads()?;
        Ok(manifest)
    }

    /// How much the trunk reads.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            context: self.context,
            task_tokens: self.task_tokens,
            max_windows: self.max_windows,
        }
    }

    /// The only weights file whose name ends in `extension`.
    pub(super) fn weights(&self, extension: &str) -> Result<&FileEntry, Refusal> {
        let mut found = self
            .weights
            .iter()
            .filter(|entry| entry.file.ends_with(extension));
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(entry),
            _ => Err(Refusal::Invalid(format!(
                "field `weights` must list exactly one {extension} file"
            ))),
        }
    }

    fn check_files(&self) -> Result<(), Refusal> {
        let weights = self.weights.iter().map(|entry| ("weights", entry));
        for (field, entry) in weights.chain([("tokenizer", &self.tokenizer)]) {
            check_name(field, &entry.file)?;
            check_hash(field, &entry.sha256)?;
        }
        check_name("calibration", &self.calibration)?;
        check_hash("calibration_sha256", &self.calibration_sha256)?;
        self.weights(".gguf")?;
        self.weights(".safetensors")?;
        Ok(())
    }

    fn check_trunk(&self) -> Result<(), Refusal> {
        let trunk = &self.trunk;
        for (field, value, limit) in [
            ("trunk.layers", trunk.layers, 1_024),
            ("trunk.hidden", trunk.hidden, MAX_TRUNK),
            ("trunk.heads", trunk.heads, 1_024),
            ("trunk.kv_heads", trunk.kv_heads, 1_024),
            ("trunk.intermediate", trunk.intermediate, MAX_TRUNK),
            ("trunk.vocab", trunk.vocab, MAX_TRUNK),
        ] {
            within(field, value, 1, limit)?;
        }
        require(
            trunk.hidden.is_multiple_of(2 * trunk.heads),
            "field `trunk.hidden` must be a multiple of twice `trunk.heads`",
        )?;
        require(
            trunk.heads.is_multiple_of(trunk.kv_heads),
            "field `trunk.heads` must be a multiple of `trunk.kv_heads`",
        )?;
        require(
            trunk.rope_theta.is_finite() && trunk.rope_theta >= 1.0,
            "field `trunk.rope_theta` must be at least 1",
        )?;
        require(
            trunk.rms_norm_eps > 0.0 && trunk.rms_norm_eps < 1.0,
            "field `trunk.rms_norm_eps` must lie between 0 and 1",
        )
    }

    fn check_windows(&self) -> Result<(), Refusal> {
        within("context", self.context, 64, MAX_CONTEXT)?;
        within("max_windows", self.max_windows, 1, MAX_WINDOWS)?;
        // Leaves at least a quarter of each window for hunks beside the task and a file header.
        within("task_tokens", self.task_tokens, 0, self.context / 2)
    }

    fn check_heads(&self) -> Result<(), Refusal> {
        let rising = self.readouts.windows(2).all(|pair| pair[0] < pair[1]);
        let first = self.readouts.first().copied().unwrap_or(0);
        let last = self.readouts.last().copied().unwrap_or(0);
        require(
            rising && first >= 1 && last <= self.trunk.layers,
            "field `readouts` must list rising block numbers from 1 to `trunk.layers`",
        )?;
        for (field, pools, hidden) in [
            (
                "heads.patch",
                self.heads.patch.pools.len(),
                self.heads.patch.hidden,
            ),
            (
                "heads.hunk",
                self.heads.hunk.pools.len(),
                self.heads.hunk.hidden,
            ),
        ] {
            within(&format!("{field}.pools"), pools, 1, 16)?;
            within(&format!("{field}.hidden"), hidden, 0, MAX_HEAD_HIDDEN)?;
        }
        let buckets = self.lexical.buckets;
        require(
            (1..=MAX_BUCKETS).contains(&buckets),
            "field `lexical.buckets` must be from 1 to 16777216",
        )?;
        for (field, value, measured) in [
            ("metrics", self.lexical.metrics, METRICS),
            ("surroundings", self.lexical.surroundings, SURROUNDINGS),
            ("line_numbers", self.lexical.line_numbers, LINE_NUMBERS),
            ("reversal", self.lexical.reversal, REVERSAL),
        ] {
            if value != measured {
                return Err(Refusal::Unsupported(format!(
                    "field `lexical.{field}` is {value}, but this version measures {measured}"
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        Refusal::Invalid(if path == "." {
            error.to_string()
        } else {
            format!("field `{path}`: {error}")
        })
    })?;
    json.end()
        .map_err(|error| Refusal::Invalid(error.to_string()))?;
    Ok(value)
}

pub(super) fn require(holds: bool, problem: &str) -> Result<(), Refusal> {
    if holds {
        Ok(())
    } else {
        Err(Refusal::Invalid(problem.into()))
    }
}

pub(super) fn within(field: &str, value: usize, low: usize, high: usize) -> Result<(), Refusal> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "field `{field}` is {value}, not from {low} to {high}"
    )))
}

/// A name that stays within the folder on every platform, so no separators, drives or dots only.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    let plain = !name.is_empty()
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if plain {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "field `{field}`: {name:?} is not the plain name of a file in the bundle's folder"
    )))
}

pub(super) fn check_hash(field: &str, hash: &str) -> Result<(), Refusal> {
    let valid = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if valid {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "field `{field}`: {:?} is not a SHA-256 in lower-case hexadecimal",
        hash.chars().take(80).collect::<String>()
    )))
}
