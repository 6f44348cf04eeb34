//! The helper that every sandbox is launched by, for programs that do not call `run_if_asked` themselves.
//!
//! Build it static and small: `RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target
//! x86_64-unknown-linux-gnu --features sandbox --bin titus-init`.

fn main() {
    titus_isolation::init::run_if_asked();
    eprintln!("titus-init is started by the sandbox runtime, not by hand");
    std::process::exit(2);
}
