//! The real source, supervision and writer over a broker and a disk in memory, in time that passes by
//! itself. A seed is a history; a failure prints its own.

mod alone;
mod broker;
mod connection;
mod faults;
mod identity;
mod lag;
mod process;
mod routes;
mod served;
mod standing;

use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::sleep;

use self::broker::Broker;

/// Runs something where time passes by itself.
fn in_simulated_time<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, what)
}

/// Has a broker do its own work all the time.
fn keep_running(broker: &Broker) {
    let broker = broker.clone();
    tokio::task::spawn_local(async move {
        loop {
            sleep(Duration::from_millis(100)).await;
            broker.tick();
        }
    });
}
