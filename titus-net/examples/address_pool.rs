//! Only the pool, under one's own event loop: who has which address, with time as an argument.
//!
//! `cargo run -p titus-net --example address_pool`

use titus_net::{AddressPool, AttachmentId, Error, RefusalReason};

fn main() -> Result<(), Error> {
    let mut pool = AddressPool::new("10.88.0.0/29".parse()?, 10_000);
    println!(
        "{} has {} addresses for containers",
        pool.subnet(),
        pool.counts(0).size
    );

    // After a restart: what is still in use is adopted before anything is handed out.
    let survivor: AttachmentId = "survivor".parse()?;
    let address = "10.88.0.3".parse().expect("an address");
    println!("adopted: {:?}", pool.adopt(&survivor, address));

    for n in 1..=5 {
        let id: AttachmentId = format!("web-{n}").parse()?;
        match pool.request(&id, 1_000) {
            Ok(lease) => println!("{id}: {}", lease.address),
            Err(refusal) => println!("{id}: {refusal}"),
        }
    }

    // A released address rests; the refusal says until when, so that a caller can set a timer.
    pool.release(&survivor, 2_000);
    let late: AttachmentId = "web-5".parse()?;
    if let Err(refusal) = pool.request(&late, 2_500) {
        println!("{late}: {refusal}");
        if let RefusalReason::Cooling { ready_at_ms } = refusal.reason {
            let lease = pool.request(&late, ready_at_ms).expect("it has rested");
            println!("{late} at {ready_at_ms} ms: {}", lease.address);
        }
    }
    println!("{:?}", pool.counts(20_000));
    Ok(())
}
