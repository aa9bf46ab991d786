// spawns on tokio: tasks that any worker may take (spawn), or of this thread alone (local); awaited in turn.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;

async fn small(index: u64) -> i64 {
    (index % 10) as i64
}

async fn start_all(tasks: u64, is_local: bool) -> i64 {
    let start = |index| if is_local { tokio::task::spawn_local(small(index)) } else { tokio::spawn(small(index)) };
    let handles: Vec<_> = (0..tasks).map(start).collect();
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.unwrap();
    }
    sum
}

async fn start_rounds(tasks: u64, rounds: u64, is_local: bool) -> i64 {
    let mut sum = 0;
    for _ in 0..rounds {
        sum += start_all(tasks, is_local).await;
    }
    sum
}

fn main() {
    let (tasks, rounds) = (bench::number("--tasks", 1_000_000), bench::number("--rounds", 1));
    let runtime = runtime::build();
    let started = std::time::Instant::now();
    let answer = if bench::text("--form", "spawn") == "local" {
        tokio::task::LocalSet::new().block_on(&runtime, start_rounds(tasks, rounds, true))
    } else {
        runtime.block_on(async move { tokio::spawn(start_rounds(tasks, rounds, false)).await.unwrap() })
    };
    let taken = started.elapsed();
    let rest = (tasks % 10) as i64;
    let expected = (tasks / 10) as i64 * 45 + rest * (rest - 1) / 2;
    bench::report("spawns", rounds * tasks, answer, rounds as i64 * expected, taken);
}
