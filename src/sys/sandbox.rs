//! A sandbox that a process enters by itself: Landlock (landlock(7)) on Linux 5.13 and later, Capsicum (capsicum(4)) on
//! FreeBSD.
//!
//! Open files stay open; files that are opened later must be allowed here. It needs no root, no mount and no
//! configuration of the system. No C library has the three calls of Landlock; the crate `landlock` would add two derive
//! macros and their compilers for them.
//!
//! pledge(2) of OpenBSD is not used: it kills a process at the first call that its promises leave out, and the promises
//! could not be tested.

use std::io;
use std::os::fd::BorrowedFd;

/// The first ABI (Linux 6.7) that keeps everything that [`enter`] promises; earlier ones have no rules for TCP.
pub const WHOLE_ABI: u32 = 4;

/// Whether the sandbox also refuses the system calls that reach outside of it, as Capsicum does. Landlock needs
/// [`super::seccomp`] for that.
pub const REFUSES_CALLS: bool = cfg!(target_os = "freebsd");

/// What this system lacks of what [`enter`] promises, if anything.
#[must_use]
pub fn missing() -> Option<String> {
    backend::missing()
}

/// The Landlock ABI of the kernel; 0 for none.
#[must_use]
pub fn abi() -> u32 {
    backend::abi()
}

/// Limits the calling thread and its children, for good, to reading and listing files beneath `root`: no other file,
/// no program, no TCP port or peer (from ABI 4), no abstract Unix socket and no signal to a process outside (from
/// ABI 6).
///
/// The kernel knows the directory by its inode, so it may be renamed. A file with a hard link in it belongs to it.
///
/// # Errors
/// As landlock_restrict_self(2), `EPERM` unless [`super::rights::give_up`] was called before; as cap_enter(2);
/// `Unsupported` where there is neither.
pub fn enter(root: BorrowedFd<'_>) -> io::Result<()> {
    backend::enter(root)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod backend {
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

    /// `LANDLOCK_ACCESS_FS_*`.
    const READ_FILE: u64 = 1 << 2;
    const READ_DIR: u64 = 1 << 3;

    /// The rights that each ABI adds: everything up to `MAKE_SYM`, `REFER`, `TRUNCATE`, `IOCTL_DEV`.
    const FILE_RIGHTS: [(u32, u64); 4] = [(1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15)];

    /// `LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP`.
    const NET_RIGHTS: (u32, u64) = (4, 0b11);

    /// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL`.
    const SCOPES: (u32, u64) = (6, 0b11);

    const CREATE_RULESET_VERSION: u32 = 1;
    const RULE_PATH_BENEATH: libc::c_int = 1;

    /// `struct landlock_ruleset_attr`. Older kernels with a shorter one accept it if the rest is zero.
    #[repr(C)]
    #[derive(Default)]
    struct RulesetAttr {
        handled_access_fs: u64,
        handled_access_net: u64,
        scoped: u64,
    }

    /// `struct landlock_path_beneath_attr`.
    #[repr(C, packed)]
    struct PathBeneathAttr {
        allowed_access: u64,
        parent_fd: i32,
    }

    pub(super) fn missing() -> Option<String> {
        let (version, needed) = (abi(), super::WHOLE_ABI);
        (version < needed).then(|| format!("Landlock {needed} (it has {version}; Linux 6.7)"))
    }

    pub(super) fn abi() -> u32 {
        let version = create_ruleset(None, CREATE_RULESET_VERSION);
        version.ok().and_then(|version| u32::try_from(version).ok()).unwrap_or(0)
    }

    pub(super) fn enter(root: BorrowedFd<'_>) -> io::Result<()> {
        let abi = abi();
        if abi == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // The kernel refuses rights that its ABI does not have.
        let known = |(first, rights): (u32, u64)| if abi >= first { rights } else { 0 };
        let attr = RulesetAttr {
            handled_access_fs: FILE_RIGHTS.into_iter().map(known).sum(),
            handled_access_net: known(NET_RIGHTS),
            scoped: known(SCOPES),
        };
        let ruleset = create_ruleset(Some(&attr), 0)?;
        // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
        let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
        add_rule(&ruleset, root, READ_FILE | READ_DIR)?;
        // SAFETY: `ruleset` is open for the call; it takes no pointer.
        checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) }).map(drop)
    }

    fn create_ruleset(attr: Option<&RulesetAttr>, flags: u32) -> io::Result<i32> {
        let size = attr.map_or(0, |_| size_of::<RulesetAttr>());
        let attr = attr.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `attr` is null with a size of 0, or valid for `size` bytes; it is only read.
        checked(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attr, size, flags) })
    }

    fn add_rule(ruleset: &OwnedFd, folder: BorrowedFd<'_>, allowed_access: u64) -> io::Result<()> {
        let attr = PathBeneathAttr { allowed_access, parent_fd: folder.as_raw_fd() };
        let (ruleset, kind, attr) = (ruleset.as_raw_fd(), RULE_PATH_BENEATH, &raw const attr);
        // SAFETY: both descriptors are open for the call; `attr` is valid, and only read.
        checked(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, kind, attr, 0) }).map(drop)
    }

    fn checked(result: libc::c_long) -> io::Result<i32> {
        i32::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(io::Error::last_os_error)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod backend {
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn missing() -> Option<String> {
        (!super::REFUSES_CALLS).then(|| "a sandbox (Landlock of Linux, Capsicum of FreeBSD)".into())
    }

    pub(super) fn abi() -> u32 {
        0
    }

    /// In capability mode a process opens nothing by an absolute path and nothing above a directory that it has open.
    #[cfg(target_os = "freebsd")]
    pub(super) fn enter(_: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the call takes nothing.
        if unsafe { libc::cap_enter() } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[cfg(not(target_os = "freebsd"))]
    pub(super) fn enter(_: BorrowedFd<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
