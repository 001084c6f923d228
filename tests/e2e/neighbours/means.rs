//! How hostile clients go about it. Each goes on until it is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// A connection whose system buffers are small, so that what is not read stays with the service.
async fn narrow(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(address).await
}

/// Sends and sends, and never reads; again when it is cut off.
pub(super) async fn flood(address: SocketAddr, first: Vec<u8>, then: Vec<u8>) {
    loop {
        if let Ok(mut stream) = narrow(address).await
            && stream.write_all(&first).await.is_ok()
        {
            while stream.write_all(&then).await.is_ok() {}
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Opens so many, sends this on each, and holds them; then again.
pub(super) async fn hold(address: SocketAddr, count: usize, sent: Vec<u8>) {
    loop {
        let mut held = Vec::new();
        for _ in 0..count {
            if let Ok(mut stream) = narrow(address).await {
                let sending = stream.write_all(&sent);
                // One that is not read is held all the same.
                let _ = timeout(Duration::from_millis(50), sending).await;
                held.push(stream);
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Asks all the time, and reads the answers.
pub(super) async fn ask(address: SocketAddr, asked: Vec<u8>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let mut answer = [0; 4096];
            while stream.write_all(&asked).await.is_ok()
                && stream.read(&mut answer).await.is_ok_and(|bytes| bytes != 0)
            {
                sleep(Duration::from_millis(10)).await;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sends and sends, and reads whatever is answered; again when it is cut off.
pub(super) async fn deluge(address: SocketAddr, first: Vec<u8>, then: Vec<u8>) {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            let (mut read, mut write) = stream.into_split();
            let mut scrap = sink();
            let reading = copy(&mut read, &mut scrap);
            let sending = async {
                if write.write_all(&first).await.is_ok() {
                    while write.write_all(&then).await.is_ok() {}
                }
            };
            tokio::select! {
                () = sending => {}
                _ = reading => {}
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sends a byte now and then, on so many connections at a time.
pub(super) async fn trickle(address: SocketAddr, count: usize, sent: Vec<u8>) {
    loop {
        let mut held = Vec::new();
        for _ in 0..count {
            held.extend(narrow(address).await);
        }
        for byte in &sent {
            for stream in &mut held {
                let _ = timeout(Duration::from_millis(5), stream.write_all(&[*byte])).await;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Opens one after the other, sends this, and takes the first bytes of the answer.
pub(super) async fn knock(address: SocketAddr, sent: Vec<u8>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await
            && stream.write_all(&sent).await.is_ok()
        {
            let mut first = [0; 64];
            let _ = timeout(Duration::from_secs(1), stream.read(&mut first)).await;
        }
        tokio::task::yield_now().await;
    }
}
