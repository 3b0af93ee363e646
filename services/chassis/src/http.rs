//! An HTTP/1 server that strangers may reach: so many connections, each with so long to say what it wants.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::Request;
use http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::tls::Acceptor;

/// How long is waited when a connection cannot be accepted, as for lack of file descriptors.
const REFUSED: Duration = Duration::from_secs(1);

/// What a server grants.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait at the system until others end.
    pub connections: usize,
    /// How long the head of a request may take, counted from the connection or the answer before: an idle connection
    /// ends by it too.
    pub head: Duration,
    /// How long connections are kept when the server stops, for a request that is on its way: it is answered, and told that there
    /// will be no other here. To end idle ones at once would cut it.
    pub farewell: Duration,
    /// How long requests under way may go on after that.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            head: Duration::from_secs(30),
            farewell: Duration::from_secs(2),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves until `stop`; handlers find from where they are called as [`ConnectInfo`]. In the end connections end after a request or
/// the farewell, at the latest after the grace.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Acceptor>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let (connections, abandon) = (TaskTracker::new(), CancellationToken::new());
    let accepting = async {
        // Never closed: there is always a permit to come.
        while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
            let (stream, peer) = accept(&listener).await;
            // Answers are small and whole: waiting for more to send only delays them.
            let _ = stream.set_nodelay(true);
            let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
            let connection = async move {
                let Some(tls) = tls else {
                    return connection(stream, peer, router, limits, stop).await;
                };
                match tls.accept(stream).await {
                    Ok(stream) => connection(stream, peer, router, limits, stop).await,
                    Err(error) => {
                        tracing::debug!(%error, "a connection was given up before it spoke TLS");
                    }
                }
            };
            let abandon = abandon.clone();
            connections.spawn(async move {
                let _ = abandon.run_until_cancelled(connection).await;
                drop(permit);
            });
        }
    };
    let _ = stop.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.farewell + limits.grace, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "connections did not end within the grace period"
        );
        abandon.cancel();
        connections.wait().await;
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let stopping = stop.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (router, stopping) = (router.clone(), stopping.clone());
        async move {
            let mut response = answer(router, request).await?;
            if stopping.is_cancelled() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(limits.farewell).await;
        } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    router.oneshot(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn serving(limits: Limits, stop: &CancellationToken) -> (SocketAddr, TaskTracker) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/never", get(std::future::pending::<&'static str>));
        let server = TaskTracker::new();
        server.spawn(serve(listener, None, router, limits, stop.clone()));
        server.close();
        (address, server)
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 1024];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn who_does_not_say_what_it_wants_makes_room_for_others() {
        let limits = Limits {
            connections: 2,
            head: Duration::from_millis(300),
            farewell: Duration::ZERO,
            grace: Duration::from_millis(300),
        };
        let stop = CancellationToken::new();
        let (address, server) = serving(limits, &stop).await;
        let mut slow = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HT").await.unwrap();
            slow.push(stream);
        }
        let mut third = TcpStream::connect(address).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(5), ask(&mut third)).await;
        assert!(answer.unwrap().ends_with("here"));
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut idle).await.ends_with("here"));
        assert!(ask(&mut idle).await.ends_with("here"), "kept alive");
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), server.wait())
            .await
            .unwrap();
    }

    /// O2.11: who sends a request at that very moment is not cut off.
    #[tokio::test]
    async fn a_request_that_comes_while_the_server_stops_is_answered_as_the_last_one() {
        let stop = CancellationToken::new();
        let limits = Limits {
            farewell: Duration::from_mins(1),
            ..Limits::default()
        };
        let (address, server) = serving(limits, &stop).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(!ask(&mut stream).await.contains("connection: close"));
        stop.cancel();
        let answer = ask(&mut stream).await;
        assert!(
            answer.contains("connection: close") && answer.ends_with("here"),
            "{answer}"
        );
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        tokio::time::timeout(Duration::from_secs(5), server.wait())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_abandoned_after_the_grace() {
        let limits = Limits {
            farewell: Duration::ZERO,
            grace: Duration::from_millis(200),
            ..Limits::default()
        };
        let stop = CancellationToken::new();
        let (address, server) = serving(limits, &stop).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), server.wait())
            .await
            .unwrap();
    }
}
