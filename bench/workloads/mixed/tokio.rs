// mixed on tokio: what burns is a task of its own, which any worker may take.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/serve.rs"]
mod serve;

use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn burn() {
    let started = std::time::Instant::now();
    while started.elapsed().as_micros() < 1000 {}
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0u8; 2048];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if buffer[0] == b'B' {
            tokio::spawn(async { burn() }).await.unwrap();
        }
        stream.write_all(&buffer[..count]).await?;
        serve::REQUESTS.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() {
    serve::run(echo);
}
