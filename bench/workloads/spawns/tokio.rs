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

fn main() {
    let tasks = bench::number("--tasks", 1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(bench::loops()).build().unwrap();
    let started = std::time::Instant::now();
    let answer = runtime.block_on(async move { tokio::spawn(start_all(tasks)).await.unwrap() });
    let taken = started.elapsed();
    let rest = (tasks % 10) as i64;
    bench::report("spawns", tasks, answer, (tasks / 10) as i64 * 45 + rest * (rest - 1) / 2, taken);
}
