//! `diffidence serve`: the reward model for trainers and agents, over HTTP.
//!
//! ```text
//! client ──▶ http ──▶ wire (one file for each format) ──▶ desk ──▶ engine
//!          token,      where task and patch are:           bounded queue,
//!          limits      extract                             guard, metrics
//!                                                           └─ suite
//! ```
//!
//! Invariants: many clients share one model and one thread of inference; a patch that cannot be
//! judged is answered and flagged, never rewarded and never an error of the service; a model that
//! fails is an error of the service and never a low score. This room must not know the command line
//! or the language server.

mod desk;
mod extract;
mod guard;
mod http;
mod metrics;
mod suite;
mod token;
mod wire;

pub use token::{BadToken, Token};

use crate::scoring::Engine;
use desk::Desk;
use guard::Guard;
use http::{Service, router};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// What is served, and within what limits.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What clients must know; none lets everyone on this machine in.
    pub token: Option<Token>,
    /// Patches that may wait or be computed at once.
    pub queue: usize,
    /// Largest body of a request, in bytes.
    pub max_body: usize,
    /// Time for a request to be read and answered.
    pub timeout: Duration,
    /// Added and removed lines above which a patch is flagged.
    pub max_changed_lines: usize,
}

impl ServeOptions {
    /// Whether it may be served like this.
    ///
    /// # Errors
    /// [`ServeError::Open`] if anyone on the network could use it.
    pub fn check(&self) -> Result<(), ServeError> {
        if self.token.is_none() && !self.address.ip().is_loopback() {
            return Err(ServeError::Open(self.address));
        }
        Ok(())
    }
}

/// Why the service did not start, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Anyone on the network could use the model.
    #[error(
        "{0} can be reached from other machines, so a token is needed: name a file with `--token-file`, or set DIFFIDENCE_TOKEN"
    )]
    Open(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system gives no threads, or the socket broke.
    #[error("the service broke off: {0}")]
    Io(#[from] io::Error),
}

/// Serves until the process is asked to end; then answers what was asked and returns. `ready` is
/// called with the address once clients can connect.
///
/// # Errors
/// [`ServeError`].
pub fn run(
    engine: Engine,
    options: ServeOptions,
    ready: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let end = signals()?;
        serve(engine, options, ready, end).await
    });
    // A request that was given up may still be computed; it goes nowhere.
    runtime.shutdown_background();
    result
}

/// As [`run`], on a runtime of the caller's, until a message comes on `end`. After a second one the
/// answers are not waited for.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    engine: Engine,
    options: ServeOptions,
    ready: impl FnOnce(SocketAddr) -> io::Result<()>,
    mut end: UnboundedReceiver<()>,
) -> Result<(), ServeError> {
    options.check()?;
    let ServeOptions {
        address,
        token,
        queue,
        max_body,
        timeout,
        max_changed_lines,
    } = options;
    let failed = |error| ServeError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let service = Arc::new(Service {
        desk: Arc::new(Desk::new(engine, queue, Guard { max_changed_lines })),
        token,
        timeout,
        begun: Instant::now(),
    });
    let router = router(Arc::clone(&service), max_body);
    let (stop, stopping) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async {
        // An error is the end of the sender, which means the same.
        let _ = stopping.await;
    });
    let mut serving = tokio::spawn(serving.into_future());
    ready(bound)?;
    tokio::select! {
        _ = end.recv() => {}
        ended = &mut serving => return ended.map_err(io::Error::other)?.map_err(Into::into),
    }
    tracing::info!("answering what was asked, then ending");
    // If nothing listens any more, it has stopped already.
    let _ = stop.send(());
    tokio::select! {
        _ = &mut serving => {}
        _ = end.recv() => {}
        // No request takes longer; a connection on which none is sent could.
        () = tokio::time::sleep(timeout) => {}
    }
    serving.abort();
    service.desk.engine().abandon();
    Ok(())
}

/// A message each time the process is asked to end.
fn signals() -> io::Result<UnboundedReceiver<()>> {
    let (send, end) = unbounded_channel();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let mut signal = signal(kind)?;
            let send = send.clone();
            tokio::spawn(
                async move { while signal.recv().await.is_some() && send.send(()).is_ok() {} },
            );
        }
    }
    #[cfg(not(unix))]
    tokio::spawn(
        async move { while tokio::signal::ctrl_c().await.is_ok() && send.send(()).is_ok() {} },
    );
    Ok(end)
}
