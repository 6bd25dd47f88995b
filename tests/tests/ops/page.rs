//! The page, as a browser shows it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::StorageService;
use tempfile::TempDir;

use crate::rig::{Outage, Rig, begin, healthy, paused, plain, spooling, state};

/// A window of a phone, in CSS pixels.
const PHONE: u32 = 390;
const DESK: u32 = 1200;

/// What `COFFERDAM_TEST_PICTURES` names gets the pictures, for a person.
fn pictures(scratch: &TempDir) -> std::path::PathBuf {
    std::env::var_os("COFFERDAM_TEST_PICTURES").map_or_else(|| scratch.path().to_owned(), Into::into)
}

fn chromium(scratch: &Path, arguments: &[&str]) -> Result<String> {
    let profile = tempfile::tempdir_in(scratch)?;
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("chromium is missing: install the package chromium")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "chromium ended with {}: {error}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Looks at a page in a browser: on a phone and at a desk, light and dark. Fails where it is wider than its window.
fn look(name: &str, html: &str) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("page.html");
    std::fs::write(&file, html)?;
    let address = format!("file://{}", file.display());
    // A window cannot be as narrow as a phone; a frame can.
    let frame = scratch.path().join("frame.html");
    std::fs::write(
        &frame,
        format!(
            "<iframe src=\"page.html\" width=\"{PHONE}\" height=\"900\"></iframe><p id=\"width\"></p><script>onload = () => {{ \
             document.getElementById('width').textContent = 'width ' + \
             document.querySelector('iframe').contentDocument.documentElement.scrollWidth; }}</script>"
        ),
    )?;
    let dom = chromium(scratch.path(), &["--dump-dom", &format!("file://{}", frame.display())])?;
    let width = dom.split("width ").find_map(|rest| rest.split('<').next()?.parse::<u32>().ok());
    let width = width.with_context(|| format!("no width in {dom}"))?;
    ensure!(width <= PHONE, "{name} is {width} pixels wide on a phone");

    for (shade, arguments) in [("light", [].as_slice()), ("dark", &["--blink-settings=preferredColorScheme=0"])] {
        let picture = pictures(&scratch).join(format!("{name}-{shade}.png"));
        let mut all = vec![format!("--screenshot={}", picture.display()), format!("--window-size={DESK},1600")];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        all.push(address.clone());
        chromium(scratch.path(), &all.iter().map(String::as_str).collect::<Vec<_>>())?;
        let bytes = std::fs::read(&picture).context("no picture")?;
        ensure!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{} bytes", bytes.len());
    }
    let phone = pictures(&scratch).join(format!("{name}-phone.png"));
    let frame = format!("file://{}", frame.display());
    chromium(scratch.path(), &[&format!("--screenshot={}", phone.display()), "--window-size=500,950", &frame])?;
    Ok(())
}

async fn page(rig: &Rig) -> Result<String> {
    let answer = rig.get("/").await?;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
    for outside in ["http://", "https://", "<script", "@import", " onload"] {
        assert!(!answer.body.contains(outside), "{outside}");
    }
    Ok(answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_storage() -> Result<()> {
    let (rig, _folder) = healthy().await?;
    // Load of some seconds, so that there is something in the picture.
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    while tokio::time::Instant::now() < until {
        rig.storage.upsert_message_state(&state("c")).await?;
        rig.storage.get_message_state("c", None).await?;
    }
    let page = page(&rig).await?;
    assert!(page.contains("<h1>Everything works</h1>") && page.contains("<p>None.</p>"), "{page}");
    assert!(page.contains("class=\"reads\" points=") && page.contains("class=\"writes\" points="), "{page}");
    look("healthy", &page)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_with_and_without_a_spool() -> Result<()> {
    let mut outage = Outage::new().await?;
    let password = match &outage.config().database {
        cofferdam::config::DatabaseConfig::Mysql(mysql) => mysql.password.expose().to_owned(),
        cofferdam::config::DatabaseConfig::Sqlite(_) => String::new(),
    };
    let plain = Rig::new(plain(&outage)).await?;
    let spooling = Rig::new(spooling(&outage)).await?;
    for number in 0..100 {
        plain.storage.upsert_message_state(&state(&number.to_string())).await?;
    }
    begin(&mut outage, &plain.storage).await?;
    for number in 0..6 {
        assert!(spooling.storage.upsert_message_state(&state(&number.to_string())).await?.is_spooled());
    }
    let (failed, half) = (page(&plain).await?, page(&spooling).await?);
    assert!(failed.contains("<h1>Not ready</h1>") && failed.contains("<h2>database: failed"), "{failed}");
    assert!(half.contains("<h1>Works, but something is wrong</h1>"), "{half}");
    assert!(half.contains("6 of 10 writes wait"), "{half}");
    let all = [failed.clone(), half.clone(), plain.get("/status.json").await?.body, plain.get("/metrics").await?.body];
    assert!(!password.is_empty() && all.iter().all(|text| !text.contains(&password)));
    look("unavailable", &failed)?;
    look("spool-half-full", &half)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_left_alone() -> Result<()> {
    let (rig, _folder) = paused().await?;
    let page = page(&rig).await?;
    assert!(page.contains("<h2>plugin: failed") && page.contains("it panicked"), "{page}");
    look("plugin-paused", &page)
}
