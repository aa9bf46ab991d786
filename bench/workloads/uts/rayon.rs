// uts on rayon: a parallel iterator over the children, each of them a job of its own on the stack.
#[path = "../../support/bench.rs"]
mod bench;

use rayon::prelude::*;

// As in case.hpp.
const NODES: [i64; 13] =
    [1, 11, 45, 144, 565, 2_293, 9_320, 37_559, 150_358, 600_686, 2_401_377, 9_592_929, 38_367_258];

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e3779b97f4a7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d049bb133111eb);
    word ^ (word >> 31)
}

fn children(state: u64, depth: u64, deepest: u64) -> usize {
    let mut count = 0;
    if depth < deepest {
        let mut word = mix(!state);
        while word < u64::MAX / 5 * 4 && count < 100 {
            count += 1;
            word = mix(word);
        }
    }
    count
}

fn count(state: u64, depth: u64, deepest: u64) -> i64 {
    let width = children(state, depth, deepest);
    if width == 0 {
        return 1;
    }
    let child = |index| count(mix(state ^ mix(index as u64 + 1)), depth + 1, deepest);
    1 + (0..width).into_par_iter().with_max_len(1).map(child).sum::<i64>()
}

fn main() {
    let depth = bench::number("--depth", 10);
    rayon::ThreadPoolBuilder::new().num_threads(bench::loops()).build_global().unwrap();
    let started = std::time::Instant::now();
    let answer = rayon::scope(|_| count(mix(19), 0, depth));
    let taken = started.elapsed();
    let nodes = NODES[depth as usize];
    bench::report("uts", nodes as u64, answer, nodes, taken);
}
