//! RULES D26: system calls, made from within a jail by their numbers, family by family.

use std::ffi::{CStr, c_long};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// A call that was made.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) family: &'static str,
    number: c_long,
    /// For the message of an assertion.
    _name: &'static str,
    result: io::Result<c_long>,
}

/// Calls of which a worker may make some, by their arguments.
const CONDITIONAL: [c_long; 9] = [
    libc::SYS_sendto,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    libc::SYS_prctl,
    libc::SYS_clone,
    libc::SYS_tgkill,
    libc::SYS_prlimit64,
    libc::SYS_setsockopt,
    libc::SYS_setpriority,
];

impl Attempt {
    /// Whether the filter has refused it. Nothing else can: this kernel has the calls, so `ENOSYS` is the filter's, and
    /// none of the conditional ones would end with `EPERM`.
    pub(super) fn is_refused(&self) -> bool {
        let want = if CONDITIONAL.contains(&self.number) { libc::EPERM } else { libc::ENOSYS };
        self.result.as_ref().is_err_and(|error| error.raw_os_error() == Some(want))
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.result.is_ok()
    }
}

/// What the calls need, opened outside of the jail.
pub(super) struct Outside {
    /// A process other than the one that makes the calls.
    pub(super) other: i32,
    /// A datagram socket, with the address of one outside.
    sender: UnixDatagram,
    address: libc::sockaddr_un,
    pub(super) receiver: UnixDatagram,
    /// The root of the file system.
    slash: OwnedFd,
}

impl Outside {
    pub(super) fn new(other: i32, socket: &Path) -> Self {
        // SAFETY: all fields of an address are numbers, for which zero is a value.
        let mut address: libc::sockaddr_un = unsafe { MaybeUninit::zeroed().assume_init() };
        address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).expect("a family");
        for (to, from) in address.sun_path.iter_mut().zip(socket.as_os_str().as_encoded_bytes()) {
            *to = from.cast_signed();
        }
        let receiver = UnixDatagram::bind(socket).expect("a socket");
        receiver.set_nonblocking(true).expect("non-blocking");
        let slash = std::fs::File::open("/").expect("a directory").into();
        Self { other, sender: UnixDatagram::unbound().expect("a socket"), address, receiver, slash }
    }

    /// Makes one call or more of each family.
    pub(super) fn calls(&self) -> Vec<Attempt> {
        let mut calls = self.peers();
        calls.extend(self.processes());
        calls.extend(self.files());
        calls.extend(kernel());
        calls
    }

    fn peers(&self) -> Vec<Attempt> {
        let socket = self.sender.as_raw_fd();
        let (name, length) = (&raw const self.address, size_of_val(&self.address));
        let mut part = libc::iovec { iov_base: c"x".as_ptr().cast_mut().cast(), iov_len: 1 };
        // SAFETY: all fields of a message are numbers and pointers, for which zero is a value.
        let mut message: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_hdr.msg_name = name.cast_mut().cast();
        message.msg_hdr.msg_namelen = libc::socklen_t::try_from(length).expect("a length");
        (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (&raw mut part, 1);
        let mut pair = [0; 2];
        let (tiocsti, tioclinux, tiocsetd) = (0x5412, 0x541C, 0x5423);
        vec![
            attempt("peers", "socketpair", libc::SYS_socketpair, [1, 2, 0, of(pair.as_mut_ptr()), 0, 0]),
            attempt(
                "peers",
                "sendto",
                libc::SYS_sendto,
                [socket.into(), of(c"x".as_ptr()), 1, 0, of(name), length as c_long],
            ),
            attempt(
                "peers",
                "sendmsg",
                libc::SYS_sendmsg,
                [socket.into(), of(&raw const message.msg_hdr), 0, 0, 0, 0],
            ),
            attempt(
                "peers",
                "sendmmsg",
                libc::SYS_sendmmsg,
                [socket.into(), of(&raw const message), 1, 0, 0, 0],
            ),
            attempt(
                "peers",
                "connect",
                libc::SYS_connect,
                [socket.into(), of(name), length as c_long, 0, 0, 0],
            ),
            attempt("peers", "socket", libc::SYS_socket, [libc::AF_NETLINK.into(), 3, 0, 0, 0, 0]),
            attempt("terminals", "TIOCSTI", libc::SYS_ioctl, [0, tiocsti, of(c"x".as_ptr()), 0, 0, 0]),
            attempt("terminals", "TIOCLINUX", libc::SYS_ioctl, [0, tioclinux, of(c"\x03".as_ptr()), 0, 0, 0]),
            attempt("terminals", "TIOCSETD", libc::SYS_ioctl, [0, tiocsetd, of([0_i32].as_ptr()), 0, 0, 0]),
            attempt(
                "terminals",
                "TIOCSTI with a high word",
                libc::SYS_ioctl,
                [0, tiocsti | 1 << 32, of(c"x".as_ptr()), 0, 0, 0],
            ),
            attempt("terminals", "setsid", libc::SYS_setsid, [0; 6]),
        ]
    }

    fn processes(&self) -> Vec<Attempt> {
        let other = c_long::from(self.other);
        let limits = [1_u64, 1];
        let (user, thread) = (c_long::from(libc::CLONE_NEWUSER), c_long::from(libc::CLONE_THREAD));
        let clone_arguments = [0_u64; 8];
        vec![
            attempt(
                "other processes",
                "prlimit64",
                libc::SYS_prlimit64,
                [other, 7, of(limits.as_ptr()), 0, 0, 0],
            ),
            attempt(
                "other processes",
                "its own prlimit64",
                libc::SYS_prlimit64,
                [0, 7, of(limits.as_ptr()), 0, 0, 0],
            ),
            attempt("other processes", "setpriority", libc::SYS_setpriority, [0, other, 19, 0, 0, 0]),
            attempt(
                "other processes",
                "sched_setscheduler",
                libc::SYS_sched_setscheduler,
                [other, 5, of([0].as_ptr()), 0, 0, 0],
            ),
            attempt(
                "other processes",
                "sched_setaffinity",
                libc::SYS_sched_setaffinity,
                [other, 8, of([1_u64].as_ptr()), 0, 0, 0],
            ),
            attempt("other processes", "ioprio_set", libc::SYS_ioprio_set, [1, other, 3 << 13, 0, 0, 0]),
            attempt("other processes", "kill", libc::SYS_kill, [other, 0, 0, 0, 0, 0]),
            attempt("other processes", "tgkill", libc::SYS_tgkill, [other, other, 0, 0, 0, 0]),
            attempt("other processes", "pidfd_open", libc::SYS_pidfd_open, [other, 0, 0, 0, 0, 0]),
            attempt("other processes", "ptrace", libc::SYS_ptrace, [0x4206, other, 0, 0, 0, 0]),
            attempt(
                "other processes",
                "process_vm_readv",
                libc::SYS_process_vm_readv,
                [other, 0, 0, 0, 0, 0],
            ),
            attempt("other processes", "kcmp", libc::SYS_kcmp, [other, other, 0, 0, 0, 0]),
            attempt("new processes", "clone", libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]),
            attempt(
                "new processes",
                "clone of a user namespace",
                libc::SYS_clone,
                [user | c_long::from(libc::SIGCHLD), 0, 0, 0, 0, 0],
            ),
            attempt(
                "new processes",
                "clone of a thread and a namespace",
                libc::SYS_clone,
                [user | thread, 0, 0, 0, 0, 0],
            ),
            attempt(
                "new processes",
                "clone3",
                libc::SYS_clone3,
                [of(clone_arguments.as_ptr()), 64, 0, 0, 0, 0],
            ),
            attempt("namespaces", "unshare", libc::SYS_unshare, [user, 0, 0, 0, 0, 0]),
            attempt("namespaces", "setns", libc::SYS_setns, [self.slash.as_raw_fd().into(), 0, 0, 0, 0, 0]),
            attempt("programs", "execveat", libc::SYS_execveat, [0, of(c"/bin/true".as_ptr()), 0, 0, 0, 0]),
            attempt("programs", "memfd_create", libc::SYS_memfd_create, [of(c"x".as_ptr()), 0, 0, 0, 0, 0]),
            attempt("programs", "personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
            attempt("programs", "prctl", libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 1, 0, 0, 0, 0]),
        ]
    }

    fn files(&self) -> Vec<Attempt> {
        let path = |path: &'static CStr| of(path.as_ptr());
        let slash = c_long::from(self.slash.as_raw_fd());
        let mut handle = [0_u64; 32];
        vec![
            attempt("watches", "inotify_init1", libc::SYS_inotify_init1, [0; 6]),
            attempt("watches", "fanotify_init", libc::SYS_fanotify_init, [0; 6]),
            attempt("watches", "F_NOTIFY", libc::SYS_fcntl, [slash, libc::F_NOTIFY.into(), 1, 0, 0, 0]),
            attempt("files", "F_SETFL", libc::SYS_fcntl, [slash, libc::F_SETFL.into(), 0, 0, 0, 0]),
            attempt("files", "ftruncate", libc::SYS_ftruncate, [slash, 0, 0, 0, 0, 0]),
            attempt("files", "fchmod", libc::SYS_fchmod, [slash, 0o755, 0, 0, 0, 0]),
            attempt("files", "chdir", libc::SYS_chdir, [path(c"/"), 0, 0, 0, 0, 0]),
            attempt(
                "files",
                "name_to_handle_at",
                libc::SYS_name_to_handle_at,
                [slash, path(c"etc"), of(handle.as_mut_ptr()), of(handle.as_mut_ptr()), 0, 0],
            ),
            attempt(
                "files",
                "open_by_handle_at",
                libc::SYS_open_by_handle_at,
                [slash, of(handle.as_ptr()), 0, 0, 0, 0],
            ),
            attempt("files", "splice", libc::SYS_splice, [slash, 0, slash, 0, 1, 0]),
            attempt(
                "mounts",
                "mount",
                libc::SYS_mount,
                [path(c"x"), path(c"/nowhere"), path(c"tmpfs"), 0, 0, 0],
            ),
            attempt("mounts", "fsopen", libc::SYS_fsopen, [path(c"tmpfs"), 0, 0, 0, 0, 0]),
            attempt("mounts", "open_tree", libc::SYS_open_tree, [slash, path(c""), 0x1000, 0, 0, 0]),
            attempt("mounts", "chroot", libc::SYS_chroot, [path(c"/nowhere"), 0, 0, 0, 0, 0]),
        ]
    }
}

/// Calls with which kernels are attacked, and those that change the whole machine, with arguments that do no harm.
fn kernel() -> Vec<Attempt> {
    let path = |path: &'static CStr| of(path.as_ptr());
    let mut room = [0_u64; 32];
    let zeros = of(room.as_mut_ptr());
    vec![
        attempt("System V", "shmget", libc::SYS_shmget, [0, 4096, 0o600, 0, 0, 0]),
        attempt("System V", "msgget", libc::SYS_msgget, [0, 0o600, 0, 0, 0, 0]),
        attempt("System V", "semget", libc::SYS_semget, [0, 1, 0o600, 0, 0, 0]),
        attempt(
            "message queues",
            "mq_open",
            libc::SYS_mq_open,
            [path(c"stheno-test"), libc::O_RDONLY.into(), 0, 0, 0, 0],
        ),
        attempt("keys", "keyctl", libc::SYS_keyctl, [0, -3, 0, 0, 0, 0]),
        attempt("keys", "add_key", libc::SYS_add_key, [path(c"user"), path(c"x"), 0, 0, -3, 0]),
        attempt("attack surface", "bpf", libc::SYS_bpf, [0, zeros, 72, 0, 0, 0]),
        attempt("attack surface", "perf_event_open", libc::SYS_perf_event_open, [zeros, 0, -1, -1, 0, 0]),
        attempt("attack surface", "userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        attempt("attack surface", "io_uring_setup", libc::SYS_io_uring_setup, [1, zeros, 0, 0, 0, 0]),
        attempt("attack surface", "io_setup", libc::SYS_io_setup, [0, zeros, 0, 0, 0, 0]),
        attempt("attack surface", "timer_create", libc::SYS_timer_create, [1, 0, zeros, 0, 0, 0]),
        attempt("attack surface", "setsockopt of a firewall", libc::SYS_setsockopt, [0, 0, 64, zeros, 8, 0]),
        attempt("the machine", "quotactl", libc::SYS_quotactl, [0, 0, 0, 0, 0, 0]),
        attempt("the machine", "swapon", libc::SYS_swapon, [path(c"/nowhere"), 0, 0, 0, 0, 0]),
        attempt("the machine", "reboot", libc::SYS_reboot, [0; 6]),
        attempt("the machine", "acct", libc::SYS_acct, [path(c"/nowhere"), 0, 0, 0, 0, 0]),
        attempt("the machine", "settimeofday", libc::SYS_settimeofday, [1, 0, 0, 0, 0, 0]),
        attempt("the machine", "init_module", libc::SYS_init_module, [0; 6]),
        attempt("the machine", "syslog", libc::SYS_syslog, [10, 0, 0, 0, 0, 0]),
        attempt("no such call", "600", 600, [0; 6]),
    ]
}

fn of<T>(pointer: *const T) -> c_long {
    pointer.expose_provenance().cast_signed() as c_long
}

fn attempt(family: &'static str, name: &'static str, number: c_long, arguments: [c_long; 6]) -> Attempt {
    Attempt { family, number, _name: name, result: call(number, arguments) }
}

fn call(number: c_long, arguments: [c_long; 6]) -> io::Result<c_long> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: every pointer above is null, or valid for the call; a kernel without the filter reads or fills what it
    // points to. A clone that succeeds is ended below, before it returns to Rust.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        // SAFETY: a child of clone(2) ends at once, without destructors.
        0 if number == libc::SYS_clone || number == libc::SYS_clone3 => unsafe { libc::_exit(0) },
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Calls that succeed in the jail.
pub(super) fn allowed() -> Vec<Attempt> {
    let mut pair = [0; 2];
    let own = c_long::from(std::process::id().cast_signed());
    let mut limits = [0_u64; 2];
    vec![
        attempt("allowed", "a lower priority", libc::SYS_setpriority, [0, 0, 19, 0, 0, 0]),
        attempt("allowed", "pipe2", libc::SYS_pipe2, [of(pair.as_mut_ptr()), 0, 0, 0, 0, 0]),
        attempt("allowed", "getrlimit", libc::SYS_prlimit64, [0, 7, 0, of(limits.as_mut_ptr()), 0, 0]),
        attempt(
            "allowed",
            "tgkill of itself",
            libc::SYS_tgkill,
            [own, call(libc::SYS_gettid, [0; 6]).unwrap_or(0), 0, 0, 0, 0],
        ),
        attempt(
            "allowed",
            "a name",
            libc::SYS_prctl,
            [libc::PR_SET_NAME.into(), of(c"jailed".as_ptr()), 0, 0, 0, 0],
        ),
    ]
}
