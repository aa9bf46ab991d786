// matmul on rayon: join() of two joins, four products at a time, as in the other files.
#[path = "../../support/bench.rs"]
mod bench;

const BLOCK: usize = 32;

#[derive(Clone, Copy)]
struct Part {
    first: *mut f32,
    stride: usize,
}

// The four products of a join write to different quarters.
unsafe impl Send for Part {}
unsafe impl Sync for Part {}

impl Part {
    fn quarter(self, row: usize, column: usize, half: usize) -> Part {
        Part { first: unsafe { self.first.add(row * half * self.stride + column * half) }, stride: self.stride }
    }
}

unsafe fn multiply_block(target: Part, left: Part, right: Part) {
    for row in 0..BLOCK {
        let to = &mut *(target.first.add(row * target.stride) as *mut [f32; BLOCK]);
        // A copy, which the compiler keeps in registers.
        let mut sums = *to;
        for k in 0..BLOCK {
            let factor = *left.first.add(row * left.stride + k);
            let from = &*(right.first.add(k * right.stride) as *const [f32; BLOCK]);
            for (sum, element) in sums.iter_mut().zip(from) {
                *sum += factor * element;
            }
        }
        *to = sums;
    }
}

fn multiply(target: Part, left: Part, right: Part, n: usize) {
    if n == BLOCK {
        return unsafe { multiply_block(target, left, right) };
    }
    let half = n / 2;
    for k in 0..2 {
        let quarter = |row, column| {
            let target = target.quarter(row, column, half);
            multiply(target, left.quarter(row, k, half), right.quarter(k, column, half), half)
        };
        rayon::join(
            || rayon::join(|| quarter(0, 0), || quarter(0, 1)),
            || rayon::join(|| quarter(1, 0), || quarter(1, 1)),
        );
    }
}

fn fill(n: usize, value: impl Fn(usize, usize) -> usize) -> Vec<f32> {
    (0..n * n).map(|index| value(index / n, index % n) as f32).collect()
}

fn main() {
    let n = bench::number("--n", 2048) as usize;
    rayon::ThreadPoolBuilder::new().num_threads(bench::loops()).build_global().unwrap();
    let mut left = fill(n, |row, column| (row + 2 * column) % 7);
    let mut right = fill(n, |row, column| (3 * row + column) % 5);
    let mut product = vec![0f32; n * n];
    let part = |matrix: &mut Vec<f32>| Part { first: matrix.as_mut_ptr(), stride: n };
    let (target, first, second) = (part(&mut product), part(&mut left), part(&mut right));
    let started = std::time::Instant::now();
    rayon::scope(move |_| multiply(target, first, second, n));
    let taken = started.elapsed();
    let (row_weight, column_weight) = (|row: usize| (row % 5 + 1) as i64, |column: usize| (column % 3 + 1) as i64);
    let element = |(index, value): (usize, &f32)| row_weight(index / n) * column_weight(index % n) * *value as i64;
    let answer = product.iter().enumerate().map(element).sum();
    let row_sum = |k: usize| (0..n).map(|i| row_weight(i) * left[i * n + k] as i64).sum::<i64>();
    let column_sum = |k: usize| (0..n).map(|i| column_weight(i) * right[k * n + i] as i64).sum::<i64>();
    let expected = (0..n).map(|k| row_sum(k) * column_sum(k)).sum();
    let blocks = (n / BLOCK) as u64;
    let tasks = std::iter::successors(Some(blocks), |side| Some(side / 2)).take_while(|side| *side > 0);
    bench::report("matmul", tasks.map(|side| side * side * side).sum(), answer, expected, taken);
}
