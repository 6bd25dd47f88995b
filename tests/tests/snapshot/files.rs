//! What is wrong with the files that are named.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use cofferdam_tests::harness::command::{cofferdam, on, run, run_wrong};
use cofferdam_tests::harness::storage::Home;

use crate::{Rows, assert_same, file_named, last_event, text};

/// The same command where no file may become longer than so many half-kilobytes, as on a disk that fills up.
fn limited(command: &Command, blocks: u32) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args()).env_clear().stdin(Stdio::null());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

async fn filled(rows: &Rows) -> Result<Home> {
    let home = Home::sqlite()?;
    rows.write(&home).await?;
    Ok(home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replaced_only_by_force() -> Result<()> {
    let home = filled(&Rows::numbered(10, 10)).await?;
    let (folder, file) = file_named("backup.ndjson")?;
    fs::write(&file, "mine")?;
    let parts = [text(&file), "exists", "--force"];
    run_wrong(&mut on(&home, &["export", text(&file)]), 2, &parts);
    assert_eq!(fs::read_to_string(&file)?, "mine");
    let failed = last_event(&mut on(&home, &["export", text(&file)]), 2);
    assert_eq!((&failed["event"], &failed["error"]["kind"]), (&"failed".into(), &"exists".into()));
    run(&mut on(&home, &["export", text(&file), "--force"]), 0);
    run(&mut on(&home, &["import", text(&file), "--dry-run"]), 0);
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    // A link stays one.
    let link = folder.path().join("link");
    symlink("backup.ndjson", &link)?;
    fs::write(&file, "mine")?;
    run_wrong(&mut on(&home, &["export", text(&link)]), 2, &["exists"]);
    run(&mut on(&home, &["export", text(&link), "--force"]), 0);
    run(&mut on(&home, &["import", text(&file), "--dry-run"]), 0);
    assert!(fs::symlink_metadata(&link)?.is_symlink());
    assert_eq!(names(folder.path())?, ["backup.ndjson", "link"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_would_have_is_refused() -> Result<()> {
    let home = filled(&Rows::numbered(10, 10)).await?;
    let (folder, _) = file_named("")?;
    // As cron does that closes it, and as Rust then finds it.
    let mut closed = Command::new("sh");
    closed.args(["-c", r#"exec "$0" export - >&-"#]).arg(cofferdam()?).env_clear();
    closed.envs(on(&home, &[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    run_wrong(&mut closed, 2, &["standard output is closed or /dev/null", "redirect it"]);
    run(on(&home, &["export", "-"]).stdout(fs::File::create(folder.path().join("backup"))?), 0);
    run(&mut on(&home, &["import", text(&folder.path().join("backup")), "--dry-run"]), 0);

    let link = folder.path().join("link");
    symlink("/nowhere/backup", &link)?;
    for force in [&["--force"][..], &[]] {
        run_wrong(
            on(&home, &["export", text(&link)]).args(force),
            2,
            &["is a link to", "/nowhere/backup", "another one"],
        );
    }
    let input = fs::File::open(folder.path())?;
    run_wrong(on(&home, &["import", "-"]).stdin(input), 2, &["standard input is a folder", "name a file"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_working_folder_needs_no_path() -> Result<()> {
    let home = filled(&Rows::numbered(10, 10)).await?;
    let (folder, _) = file_named("")?;
    run(on(&home, &["export", "backup.zst"]).current_dir(folder.path()), 0);
    run(on(&home, &["import", "backup.zst", "--dry-run"]).current_dir(folder.path()), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_said() -> Result<()> {
    let home = filled(&Rows::numbered(10, 10)).await?;
    let (folder, file) = file_named("no/such/folder")?;
    let folder = text(folder.path());
    run_wrong(&mut on(&home, &["export", text(&file)]), 2, &[text(&file), "cannot be created", "No such file"]);
    for force in [&[][..], &["--force"]] {
        run_wrong(on(&home, &["export", folder]).args(force), 2, &[folder, "is a folder"]);
    }
    run_wrong(&mut on(&home, &["export", "/dev/full", "--force"]), 2, &["/dev/full", "is not a regular file"]);
    run_wrong(&mut on(&home, &["export", "/proc/x"]), 2, &["/proc/x", "is not a regular file"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said() -> Result<()> {
    let home = filled(&Rows::numbered(10, 10)).await?;
    let (folder, file) = file_named("missing")?;
    run_wrong(&mut on(&home, &["import", text(&file)]), 2, &[text(&file), "No such file"]);
    run_wrong(&mut on(&home, &["import", text(folder.path())]), 2, &["is a folder"]);
    for (content, why) in
        [("hello\n", "first line"), ("{\"format\":\"x\",\"version\":1}\n", "another format"), ("", "empty")]
    {
        fs::write(&file, content)?;
        run_wrong(&mut on(&home, &["import", text(&file)]), 2, &[text(&file), "not a snapshot", why]);
    }
    let cofferdam::config::DatabaseConfig::Sqlite(sqlite) = home.config().database else { unreachable!() };
    run_wrong(&mut on(&home, &["import", text(&sqlite.path)]), 2, &["not a snapshot"]);
    let failed = last_event(&mut on(&home, &["import", text(&file)]), 2);
    assert_eq!(failed["error"]["kind"], "not-a-snapshot");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_permission_is_said() -> Result<()> {
    let home = filled(&Rows::numbered(10, 10)).await?;
    let (folder, file) = file_named("backup.ndjson")?;
    run(&mut on(&home, &["export", text(&file)]), 0);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000))?;
    let mut import = on(&home, &["import", text(&file), "--dry-run"]);
    if is_root()? {
        // Root may read everything.
        import = as_nobody(&import, folder.path())?;
    }
    run_wrong(&mut import, 2, &[text(&file), "Permission denied"]);
    Ok(())
}

/// The same command as another user, from a copy of the program in a folder that everybody may enter.
fn as_nobody(command: &Command, folder: &Path) -> Result<Command> {
    let program = folder.join("cofferdam");
    fs::copy(command.get_program(), &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(command.get_args());
    nobody.env_clear().stdin(Stdio::null());
    nobody.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(nobody)
}

fn is_root() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("Uid:")).context("a user id")?;
    Ok(line.split_whitespace().nth(1) == Some("0"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_no_file() -> Result<()> {
    let rows = Rows::numbered(20_000, 0);
    let home = filled(&rows).await?;
    for name in ["backup.ndjson", "backup.ndjson.zst"] {
        let (folder, file) = file_named(name)?;
        // 100 KiB, where even the compressed snapshot is longer.
        let mut export = limited(&on(&home, &["export", text(&file)]), 200);
        run_wrong(&mut export, 1, &["the snapshot cannot be written", "File too large"]);
        assert_eq!(names(folder.path())?, [""; 0]);
        // What was there before stays.
        fs::write(&file, "mine")?;
        let mut export = limited(&on(&home, &["export", text(&file), "--force"]), 200);
        run_wrong(&mut export, 1, &["the snapshot cannot be written"]);
        assert_eq!(fs::read_to_string(&file)?, "mine");
        assert_eq!(names(folder.path())?, [name]);
    }
    let full = || File::options().write(true).open("/dev/full");
    for flags in [&["export", "-"][..], &["export", "-", "--zstd"]] {
        run_wrong(on(&home, flags).stdout(full()?), 1, &["the snapshot cannot be written", "No space left"]);
    }
    assert_same(&Rows::of(&home).await?, &rows);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_fit_into_the_temporary_folder_changes_nothing() -> Result<()> {
    let home = filled(&Rows::numbered(20_000, 0)).await?;
    let (folder, file) = file_named("backup.ndjson")?;
    run(&mut on(&home, &["export", text(&file)]), 0);
    let to = filled(&Rows::default()).await?;
    let mut import = limited(on(&to, &["import", "-"]).env("TMPDIR", folder.path()), 1000);
    run_wrong(import.stdin(File::open(&file)?), 1, &["TMPDIR", text(folder.path()), "File too large"]);
    assert_same(&Rows::of(&to).await?, &Rows::default());
    assert_eq!(names(folder.path())?, ["backup.ndjson"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_a_failure() -> Result<()> {
    let home = filled(&Rows::numbered(20_000, 0)).await?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    run_wrong(on(&home, &["export", "-"]).stdout(writer), 1, &["Broken pipe"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_pipe_can_be_imported() -> Result<()> {
    let rows = Rows::numbered(5_000, 10);
    let home = filled(&rows).await?;
    let (folder, file) = file_named("backup.zst")?;
    run(&mut on(&home, &["export", text(&file)]), 0);
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let to = filled(&Rows::default()).await?;
    let (bytes, written) = (fs::read(&file)?, pipe.clone());
    let writer = std::thread::spawn(move || File::options().write(true).open(written)?.write_all(&bytes));
    run(&mut on(&to, &["import", text(&pipe)]), 0);
    writer.join().expect("the writer does not panic")?;
    assert_same(&Rows::of(&to).await?, &rows);
    Ok(())
}
