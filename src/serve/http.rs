//! Routes, who may call them, limits, and errors as JSON.
//!
//! Invariant: every response, an error too, is JSON with a sentence (but for `/metrics`), and a
//! request that is not allowed, too large or too slow never reaches the model.

use super::desk::{Desk, Trouble};
use super::token::Token;
use super::wire::{classify, lines, openhands, openrlhf, pairs, rerank};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all handlers share.
pub(super) struct Service {
    pub(super) desk: Arc<Desk>,
    pub(super) token: Option<Token>,
    /// Time for a request to be read and answered.
    pub(super) timeout: Duration,
    pub(super) begun: Instant,
}

impl Service {
    /// Name and version of the model.
    pub(super) fn model(&self) -> String {
        self.desk.engine().judge().identity().to_string()
    }
}

/// All routes of the service.
pub(super) fn router(service: Arc<Service>, max_body: usize) -> Router {
    Router::new()
        .route("/classify", post(classify::classify))
        .route("/openhands/classify", post(openhands::classify))
        .route("/score", post(pairs::score))
        .route("/rerank", post(rerank::rerank))
        .route("/v1/rerank", post(rerank::rerank))
        .route("/v2/rerank", post(rerank::rerank))
        .route("/get_reward", post(openrlhf::get_reward))
        .route("/v1/score", post(lines::score))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .method_not_allowed_fallback(|| async {
            Fault::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "this address is called with another method",
            )
        })
        .fallback(|| async {
            Fault::new(
                StatusCode::NOT_FOUND,
                "not-found",
                "there is nothing at this address",
            )
        })
        .layer(middleware::from_fn_with_state(
            Arc::clone(&service),
            allowed,
        ))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), timed))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(service)
}

/// A failure that the client is told.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl Fault {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        let message = trouble.to_string();
        let (status, code, retry_after) = match trouble {
            Trouble::Busy { after, .. } => (StatusCode::TOO_MANY_REQUESTS, "busy", Some(after)),
            Trouble::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-many", None),
            Trouble::Unusable(_) => (StatusCode::SERVICE_UNAVAILABLE, "model", None),
            Trouble::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", None),
            Trouble::Model(_) => (StatusCode::INTERNAL_SERVER_ERROR, "model", None),
        };
        Self {
            retry_after,
            ..Self::new(status, code, message)
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// A request's body as JSON of a given shape.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Fault> {
        // A page in a browser can send other types than this one to any address without asking.
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "the header `Content-Type` must be `application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, service)
            .await
            .map_err(|rejection| {
                let status = rejection.status();
                let message = match status {
                    StatusCode::PAYLOAD_TOO_LARGE => {
                        "the body is larger than this service accepts; send fewer patches at once"
                            .into()
                    }
                    _ => rejection.body_text(),
                };
                Fault::new(status, "body", message)
            })?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let error = error.into_inner();
            Fault::bad_request(match path.as_str() {
                "." | "?" => format!("the body: {error}"),
                path => format!("the body, field `{path}`: {error}"),
            })
        })?;
        json.end()
            .map_err(|error| Fault::bad_request(format!("the body: {error}")))?;
        Ok(Self(value))
    }
}

/// Answers only those who know the token, if there is one.
async fn allowed(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    if is_known(&service, &request) || request.uri().path() == "/health" {
        return next.run(request).await;
    }
    Fault::new(
        StatusCode::UNAUTHORIZED,
        "token",
        "the header `Authorization` must be `Bearer` and the token of this service",
    )
    .into_response()
}

fn is_known(service: &Service, request: &Request) -> bool {
    let header = request.headers().get(header::AUTHORIZATION);
    let given = header.map(HeaderValue::as_bytes);
    service
        .token
        .as_ref()
        .is_none_or(|token| token.is_in(given))
}

/// Counts every request, and gives none more time than there is.
async fn timed(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answered = tokio::time::timeout(service.timeout, next.run(request)).await;
    let response = answered.unwrap_or_else(|_| {
        let seconds = service.timeout.as_secs();
        Fault {
            retry_after: Some(Duration::from_secs(1)),
            ..Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                format!(
                    "there was no answer within {seconds} s: send fewer patches at once, or start \
                     the service with a larger `--timeout`"
                ),
            )
        }
        .into_response()
    });
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let status = response.status().as_u16();
    service
        .desk
        .metrics()
        .answered(route, status, begun.elapsed());
    response
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], service.desk.text())
}

/// For whoever may not ask more, only whether the service can answer.
async fn health(State(service): State<Arc<Service>>, request: Request) -> Response {
    let desk = &service.desk;
    let (code, status) = match desk.broken() {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
    };
    if !is_known(&service, &request) {
        return (code, Json(json!({"status": status}))).into_response();
    }
    let judge = desk.engine().judge();
    let identity = judge.identity();
    let body = json!({
        "status": status,
        "reason": desk.broken(),
        "model": {
            "name": identity.name,
            "version": identity.version,
            "hash": identity.bundle_hash,
        },
        "calibrated": judge.calibration().fits_patches(),
        "calibration": judge.calibration().id,
        "prior": judge.prior(),
        "queue": {"waiting": desk.waiting(), "capacity": desk.capacity()},
        "uptime_seconds": service.begun.elapsed().as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    (code, Json(body)).into_response()
}
