// channel on tokio: the async-channel crate, since tokio's own channels have but one receiver.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;

use async_channel::{bounded, Receiver, Sender};

const SIDES: usize = 4;

async fn produce(channel: Sender<i64>, first: usize, items: i64) {
    for item in (first as i64..=items).step_by(SIDES) {
        channel.send(item).await.unwrap();
    }
}

/// Until the last producer has gone.
async fn consume(channel: Receiver<i64>) -> i64 {
    let mut sum = 0;
    while let Ok(item) = channel.recv().await {
        sum += item;
    }
    sum
}

async fn carry(items: i64) -> i64 {
    let (source, target) = bounded(64);
    for first in 1..=SIDES {
        tokio::spawn(produce(source.clone(), first, items));
    }
    drop(source);
    let consumers: Vec<_> = (0..SIDES).map(|_| tokio::spawn(consume(target.clone()))).collect();
    let mut sum = 0;
    for consumer in consumers {
        sum += consumer.await.unwrap();
    }
    sum
}

fn main() {
    let items = bench::number("--items", 1_000_000) as i64;
    let runtime = runtime::build();
    let started = std::time::Instant::now();
    let answer = runtime.block_on(async move { tokio::spawn(carry(items)).await.unwrap() });
    let taken = started.elapsed();
    bench::report("channel", items as u64, answer, items * (items + 1) / 2, taken);
}
