// fib on rayon: join(), which runs on the native stack and has no coroutines.
#[path = "../../support/bench.rs"]
mod bench;

fn fib(n: u64) -> i64 {
    if n < 2 {
        return n as i64;
    }
    let (left, right) = rayon::join(|| fib(n - 1), || fib(n - 2));
    left + right
}

fn expected(n: u64) -> i64 {
    (0..n).fold((0, 1), |(current, next), _| (next, current + next)).0
}

fn main() {
    let n = bench::number("--n", 37);
    rayon::ThreadPoolBuilder::new().num_threads(bench::loops()).build_global().unwrap();
    let started = std::time::Instant::now();
    let answer = rayon::scope(|_| fib(n));
    let taken = started.elapsed();
    bench::report("fib", (2 * expected(n + 1) - 1) as u64, answer, expected(n), taken);
}
