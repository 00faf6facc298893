//! The real program, and a language client that speaks raw bytes to it.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A failing condition is given up after this long; a condition that holds costs no time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program with its own cache, away from the user's settings.
pub fn program(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diffidence"));
    command
        .env("DIFFIDENCE_CACHE_DIR", cache)
        .env("DIFFIDENCE_DATA_DIR", cache.join("data"))
        .env_remove("DIFFIDENCE_MODEL")
        .env_remove("DIFFIDENCE_LOG");
    command
}

/// Waits until `holds`, looking again and again.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// The client.
pub struct Editor {
    pub child: Child,
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    last_id: i64,
    /// Notifications that came while something else was waited for.
    pub notifications: VecDeque<Value>,
}

impl Editor {
    /// Starts the command, which is `diffidence lsp`, and initializes it with settings.
    pub fn start(command: Command, settings: Value) -> Self {
        Self::of_process(std::process::id(), command, settings)
    }

    /// The same on behalf of another process.
    pub fn of_process(process: u32, mut command: Command, settings: Value) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut editor = Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            last_id: 0,
            notifications: VecDeque::new(),
        };
        let answer = editor.request(
            "initialize",
            json!({"processId": process, "rootUri": null, "capabilities": {},
                "initializationOptions": settings}),
        );
        assert_eq!(answer["serverInfo"]["name"], "diffidence");
        editor.notify("initialized", json!({}));
        editor
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({"method": method, "params": params}));
    }

    /// The result of a request, which must not be an error.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        self.send(message);
        loop {
            let mut message = self.read();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.notifications.push_back(message);
        }
    }

    /// The next notification that is wanted, earlier ones included.
    pub fn receive(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = match self.notifications.pop_front() {
                Some(message) => message,
                None => self.read(),
            };
            if wanted(&message) {
                return message;
            }
        }
    }

    pub fn open(&mut self, path: &Path, text: &str) {
        let uri = super::lsp::uri(path);
        let document = json!({"uri": uri, "languageId": "any", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// The title of the document's lens.
    pub fn lens(&mut self, path: &Path) -> Option<String> {
        let params = json!({"textDocument": {"uri": super::lsp::uri(path)}});
        let lenses = self.request("textDocument/codeLens", params);
        let title = lenses[0]["command"]["title"].as_str();
        title.map(str::to_owned)
    }

    /// The lens once it is as wanted.
    #[track_caller]
    pub fn until_lens(
        &mut self,
        path: &Path,
        wanted: impl Fn(Option<&str>) -> bool,
    ) -> Option<String> {
        let mut title = None;
        until(&format!("the lens of {}", path.display()), || {
            title = self.lens(path);
            wanted(title.as_deref())
        });
        title
    }

    /// Ends in order, which must succeed.
    pub fn goodbye(mut self) {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        assert!(self.child.wait().unwrap().success());
    }

    fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = json!("2.0");
        let body = message.to_string();
        let input = self.input.as_mut().unwrap();
        write!(input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        input.flush().unwrap();
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the server has gone");
            if let Some(number) = line.strip_prefix("Content-Length: ") {
                length = number.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

/// A server that a failed test leaves behind does not outlive it.
impl Drop for Editor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
