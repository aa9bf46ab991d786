// files on tokio: pread() by spawn_blocking(), on which its own files are built too.
#[path = "../../support/bench.rs"]
mod bench;

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 4096;

fn block_of(number: u64) -> u64 {
    number.wrapping_mul(2_654_435_761) % BLOCKS
}

fn make_file() -> std::fs::File {
    let path = std::env::temp_dir().join(format!("knit-bench-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for number in 0..BLOCKS {
        let mut content = [0u8; BLOCK];
        content[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&content).unwrap();
    }
    file
}

async fn read_some(file: Arc<std::fs::File>, first: u64, step: u64, reads: u64) -> i64 {
    let mut sum = 0;
    // Goes to the thread that reads and comes back: one for each reader, as with the others.
    let mut content = vec![0u8; BLOCK];
    for number in (first..reads).step_by(step as usize) {
        let file = file.clone();
        let read = move || {
            file.read_exact_at(&mut content, block_of(number) * BLOCK as u64).unwrap();
            content
        };
        content = tokio::task::spawn_blocking(read).await.unwrap();
        sum += i64::from_le_bytes(content[..8].try_into().unwrap());
    }
    sum
}

async fn read_all(file: Arc<std::fs::File>, tasks: u64, reads: u64) -> i64 {
    let readers: Vec<_> = (0..tasks).map(|first| tokio::spawn(read_some(file.clone(), first, tasks, reads))).collect();
    let mut sum = 0;
    for reader in readers {
        sum += reader.await.unwrap();
    }
    sum
}

fn main() {
    let (tasks, reads) = (bench::number("--tasks", 64), bench::number("--reads", 200_000));
    let mut builder = match bench::loops() {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(bench::loops()).max_blocking_threads(bench::loops()).build().unwrap();
    let file = Arc::new(make_file());
    let started = std::time::Instant::now();
    let answer = runtime.block_on(async move { tokio::spawn(read_all(file, tasks, reads)).await.unwrap() });
    let taken = started.elapsed();
    bench::report("files", reads, answer, (0..reads).map(|number| block_of(number) as i64).sum(), taken);
}
