// nqueens on rayon: a parallel iterator over the columns, each board that follows a job of its own on the stack.
#[path = "../../support/bench.rs"]
mod bench;

use rayon::prelude::*;

type Board = [i8; 16];

// As in case.hpp: from OEIS A000170, and the boards that the search visits.
const SIZES: [(i64, u64); 16] = [
    (1, 1), (1, 2), (0, 3), (0, 6), (2, 17), (10, 54), (4, 153), (40, 552), (92, 2_057), (352, 8_394), (724, 35_539),
    (2_680, 166_926), (14_200, 856_189), (73_712, 4_674_890), (365_596, 27_358_553), (2_279_184, 171_129_072),
];

fn is_safe(board: &Board, row: usize, column: i32) -> bool {
    (0..row).all(|above| {
        let distance = (row - above) as i32;
        let other = board[above] as i32;
        other != column && other != column - distance && other != column + distance
    })
}

fn nqueens(board: Board, row: usize, n: usize) -> i64 {
    if row == n {
        return 1;
    }
    let follow = |column| {
        if !is_safe(&board, row, column as i32) {
            return 0;
        }
        let mut next = board;
        next[row] = column as i8;
        nqueens(next, row + 1, n)
    };
    (0..n).into_par_iter().with_max_len(1).map(follow).sum()
}

fn main() {
    let n = bench::number("--n", 12) as usize;
    rayon::ThreadPoolBuilder::new().num_threads(bench::loops()).build_global().unwrap();
    let started = std::time::Instant::now();
    let answer = rayon::scope(|_| nqueens([0; 16], 0, n));
    let taken = started.elapsed();
    bench::report("nqueens", SIZES[n].1, answer, SIZES[n].0, taken);
}
