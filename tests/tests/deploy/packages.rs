//! The Debian package and its service: installed in a copy of this system, run as its unit says, and removed.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::{cofferdam, on_sqlite, run};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::tools::{self, tool};

use crate::rig::{deploy, repository};

/// In a mount namespace of its own, this system with a layer of its own above it, which goes with this shell. Arguments: a folder, the
/// package, and the script that checks it there.
const COPY: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/changed" "$1/work" "$1/system"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" "$1/system"
for folder in dev proc; do mount --rbind "/$folder" "$1/system/$folder"; done
for folder in run tmp; do mount -t tmpfs tmpfs "$1/system/$folder"; done
chmod 1777 "$1/system/tmp"
cp "$2" "$1/system/tmp/cofferdam.deb"
cp "$3" "$1/system/tmp/check.sh"
exec chroot "$1/system" /bin/sh -e /tmp/check.sh
"#;

/// What an administrator sees. The service is run as its unit says, since nothing here is systemd's.
const CHECK: &str = r#"
dpkg --install /tmp/cofferdam.deb
dpkg --verify cofferdam
unit=/usr/lib/systemd/system/cofferdam.service
systemd-analyze verify --man=no $unit
test "$(stat -c %U:%a /etc/cofferdam/cofferdam.env)" = root:644
ls /usr/share/man/man1/cofferdam-serve.1*
for file in bash-completion/completions/cofferdam fish/vendor_completions.d/cofferdam.fish; do
    test -s /usr/share/$file
done
id cofferdam

# As systemd makes them.
install -d -o cofferdam -g cofferdam -m 700 /var/lib/cofferdam /var/cache/cofferdam /run/cofferdam
cd /var/lib/cofferdam
become_service() {
    exec env -i $(sed -n 's/^Environment=//p' $unit) $(sed '/^#/d;/^$/d' /etc/cofferdam/cofferdam.env) \
        setpriv --reuid=cofferdam --regid=cofferdam --clear-groups --no-new-privs --bounding-set=-all "$@"
}
as_service() {
    (become_service "$@")
}
become_service $(sed -n 's/^ExecStart=//p' $unit) > /tmp/log 2>&1 &
server=$!
trap 'kill -KILL $server 2> /dev/null || true' EXIT
tries=0
until as_service /usr/bin/cofferdam status > /tmp/status 2>&1; do
    tries=$((tries + 1))
    kill -0 $server && test $tries -lt 200 || { cat /tmp/log /tmp/status; exit 1; }
    sleep 0.1
done
as_service /usr/bin/cofferdam state put channel --message 1
kill -TERM $server
wait $server
test "$(stat -c %U /var/lib/cofferdam/data/bot_state.db)" = cofferdam

dpkg --purge cofferdam
test ! -e /usr/bin/cofferdam && test ! -e /etc/cofferdam/cofferdam.env && test ! -e /var/cache/cofferdam
test -s /var/lib/cofferdam/data/bot_state.db
echo all is well
"#;

/// Packs the command that was built for the tests.
fn package(folder: &Path) -> Result<PathBuf> {
    let target = Path::new(plugins::TARGET_DIR);
    run(on_sqlite(&["generate"]).arg(target.join("debug/share")), 0);
    let file = folder.join("cofferdam.deb");
    let mut deb = Command::new(tool("cargo-deb")?);
    deb.args(["--no-build", "--no-strip", "--fast", "--profile", "dev", "--package", "cofferdam-cli", "--output"]);
    deb.arg(&file).current_dir(repository("")).env("CARGO_TARGET_DIR", target);
    tools::run(&mut deb)?;
    Ok(file)
}

#[test]
fn the_package_installs_serves_as_its_own_user_and_leaves_the_state_when_it_goes() -> Result<()> {
    ensure!(cofferdam()?.starts_with(plugins::TARGET_DIR), "the package has the command of another target folder");
    let folder = tempfile::tempdir()?;
    let (package, check, root) = (package(folder.path())?, folder.path().join("check.sh"), folder.path().join("root"));
    std::fs::write(&check, CHECK)?;
    std::fs::create_dir(&root)?;
    let mut copy = Command::new("/usr/bin/unshare");
    copy.args(["--mount", "--propagation=private", "/bin/sh", "-c", COPY, "copy"]).args([&root, &package, &check]);
    let said = tools::run(copy.env("DEBIAN_FRONTEND", "noninteractive"))?;
    ensure!(String::from_utf8_lossy(&said).ends_with("all is well\n"), "{}", String::from_utf8_lossy(&said));
    Ok(())
}

#[test]
fn units_are_valid_and_little_is_exposed() -> Result<()> {
    for unit in ["systemd/cofferdam.service", "systemd/cofferdam-bot.service"] {
        let mut security = Command::new(tool("systemd-analyze")?);
        // Tenths: 2.0 of 10.
        security.args(["security", "--offline=true", "--no-pager", "--threshold=20"]);
        tools::run(security.arg(deploy(unit)))?;
        let text = std::fs::read_to_string(deploy(unit))?;
        // That it cannot be yes is what the tests of the machine's limits are about.
        for line in
            ["MemoryDenyWriteExecute=no", "ProtectSystem=strict", "User=cofferdam", "RestartPreventExitStatus=2"]
        {
            ensure!(text.lines().any(|other| other.starts_with(line)), "{unit} has no {line}");
        }
    }
    Ok(())
}

#[test]
fn a_supervisor_is_told_when_it_serves_and_when_it_ends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let heard = || -> Result<String> {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).context("nothing is said")?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    let mut command = on_sqlite(&["serve", "--json"]);
    command.env("DATABASE_PATH", folder.path().join("bot.db")).env("NOTIFY_SOCKET", &path);
    let mut server = Serve::start(&mut command, folder.path())?;
    let ready = heard()?;
    ensure!(ready.starts_with("READY=1\n") && ready.contains("STATUS=operations at unix:"), "{ready}");
    ensure!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?.success());
    ensure!(heard()?.starts_with("STOPPING=1\n"));
    ensure!(server.process().wait()?.success());
    // Who listens nowhere does not keep it from serving.
    command.env("NOTIFY_SOCKET", folder.path().join("nobody"));
    let server = Serve::start(&mut command, folder.path())?;
    ensure!(!server.operations.is_empty());
    Ok(())
}
