//! `diffidence serve` as a process: the formats of trainers and agents, who may ask, and the end.
//!
//! The requests are those of the documentation of vLLM, OpenRLHF and verl, with a patch in place of
//! their example texts.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::http::Client;
use support::program::program;
use tiny_bundle::TinyBundle;

/// `diffidence serve` with a small model: 12% for patches that add the word `bad`, 87% for others.
struct Service {
    child: Child,
    client: Client,
    /// What is needed while it runs.
    _files: (TinyBundle, tempfile::TempDir),
}

impl Service {
    fn new() -> Self {
        Self::with(&[], |_| {})
    }

    fn with(arguments: &[&str], adjust: impl FnOnce(&mut Command)) -> Self {
        let files = (TinyBundle::averse_to_bad(), tempfile::tempdir().unwrap());
        let mut command = serve(files.0.dir(), files.1.path());
        command
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped());
        adjust(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let (model, address) = line.trim().split_once(" listens on http://").unwrap();
        assert_eq!(model, "tiny@0.0.1");
        let client = Client {
            address: address.parse().unwrap(),
            token: None,
        };
        Self {
            child,
            client,
            _files: files,
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn serve(model: &Path, home: &Path) -> Command {
    let mut command = program(&home.join("cache"));
    command
        .env("DIFFIDENCE_MODEL", model)
        .env_remove("DIFFIDENCE_TOKEN")
        .arg("serve");
    command
}

fn diff(added: &str) -> String {
    format!("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n-x = 0\n+x = {added}\n")
}

/// Numbers with two digits, and without what is another each time.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            json!((number.as_f64().unwrap() * 100.0).round() / 100.0)
        }
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| !["id", "created", "usage", "tokens"].contains(&name.as_str()))
            .map(|(name, value)| (name, plain(value)))
            .collect(),
        other => other,
    }
}

#[test]
fn every_format_is_answered_as_its_clients_expect() {
    let service = Service::new();
    let (good, bad) = (diff("good"), diff("bad"));
    let edited = good.replace("f.py", "tests/test_f.py");
    let prompt = format!("Fix it, as in:\n{good}");
    let chat = |answer: &str| {
        format!("<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n")
    };
    let class = |index: usize, value: f64, flags: Value| {
        json!({"index": index, "label": "correct", "probs": [value], "num_classes": 1,
            "flags": flags})
    };
    let list = |data: Value| json!({"object": "list", "model": "tiny@0.0.1", "data": data});
    let pair = |index: usize, score: f64| json!({"index": index, "object": "score", "score": score, "flags": []});
    let document = |index: usize, text: &str, score: f64| json!({"index": index, "document": {"text": text}, "relevance_score": score, "flags": []});
    let mut labels = vec![0.0; 27];
    labels[0] = 0.87;
    for (path, request, expected) in [
        (
            "/classify",
            json!({"model": "any", "input": chat(&bad)}),
            list(json!([class(0, 0.12, json!([]))])),
        ),
        (
            "/classify",
            json!({"model": "any", "input": [good, bad, "No patch.", edited]}),
            list(json!([
                class(0, 0.87, json!([])),
                class(1, 0.12, json!([])),
                class(2, 0.0, json!(["bad-patch"])),
                class(3, 0.0, json!(["edits-tests"])),
            ])),
        ),
        // As verl asks; in older versions the field was `activation`.
        (
            "/classify",
            json!({"model": "any", "input": chat(&good), "use_activation": false}),
            list(json!([class(0, 1.9, json!([]))])),
        ),
        (
            "/classify",
            json!({"model": "any", "input": chat("No."), "activation": false}),
            list(json!([class(0, -10.0, json!(["bad-patch"]))])),
        ),
        (
            "/openhands/classify",
            json!({"model": "critic", "input": chat(&edited)}),
            list(
                json!([{"index": 0, "label": "success", "probs": labels, "num_classes": 27,
                "flags": ["edits-tests"]}]),
            ),
        ),
        (
            "/score",
            json!({"model": "any", "encoding_format": "float", "text_1": "Fix it.",
                "text_2": [good, bad]}),
            list(json!([pair(0, 0.87), pair(1, 0.12)])),
        ),
        (
            "/score",
            json!({"text_1": ["Fix it.", "Mend it."], "text_2": [bad, good]}),
            list(json!([pair(0, 0.12), pair(1, 0.87)])),
        ),
        (
            "/v1/rerank",
            json!({"model": "any", "query": "Fix it.", "documents": [bad, {"text": good}]}),
            json!({"model": "tiny@0.0.1",
                "results": [document(1, &good, 0.87), document(0, &bad, 0.12)]}),
        ),
        (
            "/rerank",
            json!({"query": "Fix it.", "documents": [bad, good], "top_n": 1}),
            json!({"model": "tiny@0.0.1", "results": [document(1, &good, 0.87)]}),
        ),
        (
            "/v2/rerank",
            json!({"query": "Fix it.", "documents": []}),
            json!({"model": "tiny@0.0.1", "results": []}),
        ),
        (
            "/get_reward",
            json!({"query": [format!("{prompt}\n{bad}"), format!("{prompt}\nNo.")],
                "prompts": [prompt, prompt], "labels": ["", ""]}),
            json!({"rewards": [0.12, 0.0], "scores": [0.12, 0.0],
                "extra_logs": {"logit": [-2.0, -10.0], "flagged": [0, 1]}}),
        ),
        // What a tokenizer puts in front, and a space that it drops.
        (
            "/get_reward",
            json!({"query": [format!("<s>{prompt}No."), format!("{prompt}No.")],
                "prompts": [prompt, format!("{prompt} ")], "labels": ["", ""]}),
            json!({"rewards": [0.0, 0.0], "scores": [0.0, 0.0],
                "extra_logs": {"logit": [-10.0, -10.0], "flagged": [1, 1]}}),
        ),
        // What older releases send.
        (
            "/get_reward",
            json!({"query": [format!("Fix it.\n{good}")]}),
            json!({"rewards": [0.87], "scores": [0.87],
                "extra_logs": {"logit": [1.9], "flagged": [0]}}),
        ),
        (
            "/get_reward?reward=logit",
            json!({"query": [good], "prompts": null}),
            json!({"rewards": [1.9], "scores": [0.87],
                "extra_logs": {"logit": [1.9], "flagged": [0]}}),
        ),
    ] {
        let response = service.client.post(path, &request);
        assert_eq!(response.status, 200, "{path} {request}: {response:?}");
        assert_eq!(plain(response.json()), expected, "{path} {request}");
    }
}

#[test]
fn an_object_is_answered_as_a_line_of_score() {
    let service = Service::new();
    let records = json!([
        {"id": "a", "patch": diff("good"), "problem": "Fix it.", "label": 1, "run": 7},
        {"id": 2, "patch": "no patch"},
        {"patch": "diff --git a/x b/y\nrename from x\nrename to y\n"},
        {"id": "t", "patch": diff("bad").replace("f.py", "conftest.py")},
    ]);
    let answers = service.client.post("/v1/score", &records).json();
    let mut command = program(&service._files.1.path().join("cache"));
    let mut process = command
        .env("DIFFIDENCE_MODEL", service._files.0.dir())
        .arg("score")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    for (number, record) in records.as_array().unwrap().iter().enumerate() {
        let mut record = record.clone();
        if record["id"].is_null() {
            record["id"] = json!(number);
        }
        std::io::Write::write_all(&mut input, format!("{record}\n").as_bytes()).unwrap();
    }
    drop(input);
    let lines: Vec<Value> = BufReader::new(process.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(process.wait().unwrap().code(), Some(2));
    let flags = [
        json!([]),
        json!(["bad-patch"]),
        json!(["nothing-to-score"]),
        json!(["edits-tests"]),
    ];
    assert_eq!(answers.as_array().unwrap().len(), flags.len());
    for (number, flags) in flags.into_iter().enumerate() {
        let mut answer = answers[number].clone();
        assert_eq!(answer["flags"], flags);
        answer.as_object_mut().unwrap().remove("flags");
        if answer["id"].is_null() {
            answer["id"] = json!(number);
        }
        assert_eq!(answer, lines[number]);
    }
    let one = service.client.post("/v1/score", &records[0]).json();
    assert_eq!(one, answers[0]);
}

#[test]
fn what_cannot_be_read_is_said_in_a_sentence() {
    let service = Service::with(&["--max-body", "1", "--queue", "2"], |_| {});
    let client = &service.client;
    let three = [diff("1"), diff("2"), diff("3")];
    for (path, body, status, says) in [
        ("/classify", "{", 400, "EOF while parsing"),
        ("/classify", "{} {}", 400, "`input`"),
        ("/classify", "[1]", 400, "the body"),
        (
            "/classify",
            r#"{"input": 1}"#,
            400,
            "a text or a list of texts",
        ),
        (
            "/classify",
            r#"{"input": ["a", 1]}"#,
            400,
            "expected a string",
        ),
        ("/score", r#"{"text_1": "a"}"#, 400, "`text_2`"),
        (
            "/score",
            r#"{"text_1": ["a", "b"], "text_2": ["c"]}"#,
            400,
            "`text_1` holds 2 texts and `text_2` 1",
        ),
        (
            "/rerank",
            r#"{"query": "a", "documents": [1]}"#,
            400,
            "a document must be a text",
        ),
        (
            "/get_reward",
            r#"{"query": ["a"], "prompts": ["b", "c"]}"#,
            400,
            "`query` holds 1 texts and `prompts` 2",
        ),
        (
            "/get_reward",
            r#"{"query": ["a b", "c"], "prompts": ["a", "b"]}"#,
            400,
            "field `prompts[1]`: it is not in `query[1]`",
        ),
        (
            "/v1/score",
            r#"{"problem": "a"}"#,
            400,
            "the body: there must be a text, `patch` or `completion`",
        ),
        (
            "/v1/score",
            r#"[{"patch": "a"}, {"patch": "b", "problem": 5}]"#,
            400,
            "field `[1].problem`: invalid type: integer `5`, expected a string",
        ),
        (
            "/v1/score",
            r#"[{"completion": ["a"]}]"#,
            400,
            "field `[0].completion`: invalid type: sequence, expected a string",
        ),
        (
            "/v1/score",
            r#"[{"patch": "a"}, {"id": 1}]"#,
            400,
            "field `[1]`: there must be a text, `patch` or `completion`",
        ),
        (
            "/v1/score",
            r#"[{"patch": "a", "completion": "b"}]"#,
            400,
            "field `[0]`: there are both `patch` and `completion`; send one of them",
        ),
        (
            "/v1/score",
            r#"{"patch": "a", "prompt": 1}"#,
            400,
            "field `prompt`: invalid type",
        ),
        (
            "/v1/score",
            r#"[7]"#,
            400,
            "field `[0]`: invalid type: integer `7`, expected an object with",
        ),
        (
            "/v1/score",
            "7",
            400,
            "the body: invalid type: integer `7`, expected an object with",
        ),
        (
            "/classify",
            &json!({"input": three}).to_string(),
            413,
            "3 patches in one request are more than the 2",
        ),
        (
            "/classify",
            &json!({"input": "x".repeat(2 << 20)}).to_string(),
            413,
            "larger than this service accepts",
        ),
        ("/nowhere", "{}", 404, "nothing at this address"),
        ("/health", "{}", 405, "another method"),
        (
            "/get_reward?reward=no",
            r#"{"query": []}"#,
            400,
            "expected `probability` or `logit`",
        ),
    ] {
        let response = client.post_bytes(path, body.as_bytes());
        assert_eq!(response.status, status, "{path} {body:.80}: {response:?}");
        let sentence = response.error();
        assert!(sentence.contains(says), "{path} {body:.80}: {sentence}");
    }
    let form = client.send("POST", "/classify", "text/plain", b"{}");
    let form = support::http::answer(form);
    assert_eq!(form.status, 415);
    assert!(form.error().contains("application/json"));
    // None of it did any harm.
    let fine = client.post("/classify", &json!({"input": diff("good")}));
    assert_eq!(fine.status, 200);
}

#[test]
fn the_state_is_told_to_people_and_to_prometheus() {
    let service = Service::new();
    let client = &service.client;
    let health = client.get("/health").json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["model"]["name"], "tiny");
    assert_eq!(health["calibrated"], true);
    assert_eq!(health["queue"], json!({"waiting": 0, "capacity": 256}));
    let both = json!({"input": [diff("good"), diff("good"), "none"]});
    client.post("/classify", &both);
    client.post("/classify", &both);
    client.post("/classify", &json!({}));
    let metrics = client.get("/metrics");
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    for line in [
        "diffidence_requests_total{route=\"/classify\",status=\"200\"} 2",
        "diffidence_requests_total{route=\"/classify\",status=\"400\"} 1",
        "diffidence_request_seconds_count{route=\"/classify\"} 3",
        // The same patch four times.
        "diffidence_patches_total{outcome=\"computed\"} 1",
        "diffidence_patches_total{outcome=\"remembered\"} 3",
        "diffidence_patches_total{outcome=\"refused\"} 2",
        "diffidence_queue_patches 0",
        "diffidence_queue_capacity 256",
        "diffidence_model_info{name=\"tiny\",version=\"0.0.1\",calibration=\"tiny\"} 1",
    ] {
        assert!(
            metrics.body.lines().any(|it| it == line),
            "{line} is not in {}",
            metrics.body
        );
    }
}

#[test]
fn only_who_knows_the_token_is_answered() {
    const TOKEN: &str = "correct horse battery"; // With spaces: refused below.
    let secret = TOKEN.replace(' ', "-");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let from_file = Service::with(&["--token-file", file.to_str().unwrap()], |_| {});
    let everywhere = Service::with(&["--host", "0.0.0.0"], |command| {
        command.env("DIFFIDENCE_TOKEN", &secret);
    });
    for service in [&from_file, &everywhere] {
        let mut client = service.client.clone();
        client.address.set_ip([127, 0, 0, 1].into());
        let question = json!({"input": diff("good")});
        let refused = client.post("/classify", &question);
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        assert!(refused.error().contains("Authorization"));
        assert_eq!(client.get("/metrics").status, 401);
        assert_eq!(client.get("/health").json(), json!({"status": "ok"}));
        client.token = Some("something-else-altogether".into());
        assert_eq!(client.post("/classify", &question).status, 401);
        client.token = Some(secret.clone());
        assert_eq!(client.post("/classify", &question).status, 200);
        assert_eq!(client.get("/health").json()["model"]["name"], "tiny");
    }

    let bundle = TinyBundle::averse_to_bad();
    for (token, arguments, says) in [
        ("", vec!["--host", "0.0.0.0"], "a token is needed"),
        ("short", vec![], "at least 16"),
        (TOKEN, vec![], "without spaces"),
        ("", vec!["--token-file", "/nowhere/token"], "/nowhere/token"),
    ] {
        let output = serve(bundle.dir(), folder.path())
            .env("DIFFIDENCE_TOKEN", token)
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(says), "{said}");
        assert!(!said.contains(TOKEN), "{said}");
    }
}

#[test]
fn it_ends_in_order_when_it_is_asked_to() {
    for signal in ["TERM", "INT"] {
        let mut service = Service::new();
        let fine = service
            .client
            .post("/classify", &json!({"input": diff("good")}));
        assert_eq!(fine.status, 200);
        service.signal(signal);
        assert!(service.child.wait().unwrap().success());
        let mut rest = String::new();
        let out = service.child.stdout.as_mut().unwrap();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        assert!(std::net::TcpStream::connect(service.client.address).is_err());
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let bundle = TinyBundle::averse_to_bad();
    let home = tempfile::tempdir().unwrap();
    let output = serve(bundle.dir(), home.path())
        .args(["--port", &port])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot listen on 127.0.0.1"), "{said}");
}
