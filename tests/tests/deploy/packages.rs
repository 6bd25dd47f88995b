//! The Debian packages and their services: installed in a copy of this system, run as their units say, and removed.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::{bot, cofferdam, on_sqlite, run};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::tools::{self, tool};

use crate::conversation::{Conversation, TOKEN};
use crate::rig::{deploy, repository};

/// The variable that names a folder with the packages of a release, to be tested instead of ones that are packed here.
const PACKAGES_VARIABLE: &str = "COFFERDAM_TEST_PACKAGES";

/// In a mount namespace of its own, this system with a layer of its own above it, which goes with this shell. Arguments: a folder, the
/// script that checks there, and the packages. What is new in that layer in the end is in no package's list, and nobody removes it:
/// nothing may be but what the services have stored, and what dpkg itself and the tools of accounts keep.
const COPY: &str = r#"
set -e
root=$1 check=$2
shift 2
mount -t tmpfs tmpfs "$root"
mkdir "$root/changed" "$root/work" "$root/system"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/changed,workdir=$root/work" "$root/system"
for folder in dev proc; do mount --rbind "/$folder" "$root/system/$folder"; done
for folder in run tmp; do mount -t tmpfs tmpfs "$root/system/$folder"; done
chmod 1777 "$root/system/tmp"
cp "$@" "$root/system/tmp/"
cp "$check" "$root/system/tmp/check.sh"
chroot "$root/system" /bin/sh -e /tmp/check.sh
cd "$root/changed"
find . | while read -r path; do
    case $path in
        ./var/lib/cofferdam*|./var/lib/dpkg/*|./var/log/*|./etc/passwd-|./etc/group-|./etc/shadow-|./etc/gshadow-) ;;
        *) test -e "/$path" || test -L "/$path" || echo "left: $path" ;;
    esac
done
"#;

/// What an administrator sees. The services are run as their units say, since nothing here is systemd's.
const CHECK: &str = r#"
# The tests' own addresses are for the bot alone.
api=$DISCORD_API token=$DISCORD_TOKEN
unset DISCORD_API DISCORD_TOKEN

become_service() {
    umask $(sed -n 's/^UMask=//p' $unit)
    exec env -i $(sed -n 's/^Environment=//p' $unit) \
        $(for file in $(sed -n 's/^EnvironmentFile=-//p' $unit); do sed '/^#/d;/^$/d' $file; done) \
        setpriv --reuid=cofferdam --regid=cofferdam --clear-groups --no-new-privs --bounding-set=-all "$@"
}
as_service() {
    (become_service "$@")
}
# Until something succeeds, while the service lives.
wait_for() {
    tries=0
    until "$@" > /tmp/said 2>&1; do
        tries=$((tries + 1))
        kill -0 $service && test $tries -lt 600 || { cat /tmp/log /tmp/said; exit 1; }
        sleep 0.1
    done
}
start() {
    become_service $(sed -n 's/^ExecStart=//p' $unit) > /tmp/log 2>&1 &
    service=$!
    trap 'kill -KILL $service 2> /dev/null || true' EXIT
}
stop() {
    kill -TERM $service
    wait $service || { cat /tmp/log; exit 1; }
}

# An older version, whose settings an administrator has changed.
dpkg-deb --raw-extract /tmp/cofferdam_*.deb /tmp/older
sed -i 's/^Version: .*/Version: 0.1.99/' /tmp/older/DEBIAN/control
echo 'echo older' > /tmp/older/usr/bin/cofferdam
dpkg-deb -Znone --build /tmp/older /tmp/older.deb
dpkg --install /tmp/older.deb
echo COFFERDAM_LOG=debug >> /etc/cofferdam/cofferdam.env

dpkg --install /tmp/cofferdam_*.deb /tmp/cofferdam-bot_*.deb
tail -n 1 /etc/cofferdam/cofferdam.env | grep --quiet '^COFFERDAM_LOG=debug$'
/usr/bin/cofferdam --version | grep '^cofferdam '
# Of what is installed nothing else is changed.
dpkg --verify cofferdam cofferdam-bot | grep --invert-match ' c /etc/cofferdam/cofferdam.env$' && exit 1
dpkg --compare-versions "$(dpkg-query --show --showformat '${Version}' cofferdam)" lt 0.2.0
for name in cofferdam cofferdam-bot; do
    systemd-analyze verify --man=no /usr/lib/systemd/system/$name.service
    test "$(stat -c %U:%a /etc/cofferdam/$name.env)" = root:644
done
ls /usr/share/man/man1/cofferdam-serve.1*
for name in cofferdam cofferdam-bot; do
    ls /usr/share/man/man1/$name.1*
    for file in bash-completion/completions/$name zsh/vendor-completions/_$name \
        fish/vendor_completions.d/$name.fish doc/$name/LICENCES-OF-DEPENDENCIES.txt; do
        test -s /usr/share/$file
    done
done
id cofferdam

# As systemd makes them.
install -d -o cofferdam -g cofferdam -m 700 /var/lib/cofferdam /var/cache/cofferdam /run/cofferdam /run/cofferdam-bot
cd /var/lib/cofferdam
unit=/usr/lib/systemd/system/cofferdam.service
start
wait_for as_service /usr/bin/cofferdam status
as_service /usr/bin/cofferdam state put channel --message 1
stop
test "$(stat -c %U /var/lib/cofferdam/data/bot_state.db)" = cofferdam

# Without its token, the bot says what is missing, and is not started again for it.
unit=/usr/lib/systemd/system/cofferdam-bot.service
start
wait $service && exit 1 || test $? = 2
grep --quiet discord-token /tmp/log || { cat /tmp/log; exit 1; }
echo "$token" | install -o root -g cofferdam -m 640 /dev/stdin /etc/cofferdam/discord-token
echo "DISCORD_API=$api" >> /etc/cofferdam/cofferdam-bot.env
start
two_states() { test "$(as_service /usr/bin/cofferdam state list --json | grep -c '"channel_id"')" = 2; }
wait_for two_states
wait_for as_service /usr/bin/cofferdam status
# A program of its user, as which it runs one for answers, does not get at its token.
as_service /bin/cat /proc/self/environ > /dev/null
as_service /bin/cat /proc/$service/environ && exit 1
stop
test "$(stat -c %U:%a /var/lib/cofferdam/data/bot_journal.db)" = cofferdam:600

dpkg --purge cofferdam-bot
test ! -e /usr/bin/cofferdam-bot && test ! -e /etc/cofferdam/cofferdam-bot.env && test -e /var/cache/cofferdam
# What an administrator has made is an administrator's.
rm /etc/cofferdam/discord-token
dpkg --purge cofferdam
test ! -e /usr/bin/cofferdam && test ! -e /etc/cofferdam && test ! -e /var/cache/cofferdam
test -s /var/lib/cofferdam/data/bot_state.db
echo all is well
"#;

/// Those of the release that is named, or packages of what was built for the tests.
fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let from = match std::env::var_os(PACKAGES_VARIABLE) {
        Some(release) => repository("").join(release),
        None => pack(folder)?,
    };
    for entry in std::fs::read_dir(&from).with_context(|| from.display().to_string())? {
        found.push(entry?.path());
    }
    found.retain(|path| path.extension().is_some_and(|end| end == "deb"));
    ensure!(found.len() == 2, "{} has not the two packages: {found:?}", from.display());
    Ok(found)
}

fn pack(folder: &Path) -> Result<PathBuf> {
    let target = Path::new(plugins::TARGET_DIR);
    for program in [cofferdam()?, bot()?] {
        ensure!(program.starts_with(target), "{} is of another target folder", program.display());
    }
    run(on_sqlite(&["generate"]).arg(target.join("debug/share/cofferdam")), 0);
    tools::run(Command::new(bot()?).arg("--generate").arg(target.join("debug/share/cofferdam-bot")))?;
    // A release collects them.
    std::fs::write(target.join("debug/LICENCES-OF-DEPENDENCIES.txt"), "Nothing here is released.\n")?;
    let packed = folder.join("packages");
    std::fs::create_dir(&packed)?;
    for package in ["cofferdam-cli", "cofferdam-bot"] {
        let mut deb = Command::new(tool("cargo-deb")?);
        deb.args(["--no-build", "--no-strip", "--fast", "--profile", "dev", "--package", package, "--output"]);
        deb.arg(&packed).current_dir(repository("")).env("CARGO_TARGET_DIR", target);
        tools::run(&mut deb)?;
    }
    Ok(packed)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_packages_install_serve_and_answer_as_their_own_user_and_leave_the_state_when_they_go() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (check, root) = (folder.path().join("check.sh"), folder.path().join("root"));
    std::fs::write(&check, CHECK)?;
    std::fs::create_dir(&root)?;
    let conversation = Conversation::new().await?;
    let mut copy = Command::new("/usr/bin/unshare");
    copy.args(["--mount", "--propagation=private", "/bin/sh", "-c", COPY, "copy"]).args([&root, &check]);
    copy.args(packages(folder.path())?).env("DEBIAN_FRONTEND", "noninteractive");
    copy.env("DISCORD_API", conversation.api()).env("DISCORD_TOKEN", TOKEN);
    let checked = tokio::task::spawn_blocking(move || tools::run(&mut copy));
    let asked = async {
        // The bot is installed and started after much else, and a script that waits in vain for what it does ends by itself.
        while conversation.is_here(0).await.is_err() {}
        conversation.ask()?;
        conversation.is_answered(1).await
    };
    tokio::select! {
        // Its reason is better than that the bot does not come.
        said = checked => {
            let said = String::from_utf8_lossy(&said??).into_owned();
            ensure!(said.ends_with("all is well\n"), "{said}");
            conversation.is_answered(1).await
        }
        Err(error) = asked => Err(error),
    }
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
        // A bot that stops lets its programs finish.
        let of_bot = unit.ends_with("cofferdam-bot.service");
        ensure!(of_bot == text.lines().any(|line| line == "KillMode=mixed"), "{unit}");
    }
    Ok(())
}

/// A socket on which services tell what they do, and its name.
fn supervisor(folder: &Path) -> Result<(UnixDatagram, PathBuf)> {
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok((socket, path))
}

fn heard(socket: &UnixDatagram) -> Result<String> {
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).context("nothing is said")?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[test]
fn a_supervisor_is_told_when_it_serves_and_when_it_ends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (socket, path) = supervisor(folder.path())?;
    let mut command = on_sqlite(&["serve", "--json"]);
    command.env("DATABASE_PATH", folder.path().join("bot.db")).env("NOTIFY_SOCKET", &path);
    let mut server = Serve::start(&mut command, folder.path())?;
    let ready = heard(&socket)?;
    ensure!(ready.starts_with("READY=1\n") && ready.contains("STATUS=operations at unix:"), "{ready}");
    ensure!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?.success());
    ensure!(heard(&socket)?.starts_with("STOPPING=1\n"));
    ensure!(server.process().wait()?.success());
    // Who listens nowhere does not keep it from serving.
    command.env("NOTIFY_SOCKET", folder.path().join("nobody"));
    let server = Serve::start(&mut command, folder.path())?;
    ensure!(!server.operations.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_supervisor_is_told_of_the_bot_also_while_discord_is_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (socket, path) = supervisor(folder.path())?;
    // A port where nobody answers, since it is only held.
    let nobody = TcpListener::bind("127.0.0.1:0")?;
    let mut command = tokio::process::Command::new(bot()?);
    command.env("DATABASE_PATH", folder.path().join("bot.db")).env("NOTIFY_SOCKET", &path);
    command.env("DISCORD_API", format!("http://{}", nobody.local_addr()?)).env("DISCORD_TOKEN", TOKEN);
    command.env("BOT_LISTEN", "off").env("COFFERDAM_ADMIN_SOCKET", "off");
    let mut bot = command.kill_on_drop(true).spawn()?;
    ensure!(heard(&socket)?.starts_with("READY=1"));
    let id = bot.id().context("it has ended")?;
    ensure!(Command::new("kill").args(["-TERM", &id.to_string()]).status()?.success());
    ensure!(heard(&socket)?.starts_with("STOPPING=1\n"));
    ensure!(bot.wait().await?.success());
    Ok(())
}
