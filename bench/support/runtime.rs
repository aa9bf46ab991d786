// The tokio runtime that --loops asks for: one is its scheduler for one thread, more are the one that steals.
pub fn build() -> tokio::runtime::Runtime {
    let mut builder = match crate::bench::loops() {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(crate::bench::loops()).enable_all().build().unwrap()
}
