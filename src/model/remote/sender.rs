//! One question over HTTP: sent again while that may help, and not for longer.
//!
//! Invariant: what is sent goes to the stated address only; redirects are not followed. A key is
//! never part of a message.

use super::super::reward::{ModelError, Run};
use super::manifest::{Endpoint, Key};
use crossbeam_channel::{Receiver, SendTimeoutError, bounded};
use serde_json::Value;
use std::io::ErrorKind;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Wait after the first failure; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait, whatever the engine asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 4 << 20;
/// How often a wait looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Sends questions to one address.
#[derive(Debug)]
pub(super) struct Sender {
    agent: Agent,
    url: String,
    /// The engine's key.
    key: Option<String>,
    /// Seconds for one try.
    timeout: u64,
    attempts: usize,
    /// As full as questions are on their way.
    places: (crossbeam_channel::Sender<()>, Receiver<()>),
}

/// Why a try failed, and whether another may not.
struct Failure {
    reason: String,
    again: bool,
    after: Option<Duration>,
}

impl Failure {
    fn final_(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            again: false,
            after: None,
        }
    }
}

impl Sender {
    /// Fails if the key cannot be had.
    pub(super) fn new(endpoint: &Endpoint, is_here: bool) -> Result<Self, ModelError> {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let timeout = u64::try_from(endpoint.limits.timeout_seconds).unwrap_or(u64::MAX);
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(timeout)))
            .user_agent(concat!("diffidence/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections_per_host(endpoint.limits.concurrency)
            .tls_config(tls);
        if is_here {
            config = config.proxy(None);
        }
        let base = endpoint.url.trim_end_matches('/');
        Ok(Self {
            agent: config.build().new_agent(),
            url: format!("{base}/{}", endpoint.api.path()),
            key: endpoint.key.as_ref().map(secret).transpose()?,
            timeout,
            attempts: endpoint.limits.attempts,
            places: bounded(endpoint.limits.concurrency),
        })
    }

    /// The answer to a question, which waits until fewer than the limit are on their way, whatever
    /// patch they are about.
    pub(super) fn ask(&self, question: &Value, run: &Run) -> Result<Value, ModelError> {
        let (enter, leave) = &self.places;
        while let Err(SendTimeoutError::Timeout(())) = enter.send_timeout((), LOOK) {
            if run.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
        }
        let answer = self.answer(question, run);
        // There is at least the one that was put there before.
        let _ = leave.try_recv();
        answer
    }

    fn answer(&self, question: &Value, run: &Run) -> Result<Value, ModelError> {
        let body = question.to_string();
        let mut tries = 0;
        loop {
            if run.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
            tries += 1;
            let failure = match self.once(&body) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.again || tries >= self.attempts {
                let times = if tries > 1 {
                    format!(" ({tries} tries)")
                } else {
                    String::new()
                };
                return Err(self.error(format!("{}{times}", failure.reason)));
            }
            let wait = failure.after.unwrap_or_else(|| back_off(tries));
            tracing::info!(
                url = self.url,
                reason = self.without_key(&failure.reason),
                ?wait,
                "asking again"
            );
            pause(wait.min(LONGEST_WAIT), run);
        }
    }

    /// An error about what this address answered.
    pub(super) fn error(&self, reason: String) -> ModelError {
        ModelError::Remote(format!("{}: {}", self.url, self.without_key(&reason)))
    }

    /// An engine may repeat what it was sent.
    fn without_key(&self, text: &str) -> String {
        match &self.key {
            Some(key) => text.replace(key, "[its key]"),
            None => text.to_owned(),
        }
    }

    fn once(&self, body: &str) -> Result<Value, Failure> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json");
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let unreachable = |error| unreachable(error, self.timeout);
        let mut response = request.send(body).map_err(unreachable)?;
        let status = response.status();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec();
        if status.is_success() {
            let bytes = bytes.map_err(unreachable)?;
            return serde_json::from_slice(&bytes)
                .map_err(|error| Failure::final_(format!("its answer is no JSON: {error}")));
        }
        Err(Failure {
            reason: refusal(
                status.as_u16(),
                &bytes.unwrap_or_default(),
                self.key.is_some(),
            ),
            again: matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504),
            after: retry_after(&response),
        })
    }
}

fn secret(key: &Key) -> Result<String, ModelError> {
    let (text, source) = match key {
        Key::Env(name) => (
            std::env::var(name).map_err(|error| error.to_string()),
            format!("the environment variable {name}"),
        ),
        Key::File(path) => (
            std::fs::read_to_string(path).map_err(|error| error.to_string()),
            path.display().to_string(),
        ),
    };
    let text = text.map_err(|error| {
        ModelError::Remote(format!("its key cannot be read from {source}: {error}"))
    })?;
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ModelError::Remote(format!("{source} holds no key")));
    }
    Ok(key.to_owned())
}

fn unreachable(error: ureq::Error, timeout: u64) -> Failure {
    let (reason, again) = match error {
        ureq::Error::Timeout(_) => (
            format!(
                "there was no answer within {timeout} s; `--timeout` allows it more when it is added"
            ),
            true,
        ),
        // So are both told: a certificate that is not trusted, and an answer that is no TLS.
        ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => (
            format!("no connection by TLS that can be trusted: {error}"),
            false,
        ),
        ureq::Error::Io(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => (error.to_string(), true),
        _ => (error.to_string(), false),
    };
    Failure {
        reason,
        again,
        after: None,
    }
}

/// What an engine says when it refuses, in one line.
fn refusal(status: u16, body: &[u8], has_key: bool) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = [&json["error"]["message"], &json["message"], &json["detail"]]
        .into_iter()
        .find_map(Value::as_str)
        .map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let mut line: String = said.chars().take(300).collect();
    line.retain(|c| !c.is_control());
    match status {
        300..=399 => format!("status {status}: it redirects elsewhere; state the final address"),
        401 | 403 if has_key => format!("status {status}: it wants another key: {line}"),
        401 | 403 => format!(
            "status {status}: it wants a key: name it with --key-env or --key-file when the model \
             is added: {line}"
        ),
        _ => format!("status {status}: {line}"),
    }
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// Longer after each failure, and not the same for all who failed at once.
fn back_off(tries: usize) -> Duration {
    let doubled =
        FIRST_WAIT * 2_u32.saturating_pow(u32::try_from(tries - 1).unwrap_or(u32::MAX).min(10));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let jitter = now.map_or(0, |now| now.subsec_micros() % 256);
    doubled.mul_f64(0.75 + f64::from(jitter) / 512.0)
}

fn pause(wait: Duration, run: &Run) {
    let end = Instant::now() + wait;
    while !run.is_cancelled() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}
