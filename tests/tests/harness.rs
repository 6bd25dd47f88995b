//! The proxy and the file system that faults are made with behave as the faults expect.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use cofferdam_tests::harness::proxy::{Direction, Mode, Proxy};
use cofferdam_tests::harness::tmpfs::Tmpfs;
use cofferdam_tests::harness::victim;
use cofferdam_tests::harness::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough to say that nothing comes.
const NOTHING: Duration = Duration::from_millis(200);

/// A proxy in front of a server that answers with what it is told.
async fn echo() -> Result<Proxy> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::start(listener.local_addr()?.port())?;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = connection.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Ok(proxy)
}

async fn connect(proxy: &Proxy) -> Result<TcpStream> {
    Ok(TcpStream::connect(("127.0.0.1", proxy.port())).await?)
}

/// What comes back of a text: less where the connection ends, and nothing where it is silent.
async fn ask(connection: &mut TcpStream, text: &str) -> std::io::Result<String> {
    connection.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    let mut length = 0;
    while length < answer.len() {
        match timeout(NOTHING, connection.read(&mut answer[length..])).await {
            Ok(read) => match read? {
                0 => break,
                count => length += count,
            },
            Err(_) => break,
        }
    }
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[tokio::test]
async fn a_proxy_passes_and_delays() -> Result<()> {
    let proxy = echo().await?;
    let mut connection = connect(&proxy).await?;
    assert_eq!(ask(&mut connection, "hello").await?, "hello");
    proxy.switch(Mode::Delay(NOTHING / 4));
    let started = Instant::now();
    assert_eq!(ask(&mut connection, "again").await?, "again");
    // There and back.
    assert!(started.elapsed() >= NOTHING / 2);
    Ok(())
}

#[tokio::test]
async fn a_proxy_resets_what_is_open_and_what_comes() -> Result<()> {
    let proxy = echo().await?;
    let mut connection = connect(&proxy).await?;
    ask(&mut connection, "hello").await?;
    proxy.switch(Mode::Reset);
    let reset = until("reset", Duration::from_secs(10), async || ask(&mut connection, "x").await.is_err()).await;
    reset?;
    let mut another = connect(&proxy).await?;
    assert!(ask(&mut another, "hello").await.map_or(true, |answer| answer.is_empty()));
    proxy.switch(Mode::Pass);
    assert_eq!(ask(&mut connect(&proxy).await?, "hello").await?, "hello");
    Ok(())
}

#[tokio::test]
async fn a_proxy_swallows_and_what_was_swallowed_stays_so() -> Result<()> {
    let proxy = echo().await?;
    let mut connection = connect(&proxy).await?;
    ask(&mut connection, "hello").await?;
    proxy.switch(Mode::Swallow);
    assert_eq!(ask(&mut connection, "lost").await?, "");
    assert_eq!(ask(&mut connect(&proxy).await?, "lost").await?, "");
    proxy.switch(Mode::Pass);
    assert_eq!(ask(&mut connection, "lost").await?, "");
    assert_eq!(ask(&mut connect(&proxy).await?, "hello").await?, "hello");
    Ok(())
}

#[tokio::test]
async fn a_proxy_cuts_after_so_many_bytes_of_a_direction() -> Result<()> {
    let proxy = echo().await?;
    for direction in [Direction::ToServer, Direction::ToClient] {
        proxy.switch(Mode::Cut { direction, after: 8 });
        let mut connection = connect(&proxy).await?;
        assert_eq!(ask(&mut connection, "hello").await?, "hello");
        let rest = ask(&mut connection, "again").await?;
        // Where the way there is cut the answer may come too late.
        assert!(rest == "aga" || direction == Direction::ToServer && "aga".starts_with(&rest), "{rest}");
        assert!(ask(&mut connection, "x").await.map_or(true, |answer| answer.is_empty()));
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_refuses_for_a_while() -> Result<()> {
    let proxy = echo().await?;
    let mut connection = connect(&proxy).await?;
    ask(&mut connection, "hello").await?;
    proxy.switch(Mode::Refuse);
    let refused = async || {
        let error = TcpStream::connect(("127.0.0.1", proxy.port())).await.err();
        error.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    until("refused", Duration::from_secs(10), refused).await?;
    assert!(ask(&mut connection, "x").await.map_or(true, |answer| answer.is_empty()));
    proxy.switch(Mode::Pass);
    until("back", Duration::from_secs(10), async || connect(&proxy).await.is_ok()).await?;
    assert_eq!(ask(&mut connect(&proxy).await?, "hello").await?, "hello");
    Ok(())
}

#[test]
fn a_file_system_fills_grows_and_can_be_read_only() -> Result<()> {
    let mut disk = Tmpfs::mount(1 << 20)?;
    let file = disk.path().join("file");
    let filler = disk.fill()?;
    let full = std::fs::write(&file, vec![1; 100_000]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    disk.resize(2 << 20)?;
    std::fs::write(&file, vec![1; 100_000])?;
    drop(filler);
    disk.set_read_only(true)?;
    assert_eq!(std::fs::write(&file, "").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    disk.set_read_only(false)?;
    let mut open = std::fs::File::create(&file)?;
    assert!(disk.set_read_only(true).is_err(), "a file is open for writing");
    open.write_all(b"x")?;
    let folder = disk.path().to_owned();
    drop((open, disk));
    assert!(!folder.exists());
    Ok(())
}

/// The other half of the test below: runs in a process that is killed.
#[test]
fn victim() -> Result<()> {
    if victim::is_one() {
        let disk = Tmpfs::mount(1 << 20)?;
        let _open = std::fs::File::create(disk.path().join("file"))?;
        eprintln!("mounted {}", disk.path().display());
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_no_mount() -> Result<()> {
    let (mut victim, folder) = victim::start("mounted ")?;
    let folder = std::path::PathBuf::from(folder);
    assert!(folder.exists());
    victim.kill()?;
    victim.wait()?;
    until("the mount is gone", Duration::from_secs(30), async || !folder.exists()).await
}
