// sleepers on tokio: a task each.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;

use std::time::Duration;

async fn sleep_all(tasks: u64, shortest: Duration) -> i64 {
    let handles: Vec<_> = (0..tasks)
        .map(|index| {
            let delay = shortest + Duration::from_nanos(shortest.as_nanos() as u64 * index / tasks);
            tokio::spawn(async move { tokio::time::sleep(delay).await })
        })
        .collect();
    let mut woken = 0;
    for handle in handles {
        handle.await.unwrap();
        woken += 1;
    }
    woken
}

fn main() {
    let (tasks, shortest) = (bench::number("--tasks", 1000), Duration::from_millis(bench::number("--ms", 10)));
    let runtime = runtime::build();
    let started = std::time::Instant::now();
    let woken = runtime.block_on(async move { tokio::spawn(sleep_all(tasks, shortest)).await.unwrap() });
    let taken = started.elapsed();
    bench::report("sleepers", tasks, woken, tasks as i64, taken);
}
