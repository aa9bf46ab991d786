// spawns on rayon: one scope, each task writes its result into a place of its own.
#[path = "../../support/bench.rs"]
mod bench;

fn main() {
    let tasks = bench::number("--tasks", 1_000_000);
    rayon::ThreadPoolBuilder::new().num_threads(bench::loops()).build_global().unwrap();
    let started = std::time::Instant::now();
    let mut results = vec![0i64; tasks as usize];
    rayon::scope(|scope| {
        for (index, result) in results.iter_mut().enumerate() {
            scope.spawn(move |_| *result = (index % 10) as i64);
        }
    });
    let answer = results.iter().sum();
    let taken = started.elapsed();
    let rest = (tasks % 10) as i64;
    bench::report("spawns", tasks, answer, (tasks / 10) as i64 * 45 + rest * (rest - 1) / 2, taken);
}
