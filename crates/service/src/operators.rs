//! The operators' listener, on a thread of its own: a probe is answered however much the public one has to do, and
//! whoever floods this one takes at most this thread's time.

use std::thread;

use anyhow::Context as _;
use query::server::Server;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::run::REQUESTS_GRACE;

/// Serves until `stop`.
pub(crate) async fn serve(
    server: Server,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime can be started")?;
    // What wakes it must be this thread's too.
    let listener = listener.into_std()?;
    let (ended, end) = oneshot::channel();
    let serving = async move {
        let listener = TcpListener::from_std(listener)?;
        server.serve(listener, REQUESTS_GRACE, stop).await;
        anyhow::Ok(())
    };
    thread::Builder::new()
        .name("operators".to_owned())
        .spawn(move || drop(ended.send(runtime.block_on(serving))))?;
    end.await.context("its thread failed")?
}
