//! The content of `bundle.json` for a remote model, checked field by field.
//!
//! Invariant: it holds no secret: a key is named by its file or environment variable.

use super::super::manifest::{FileEntry, Refusal, check_hash, check_name, parse, require, within};
use crate::calibration::Probability;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use ureq::http::Uri;

/// The kind, as `bundle.json` states it.
pub(super) const KIND: &str = "remote";

/// Version of how a prompt is laid out.
const LAYOUT: &str = "@1";

/// A description of a remote model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::model) struct Manifest {
    schema: u32,
    kind: String,
    pub(in crate::model) name: String,
    pub(in crate::model) version: String,
    pub(super) endpoint: Endpoint,
    pub(super) prompt: FileEntry,
    pub(in crate::model) renderer: String,
    pub(super) answers: Answers,
    pub(in crate::model) calibration: String,
    pub(in crate::model) calibration_sha256: String,
    pub(in crate::model) languages: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::model) min_read: Option<Probability>,
}

/// Where the model is, and how to ask it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) api: Api,
    /// The model's name at the engine.
    pub(super) model: String,
    pub(super) key: Option<Key>,
    #[serde(flatten)]
    pub(super) limits: Limits,
}

/// What an engine is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// `URL/completions`, one token with the logarithms of its likeliest values.
    Completions,
    /// `URL/classify`, raw values of a classification head.
    Classify,
}

impl Api {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Completions => "completions",
            Self::Classify => "classify",
        }
    }
}

/// Where the key of an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
}

/// How much is sent, how much at once, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Questions at once.
    pub concurrency: usize,
    /// Seconds for one question.
    pub timeout_seconds: usize,
    /// Tries for one question.
    pub attempts: usize,
    /// Longest prompt, in bytes: how many tokens that are only the engine knows.
    pub prompt_bytes: usize,
}

impl Limits {
    /// What [`Limits::concurrency`] may be.
    pub const CONCURRENCY: RangeInclusive<usize> = 1..=256;
    /// What [`Limits::timeout_seconds`] may be.
    pub const TIMEOUT_SECONDS: RangeInclusive<usize> = 1..=3_600;
    /// What [`Limits::attempts`] may be.
    pub const ATTEMPTS: RangeInclusive<usize> = 1..=20;
    /// What [`Limits::prompt_bytes`] may be.
    pub const PROMPT_BYTES: RangeInclusive<usize> = 1_000..=8 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 4,
            timeout_seconds: 60,
            attempts: 5,
            prompt_bytes: 48_000,
        }
    }
}

/// The words that are compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answers {
    pub(super) yes: String,
    pub(super) no: String,
}

impl Manifest {
    pub(super) fn new(
        name: String,
        endpoint: Endpoint,
        prompt: FileEntry,
        template: &str,
        answers: Answers,
        calibration: FileEntry,
    ) -> Self {
        Self {
            schema: 1,
            kind: KIND.into(),
            name,
            version: "1".into(),
            endpoint,
            prompt,
            renderer: format!("{template}{LAYOUT}"),
            answers,
            calibration: calibration.file,
            calibration_sha256: calibration.sha256,
            languages: Vec::new(),
            min_read: None,
        }
    }

    /// Reads and checks `bundle.json`.
    pub(in crate::model) fn from_json(bytes: &[u8]) -> Result<Self, Refusal> {
        let manifest: Self = parse(bytes)?;
        if !manifest.renderer.ends_with(LAYOUT) {
            return Err(Refusal::Unsupported(format!(
                "field `renderer` is {:?}, but this version lays out prompts as {LAYOUT}",
                manifest.renderer
            )));
        }
        check_name("prompt", &manifest.prompt.file)?;
        check_hash("prompt", &manifest.prompt.sha256)?;
        check_name("calibration", &manifest.calibration)?;
        check_hash("calibration_sha256", &manifest.calibration_sha256)?;
        let endpoint = &manifest.endpoint;
        let limits = endpoint.limits;
        for (field, value, range) in [
            ("concurrency", limits.concurrency, Limits::CONCURRENCY),
            (
                "timeout_seconds",
                limits.timeout_seconds,
                Limits::TIMEOUT_SECONDS,
            ),
            ("attempts", limits.attempts, Limits::ATTEMPTS),
            ("prompt_bytes", limits.prompt_bytes, Limits::PROMPT_BYTES),
        ] {
            within(
                &format!("endpoint.{field}"),
                value,
                *range.start(),
                *range.end(),
            )?;
        }
        Destination::of(&endpoint.url).map_err(Refusal::Invalid)?;
        let Answers { yes, no } = &manifest.answers;
        require(
            !yes.trim().is_empty() && !no.trim().is_empty() && yes.trim() != no.trim(),
            "field `answers` must name two words",
        )?;
        Ok(manifest)
    }

    /// Where code is sent to.
    pub(in crate::model) fn destination(&self) -> Destination {
        Destination::of(&self.endpoint.url).unwrap_or_else(|_| Destination {
            url: self.endpoint.url.clone(),
            reach: Reach::Network,
        })
    }
}

/// Where changed code is sent to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    url: String,
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Another program on this machine.
    Here,
    /// Other machines, encrypted on the way.
    Encrypted,
    /// Other machines, and everyone on the way.
    Network,
}

impl Destination {
    /// Reads an address. Fails with a clause for whoever stated it.
    pub(super) fn of(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("the address {url:?} {what}");
        let parsed: Uri = url.parse().map_err(|_| wrong("is none"))?;
        let host = parsed.host().ok_or_else(|| wrong("names no host"))?;
        if parsed
            .authority()
            .is_some_and(|it| it.as_str().contains('@'))
        {
            return Err(wrong("holds a password; name a key instead"));
        }
        if parsed.query().is_some() {
            return Err(wrong("must end with its path"));
        }
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let here = host == "localhost" || address.is_some_and(|it| it.is_loopback());
        let reach = match parsed.scheme_str() {
            Some("http" | "https") if here => Reach::Here,
            Some("https") => Reach::Encrypted,
            Some("http") => Reach::Network,
            _ => return Err(wrong("must begin with http:// or https://")),
        };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, reach })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is another program on this machine.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.reach == Reach::Here
    }
}

/// What the user must know, as a sentence without its full stop.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.url;
        match self.reach {
            Reach::Here => write!(f, "changed code is sent to {url}, on this machine"),
            Reach::Encrypted => write!(f, "changed code leaves this machine: it is sent to {url}"),
            Reach::Network => write!(
                f,
                "changed code leaves this machine: it is sent to {url}, not encrypted"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_address_leads() {
        for (url, expected) in [
            (
                "http://127.0.0.1:8000/v1/",
                "sent to http://127.0.0.1:8000/v1, on this machine",
            ),
            ("http://localhost/v1", "on this machine"),
            ("http://[::1]:80", "on this machine"),
            (
                "https://models.example.org/v1",
                "leaves this machine: it is sent to https://models",
            ),
            ("http://10.0.0.7:8000", "not encrypted"),
            ("http://127.0.0.1.example.org", "not encrypted"),
        ] {
            let said = Destination::of(url).unwrap().to_string();
            assert!(said.contains(expected), "{url}: {said}");
        }
        for (url, problem) in [
            ("", "is none"),
            ("/v1", "names no host"),
            ("ftp://a", "must begin with"),
            ("http://user:secret@a/v1", "holds a password"),
            ("http://a/v1?key=1", "must end with its path"),
        ] {
            let error = Destination::of(url).unwrap_err();
            assert!(error.contains(problem), "{url}: {error}");
        }
    }
}
