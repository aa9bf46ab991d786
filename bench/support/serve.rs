// The frame of the tokio servers: listens, starts a task for each connection, ends at SIGTERM.
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{signal, SignalKind};

pub static REQUESTS: AtomicU64 = AtomicU64::new(0);

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

/// One loop: tokio's scheduler for one thread; more: the one that steals.
pub fn run<H, F>(handler: H)
where
    H: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let loops = crate::bench::loops();
    let mut builder = match loops {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(loops).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", crate::bench::number("--port", 0) as u16)).await.unwrap();
        let mut stop = signal(SignalKind::terminate()).unwrap();
        println!("listening {}", listener.local_addr().unwrap().port());
        tokio::spawn(accept_all(listener, handler));
        stop.recv().await;
    });
    crate::bench::server_usage(REQUESTS.load(Ordering::Relaxed));
    std::process::exit(0);
}
