// spawns on tokio: the handles are awaited in turn.
#[path = "../../support/bench.rs"]
mod bench;

async fn start_all(tasks: u64) -> i64 {
    let handles: Vec<_> = (0..tasks).map(|index| tokio::spawn(async move { (index % 10) as i64 })).collect();
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.unwrap();
    }
    sum
}

async fn start_rounds(tasks: u64, rounds: u64) -> i64 {
    let mut sum = 0;
    for _ in 0..rounds {
        sum += start_all(tasks).await;
    }
    sum
}

fn main() {
    let (tasks, rounds) = (bench::number("--tasks", 1_000_000), bench::number("--rounds", 1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(bench::loops()).build().unwrap();
    let started = std::time::Instant::now();
    let answer = runtime.block_on(async move { tokio::spawn(start_rounds(tasks, rounds)).await.unwrap() });
    let taken = started.elapsed();
    let rest = (tasks % 10) as i64;
    let expected = (tasks / 10) as i64 * 45 + rest * (rest - 1) / 2;
    bench::report("spawns", rounds * tasks, answer, rounds as i64 * expected, taken);
}
