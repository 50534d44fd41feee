//! Runs a range of seeds: `cargo run --release -p sim --example seeds -- FIRST COUNT`.

fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let (first, count) = (args.next().unwrap_or(1), args.next().unwrap_or(100));
    let summary = sim::run_batch(first, count, |o| {
        if count <= 5 || o.violation.is_some() {
            println!("{o:?}");
        }
    });
    println!("{summary:?}");
}
