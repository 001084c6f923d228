//! The operators' token: commands find it on the service's machine, and say what is missing elsewhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tests::broker::eventually;
use tests::service::{Ended, SOON, binary, command, run};
use tests::world::World;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::test]
async fn commands_find_the_token_or_say_what_is_missing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let url = format!("http://{}", service.client.admin);
    let file = world.data("model").join("admin-token");
    let mode = std::fs::metadata(&file)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let list = ["quarantine", "list", "--admin", &url];
    let found = command(&list).await?;
    assert_eq!(found.code, Some(0), "{}", found.said);

    let (other, short) = (world.data("other-token"), world.data("short-token"));
    std::fs::write(&other, "0".repeat(64))?;
    let other = other.to_str().unwrap();
    let with = |file: &'static str| [&list[..], &["--admin-token-file", file]].concat();
    let wrong = command(&[&list[..], &["--admin-token-file", other]].concat()).await?;
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.said.contains("does not take the token of") && wrong.said.contains(other),
        "{}",
        wrong.said
    );
    let missing = command(&with("/nowhere/token")).await?;
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.said.contains("/nowhere/token") && missing.said.contains("--admin-token-file"),
        "{}",
        missing.said
    );
    std::fs::write(&short, "secret")?;
    let short = [&list[..], &["--admin-token-file", short.to_str().unwrap()]].concat();
    let none = command(&short).await?;
    assert_eq!(none.code, Some(1));
    assert!(
        none.said.contains("short-token holds no token") && !none.said.contains("remove it"),
        "{}",
        none.said
    );
    assert!(!none.said.contains("secret"), "{}", none.said);
    // Orders need it too.
    let wrong = command(&["rebuild", "--admin", &url, "--admin-token-file", other]).await?;
    assert_eq!(wrong.code, Some(1), "{}", wrong.said);

    // Another file is another token, at once and for those who find it by themselves.
    std::fs::write(&file, "0".repeat(64))?;
    let again = command(&[&list[..], &["--admin-token-file", other]].concat()).await?;
    assert_eq!(again.code, Some(0), "{}", again.said);
    assert_eq!(command(&list).await?.code, Some(0));

    // By a name that the service was not told of it answers nobody.
    let port = service.client.admin.port();
    let named = format!("http://localhost.localdomain:{port}");
    let named = command(&["quarantine", "list", "--admin", &named]).await?;
    assert_eq!(named.code, Some(1), "{}", named.said);
    service.stop().await?;
    Ok(())
}

#[tokio::test]
async fn who_listens_without_the_read_model_is_sent_no_token() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let file = world.data("model").join("admin-token");
    let token = std::fs::read_to_string(&file)?;
    // It answers as a service does, and says whose token it would like.
    let stranger = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", stranger.local_addr()?);
    let body = json!({"error": "a token", "token_file": file}).to_string();
    let answer = format!(
        "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let mut listening = JoinSet::new();
    listening.spawn(async move {
        while let Ok((mut stream, _)) = stranger.accept().await {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                hearing.lock().unwrap().extend_from_slice(&buffer[..read]);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    for order in [&["quarantine", "list"][..], &["rebuild"]] {
        let refused = command(&[order, &["--admin", &url]].concat()).await?;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.said.contains("--admin-token-file"), "{refused:?}");
    }
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    assert!(heard.contains("HTTP/1.1"), "{heard}");
    assert!(!heard.contains(token.trim()) && !heard.contains("earer"));
    drop(listening);
    service.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_none_ends_the_start() -> anyhow::Result<()> {
    let world = World::new().await?;
    let folder = world.data("model");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("admin-token"), "secret")?;
    let arguments = world.serve_arguments("model")?;
    let arguments: Vec<&str> = arguments.iter().filter_map(|a| a.to_str()).collect();
    let ended = command(&arguments).await?;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(
        ended.said.contains("admin-token holds no token"),
        "{}",
        ended.said
    );
    assert!(!ended.said.contains("secret"), "{}", ended.said);
    Ok(())
}

/// A command that trusts the certificates of a file.
async fn trusting(file: &Path, arguments: &[&str]) -> anyhow::Result<Ended> {
    let mut command = Command::new(binary()?);
    command.env_clear().env("SSL_CERT_FILE", file);
    command.args(arguments);
    run(command).await
}

#[tokio::test]
async fn commands_speak_tls_and_a_replaced_token_counts_at_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (cert, key) = (world.data("cert.pem"), world.data("key.pem"));
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let flags = ["--admin-tls-cert", "--admin-tls-key"];
    let flags = [
        flags[0],
        cert.to_str().unwrap(),
        flags[1],
        key.to_str().unwrap(),
    ];
    let service = world
        .serve_from(&world.broker.server.url(), "model", &flags)
        .await?;
    let port = service.client.admin.port();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}");
        let list = ["quarantine", "list", "--admin", &url];
        let found = trusting(&cert, &list).await?;
        assert_eq!(found.code, Some(0), "{}", found.said);
        let unknown = command(&list).await?;
        assert_eq!(unknown.code, Some(1));
        assert!(unknown.said.contains("certificate"), "{}", unknown.said);
    }
    let plain = format!("http://localhost:{port}");
    let plain = command(&["quarantine", "list", "--admin", &plain]).await?;
    assert_eq!(plain.code, Some(1), "{}", plain.said);

    // Orders, with a copy of the token as on another machine, before and after it is replaced.
    let (own, copy) = (world.data("model").join("admin-token"), world.data("copy"));
    std::fs::copy(&own, &copy)?;
    let url = format!("https://localhost:{port}");
    let copied = copy.to_str().unwrap();
    let order = ["rebuild", "--admin", &url, "--admin-token-file", copied];
    let live = async || {
        let verify = ["verify", "--admin", &url, "--admin-token-file", copied];
        let verified = trusting(&cert, &verify).await.ok()?;
        (verified.code == Some(0)).then_some(())
    };
    eventually("a service that is live", SOON, live).await?;
    let rebuilt = trusting(&cert, &order).await?;
    assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.said);
    let next = world.data("next-token");
    std::fs::write(&next, "n".repeat(64))?;
    std::fs::rename(&next, &own)?;
    let refused = trusting(&cert, &order).await?;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.said.contains("does not take the token of"),
        "{}",
        refused.said
    );
    std::fs::copy(&own, &copy)?;
    let rebuilt = trusting(&cert, &order).await?;
    assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.said);
    service.stop().await?;
    Ok(())
}

/// What a start says until it listens.
async fn said_at_start(world: &World, name: &str, flags: &[&str]) -> anyhow::Result<String> {
    let mut arguments = world.serve_arguments(name)?;
    let at = arguments.iter().position(|word| word == "--admin-listen");
    arguments[at.unwrap() + 1] = "0.0.0.0:0".into();
    let mut child = Command::new(binary()?)
        .env_clear()
        .args(arguments)
        .args(flags)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("\"listening\"") {
        let line = timeout(SOON, lines.next_line()).await??;
        said.push_str(&line.unwrap());
        said.push('\n');
    }
    child.kill().await?;
    Ok(said)
}

#[tokio::test]
async fn a_start_warns_of_an_admin_port_that_others_can_read() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (cert, key) = (world.data("cert.pem"), world.data("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let warning = "the admin routes are not on loopback and without TLS";
    let open = said_at_start(&world, "open", &[]).await?;
    assert!(open.contains(warning), "{open}");
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let tls = ["--admin-tls-cert", cert, "--admin-tls-key", key];
    let closed = said_at_start(&world, "closed", &tls).await?;
    assert!(!closed.contains(warning), "{closed}");
    Ok(())
}
