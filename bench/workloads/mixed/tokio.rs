// mixed on tokio: what burns is given to the threads for blocking work and awaited, or burns in place.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;
#[path = "../../support/serve.rs"]
mod serve;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn burn() {
    let started = std::time::Instant::now();
    while started.elapsed().as_micros() < 1000 {}
}

async fn echo(mut stream: TcpStream, is_in_place: bool) -> std::io::Result<()> {
    let mut share = serve::Share::default();
    let mut buffer = [0u8; 2048];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if buffer[0] == b'B' {
            if is_in_place {
                burn();
            } else {
                tokio::task::spawn_blocking(burn).await.unwrap();
            }
        }
        stream.write_all(&buffer[..count]).await?;
        share.requests += 1;
    }
}

fn main() {
    let is_in_place = bench::text("--form", "blocking") == "place";
    serve::run(move |stream| echo(stream, is_in_place));
}
