// pingpong on tokio: two tasks and two channels that hold one item; on two loops a runtime for one thread each, since
// nothing else keeps the two tasks apart.
#[path = "../../support/bench.rs"]
mod bench;
#[path = "../../support/runtime.rs"]
mod runtime;

use tokio::sync::mpsc::{channel, Receiver, Sender};

async fn answer_all(mut source: Receiver<i64>, target: Sender<i64>, trips: u64) {
    for _ in 0..trips {
        let value = source.recv().await.unwrap();
        target.send(value + 1).await.unwrap();
    }
}

async fn ask_all(there: Sender<i64>, mut back: Receiver<i64>, trips: u64) -> i64 {
    let mut value = 0;
    for _ in 0..trips {
        there.send(value + 1).await.unwrap();
        value = back.recv().await.unwrap();
    }
    value
}

fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn main() {
    let trips = bench::number("--trips", 1_000_000);
    let (there, at_other) = channel::<i64>(1);
    let (from_other, back) = channel::<i64>(1);
    let asking = ask_all(there, back, trips);
    let answering = answer_all(at_other, from_other, trips);
    let (answer, taken) = if bench::loops() == 1 {
        let runtime = runtime::build();
        let started = std::time::Instant::now();
        let other = runtime.spawn(answering);
        let answer = runtime.block_on(async move { tokio::spawn(asking).await.unwrap() });
        runtime.block_on(other).unwrap();
        (answer, started.elapsed())
    } else {
        let thread = std::thread::spawn(move || one_thread().block_on(async { tokio::spawn(answering).await.unwrap() }));
        let runtime = one_thread();
        let started = std::time::Instant::now();
        let answer = runtime.block_on(async move { tokio::spawn(asking).await.unwrap() });
        thread.join().unwrap();
        (answer, started.elapsed())
    };
    bench::report("pingpong", trips, answer, 2 * trips as i64, taken);
}
