//! When the server ends: `exit`, the end of its input, a failed output, or a client that is gone.
//!
//! Invariant: each way out is noticed here, whatever handlers, the actor or the model are doing.
//! tower-lsp 0.20 itself waits for more input after `exit` and for good on an output that fails.

use super::dialect;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tower_lsp::jsonrpc::{Error, Request, Response};
use tower_service::Service;

/// How often the client's process is looked for.
const CLIENT_POLL: Duration = Duration::from_secs(1);

/// Why the connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client sent `exit`.
    Exit {
        /// Whether it sent `shutdown` before.
        clean: bool,
    },
    /// The client closed the connection or died.
    ClientGone,
}

/// Tells of the first ending. Clones tell of the same one.
#[derive(Debug, Clone)]
pub(super) struct EndSignal(Arc<watch::Sender<Option<Ending>>>);

impl EndSignal {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    fn end(&self, ending: Ending) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(ending);
            is_first
        });
    }

    /// Waits for the first ending.
    pub(super) async fn ended(&self) -> Ending {
        let mut signal = self.0.subscribe();
        let ending = signal.wait_for(Option::is_some).await;
        ending
            .ok()
            .and_then(|ending| *ending)
            .unwrap_or(Ending::ClientGone)
    }

    /// Ends when the process `id` is gone. A process that is not there to begin with is that of a
    /// client in another container, so it says nothing.
    pub(super) fn watch_process(&self, id: u32) {
        if !process_exists(id) {
            tracing::info!(id, "cannot see the client's process");
            return;
        }
        let signal = self.clone();
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(CLIENT_POLL);
            while process_exists(id) {
                clock.tick().await;
            }
            signal.end(Ending::ClientGone);
        });
    }
}

#[cfg(unix)]
fn process_exists(id: u32) -> bool {
    let Some(id) = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return false;
    };
    // Any other failure means that it is there and belongs to somebody else.
    rustix::process::test_kill_process(id) != Err(rustix::io::Errno::SRCH)
}

/// Elsewhere the end of the input has to do.
#[cfg(not(unix))]
fn process_exists(_: u32) -> bool {
    false
}

/// Input or output that tells of its end.
pub(super) struct Watched<T> {
    inner: T,
    signal: EndSignal,
}

impl<T> Watched<T> {
    pub(super) fn new(inner: T, signal: EndSignal) -> Self {
        Self { inner, signal }
    }

    fn seen<R>(&self, result: Poll<std::io::Result<R>>) -> Poll<std::io::Result<R>> {
        if let Poll::Ready(Err(error)) = &result {
            tracing::debug!(%error, "the connection failed");
            self.signal.end(Ending::ClientGone);
        }
        result
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let is_end = buffer.filled().len() == before && buffer.remaining() > 0;
        if matches!(result, Poll::Ready(Ok(()))) && is_end {
            self.signal.end(Ending::ClientGone);
        }
        self.seen(result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.seen(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.seen(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The service with `exit` noticed as soon as it is read, and with a panic in a handler turned
/// into an error: all handlers run on one task, so it would end the server without a word.
pub(super) struct Guarded<S> {
    inner: S,
    signal: EndSignal,
    was_shut_down: bool,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, signal: EndSignal) -> Self {
        Self {
            inner,
            signal,
            was_shut_down: false,
        }
    }
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Option<Response>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Option<Response>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let method = request.method().to_owned();
        match method.as_str() {
            "shutdown" => self.was_shut_down = true,
            "exit" => self.signal.end(Ending::Exit {
                clean: self.was_shut_down,
            }),
            _ => {}
        }
        let id = request.id().cloned();
        let handler = AssertUnwindSafe(self.inner.call(dialect::as_read(request))).catch_unwind();
        Box::pin(async move {
            handler.await.unwrap_or_else(|_| {
                tracing::error!(method, "a handler panicked");
                Ok(id.map(|id| Response::from_error(id, Error::internal_error())))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_first_ending_counts() {
        let signal = EndSignal::new();
        signal.end(Ending::Exit { clean: true });
        signal.clone().end(Ending::ClientGone);
        assert_eq!(signal.ended().await, Ending::Exit { clean: true });
    }

    #[tokio::test]
    async fn a_process_that_ends_is_noticed() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let signal = EndSignal::new();
        signal.watch_process(child.id());
        drop(child.stdin.take());
        child.wait().unwrap();
        let ending = tokio::time::timeout(Duration::from_secs(30), signal.ended()).await;
        assert_eq!(ending, Ok(Ending::ClientGone));
    }

    #[test]
    fn an_unseen_client_says_nothing() {
        assert!(process_exists(std::process::id()));
        assert!(!process_exists(0));
        assert!(!process_exists(u32::MAX));
    }
}
