//! The service under load and in trouble, with a model that does what the test tells it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use diffidence::scoring::{Cache, Engine, EngineOptions};
use diffidence::serve::{ServeError, ServeOptions, serve};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::fake_model::FakeModel;
use support::http::{Client, Response, answer};
use support::program::until;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

struct Service {
    model: FakeModel,
    client: Client,
    end: UnboundedSender<()>,
    ended: Option<JoinHandle<Result<(), ServeError>>>,
    runtime: Runtime,
}

impl Service {
    fn new(queue: usize, timeout: Duration) -> Self {
        let model = FakeModel::default();
        let options = ServeOptions {
            address: ([127, 0, 0, 1], 0).into(),
            token: None,
            queue,
            max_body: 1 << 20,
            timeout,
            max_changed_lines: 100,
        };
        let cache = Arc::new(Cache::in_memory());
        let engine = Engine::start(
            model.judge(),
            cache,
            model.loader(),
            EngineOptions::default(),
        );
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (end, asked) = unbounded_channel();
        let (send, bound) = std::sync::mpsc::channel();
        let ready = move |address| {
            send.send(address).unwrap();
            Ok(())
        };
        let ended = runtime.spawn(serve(engine.unwrap(), options, ready, asked));
        Self {
            client: Client {
                address: bound.recv().unwrap(),
                token: None,
            },
            model,
            end,
            ended: Some(ended),
            runtime,
        }
    }

    /// A question that waits in the model until it is released.
    fn ask(&self, added: &str) -> TcpStream {
        let body = json!({"patch": diff(added)}).to_string();
        let kind = "application/json";
        self.client.send("POST", "/v1/score", kind, body.as_bytes())
    }

    fn score(&self, added: &str) -> Response {
        answer(self.ask(added))
    }

    fn waiting(&self) -> Value {
        self.client.get("/health").json()["queue"]["waiting"].clone()
    }

    fn until_begun(&self, count: usize) {
        until("the model has begun", || {
            self.model.begun.load(Ordering::SeqCst) == count
        });
    }

    fn release(&self) {
        self.model.release.store(true, Ordering::SeqCst);
    }

    fn ended(&mut self) {
        let ended = self.ended.take().unwrap();
        self.runtime.block_on(ended).unwrap().unwrap();
    }
}

/// A model that still waits would keep its thread.
impl Drop for Service {
    fn drop(&mut self) {
        self.release();
    }
}

fn diff(added: &str) -> String {
    format!("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n-x = 0\n+{added}\n")
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_full_queue_says_when_to_come_again() {
    let service = Service::new(2, LONG);
    let first = service.ask("slow 1");
    service.until_begun(1);
    let second = service.ask("slow 2");
    until("both wait", || service.waiting() == 2);
    let refused = service.score("slow 3");
    assert_eq!(refused.status, 429);
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert!(refused.error().contains("2 patches are waiting"));
    // What needs no model needs no place either.
    assert_eq!(
        service
            .client
            .post("/v1/score", &json!({"patch": ""}))
            .status,
        200
    );
    service.release();
    for stream in [first, second] {
        assert_eq!(answer(stream).status, 200);
    }
    assert_eq!(service.waiting(), 0);
    assert_eq!(service.score("slow 3").status, 200);
}

#[test]
fn the_same_patch_is_computed_once_for_all_who_ask() {
    let service = Service::new(8, LONG);
    let streams: Vec<_> = (0..4).map(|_| service.ask("slow")).collect();
    until("all wait", || service.waiting() == 4);
    service.release();
    let answers: Vec<String> = streams.into_iter().map(|it| answer(it).body).collect();
    assert!(answers[0].contains("probability"), "{answers:?}");
    assert!(answers.iter().all(|it| *it == answers[0]));
    assert_eq!(service.model.begun.load(Ordering::SeqCst), 1);
}

#[test]
fn nothing_is_computed_for_a_client_that_is_gone() {
    let service = Service::new(8, LONG);
    let gone = service.ask("slow 1");
    let waits = service.ask("slow 2");
    until("both wait", || service.waiting() == 2);
    drop(gone);
    drop(waits);
    until("neither is computed", || service.waiting() == 0);
    assert_eq!(service.score("quick").status, 200);
}

#[test]
fn a_model_that_fails_is_never_a_low_score() {
    let service = Service::new(8, LONG);
    for _ in 0..2 {
        let failed = service.score("crash");
        assert_eq!(failed.status, 500);
        assert!(failed.error().contains("asked to crash"), "{failed:?}");
    }
    // One bad apple: none of the request's other scores is given either.
    let both = json!({"input": [diff("fine"), diff("crash")]});
    assert_eq!(service.client.post("/classify", &both).status, 500);
    let given_up = service.score("another");
    assert_eq!(given_up.status, 503);
    assert!(given_up.error().contains("restart"), "{given_up:?}");
    assert_eq!(service.client.get("/health").json()["status"], "degraded");
}

#[test]
fn what_takes_too_long_is_given_up() {
    let service = Service::new(8, Duration::from_millis(300));
    let slow = service.score("slow");
    assert_eq!(slow.status, 503);
    assert!(slow.error().contains("no answer within"), "{slow:?}");
    assert!(slow.header("retry-after").is_some());
    until("its place is free", || service.waiting() == 0);
    // A body that does not come.
    let kind = "application/json";
    let mut half = service.client.send("POST", "/v1/score", kind, b"");
    drop(half);
    half = TcpStream::connect(service.client.address).unwrap();
    let head = "POST /v1/score HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    std::io::Write::write_all(&mut half, head.as_bytes()).unwrap();
    assert_eq!(answer(half).status, 503);
}

#[test]
fn what_was_asked_is_answered_before_the_end() {
    let mut service = Service::new(8, LONG);
    let waits = service.ask("slow");
    service.until_begun(1);
    service.end.send(()).unwrap();
    until("no new client is let in", || {
        TcpStream::connect(service.client.address).is_err()
    });
    service.release();
    let answered = answer(waits);
    assert_eq!(answered.status, 200);
    assert!(answered.body.contains("probability"));
    service.ended();
}

#[test]
fn who_asks_twice_to_end_does_not_wait() {
    let mut service = Service::new(8, LONG);
    let _waits = service.ask("deaf");
    service.until_begun(1);
    service.end.send(()).unwrap();
    service.end.send(()).unwrap();
    service.ended();
}
