//! An in-memory editor: speaks the protocol to a server over a pipe and waits for conditions.

use super::fake_model::FakeModel;
use diffidence::config::Config;
use diffidence::review::Reviews;
use diffidence::scoring::Cache;
use diffidence::server::{Ending, ServerOptions, serve};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tower_lsp::lsp_types::Url;

/// A failing condition is given up after this long; a condition that holds costs no time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How the editor behaves.
pub struct Setup {
    pub encodings: Value,
    /// Whether requests of the server are answered.
    pub answers: bool,
    /// Whether it shows work done progress.
    pub progress: bool,
    pub initialization_options: Value,
    /// Answer to `workspace/configuration`; the capability is offered if there is one.
    pub settings: Option<Value>,
    /// Time that it takes for that answer.
    pub settings_delay: Duration,
    pub process_id: Option<u32>,
    pub model: FakeModel,
    pub cache: Arc<Cache>,
    /// Folder for what the user says about hunks; one of this editor's own if none.
    pub data: Option<PathBuf>,
    /// Whether code actions may be more than commands.
    pub action_literals: bool,
    pub versioned_edits: bool,
    /// Whether the server may edit files.
    pub applies_edits: bool,
    /// Whether it asks for diagnostics rather than have them published.
    pub pulls_diagnostics: bool,
    /// Whether errors shown to the user are part of the test.
    pub expects_errors: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            encodings: json!(["utf-16"]),
            answers: true,
            progress: false,
            initialization_options: json!({"debounceMs": 1}),
            settings: None,
            settings_delay: Duration::ZERO,
            process_id: None,
            model: FakeModel::default(),
            cache: Arc::new(Cache::in_memory()),
            data: None,
            action_literals: true,
            versioned_edits: true,
            applies_edits: true,
            pulls_diagnostics: false,
            expects_errors: false,
        }
    }
}

/// Everything that came from the server, in order.
#[derive(Debug, Default)]
pub struct Inbox {
    pub notifications: Vec<(String, Value)>,
    pub requests: Vec<(String, Value)>,
}

/// The editor.
pub struct Client {
    outgoing: mpsc::UnboundedSender<Value>,
    inbox: Arc<Mutex<Inbox>>,
    pending: Arc<Mutex<HashMap<i64, oneshot::Sender<Value>>>>,
    arrivals: watch::Receiver<u64>,
    next_id: AtomicI64,
    pub server: Option<JoinHandle<Ending>>,
    tasks: Vec<JoinHandle<()>>,
    expects_errors: bool,
    pub capabilities: Value,
    /// Goes away with the editor.
    _own_data: tempfile::TempDir,
}

pub fn uri(path: &Path) -> String {
    Url::from_file_path(path).unwrap().into()
}

impl Client {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        let own_data = tempfile::tempdir().unwrap();
        let data = setup.data.unwrap_or_else(|| own_data.path().into());
        let options = ServerOptions {
            judge: setup.model.judge(),
            cache: Arc::clone(&setup.cache),
            loader: setup.model.loader(),
            reviews: Reviews::in_folder(Some(data)),
            config: Config::default(),
            notice: None,
        };
        let server = tokio::spawn(serve(input, output, options));

        let (from_server, mut to_server) = tokio::io::split(ours);
        let (outgoing, mut queue) = mpsc::unbounded_channel::<Value>();
        let writer = tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                let body = message.to_string();
                let frame = format!("Content-Length: {}\r\n\r\n{body}", body.len());
                if to_server.write_all(frame.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let pending = Arc::new(Mutex::new(HashMap::new()));
        let (arrived, arrivals) = watch::channel(0);
        let reader = Reader {
            inbox: Arc::clone(&inbox),
            pending: Arc::clone(&pending),
            arrived,
            outgoing: outgoing.clone(),
            answers: setup.answers,
            settings: setup.settings.clone(),
            settings_delay: setup.settings_delay,
        };
        let reader = tokio::spawn(reader.run(BufReader::new(from_server)));

        let mut client = Self {
            outgoing,
            inbox,
            pending,
            arrivals,
            next_id: AtomicI64::new(1),
            server: Some(server),
            tasks: vec![writer, reader],
            expects_errors: setup.expects_errors,
            capabilities: Value::Null,
            _own_data: own_data,
        };
        let literals = json!({"codeActionKind": {"valueSet": ["quickfix"]}});
        let initialize = json!({
            "processId": setup.process_id,
            "rootUri": null,
            "workspaceFolders": null,
            "initializationOptions": setup.initialization_options,
            "capabilities": {
                "window": {"workDoneProgress": setup.progress},
                "general": {"positionEncodings": setup.encodings},
                "workspace": {
                    "codeLens": {"refreshSupport": true},
                    "inlayHint": {"refreshSupport": true},
                    "diagnostics": {"refreshSupport": setup.pulls_diagnostics},
                    "applyEdit": setup.applies_edits,
                    "workspaceEdit": {
                        "documentChanges": setup.versioned_edits,
                        "resourceOperations": ["create", "rename", "delete"],
                    },
                    "configuration": setup.settings.is_some(),
                    "didChangeConfiguration": {"dynamicRegistration": true},
                    "didChangeWatchedFiles": {"dynamicRegistration": true},
                },
                "textDocument": {
                    "diagnostic": {},
                    "publishDiagnostics": {"relatedInformation": true},
                    "codeAction": if setup.action_literals {
                        json!({"codeActionLiteralSupport": literals})
                    } else {
                        json!({})
                    },
                },
            },
        });
        client.capabilities = client.request("initialize", initialize).await["capabilities"].take();
        client.notify("initialized", json!({}));
        client
    }

    pub fn notify(&self, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        drop(self.outgoing.send(message));
    }

    /// The result of a request, which must not be an error.
    pub async fn request(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The answer to a request.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let (_, answer) = self.begin(method, params);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            _ => panic!("no answer to {method}"),
        }
    }

    /// Sends a request. Returns its number, and where its answer comes.
    pub fn begin(&self, method: &str, params: Value) -> (i64, oneshot::Receiver<Value>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (send, answer) = oneshot::channel();
        self.pending.lock().unwrap().insert(id, send);
        let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        drop(self.outgoing.send(message));
        (id, answer)
    }

    /// Waits until `found` finds something in what has come from the server.
    pub async fn until<T>(&self, what: &str, mut found: impl FnMut(&Inbox) -> Option<T>) -> T {
        let mut arrivals = self.arrivals.clone();
        let search = async {
            loop {
                if let Some(found) = found(&self.inbox.lock().unwrap()) {
                    return found;
                }
                arrivals.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => panic!("never: {what}\n{:#?}", self.inbox.lock().unwrap()),
        }
    }

    pub fn open(&self, path: &Path, text: &str) {
        self.open_as(path, 1, text);
    }

    pub fn open_as(&self, path: &Path, version: i32, text: &str) {
        let document =
            json!({"uri": uri(path), "languageId": "any", "version": version, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// Replaces the whole text.
    pub fn change(&self, path: &Path, version: i32, text: &str) {
        self.edit(path, version, &[json!({"text": text})]);
    }

    pub fn edit(&self, path: &Path, version: i32, changes: &[Value]) {
        let document = json!({"uri": uri(path), "version": version});
        self.notify(
            "textDocument/didChange",
            json!({"textDocument": document, "contentChanges": changes}),
        );
    }

    pub fn save(&self, path: &Path) {
        self.notify(
            "textDocument/didSave",
            json!({"textDocument": {"uri": uri(path)}}),
        );
    }

    pub fn close(&self, path: &Path) {
        self.notify(
            "textDocument/didClose",
            json!({"textDocument": {"uri": uri(path)}}),
        );
    }

    /// The title of the document's lens, which must be on its first line.
    pub async fn lens(&self, path: &Path) -> Option<String> {
        let params = json!({"textDocument": {"uri": uri(path)}});
        let lenses = self.request("textDocument/codeLens", params).await;
        let lenses = lenses.as_array().unwrap();
        assert!(lenses.len() <= 1, "{lenses:?}");
        let lens = lenses.first()?;
        assert_eq!(lens["range"]["start"], json!({"line": 0, "character": 0}));
        Some(lens["command"]["title"].as_str().unwrap().into())
    }

    /// Waits until the lens says `expected`, asking again whenever something comes.
    pub async fn until_lens(&self, path: &Path, expected: Option<&str>) {
        let mut arrivals = self.arrivals.clone();
        let mut last = None;
        let search = async {
            loop {
                arrivals.borrow_and_update();
                last = self.lens(path).await;
                if last.as_deref() == expected {
                    return;
                }
                arrivals.changed().await.unwrap();
            }
        };
        let given_up = tokio::time::timeout(PATIENCE, search).await.is_err();
        assert!(!given_up, "lens never {expected:?}, but {last:?}");
    }

    /// Waits until the newest diagnostics of the document satisfy `wanted`; returns version and
    /// diagnostics.
    pub async fn until_diagnostics(
        &self,
        path: &Path,
        what: &str,
        wanted: impl Fn(i64, &[Value]) -> bool,
    ) -> (i64, Vec<Value>) {
        let uri = uri(path);
        self.until(what, |inbox| {
            let (version, diagnostics) = latest_diagnostics(inbox, &uri)?;
            wanted(version, &diagnostics).then_some((version, diagnostics))
        })
        .await
    }

    pub fn inbox<T>(&self, look: impl FnOnce(&Inbox) -> T) -> T {
        look(&self.inbox.lock().unwrap())
    }

    /// The server's idea of the document.
    pub async fn text(&self, path: &Path) -> Value {
        self.request("diffidence/text", json!({"uri": uri(path)}))
            .await
    }

    /// Ends in order and returns how the server ended.
    pub async fn goodbye(mut self) -> Ending {
        self.request("shutdown", Value::Null).await;
        self.notify("exit", Value::Null);
        self.ended().await
    }

    /// Waits for the server's end.
    pub async fn ended(&mut self) -> Ending {
        let server = self.server.take().unwrap();
        match tokio::time::timeout(PATIENCE, server).await {
            Ok(ending) => ending.unwrap(),
            Err(_) => panic!("the server does not end"),
        }
    }

    /// Cuts the connection, as a client that was killed.
    pub async fn vanish(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            drop(task.await);
        }
    }
}

pub fn latest_diagnostics(inbox: &Inbox, uri: &str) -> Option<(i64, Vec<Value>)> {
    inbox
        .notifications
        .iter()
        .rev()
        .find(|(method, params)| {
            method == "textDocument/publishDiagnostics" && params["uri"] == uri
        })
        .map(|(_, params)| {
            let version = params["version"].as_i64().expect("always with a version");
            (version, params["diagnostics"].as_array().unwrap().clone())
        })
}

/// Errors that nobody expected fail the test.
impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() || self.expects_errors {
            return;
        }
        let inbox = self.inbox.lock().unwrap();
        let errors: Vec<_> = inbox
            .notifications
            .iter()
            .filter(|(method, params)| method.starts_with("window/") && params["type"] == 1)
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        drop(inbox);
        if let Some(server) = &self.server {
            assert!(!server.is_finished(), "the server ended by itself");
        }
    }
}

struct Reader {
    inbox: Arc<Mutex<Inbox>>,
    pending: Arc<Mutex<HashMap<i64, oneshot::Sender<Value>>>>,
    arrived: watch::Sender<u64>,
    outgoing: mpsc::UnboundedSender<Value>,
    answers: bool,
    settings: Option<Value>,
    settings_delay: Duration,
}

impl Reader {
    async fn run(self, mut from: impl AsyncBufReadExt + Unpin) {
        while let Some(message) = read_message(&mut from).await {
            self.take(message);
        }
    }

    fn take(&self, message: Value) {
        let method = message["method"].as_str().map(str::to_owned);
        let id = message.get("id").cloned();
        match (method, id) {
            (None, Some(id)) => {
                let waiting = self.pending.lock().unwrap().remove(&id.as_i64().unwrap());
                drop(waiting.unwrap().send(message));
                return;
            }
            (Some(method), Some(id)) => {
                if self.answers {
                    let result = match method.as_str() {
                        "workspace/configuration" => json!([self.settings]),
                        "workspace/applyEdit" => json!({"applied": true}),
                        _ => Value::Null,
                    };
                    let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
                    if method == "workspace/configuration" {
                        let (outgoing, delay) = (self.outgoing.clone(), self.settings_delay);
                        tokio::spawn(async move {
                            tokio::time::sleep(delay).await;
                            drop(outgoing.send(answer));
                        });
                    } else {
                        drop(self.outgoing.send(answer));
                    }
                }
                let params = message["params"].clone();
                self.inbox.lock().unwrap().requests.push((method, params));
            }
            (Some(method), None) => {
                let params = message["params"].clone();
                let mut inbox = self.inbox.lock().unwrap();
                inbox.notifications.push((method, params));
            }
            (None, None) => panic!("neither request nor response: {message}"),
        }
        self.arrived.send_modify(|count| *count += 1);
    }
}

async fn read_message(from: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            header => {
                if let Some(value) = header.strip_prefix("Content-Length: ") {
                    length = value.parse().unwrap();
                }
            }
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}
