//! A model of kind `remote`, against an engine of our own that answers as the test tells it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use diffidence::change::Patch;
use diffidence::model::remote::{Api, Key, Limits, Remote, add};
use diffidence::model::verifier::{Markup, Template, TemplateChoice};
use diffidence::model::{Bundle, ModelError, RewardModel, Run, Threads};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use support::Repo;
use support::program::{Editor, program, until};

/// What the engine does with a request.
#[derive(Debug, Clone)]
enum Act {
    /// Says that the patch is right, or wrong if it adds `bad`.
    Judge,
    /// A status with a header and a body.
    Say(u16, &'static str, &'static str),
    /// Closes the connection.
    Hang,
    /// Answers only once it is released.
    Wait,
}

/// An engine on loopback.
#[derive(Clone)]
struct Engine {
    address: SocketAddr,
    /// What is done with the next requests; after these it judges.
    acts: Arc<Mutex<Vec<Act>>>,
    /// Path, authorization and body of each request.
    asked: Arc<Mutex<Vec<(String, String, Value)>>>,
    /// Requests at work, and the most at once.
    busy: Arc<[AtomicUsize; 2]>,
    release: Arc<AtomicBool>,
}

impl Engine {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let engine = Self {
            address: listener.local_addr().unwrap(),
            acts: Arc::default(),
            asked: Arc::default(),
            busy: Arc::default(),
            release: Arc::default(),
        };
        let serving = engine.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (engine, stream) = (serving.clone(), stream.unwrap());
                std::thread::spawn(move || engine.serve(stream));
            }
        });
        engine
    }

    fn will(&self, acts: &[Act]) {
        *self.acts.lock().unwrap() = acts.to_vec();
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((path, authorization, body)) = read(&mut reader) {
            let busy = self.busy[0].fetch_add(1, Ordering::SeqCst) + 1;
            self.busy[1].fetch_max(busy, Ordering::SeqCst);
            self.asked
                .lock()
                .unwrap()
                .push((path.clone(), authorization, body.clone()));
            let mut acts = self.acts.lock().unwrap();
            let act = if acts.is_empty() {
                Act::Judge
            } else {
                acts.remove(0)
            };
            drop(acts);
            let (status, header, answer) = match act {
                Act::Judge => (200, "", judged(&path, &body)),
                Act::Say(status, header, body) => (status, header, body.into()),
                Act::Hang => return,
                Act::Wait => {
                    until("released", || self.release.load(Ordering::SeqCst));
                    (200, "", judged(&path, &body))
                }
            };
            self.busy[0].fetch_sub(1, Ordering::SeqCst);
            let length = answer.len();
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{header}\r\n");
            // The client may have gone.
            drop(stream.write_all(format!("{head}{answer}").as_bytes()));
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<(String, String, Value)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|&read| read > 0)?;
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = value.into(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    Some((path, authorization, serde_json::from_slice(&body).unwrap()))
}

fn judged(path: &str, body: &Value) -> String {
    let prompt = body.get("prompt").or(body.get("input")).unwrap();
    // The question about a hunk shows it again, last.
    let hunk = prompt.as_str().unwrap().rsplit("+++ b/").next().unwrap();
    let bad = hunk.contains("+bad");
    let [yes, no] = if bad { [-2.5, -0.5] } else { [-0.5, -2.5] };
    let answer = if path.ends_with("/classify") {
        json!({"data": [{"index": 0, "probs": [yes - no]}]})
    } else {
        json!({"choices": [{"text": "YES", "logprobs": {
            "top_logprobs": [{"YES": yes, "NO": no, "Maybe": -6.0}]}}]})
    };
    answer.to_string()
}

fn patch(added: &[&str]) -> Patch {
    let files = added.iter().enumerate().map(|(number, added)| {
        format!("--- a/f{number}\n+++ b/f{number}\n@@ -1 +1 @@\n-x\n+{added}\n")
    });
    Patch::from_unified(files.collect::<String>().as_bytes()).unwrap()
}

struct Bench {
    engine: Engine,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            engine: Engine::start(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn wanted(&self) -> Remote<'_> {
        Remote {
            url: format!("http://{}/v1/", self.engine.address),
            api: Api::Completions,
            model: "org/judge".into(),
            key: None,
            limits: Limits {
                attempts: 3,
                ..Limits::default()
            },
            template: TemplateChoice::BuiltIn(Template::PatchJudge),
            markup: Markup::ChatMl { thinks: false },
            answers: None,
            name: "far".into(),
            out: Path::new(""),
        }
    }

    fn model(&self, adjust: impl FnOnce(&mut Remote<'_>)) -> Box<dyn RewardModel> {
        let out = self.folder.path().join("bundle");
        let mut wanted = self.wanted();
        wanted.out = &out;
        adjust(&mut wanted);
        let added = add(wanted, &patch(&["y"])).unwrap();
        assert!(added.destination.is_here());
        self.engine.asked.lock().unwrap().clear();
        let bundle = Bundle::open(&out).unwrap();
        bundle.model(Threads::new(None).unwrap()).unwrap()
    }
}

fn score(model: &dyn RewardModel, added: &[&str]) -> Result<Vec<f64>, ModelError> {
    let logits = model.score(&patch(added), Some("Fix it."), &Run::default())?;
    let all = std::iter::once(logits.patch).chain(logits.hunks);
    Ok(all.map(|logit| logit.get()).collect())
}

#[test]
fn patch_and_hunks_are_judged_through_completions() {
    let bench = Bench::new();
    let key = bench.folder.path().join("key");
    std::fs::write(&key, "secret-key\n").unwrap();
    let model = bench.model(|it| it.key = Some(Key::File(key)));
    let logits = score(&*model, &["good", "bad"]).unwrap();
    // The engine judges the patch by its last file.
    assert_eq!(logits, [-2.0, 2.0, -2.0]);
    let asked = bench.engine.asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    for (path, authorization, body) in &*asked {
        assert_eq!(path, "/v1/completions");
        assert_eq!(authorization, "Bearer secret-key");
        assert_eq!(body["model"], "org/judge");
        assert_eq!(body["max_tokens"], 1);
        let prompt = body["prompt"].as_str().unwrap();
        assert!(prompt.starts_with("<|im_start|>system\n"), "{prompt}");
        assert!(prompt.ends_with("<|im_start|>assistant\n"), "{prompt}");
        assert!(prompt.contains("Task:\nFix it.\n"), "{prompt}");
    }
}

#[test]
fn a_classification_head_is_asked_for_raw_values() {
    let bench = Bench::new();
    let model = bench.model(|it| it.api = Api::Classify);
    assert_eq!(score(&*model, &["bad"]).unwrap(), [-2.0, -2.0]);
    let asked = bench.engine.asked.lock().unwrap();
    assert_eq!(asked[0].0, "/v1/classify");
    assert_eq!(asked[0].2["use_activation"], false);
}

#[test]
fn a_key_that_is_refused_is_told_from_none() {
    let bench = Bench::new();
    let key = bench.folder.path().join("key");
    std::fs::write(&key, "old-key\n").unwrap();
    let model = bench.model(|it| it.key = Some(Key::File(key)));
    let echo = "{\"message\":\"Bearer old-key is expired\"}";
    bench.engine.will(&[Act::Say(403, "", echo)]);
    let error = score(&*model, &["good"]).unwrap_err().to_string();
    let says = "status 403: it wants another key: Bearer [its key] is expired";
    assert!(error.contains(says), "{error}");
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let bench = Bench::new();
    let model = bench.model(|it| it.limits.concurrency = 1);
    let now = "Retry-After: 0\r\n";
    for (acts, requests, says) in [
        (vec![Act::Say(503, now, ""), Act::Say(429, now, "")], 4, ""),
        (vec![Act::Hang], 3, ""),
        (
            vec![Act::Say(429, now, "{\"error\":{\"message\":\"too fast\"}}"); 3],
            3,
            "status 429: too fast (3 tries)",
        ),
        (
            vec![Act::Say(
                404,
                "",
                "{\"error\":{\"message\":\"no such model\"}}",
            )],
            1,
            "status 404: no such model",
        ),
        (
            vec![Act::Say(401, "", "{\"detail\":\"who are you\"}")],
            1,
            "it wants a key: name it with --key-env or --key-file when the model is added: who are you",
        ),
        (
            vec![Act::Say(302, "Location: http://example.org/\r\n", "")],
            1,
            "it redirects elsewhere",
        ),
        (vec![Act::Say(200, "", "fine")], 1, "its answer is no JSON"),
        (
            vec![Act::Say(
                200,
                "",
                "{\"choices\":[{\"text\":\"YES\",\"logprobs\":null}]}",
            )],
            1,
            "lists no probabilities",
        ),
    ] {
        bench.engine.asked.lock().unwrap().clear();
        bench.engine.will(&acts);
        let result = score(&*model, &["good"]);
        match result {
            Ok(logits) => {
                assert_eq!(says, "", "{acts:?}");
                assert_eq!(logits, [2.0, 2.0]);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !says.is_empty() && error.contains(says),
                    "{acts:?}: {error}"
                );
                assert!(error.contains(&bench.engine.address.to_string()), "{error}");
            }
        }
        assert_eq!(bench.engine.count(), requests, "{acts:?}");
    }
}

#[test]
fn an_engine_that_does_not_answer_is_given_up() {
    let bench = Bench::new();
    let model = bench.model(|it| {
        it.limits.timeout_seconds = 1;
        it.limits.attempts = 1;
    });
    bench.engine.will(&[Act::Wait, Act::Wait]);
    let error = score(&*model, &["good"]).unwrap_err().to_string();
    assert!(error.contains("no answer within 1 s"), "{error}");
    bench.engine.release.store(true, Ordering::SeqCst);

    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let out = bench.folder.path().join("nobody");
    let mut wanted = bench.wanted();
    wanted.url = format!("http://{free}");
    wanted.limits.attempts = 1;
    wanted.out = &out;
    let error = add(wanted, &patch(&["y"])).unwrap_err().to_string();
    assert!(error.contains(&free.to_string()), "{error}");
    assert!(!out.exists());
    let left = std::fs::read_dir(bench.folder.path()).unwrap();
    assert_eq!(left.count(), 1, "half a bundle was left behind");
}

#[test]
fn as_many_questions_as_allowed_are_asked_at_once() {
    let bench = Bench::new();
    let model = bench.model(|it| it.limits.concurrency = 3);
    bench.engine.busy[1].store(0, Ordering::SeqCst);
    bench.engine.will(&vec![Act::Wait; 8]);
    let engine = bench.engine.clone();
    assert_eq!(model.at_once().get(), 3);
    // Whatever patch they are about.
    std::thread::scope(|scope| {
        let long = scope.spawn(|| score(&*model, &["a", "b", "c", "d"]));
        let short = scope.spawn(|| score(&*model, &["a", "b"]));
        until("three are asked", || engine.count() == 3);
        engine.release.store(true, Ordering::SeqCst);
        assert_eq!(long.join().unwrap().unwrap(), [2.0; 5]);
        assert_eq!(short.join().unwrap().unwrap(), [2.0; 3]);
    });
    assert_eq!(bench.engine.count(), 8);
    assert_eq!(bench.engine.busy[1].load(Ordering::SeqCst), 3);
}

#[test]
fn what_is_cancelled_is_not_waited_for() {
    let bench = Bench::new();
    let model = bench.model(|it| it.limits.concurrency = 1);
    bench.engine.will(&[Act::Wait]);
    let run = Run::default();
    let (engine, canceller) = (bench.engine.clone(), run.clone());
    let watching = std::thread::spawn(move || {
        until("it was asked", || engine.count() == 1);
        canceller.cancel();
    });
    let begun = Instant::now();
    let result = model.score(&patch(&["a", "b"]), None, &run);
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");
    assert!(begun.elapsed() < support::program::PATIENCE);
    watching.join().unwrap();
    bench.engine.release.store(true, Ordering::SeqCst);
    assert_eq!(
        bench.engine.count(),
        1,
        "more was asked after it was cancelled"
    );
}

#[test]
fn the_user_is_told_where_changed_code_goes() {
    let bench = Bench::new();
    let repo = Repo::new();
    repo.write("a.py", "x = 1\n").commit();
    repo.write("a.py", "bad = 2\n");
    let cache = bench.folder.path().join("cache");
    let run = |arguments: &[&str], code: i32| {
        let output = program(&cache)
            .current_dir(repo.root())
            .args(arguments)
            .output()
            .unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {out}{err}"
        );
        (out, err)
    };
    let url = format!("http://{}/v1", bench.engine.address);
    let add = [
        "model",
        "add-remote",
        &url,
        "--served",
        "org/judge",
        "--name",
        "far",
    ];
    let (said, _) = run(&add, 0);
    let sent = format!("changed code is sent to {url}, on this machine");
    for part in ["far@1", &sent, "uncalibrated", "model use"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    run(&["model", "use", "far"], 0);
    let (out, err) = run(&["check"], 1);
    assert!(
        out.contains("12% likely correct") && out.contains("far@1"),
        "{out}"
    );
    assert_eq!(err, format!("note: {sent}\n"));
    let (out, _) = run(&["doctor"], 0);
    assert!(out.contains(&sent), "{out}");
    let mut command = program(&cache);
    command.current_dir(repo.root()).arg("lsp");
    let mut editor = Editor::start(command, json!({}));
    let shown = editor.receive(|message| message["method"] == "window/showMessage");
    assert_eq!(shown["params"]["message"], format!("Diffidence: {sent}."));
    editor.goodbye();
    run(&["model", "use", "bundled"], 0);
    let (_, err) = run(&["check", "--fail-on", "never"], 0);
    assert_eq!(err, "");

    // Not by what a repository says.
    let bundle = cache.join("data/models/far");
    repo.write("diffidence.toml", format!("model = {bundle:?}\n"));
    let before = bench.engine.count();
    run(&["check", "--fail-on", "never"], 0);
    assert_eq!(bench.engine.count(), before);

    // No bundle with a secret in its address, or a key that cannot be had.
    let (_, err) = run(
        &[
            "model",
            "add-remote",
            "http://a:b@127.0.0.1",
            "--served",
            "m",
            "--name",
            "n",
        ],
        2,
    );
    assert!(err.contains("holds a password"), "{err}");
    let unset = ["--key-env", "DIFFIDENCE_TEST_UNSET"];
    let (_, err) = run(&[&add[..5], &["--name", "n"], &unset[..]].concat(), 2);
    assert!(err.contains("DIFFIDENCE_TEST_UNSET"), "{err}");
}
