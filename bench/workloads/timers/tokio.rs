// timers on tokio: a Sleep each, dropped and made anew; the first poll is what sets it.
#[path = "../../support/bench.rs"]
mod bench;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// Ready at once, after one look at the timer, which sets it.
struct Look<'a>(&'a mut Pin<Box<Sleep>>);

impl Future for Look<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let _ = self.0.as_mut().poll(context);
        Poll::Ready(())
    }
}

async fn set(number: u64) -> Pin<Box<Sleep>> {
    let delay = Duration::from_secs(3600) + Duration::from_micros(number.wrapping_mul(2_654_435_761) % 3_600_000_000);
    let mut sleep = Box::pin(tokio::time::sleep(delay));
    Look(&mut sleep).await;
    sleep
}

async fn churn(outstanding: u64, operations: u64) -> (i64, Duration) {
    let mut timers = Vec::with_capacity(outstanding as usize);
    for number in 0..outstanding {
        timers.push(set(number).await);
    }
    let mut wrong = 0;
    let started = Instant::now();
    for number in 0..operations {
        let oldest = (number % outstanding) as usize;
        wrong += timers[oldest].is_elapsed() as i64;
        timers[oldest] = set(outstanding + number).await;
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    (wrong, started.elapsed())
}

fn main() {
    let (outstanding, operations) = (bench::number("--outstanding", 10_000), bench::number("--operations", 1_000_000));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (wrong, taken) = runtime.block_on(churn(outstanding, operations));
    bench::report("timers", operations, wrong, 0, taken);
}
