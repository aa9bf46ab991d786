// HTTP hello on tokio. As in hello.hpp it only finds where requests without a body end.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;
#[path = "../../support/serve.rs"]
mod serve;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

// The date is fixed: formatting it would need a crate, and a second's cache makes it free for the others too.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\
    Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nHello, world!\n";
const END: &[u8] = b"\r\n\r\n";

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut share = serve::Share::default();
    let mut buffer = [0u8; 2048];
    let mut matched = 0;
    let mut answers = Vec::new();
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        answers.clear();
        for letter in &buffer[..count] {
            matched = match *letter == END[matched] {
                true => matched + 1,
                false => (*letter == b'\r') as usize,
            };
            if matched == END.len() {
                matched = 0;
                answers.extend_from_slice(ANSWER);
                share.requests += 1;
            }
        }
        stream.write_all(&answers).await?;
    }
}

fn main() {
    serve::run(answer);
}
