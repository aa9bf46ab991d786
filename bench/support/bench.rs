// Options, the line of figures and the server's frame for the Rust peers, as in args.hpp and report.hpp.
#![allow(dead_code)]

use std::time::Duration;

/// The number behind `--name`, or the fallback.
pub fn number(name: &str, fallback: u64) -> u64 {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().position(|word| word == name) {
        None => fallback,
        Some(place) => match words.get(place + 1).and_then(|word| word.parse().ok()) {
            Some(value) => value,
            None => {
                eprintln!("error: {} wants a whole number", name);
                std::process::exit(2);
            }
        },
    }
}

/// The word behind `--name`, or the fallback.
pub fn text(name: &str, fallback: &str) -> String {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().position(|word| word == name) {
        None => fallback.to_string(),
        Some(place) => words.get(place + 1).cloned().unwrap_or_default(),
    }
}

pub fn loops() -> usize {
    let fallback = std::thread::available_parallelism().map_or(1, |count| count.get());
    number("--loops", fallback as u64) as usize
}

/// (user, system) in microseconds and the largest resident size in KiB.
fn usage() -> (i64, i64, i64) {
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut used) };
    let microseconds = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    (microseconds(used.ru_utime), microseconds(used.ru_stime), resident_most())
}

/// Not ru_maxrss, which begins with what the process that started this one held.
fn resident_most() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut words = status.split_whitespace().skip_while(|word| *word != "VmHWM:").skip(1);
    words.next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Prints the line of a workload and ends the process, with status 1 when the answer is wrong.
pub fn report(name: &str, tasks: u64, answer: i64, expected: i64, taken: Duration) -> ! {
    let (user, system, rss) = usage();
    println!(
        "workload={} loops={} seconds={:.6} tasks={} ns_per_task={:.2} answer={} cpu_seconds={:.6} max_rss_kib={}",
        name,
        loops(),
        taken.as_secs_f64(),
        tasks,
        taken.as_nanos() as f64 / tasks as f64,
        answer,
        (user + system) as f64 * 1e-6,
        rss
    );
    if answer != expected {
        eprintln!("error: {}: the answer is {}, it should be {}", name, answer, expected);
        std::process::exit(1);
    }
    std::process::exit(0)
}

/// The last line of a server.
pub fn server_usage(requests: u64) {
    let (user, system, rss) = usage();
    println!("user_us={} system_us={} max_rss_kib={} requests={}", user, system, rss, requests);
}
