// fib on tokio: one child as a task, the other awaited in place.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;

use std::future::Future;
use std::pin::Pin;

fn fib(n: u64) -> Pin<Box<dyn Future<Output = i64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n as i64;
        }
        let left = tokio::spawn(fib(n - 1));
        let right = fib(n - 2).await;
        left.await.unwrap() + right
    })
}

fn expected(n: u64) -> i64 {
    (0..n).fold((0, 1), |(current, next), _| (next, current + next)).0
}

fn main() {
    let n = bench::number("--n", 37);
    let runtime = runtime::build();
    let started = std::time::Instant::now();
    let answer = runtime.block_on(async move { tokio::spawn(fib(n)).await.unwrap() });
    let taken = started.elapsed();
    bench::report("fib", (2 * expected(n + 1) - 1) as u64, answer, expected(n), taken);
}
