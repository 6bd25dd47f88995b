//! The files of sockets: their rights, and what is in their place.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use anyhow::Result;
use cofferdam_tests::harness::command::run_wrong;
use cofferdam_tests::harness::sqlite::SqliteFolder;

use crate::rig::{Client, Server, command, unix};

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_its_users_alone_and_goes_with_its_server() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let places = [unix(&server.operations)?.to_owned(), unix(&server.administration)?.to_owned()];
    for path in &places {
        let there = fs::symlink_metadata(path)?;
        assert!(there.file_type().is_socket());
        assert_eq!(there.permissions().mode() & 0o777, 0o600, "{path}");
    }
    // The folder in which they were made.
    let left = fs::read_dir(folder.path())?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    assert_eq!(left.filter(|name| name.starts_with('.')).count(), 0);
    server.signal("-TERM")?;
    assert_eq!(server.ended().await?.code(), Some(0));
    for path in &places {
        assert!(fs::symlink_metadata(path).is_err(), "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_of_a_dead_process_is_replaced() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let path = unix(&server.operations)?.to_owned();
    server.signal("-KILL")?;
    server.ended().await?;
    assert!(fs::symlink_metadata(&path).is_ok());
    let server = Server::start(&folder, &[])?;
    assert_eq!(unix(&server.operations)?, path);
    server.client().await?.get("/v1/health").await?.want(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_stays() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    run_wrong(&mut command(&folder, &[]), 2, &["--socket (COFFERDAM_SOCKET)", "another process serves it"]);
    server.client().await?.get("/v1/health").await?.want(200);

    let file = folder.path().join("file");
    fs::write(&file, "of somebody")?;
    let foreign = folder.path().join("foreign");
    let _listener = UnixListener::bind(&foreign)?;
    let long = folder.path().join("x".repeat(100));
    for (path, part) in [
        (&file, "not a socket"),
        (&foreign, "another process serves it"),
        (&folder.path().join("missing/socket"), "No such file"),
        (&long, "at most 107 bytes"),
        (&folder.database(), "which DATABASE_PATH uses"),
    ] {
        let mut command = command(&folder, &["--admin-socket", "other"]);
        run_wrong(command.current_dir(folder.path()).env("COFFERDAM_SOCKET", path), 2, &["--socket", part]);
    }
    assert_eq!(fs::read_to_string(&file)?, "of somebody");
    assert!(std::os::unix::net::UnixStream::connect(&foreign).is_ok());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_start_at_once_one_serves() -> Result<()> {
    let folder = SqliteFolder::new()?;
    // A stale one, which all of them would take away.
    drop(UnixListener::bind(folder.path().join("cofferdam.sock"))?);
    let starts = (0..4).map(|number| {
        let path = folder.path().to_owned();
        let mut command = command(&folder, &[]);
        let admin = folder.path().join(format!("admin-{number}"));
        command.env("COFFERDAM_ADMIN_SOCKET", admin);
        std::thread::spawn(move || Server::run(&path, &mut command))
    });
    let starts: Vec<_> = starts.collect();
    let servers: Vec<_> = starts.into_iter().filter_map(|start| start.join().ok()?.ok()).collect();
    assert_eq!(servers.len(), 1);
    Client::connect(&servers[0].operations).await?.get("/v1/health").await?.want(200);
    Ok(())
}
