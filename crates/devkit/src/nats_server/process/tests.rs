//! A server of our own: started, restarted, killed.

use tempfile::TempDir;

use super::*;
use crate::nats_server::locate;

fn setup(dir: &TempDir) -> Setup {
    Setup {
        binary: locate(None).unwrap(),
        dir: dir.path().to_owned(),
        port: None,
        arguments: Vec::new(),
    }
}

/// Ended, and waited for by whoever inherited it.
fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[tokio::test]
async fn a_server_keeps_its_port_and_its_store() {
    let dir = TempDir::new().unwrap();
    let mut server = NatsServer::start(setup(&dir)).await.unwrap();
    let (port, first) = (server.port(), server.pid().unwrap());
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    context.create_stream("S").await.unwrap();

    server.kill();
    assert!(is_gone(first));
    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    context.get_stream("S").await.unwrap();

    let second = server.pid().unwrap();
    drop(server);
    assert!(is_gone(second));
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let dir = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut setup = setup(&dir);
    setup.port = Some(taken.local_addr().unwrap().port());
    let said = NatsServer::start(setup).await.unwrap_err().to_string();
    assert!(said.contains("address already in use"), "{said}");
}

#[tokio::test]
async fn the_guard_kills_the_server_when_we_die() {
    let dir = TempDir::new().unwrap();
    let mut server = NatsServer::start(setup(&dir)).await.unwrap();
    let pid = server.pid().unwrap();
    // Our death closes the pipe; so does this.
    drop(server.running.as_mut().unwrap().guard.stdin.take());
    let deadline = Instant::now() + STOP_WITHIN;
    while !is_gone(pid) && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert!(is_gone(pid));
}
