// skynet on rayon: a parallel iterator over the ten children, each of them a job of its own on the stack.
#[path = "../../support/bench.rs"]
mod bench;

use rayon::prelude::*;

fn skynet(number: i64, leaves: i64) -> i64 {
    if leaves == 1 {
        return number;
    }
    let share = leaves / 10;
    (0..10).into_par_iter().with_max_len(1).map(|child| skynet(number + child as i64 * share, share)).sum()
}

fn main() {
    let leaves = bench::number("--leaves", 1_000_000) as i64;
    rayon::ThreadPoolBuilder::new().num_threads(bench::loops()).build_global().unwrap();
    let nodes: i64 = std::iter::successors(Some(leaves), |level| Some(level / 10)).take_while(|level| *level > 0).sum();
    let started = std::time::Instant::now();
    let answer = rayon::scope(|_| skynet(0, leaves));
    let taken = started.elapsed();
    bench::report("skynet", nodes as u64, answer, leaves * (leaves - 1) / 2, taken);
}
