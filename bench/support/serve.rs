// The frame of the tokio servers: listens, starts a task for each connection, ends at SIGTERM.
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{signal, SignalKind};

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// What one connection has answered: counted by its task alone, added to the others at its end.
#[derive(Default)]
pub struct Share {
    pub requests: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        REQUESTS.fetch_add(self.requests, Ordering::Relaxed);
    }
}

async fn accept_all<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(TcpStream) -> F,
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(handler(stream));
    }
}

pub fn run<H, F>(handler: H)
where
    H: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    crate::runtime::build().block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", crate::bench::number("--port", 0) as u16)).await.unwrap();
        let mut stop = signal(SignalKind::terminate()).unwrap();
        println!("listening {}", listener.local_addr().unwrap().port());
        tokio::spawn(accept_all(listener, handler));
        stop.recv().await;
    });
    crate::bench::server_usage(REQUESTS.load(Ordering::Relaxed));
    std::process::exit(0);
}
