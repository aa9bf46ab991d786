// skynet on tokio: every node spawns ten tasks and awaits their handles.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;

use std::future::Future;
use std::pin::Pin;

fn skynet(number: i64, leaves: i64) -> Pin<Box<dyn Future<Output = i64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return number;
        }
        let share = leaves / 10;
        let children: Vec<_> = (0..10).map(|child| tokio::spawn(skynet(number + child * share, share))).collect();
        let mut all = 0;
        for child in children {
            all += child.await.unwrap();
        }
        all
    })
}

fn main() {
    let leaves = bench::number("--leaves", 1_000_000) as i64;
    let nodes: i64 = std::iter::successors(Some(leaves), |level| Some(level / 10)).take_while(|level| *level > 0).sum();
    let runtime = runtime::build();
    let started = std::time::Instant::now();
    let answer = runtime.block_on(async move { tokio::spawn(skynet(0, leaves)).await.unwrap() });
    let taken = started.elapsed();
    bench::report("skynet", nodes as u64, answer, leaves * (leaves - 1) / 2, taken);
}
