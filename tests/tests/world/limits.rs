//! Limits that a container or a service manager sets end in one plain sentence, or do not matter.
//!
//! Every case runs the real command. It may work or fail; it may not be ended by a signal, panic (101) or hang, and where it fails it
//! says in one sentence which limit that was.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cofferdam::config::SpoolConfig;
use cofferdam::{ResilientStorage, StorageService};
use cofferdam_tests::harness::command::cofferdam;
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::sqlite_config;
use tempfile::TempDir;

/// Nothing that is tried here takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Codes with which the command may end, as its help says.
const DOCUMENTED: [i32; 6] = [0, 1, 2, 3, 4, 5];

/// A folder that everybody may use, with the command, its components, a database and a spool.
struct Place {
    folder: TempDir,
}

const COMMANDS: [&[&str]; 8] = [
    &["check", "--timeout", "5m"],
    &["state", "put", "channel", "--message", "2", "--seen", "2026-01-31T12:00:00Z"],
    &["state", "get", "channel"],
    &["state", "list"],
    &["migrate", "--from", "sqlite:bot_state.db", "--to", "sqlite:moved.db", "--execute"],
    &["export", "backup.ndjson.zst", "--force"],
    &["spool", "status", "spool"],
    &["bench", "sqlite", "--rows", "50", "--seconds", "0.05", "--warm-up", "0"],
];

impl Place {
    fn new() -> Self {
        Self::inside(&std::env::temp_dir())
    }

    fn inside(parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("cofferdam-limits-").tempdir_in(parent).unwrap();
        let place = Self { folder };
        place.open_to_all(place.folder.path());
        for (from, name) in [(cofferdam().unwrap(), "cofferdam"), (plugins::SQLITE.into(), "sqlite.wasm")] {
            let from: PathBuf = from;
            // By another program: a child that another test starts meanwhile would hold the file open for writing, and what is
            // open for writing is not run.
            let copy = Command::new("cp").arg("--reflink=auto").arg(&from).arg(place.path(name)).status().unwrap();
            assert!(copy.success(), "{} cannot be copied", from.display());
        }
        let cache = place.path("cache");
        fs::create_dir(&cache).unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
        for arguments in [COMMANDS[0], COMMANDS[1]] {
            let output = place.command(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        place.make_spool();
        place.give_to_all();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make_spool(&self) {
        let mut config = sqlite_config(&self.path("bot_state.db"));
        config.resilience.spool = Some(SpoolConfig { path: self.path("spool"), limit: SpoolConfig::LIMIT });
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let storage = ResilientStorage::builder(config).build().unwrap();
            storage.initialize().await.unwrap();
            storage.close().await.unwrap();
        });
    }

    fn open_to_all(&self, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }

    /// Lets any user write the files.
    fn give_to_all(&self) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.ends_with(".db") || name.contains("-") || name == "spool")
            {
                self.open_to_all(&entry.path());
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.within(&[], arguments)
    }

    /// The command, started by other programs that set its limits.
    fn within(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let mut words: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
        words.push(self.path("cofferdam").into());
        words.extend(arguments.iter().map(OsString::from));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().stdin(Stdio::null()).current_dir(self.folder.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // What a command leaves that is ended goes with the place.
        command.env("TMPDIR", self.folder.path());
        command.env("DATABASE_PATH", "bot_state.db").env("COFFERDAM_PLUGINS", ".").env("COFFERDAM_CACHE", "cache");
        command
    }

    /// Runs each command within the limit. Where one fails it names one of these.
    fn holds(&self, wrapper: &[&str], names: &[&str]) -> Vec<i32> {
        COMMANDS.iter().map(|arguments| self.one_holds(wrapper, arguments, names)).collect()
    }

    fn one_holds(&self, wrapper: &[&str], arguments: &[&str], names: &[&str]) -> i32 {
        for leftover in ["moved.db", "moved.db-wal", "moved.db-shm"] {
            let _ = fs::remove_file(self.path(leftover));
        }
        let mut command = self.within(wrapper, arguments);
        judge(&mut command, names)
    }
}

fn judge(command: &mut Command, names: &[&str]) -> i32 {
    let output = ended(command);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let told = format!("{command:?}\n{}\n{stdout}\n{stderr}", output.status);
    assert_eq!(output.status.signal(), None, "{told}");
    let code = output.status.code().unwrap();
    assert!(DOCUMENTED.contains(&code), "{told}");
    assert!(!stderr.contains("panicked"), "{told}");
    if code != 0 {
        let said: Vec<_> = stderr.lines().filter(|line| line.starts_with("cofferdam: ")).collect();
        let [sentence] = said[..] else { panic!("{told}") };
        assert!(names.iter().any(|name| sentence.contains(name)), "{names:?} is not named: {told}");
    }
    code
}

/// Runs it to its end, which must come.
fn ended(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let process = child.id();
    let (say, hear) = mpsc::channel();
    std::thread::spawn(move || say.send(child.wait_with_output()));
    match hear.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
            panic!("{command:?} hangs");
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
}

/// A user whom nobody else is, since the system counts all processes of one.
fn somebody() -> String {
    format!("--reuid={}", 1_000_000 + std::process::id())
}

#[test]
fn few_processes() {
    let place = Place::new();
    let user = somebody();
    if is_root() {
        let owner = format!("{}:65534", user.trim_start_matches("--reuid="));
        assert!(Command::new("chown").arg("-R").arg(owner).arg(place.folder.path()).status().unwrap().success());
    }
    let mut codes = Vec::new();
    for most in [1, 2, 3, 4, 5, 6, 7, 8, 12, 32] {
        let most = format!("--nproc={most}");
        // Limits on processes do not bind root.
        let wrapper: &[&str] = if is_root() {
            &["setpriv", &user, "--regid=65534", "--clear-groups", "prlimit", &most]
        } else {
            &["prlimit", &most]
        };
        codes.push(place.holds(wrapper, &["RLIMIT_NPROC"]));
    }
    assert!(codes[0].iter().all(|code| *code == 1), "{codes:?}");
    assert!(!is_root() || codes[9].iter().all(|code| *code == 0), "{codes:?}");
}

#[test]
fn few_open_files() {
    let place = Place::new();
    let mut codes = Vec::new();
    // With fewer not even the system's loader opens all libraries.
    for most in [8, 12, 16, 24, 32, 40, 48, 128] {
        codes.push(place.holds(&["prlimit", &format!("--nofile={most}")], &["RLIMIT_NOFILE"]));
    }
    assert!(codes[0].iter().all(|code| *code == 1), "{codes:?}");
    assert!(codes[7].iter().all(|code| *code == 0), "{codes:?}");
}

#[test]
fn small_files() {
    let place = Place::new();
    let mut codes = Vec::new();
    for most in ["0", "4096", "49152", "1073741824"] {
        codes.push(place.holds(&["prlimit", &format!("--fsize={most}")], &["RLIMIT_FSIZE"]));
    }
    assert!(codes[0].contains(&1), "{codes:?}");
    assert!(codes[3].iter().all(|code| *code == 0), "{codes:?}");
}

#[test]
fn few_addresses() {
    let place = Place::new();
    let mut codes = Vec::new();
    let limit = |mebibytes: u64| format!("--as={}", mebibytes << 20);
    // With fewer the system cannot load the program, and ends it by a signal.
    let starts =
        |most: &u64| place.within(&["prlimit", &limit(*most)], &["--version"]).output().unwrap().status.success();
    let fewest = (1..128).map(|step| step * 8).find(starts).unwrap();
    for most in [fewest, fewest + 48, fewest + 144, fewest + 336, 2 << 10, 16 << 10, 300 << 10, 400 << 10] {
        codes.push(place.holds(&["prlimit", &limit(most)], &["RLIMIT_AS"]));
    }
    // As many as a processor with 39 bits has, and much less.
    for enough in &codes[4..] {
        assert!(enough.iter().all(|code| *code == 0), "{codes:?}");
    }
}

#[test]
fn little_memory_of_its_own() {
    let place = Place::new();
    for most in [8_u64, 32, 128, 1024] {
        place.holds(&["prlimit", &format!("--data={}", most << 20)], &["RLIMIT_AS", "RLIMIT_DATA"]);
    }
    let codes = place.holds(&["prlimit", "--memlock=0", "--core=0"], &[]);
    assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
}

#[test]
fn a_small_stack() {
    let place = Place::new();
    for most in [128_u64, 256, 1024] {
        let codes = place.holds(&["prlimit", &format!("--stack={}", most << 10)], &["RLIMIT_STACK"]);
        assert!(codes.iter().all(|code| *code == 0), "{most}: {codes:?}");
    }
}

#[test]
fn little_processor_time() {
    let place = Place::new();
    place.holds(&["prlimit", "--cpu=2"], &["RLIMIT_CPU"]);
    place.holds(&["prlimit", "--cpu=2:4"], &["RLIMIT_CPU"]);
    let long = ["bench", "sqlite", "--rows", "50", "--seconds", "600", "--warm-up", "0"];
    for limit in ["--cpu=2", "--cpu=2:4", "--cpu=3"] {
        assert_eq!(place.one_holds(&["prlimit", limit], &long, &["RLIMIT_CPU"]), 1);
    }
}

/// As systemd's MemoryDenyWriteExecute does.
#[test]
fn no_executable_memory() {
    const PR_SET_MDWE: i32 = 65;
    const PR_MDWE_REFUSE_EXEC_GAIN: u64 = 1;
    let place = Place::new();
    for has_cache in [true, false] {
        for arguments in COMMANDS {
            let mut command = place.command(arguments);
            if !has_cache {
                command.env("COFFERDAM_CACHE", "off");
            }
            // SAFETY: between fork and exec one call of the system is made, which changes this process alone.
            unsafe {
                command.pre_exec(|| match libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0_u64, 0_u64, 0_u64) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                });
            }
            let code = judge(&mut command, &["MemoryDenyWriteExecute"]);
            let needs_none = arguments[0] == "spool";
            assert_eq!(code == 0, needs_none, "{arguments:?}");
        }
        // What could not be used is not thrown away.
        assert_eq!(fs::read_dir(place.path("cache")).unwrap().count(), 1);
    }
}

#[test]
fn nobody_reads_what_is_said() {
    let place = Place::new();
    for arguments in COMMANDS {
        for log in ["warn", "trace"] {
            for (stdout, stderr) in [(false, true), (true, false), (true, true)] {
                let mut command = place.command(arguments);
                command.env("COFFERDAM_LOG", log);
                let full = || File::options().write(true).open("/dev/full").unwrap();
                command.stdout(if stdout { full().into() } else { Stdio::null() });
                command.stderr(if stderr { full().into() } else { Stdio::piped() });
                let _ = fs::remove_file(place.path("moved.db"));
                let output = command.spawn().unwrap().wait_with_output().unwrap();
                let told = format!("{arguments:?} {stdout} {stderr} {output:?}");
                // An answer that was not given is a failure; what was said beside it is not.
                let answers = arguments[0] != "export" || stdout;
                assert_eq!(output.status.code(), Some(i32::from(stdout && answers)), "{told}");
                if stdout && !stderr {
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(said.contains("cofferdam: standard output cannot be written"), "{told}");
                }
            }
        }
        for closed in ["2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"] {
            let _ = fs::remove_file(place.path("moved.db"));
            let script = format!("exec \"$@\" {closed}");
            let mut command = place.within(&["sh", "-c", &script, "sh"], arguments);
            command.stderr(Stdio::null()).stdout(Stdio::null());
            let status = command.status().unwrap();
            assert_eq!(status.code(), Some(0), "{arguments:?} {closed}");
        }
        // A wrong command too has nobody to tell.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut wrong = place.command(&["state", "get", ""]);
        assert_eq!(wrong.stderr(full).status().unwrap().code(), Some(2));
    }
}

/// A folder of one's own in a file system in which nothing else can be written.
fn in_namespace(place: &Place, script: &str) -> Vec<i32> {
    let script = format!("set -e; {script}; exec \"$@\"");
    let wrapper = ["unshare", "--mount", "--propagation=private", "sh", "-c", &script, "sh"];
    place.holds(&wrapper, &["os error 30", "os error 2", "folder", "SQLITE_CANTOPEN", "read-only"])
}

#[test]
fn file_systems_that_lack_something() {
    assert!(is_root(), "run as root: mounts are changed, in a namespace of their own");
    let place = Place::inside(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let here = place.folder.path().display();
    let all = |codes: Vec<i32>, what: &str| {
        // The folder of bench is made where --folder or the system says.
        assert!(codes[..7].iter().all(|code| *code == 0), "{what}: {codes:?}");
        codes[7]
    };
    let no_tmp = "unset TMPDIR; mount -t tmpfs -o ro none /tmp; mount -t tmpfs -o ro none /var/tmp";
    assert_eq!(all(in_namespace(&place, no_tmp), "no /tmp"), 2);
    assert_eq!(all(in_namespace(&place, "mount -t tmpfs none /proc"), "no /proc"), 0);
    assert_eq!(all(in_namespace(&place, "mount -t tmpfs none /sys"), "no /sys"), 0);
    let read_only_root = format!("mount --bind {here} {here}; mount -o remount,bind,ro /; cd {here}");
    all(in_namespace(&place, &read_only_root), "a root that is read-only");
    // A folder that is read-only itself, where nothing compiled can be kept either: whoever may write is told which file he cannot.
    let read_only =
        format!("set -e; mount --bind {here} {here}; mount -o remount,bind,ro {here}; cd {here}; exec \"$@\"");
    let wrapper = ["unshare", "--mount", "--propagation=private", "sh", "-c", &read_only, "sh"];
    for arguments in [COMMANDS[0], COMMANDS[2]] {
        assert!([1, 3].contains(&place.one_holds(
            &wrapper,
            arguments,
            &["SQLITE_CANTOPEN", "read-only", "bot_state.db"]
        )));
    }
}

#[test]
fn no_home_and_no_cache() {
    let place = Place::new();
    for arguments in COMMANDS {
        for (name, value) in [("COFFERDAM_CACHE", ""), ("COFFERDAM_CACHE", "/proc/nowhere"), ("HOME", "/nonexistent")] {
            let _ = fs::remove_file(place.path("moved.db"));
            let mut command = place.command(arguments);
            command.env_remove("COFFERDAM_CACHE").env(name, value);
            assert_eq!(judge(&mut command, &[]), 0, "{arguments:?} {name}={value}");
        }
    }
}
