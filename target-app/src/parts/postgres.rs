//! `PostgreSQL`: the database of every role that keeps something.
//!
//! It refuses to run as root, so root gives itself up for an ordinary user first. That user may not be
//! let through to a folder below one of root's. So root opens the folder and the server is told of it
//! by that open file, `/proc/self/fd/N`, which leads there past all that lies above.
//!
//! SIGTERM makes it wait for its clients to leave ("smart"), which pools never do. Who stops it sends
//! SIGINT ("fast"): clients are cut off, what was committed is on disk.
//!
//! Invariant: a folder is a cluster only when it is complete: it is made beside and renamed.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};

use super::PartError;
use super::account::Account;
use super::place::{self, Place};
use super::programs::{Found, Programs};

pub(super) const PROGRAMS: Programs = Programs {
    names: &["postgres", "initdb"],
    folders: "/usr/lib/postgresql/*/bin",
    package: "postgresql",
};

/// The one database there is for the store.
const DATABASE: &str = "shop";
/// Users that root may become, the first that exists.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// What the server is told beside its folder and its port.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    // In the folder, where it goes with the folder however the server ends.
    "dynamic_shared_memory_type=mmap",
    "max_connections=200",
    "shared_buffers=64MB",
    "logging_collector=off",
];

/// Makes the cluster where there is none; the server's command.
pub(super) fn prepare(
    found: &Found,
    place: &Place,
    account: &Account,
) -> Result<Command, PartError> {
    let owner = Owner::of(place)?;
    let cluster = owner.folder.join("cluster");
    if !place.data.join("cluster").exists() {
        make(found, place, account, &owner)?;
    }
    let mut command = owner.command(&found.program("postgres"));
    command.arg("-D").arg(cluster);
    let port = format!("port={}", place.port);
    for setting in SETTINGS.into_iter().chain([port.as_str()]) {
        command.args(["-c", setting]);
    }
    Ok(command)
}

fn make(found: &Found, place: &Place, account: &Account, owner: &Owner) -> Result<(), PartError> {
    let making = place.data.join("making");
    if making.exists() {
        fs::remove_dir_all(&making)
            .map_err(PartError::io(format!("remove `{}`", making.display())))?;
    }
    let password = place.write("password", account.password.expose())?;
    owner.own(&password)?;
    let folder = owner.folder.join("making");
    let mut initdb = owner.command(&found.program("initdb"));
    initdb
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
        .args([
            "--no-sync",
            "--no-instructions",
            "--username",
            &account.user,
        ])
        .arg(joined("--pwfile=", &owner.folder.join("password")))
        .arg(joined("--pgdata=", &folder))
        .stdout(place::stderr()?);
    let made = run("make the cluster with `initdb`", initdb, b"");
    fs::remove_file(&password)
        .map_err(PartError::io(format!("remove `{}`", password.display())))?;
    made?;
    let mut single = owner.command(&found.program("postgres"));
    single
        .args(["--single", "-D"])
        .arg(folder)
        .arg("postgres")
        .stdout(place::stderr()?);
    let create = format!("CREATE DATABASE {DATABASE}\n");
    run(
        "make the database with `postgres --single`",
        single,
        create.as_bytes(),
    )?;
    let cluster = place.data.join("cluster");
    fs::rename(&making, &cluster).map_err(PartError::io(format!("make `{}`", cluster.display())))
}

fn joined(before: &str, path: &Path) -> OsString {
    let mut text = OsString::from(before);
    text.push(path);
    text
}

fn run(act: &'static str, mut command: Command, input: &[u8]) -> Result<(), PartError> {
    super::account::hide(&mut command);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .map_err(PartError::io(act))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says so by its status.
        drop(stdin.write_all(input));
    }
    let status = child.wait().map_err(PartError::io(act))?;
    if status.success() {
        return Ok(());
    }
    Err(PartError::Helper { act, status })
}

/// Whose the cluster is, and how that user reaches the folder.
struct Owner {
    /// Name and number of user and group, unless it is who we are.
    user: Option<(String, u32, u32)>,
    folder: PathBuf,
}

impl Owner {
    fn of(place: &Place) -> Result<Self, PartError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self {
                user: None,
                folder: place.data.clone(),
            });
        }
        let act = || format!("open the folder `{}`", place.data.display());
        let opened = rustix::fs::open(&place.data, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map_err(|errno| PartError::io(act())(errno.into()))?;
        let folder = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        // Not closed on exec, and open for as long as the server lives: its way to its folder.
        std::mem::forget(opened);
        let known = fs::read_to_string("/etc/passwd").map_err(PartError::io("read /etc/passwd"))?;
        let user = ordinary(&known).ok_or(PartError::Missing {
            program: USERS[0],
            places: "/etc/passwd (a user to run as instead of root)",
            package: PROGRAMS.package,
        })?;
        let owner = Self {
            user: Some(user),
            folder,
        };
        owner.own(&place.data)?;
        Ok(owner)
    }

    fn own(&self, path: &Path) -> Result<(), PartError> {
        let Some((name, user, group)) = &self.user else {
            return Ok(());
        };
        let act = format!("give `{}` to the user `{name}`", path.display());
        chown(path, Some(*user), Some(*group)).map_err(PartError::io(act))
    }

    /// A program run as the owner. Who dies with its parent still does, which a change of user undoes
    /// otherwise.
    fn command(&self, program: &Path) -> Command {
        let mut command = match &self.user {
            None => Command::new(program),
            Some((_, user, group)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
                    .args(["--no-new-privs", "--pdeathsig=keep", "--"])
                    .arg(program);
                command
            }
        };
        // Wherever we were started may be closed to the owner, and programs go back there.
        command.current_dir("/");
        command
    }
}

/// The first of the users that a passwd file knows.
fn ordinary(passwd: &str) -> Option<(String, u32, u32)> {
    let line_of = |user: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == user)?;
            let mut numbers = fields.skip(1).map(str::parse);
            Some((
                name.to_owned(),
                numbers.next()?.ok()?,
                numbers.next()?.ok()?,
            ))
        })
    };
    USERS.into_iter().find_map(line_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_becomes_the_first_ordinary_user_there_is() {
        let both = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\npostgres:x:106:113:,:/v:/bin/bash\n";
        assert_eq!(ordinary(both), Some(("postgres".to_owned(), 106, 113)));
        let one = "postgresql:x:1:1::/:\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(ordinary(one), Some(("nobody".to_owned(), 65_534, 65_533)));
        assert_eq!(ordinary("root:x:0:0::/root:/bin/sh\n"), None);
    }
}
