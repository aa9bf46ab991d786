// pingpong on tokio: two tasks and two channels that hold one item.
#[path = "../../support/bench.rs"]
mod bench;

use tokio::sync::mpsc::channel;

async fn play(trips: u64) -> i64 {
    let (there, mut at_other) = channel::<i64>(1);
    let (from_other, mut back) = channel::<i64>(1);
    let other = tokio::spawn(async move {
        for _ in 0..trips {
            let value = at_other.recv().await.unwrap();
            from_other.send(value + 1).await.unwrap();
        }
    });
    let mut value = 0;
    for _ in 0..trips {
        there.send(value + 1).await.unwrap();
        value = back.recv().await.unwrap();
    }
    other.await.unwrap();
    value
}

fn main() {
    let trips = bench::number("--trips", 1_000_000);
    let mut builder = match bench::loops() {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(bench::loops()).build().unwrap();
    let started = std::time::Instant::now();
    let answer = runtime.block_on(async move { tokio::spawn(play(trips)).await.unwrap() });
    let taken = started.elapsed();
    bench::report("pingpong", trips, answer, 2 * trips as i64, taken);
}
