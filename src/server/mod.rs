//! The language server: `diffidence lsp`.
//!
//! Everything that happens is an event on one channel to one actor, which owns all state:
//!
//! ```text
//! client ──▶ backend ──▶ event ──▶ actor ──▶ outbox ──▶ client
//!                          ▲         │
//!                          └── look, engine (jobs)
//! ```
//!
//! Invariant: `backend` holds no state and awaits nothing before it sends; `actor` waits for
//! nothing; `look` and the engine know nothing of the state; `show` and `actions` are pure functions
//! of a document. This room must not know the tensor library or how logits come about.

mod abilities;
mod actions;
mod actor;
mod backend;
mod compare;
mod dialect;
mod document;
mod event;
mod lifecycle;
mod look;
mod outbox;
mod progress;
mod settings;
mod show;
mod survey;
mod tasks;
pub mod text;
mod watch;
mod workspace;

pub use lifecycle::Ending;
pub use outbox::{Status, StatusKind};
pub use workspace::WorkspaceScore;

use crate::config::Config;
use crate::review::Reviews;
use crate::scoring::{Cache, Judge, Loader};
use event::Event;
use lifecycle::{EndSignal, Guarded, Watched};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tower_lsp::{LspService, Server};

/// Handlers in flight at once. They only wait for the actor, which never waits for them.
const CONCURRENCY: usize = 64;

/// Time for what was already asked to be answered and written when the connection ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Time after which the process ends whatever still runs.
const HARD_EXIT: Duration = Duration::from_secs(1);

/// What a server is made of.
pub struct ServerOptions {
    /// Turns logits into probabilities.
    pub judge: Judge,
    /// Remembered results.
    pub cache: Arc<Cache>,
    /// Loads the model when it is first needed.
    pub loader: Loader,
    /// What the user said about hunks.
    pub reviews: Reviews,
    /// The settings that the client's are laid over.
    pub config: Config,
    /// What the user must be told once, such as that changed code leaves the machine.
    pub notice: Option<String>,
}

/// Serves one client until it goes. Must run on a tokio runtime with time and a blocking pool.
/// When it returns the model may still be computing; the result goes nowhere.
pub async fn serve<I, O>(input: I, output: O, options: ServerOptions) -> Ending
where
    I: AsyncRead + Unpin + Send + 'static,
    O: AsyncWrite + Unpin + Send + 'static,
{
    let signal = EndSignal::new();
    let (events, queue) = mpsc::unbounded_channel();
    let mut parts = None;
    let (service, socket) = LspService::build(|client| {
        parts = Some(outbox::Outbox::new(client, events.clone()));
        backend::Backend {
            events: events.clone(),
        }
    })
    .custom_method("diffidence/text", backend::Backend::text)
    .custom_method(
        "window/workDoneProgress/cancel",
        backend::Backend::cancel_progress,
    )
    .custom_method("diffidence/setTask", backend::Backend::set_task)
    .custom_method("diffidence/changes", backend::Backend::changes)
    .custom_method("diffidence/candidates", backend::Backend::candidates)
    .custom_method("diffidence/compare", backend::Backend::compare)
    .custom_method("diffidence/candidateFile", backend::Backend::candidate_file)
    .custom_method(
        "diffidence/applyCandidate",
        backend::Backend::apply_candidate,
    )
    .finish();
    let Some(outbox) = parts else {
        return Ending::ClientGone;
    };
    let actor = actor::Actor::new(events.clone(), outbox, signal.clone(), options);
    let actor = tokio::spawn(actor.run(queue));

    let input = Watched::new(input, signal.clone());
    let output = Watched::new(output, signal.clone());
    let service = Guarded::new(service, signal.clone());
    let server = Server::new(input, output, socket).concurrency_level(CONCURRENCY);
    let mut connection = tokio::spawn(server.serve(service));

    let ending = tokio::select! {
        ending = signal.ended() => ending,
        _ = &mut connection => Ending::ClientGone,
    };
    if !connection.is_finished() {
        drop(tokio::time::timeout(LAST_WORDS, &mut connection).await);
        connection.abort();
    }
    drop(events.send(Event::Stop));
    drop(tokio::time::timeout(LAST_WORDS, actor).await);
    ending
}

/// Serves the client on standard input and output. Success means that it said goodbye in order.
///
/// # Errors
/// If the system gives no threads.
pub fn run(options: ServerOptions) -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ending = runtime.block_on(serve(tokio::io::stdin(), tokio::io::stdout(), options));
    let code = match ending {
        Ending::Exit { clean: true } => 0,
        Ending::Exit { clean: false } | Ending::ClientGone => 1,
    };
    // The model may compute on and a read of standard input cannot be taken back; neither may
    // keep the process.
    std::thread::Builder::new()
        .name("hard-exit".into())
        .spawn(move || {
            std::thread::sleep(HARD_EXIT);
            std::process::exit(code)
        })?;
    runtime.shutdown_background();
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
