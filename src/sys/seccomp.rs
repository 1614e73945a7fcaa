//! System calls that a worker keeps: a filter in the kernel (seccomp(2)).
//!
//! Landlock covers opening files and TCP. This filter covers the rest: to a worker only the calls exist that serving files
//! needs. A call that is not on the list fails with `ENOSYS`, as on an older kernel, so a C library falls back to an older
//! call (`clone3` to `clone`). A call on the list with other arguments than those below fails with `EPERM`.

use std::io;

/// Limits the calling thread and its children, for good, to the calls of the list.
///
/// # Errors
/// As seccomp(2): `EACCES` unless [`super::rights::give_up`] was called before, `EINVAL` or `ENOSYS` where the
/// kernel was built without it; `Unsupported` on processors without a list here.
pub fn enter() -> io::Result<()> {
    backend::enter()
}

/// Whether [`enter`] can succeed on this kernel and processor.
#[must_use]
pub fn is_available() -> bool {
    backend::is_available()
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod backend {
    use std::io;

    use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
    use libc::{ENOSYS, EPERM, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_SET_MODE_FILTER};

    /// `AUDIT_ARCH_*` (linux/audit.h): calls have other numbers on other architectures.
    #[cfg(target_arch = "x86_64")]
    const ARCHITECTURE: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCHITECTURE: u32 = 0xC000_00B7;

    /// Offsets in `struct seccomp_data`. An argument has two words, the low one first.
    const NUMBER_AT: u32 = 0;
    const ARCHITECTURE_AT: u32 = 4;
    const ARGUMENTS_AT: u32 = 16;

    /// A list of calls by their names in the crate `libc`.
    macro_rules! calls {
        ($($name:ident)*) => { &[$(libc::$name),*] };
    }

    /// Calls that a worker may make with any argument.
    ///
    /// The kernel remembers which calls a filter allows whatever their arguments, and asks it no more (Linux 5.11).
    const ALLOWED: &[libc::c_long] = calls! {
        // Connections that exist or are accepted. A passed log comes by `recvmsg`; no call here takes the name of a peer.
        SYS_recvfrom SYS_recvmsg SYS_sendfile SYS_accept4 SYS_shutdown
        SYS_getsockopt SYS_getsockname SYS_getpeername
        // Files, which Landlock limits to the root, and logs, which are open. No call here changes more than a log's end.
        SYS_openat SYS_openat2 SYS_close SYS_fstat SYS_newfstatat SYS_statx SYS_readlinkat SYS_getdents64
        SYS_read SYS_readv SYS_pread64 SYS_preadv SYS_lseek SYS_fadvise64
        SYS_write SYS_writev
        // The loop.
        SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_ppoll SYS_eventfd2 SYS_pipe2 SYS_dup
        // Memory and time of this process.
        SYS_brk SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_madvise
        SYS_clock_gettime SYS_clock_getres SYS_gettimeofday SYS_clock_nanosleep SYS_nanosleep
        // Its threads: Tokio has some, in the twin; a C library may have one.
        SYS_futex SYS_set_robust_list SYS_rseq SYS_sched_yield SYS_sched_getaffinity SYS_getcpu SYS_membarrier
        // Its signals and its end.
        SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack SYS_restart_syscall
        SYS_exit SYS_exit_group
        // What a process knows of itself and of the machine.
        SYS_getpid SYS_gettid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid
        SYS_getrandom SYS_uname SYS_sysinfo SYS_getrusage
    };

    /// Older names of some of them, which newer processors never had, and which musl uses.
    #[cfg(target_arch = "x86_64")]
    const ALLOWED_HERE: &[libc::c_long] =
        calls! { SYS_epoll_wait SYS_poll SYS_open SYS_stat SYS_lstat SYS_readlink };
    #[cfg(target_arch = "aarch64")]
    const ALLOWED_HERE: &[libc::c_long] = &[];

    /// Flags of clone(2) that make another process, or namespaces: a new thread has the first one only.
    const CLONE_KINDS: u32 =
        (libc::CLONE_THREAD | libc::CLONE_VFORK | libc::CLONE_PARENT | libc::CLONE_PTRACE).cast_unsigned()
            | (libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC)
                .cast_unsigned()
            | (libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNET).cast_unsigned();

    /// Names of memory, which new C libraries give to the heap (`PR_SET_VMA`).
    const NAME_MEMORY: u32 = 0x5356_4d41;

    /// A condition on one word of an argument: under `mask` it is one of `values`.
    struct Condition {
        argument: u32,
        is_high: bool,
        mask: u32,
        values: Vec<u32>,
    }

    fn is_one_of(argument: u32, values: &[u32]) -> Condition {
        Condition { argument, is_high: false, mask: u32::MAX, values: values.to_vec() }
    }

    fn is_null(argument: u32) -> [Condition; 2] {
        [false, true].map(|is_high| Condition { is_high, ..is_one_of(argument, &[0]) })
    }

    /// Calls that a worker may make while all conditions hold. `own` is its process id.
    fn conditional(own: u32) -> Vec<(libc::c_long, Vec<Condition>)> {
        let options = |values: &[i32]| values.iter().map(|value| value.cast_unsigned()).collect::<Vec<_>>();
        let ioctls = [libc::FIONBIO, libc::FIOCLEX, libc::TCGETS, libc::TIOCGWINSZ, libc::TIOCOUTQ];
        let ioctls = ioctls.map(|number| u32::try_from(number).unwrap_or(0));
        // Not F_SETFL: without O_APPEND a worker could write over what a log has. Not F_SETOWN, F_NOTIFY, F_SETLEASE.
        let fcntls = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_DUPFD, libc::F_DUPFD_CLOEXEC];
        let thread = Condition { mask: CLONE_KINDS, ..is_one_of(0, &options(&[libc::CLONE_THREAD])) };
        vec![
            // To the peer of a connection, and to no other address. The first one, as the only one in each request.
            (libc::SYS_sendto, is_null(4).into()),
            (libc::SYS_setsockopt, vec![is_one_of(1, &options(&[libc::SOL_SOCKET, libc::IPPROTO_TCP]))]),
            (libc::SYS_fcntl, vec![is_one_of(1, &options(&fcntls))]),
            (libc::SYS_ioctl, vec![is_one_of(1, &ioctls)]),
            (libc::SYS_prctl, vec![is_one_of(0, &[libc::PR_SET_NAME.cast_unsigned(), NAME_MEMORY])]),
            (libc::SYS_clone, vec![thread]),
            // abort(3).
            (libc::SYS_tgkill, vec![is_one_of(0, &[own])]),
            (libc::SYS_tkill, vec![is_one_of(0, &[own])]),
            // A thread lowers its own priority; to raise it takes a right that a worker has given up.
            (libc::SYS_setpriority, vec![is_one_of(0, &[0]), is_one_of(1, &[0])]),
            // getrlimit(3).
            (libc::SYS_prlimit64, [is_one_of(0, &[0, own])].into_iter().chain(is_null(2)).collect()),
        ]
    }

    pub(super) fn enter() -> io::Result<()> {
        let mut filter = program(std::process::id());
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).map_err(io::Error::other)?,
            filter: filter.as_mut_ptr(),
        };
        install(&raw const program)
    }

    /// A null pointer is looked at only by a kernel that would take a filter.
    pub(super) fn is_available() -> bool {
        install(std::ptr::null()).is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
    }

    fn install(program: *const libc::sock_fprog) -> io::Result<()> {
        // SAFETY: `program` is null or valid for the call, with the filter that it points to; it is only read.
        match unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// ```text
    ///     load the architecture;  another one? → ENOSYS
    ///     load the number;        that of a conditional call? → its arguments: allow, or EPERM
    ///                             on the list?                → allow
    ///     ENOSYS
    /// ```
    fn program(own: u32) -> Vec<sock_filter> {
        let mut filter = vec![
            load(ARCHITECTURE_AT),
            // Skips the next instruction on our architecture.
            jump_if_equal(ARCHITECTURE, 1, 0),
            fail(ENOSYS),
            load(NUMBER_AT),
        ];
        for (number, conditions) in conditional(own) {
            let check = check(&conditions);
            let length = u8::try_from(check.len()).expect("a check is shorter than a jump is long");
            filter.push(jump_if_equal(unsigned(number), 0, length));
            filter.extend(check);
        }
        for number in [ALLOWED, ALLOWED_HERE].into_iter().flatten() {
            filter.push(jump_if_equal(unsigned(*number), 0, 1));
            filter.push(ret(SECCOMP_RET_ALLOW));
        }
        filter.push(fail(ENOSYS));
        filter
    }

    /// Allows a call for which `conditions` hold, and refuses it otherwise.
    fn check(conditions: &[Condition]) -> Vec<sock_filter> {
        let mut check = Vec::new();
        for Condition { argument, is_high, mask, values } in conditions {
            check.push(load(ARGUMENTS_AT + 8 * argument + 4 * u32::from(*is_high)));
            check.push(instruction(BPF_ALU | BPF_AND | BPF_K, *mask, 0, 0));
            for (value, left) in values.iter().zip((0..values.len()).rev()) {
                // Over the comparisons that are left, and the refusal.
                check.push(jump_if_equal(*value, u8::try_from(left + 1).expect("a few values"), 0));
            }
            check.push(fail(EPERM));
        }
        check.push(ret(SECCOMP_RET_ALLOW));
        check
    }

    fn unsigned(number: libc::c_long) -> u32 {
        u32::try_from(number).expect("numbers of calls are small")
    }

    fn load(at: u32) -> sock_filter {
        instruction(BPF_LD | BPF_W | BPF_ABS, at, 0, 0)
    }

    fn jump_if_equal(with: u32, if_so: u8, if_not: u8) -> sock_filter {
        instruction(BPF_JMP | BPF_JEQ | BPF_K, with, if_so, if_not)
    }

    fn ret(action: u32) -> sock_filter {
        instruction(BPF_RET | BPF_K, action, 0, 0)
    }

    fn fail(error: i32) -> sock_filter {
        ret(SECCOMP_RET_ERRNO | error.unsigned_abs())
    }

    fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code: u16::try_from(code).expect("codes have sixteen bits"), jt, jf, k }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const OWN: u32 = 77;
        const NO_SUCH_CALL: u32 = SECCOMP_RET_ERRNO | ENOSYS.unsigned_abs();
        const REFUSED: u32 = SECCOMP_RET_ERRNO | EPERM.unsigned_abs();

        /// The action of the filter, for the few instructions that it uses.
        fn action(architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
            let filter = program(OWN);
            let word = |at: u32| match at {
                NUMBER_AT => number,
                ARCHITECTURE_AT => architecture,
                at => {
                    let (index, high) = ((at - ARGUMENTS_AT) / 8, (at - ARGUMENTS_AT) % 8 * 8);
                    u32::try_from(arguments[index as usize] >> high & u64::from(u32::MAX)).expect("a word")
                }
            };
            let (mut at, mut loaded) = (0, 0);
            loop {
                let sock_filter { code, jt, jf, k } = filter[at];
                let code = u32::from(code);
                at += 1;
                if code == BPF_LD | BPF_W | BPF_ABS {
                    loaded = word(k);
                } else if code == BPF_ALU | BPF_AND | BPF_K {
                    loaded &= k;
                } else if code == BPF_RET | BPF_K {
                    return k;
                } else {
                    assert_eq!(code, BPF_JMP | BPF_JEQ | BPF_K);
                    at += usize::from(if loaded == k { jt } else { jf });
                }
            }
        }

        #[test]
        fn the_calls_of_the_list_are_allowed_and_no_others_exist() {
            let listed: Vec<u32> =
                [ALLOWED, ALLOWED_HERE].into_iter().flatten().map(|number| unsigned(*number)).collect();
            let conditional: Vec<u32> =
                conditional(OWN).iter().map(|(number, _)| unsigned(*number)).collect();
            for number in (0..1000).filter(|number| !conditional.contains(number)) {
                let want = if listed.contains(&number) { SECCOMP_RET_ALLOW } else { NO_SUCH_CALL };
                assert_eq!(action(ARCHITECTURE, number, [0; 6]), want, "{number}");
            }
            // The second numbers of x86_64 (x32), and the calls of other architectures.
            for number in listed {
                assert_eq!(action(ARCHITECTURE, number | 0x4000_0000, [0; 6]), NO_SUCH_CALL);
                assert_eq!(action(0x4000_0003, number, [0; 6]), NO_SUCH_CALL);
            }
        }

        #[test]
        fn arguments_decide() {
            let (own, thread) = (u64::from(OWN), u64::from(libc::CLONE_THREAD.cast_unsigned()));
            let flags = |flags: i32| u64::from(flags.cast_unsigned());
            for (call, arguments, is_allowed) in [
                (libc::SYS_sendto, [3, 1, 1, 0, 0, 0], true),
                (libc::SYS_sendto, [3, 1, 1, 0, 0x1000, 16], false),
                (libc::SYS_sendto, [3, 1, 1, 0, 1 << 32, 16], false),
                (libc::SYS_ioctl, [3, 0x5421, 1, 0, 0, 0], true),
                (libc::SYS_ioctl, [3, 0x5411, 1, 0, 0, 0], true),
                (libc::SYS_ioctl, [0, 0x5412, 1, 0, 0, 0], false),
                // The kernel looks at the low word only.
                (libc::SYS_ioctl, [0, 0x5412 | 1 << 32, 1, 0, 0, 0], false),
                (libc::SYS_fcntl, [3, flags(libc::F_DUPFD_CLOEXEC), 0, 0, 0, 0], true),
                (libc::SYS_fcntl, [3, flags(libc::F_SETFL), 0, 0, 0, 0], false),
                (libc::SYS_clone, [thread | flags(libc::CLONE_VM | libc::CLONE_FS), 0, 0, 0, 0, 0], true),
                (libc::SYS_clone, [flags(libc::SIGCHLD), 0, 0, 0, 0, 0], false),
                (libc::SYS_clone, [flags(libc::CLONE_VM | libc::CLONE_VFORK), 0, 0, 0, 0, 0], false),
                (libc::SYS_clone, [thread | flags(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0], false),
                (libc::SYS_clone, [thread | flags(libc::CLONE_NEWNS), 0, 0, 0, 0, 0], false),
                (libc::SYS_tgkill, [own, own, 6, 0, 0, 0], true),
                (libc::SYS_tgkill, [own + 1, own + 1, 9, 0, 0, 0], false),
                (libc::SYS_setpriority, [0, 0, 10, 0, 0, 0], true),
                (libc::SYS_setpriority, [0, own, 10, 0, 0, 0], false),
                (libc::SYS_setpriority, [2, 0, 10, 0, 0, 0], false),
                (libc::SYS_prlimit64, [0, 7, 0, 0x1000, 0, 0], true),
                (libc::SYS_prlimit64, [own, 7, 0, 0x1000, 0, 0], true),
                (libc::SYS_prlimit64, [own + 1, 7, 0, 0x1000, 0, 0], false),
                (libc::SYS_prlimit64, [0, 7, 0x1000, 0, 0, 0], false),
                (libc::SYS_prctl, [flags(libc::PR_SET_NAME), 0, 0, 0, 0, 0], true),
                (libc::SYS_prctl, [flags(libc::PR_SET_DUMPABLE), 1, 0, 0, 0, 0], false),
                (libc::SYS_setsockopt, [3, flags(libc::IPPROTO_TCP), 1, 0, 0, 0], true),
                (libc::SYS_setsockopt, [3, flags(libc::IPPROTO_IP), 64, 0, 0, 0], false),
            ] {
                let want = if is_allowed { SECCOMP_RET_ALLOW } else { REFUSED };
                assert_eq!(action(ARCHITECTURE, unsigned(call), arguments), want, "{call} {arguments:x?}");
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod backend {
    use std::io;

    pub(super) fn enter() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_available() -> bool {
        false
    }
}
