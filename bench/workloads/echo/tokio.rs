// Echo server on tokio: a task for each connection.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;
#[path = "../../support/serve.rs"]
mod serve;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut share = serve::Share::default();
    let mut buffer = [0u8; 2048];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
        share.requests += 1;
    }
}

fn main() {
    serve::run(echo);
}
