//! The operators' token: commands find it on the service's machine, and say what is missing elsewhere.

use std::os::unix::fs::PermissionsExt;

use tests::service::command;
use tests::world::World;

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

    let other = world.data("other-token");
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
