//! System calls that a process never makes again: a filter in front of the kernel (seccomp(2)).
//!
//! Landlock watches over files that are opened and over TCP. What it does not watch over is refused here, once and
//! for all: sockets of any family, the mode, owner and times of files, programs, other processes, mounts, and the
//! calls that a kernel is most often attacked by. It is a list of what is refused, not of what is allowed, so that a
//! new C library, which makes calls that nobody here has thought of, does not break a server.

use std::io;

/// Refuses the calls, with `EPERM`, to the calling thread and to what it forks. There is no way back.
///
/// # Errors
/// As seccomp(2): `EACCES` unless [`super::rights::give_up`] was called before, `EINVAL` or `ENOSYS` where the
/// kernel was built without it; `Unsupported` on processors whose calls are not listed here.
pub fn refuse() -> io::Result<()> {
    backend::refuse()
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod backend {
    use std::io;

    use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
    use libc::{EPERM, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_SET_MODE_FILTER};

    /// `AUDIT_ARCH_*` (linux/audit.h): the calls of another one have other numbers.
    #[cfg(target_arch = "x86_64")]
    const ARCHITECTURE: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCHITECTURE: u32 = 0xC000_00B7;

    /// From here on numbers are those of x32, which names the calls of x86_64 anew.
    const X32: u32 = 0x4000_0000;

    /// Where they stand in `struct seccomp_data`.
    const NUMBER_AT: u32 = 0;
    const ARCHITECTURE_AT: u32 = 4;

    /// What a server of files has no use for, once its sockets are open.
    const REFUSED: &[libc::c_long] = &[
        // Programs.
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_memfd_create,
        // Peers and ports.
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        // What stands beside a file's contents, which Landlock leaves to the rights of the user.
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        SYS_FCHMODAT2,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_utimensat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        SYS_SETXATTRAT,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        SYS_REMOVEXATTRAT,
        SYS_FILE_SETATTR,
        // Other processes.
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        // Other worlds.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_name_to_handle_at,
        libc::SYS_open_by_handle_at,
        // The kernel itself.
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_personality,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
    ];

    /// Older names of some of them, which newer processors never had.
    #[cfg(target_arch = "x86_64")]
    const REFUSED_HERE: &[libc::c_long] = &[
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
    ];
    #[cfg(target_arch = "aarch64")]
    const REFUSED_HERE: &[libc::c_long] = &[];

    /// Since 424 a call has one number on all processors; these are not in every C library yet.
    const SYS_FCHMODAT2: libc::c_long = 452;
    const SYS_SETXATTRAT: libc::c_long = 463;
    const SYS_REMOVEXATTRAT: libc::c_long = 466;
    const SYS_FILE_SETATTR: libc::c_long = 469;

    pub(super) fn refuse() -> io::Result<()> {
        let mut filter = program();
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).map_err(io::Error::other)?,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: `program` and the filter that it points to are valid for the call, which only reads them.
        match unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// ```text
    ///     load the architecture;  another one? → refuse
    ///     load the number;        of x32?      → refuse
    ///                             on the list? → refuse   (once for each)
    ///     allow
    ///     refuse
    /// ```
    fn program() -> Vec<sock_filter> {
        let numbers: Vec<u32> =
            REFUSED.iter().chain(REFUSED_HERE).filter_map(|number| u32::try_from(*number).ok()).collect();
        let mut filter = vec![
            load(ARCHITECTURE_AT),
            // Over the next one, if it is ours.
            jump(BPF_JEQ, ARCHITECTURE, 1, 0),
            give(SECCOMP_RET_ERRNO | EPERM.unsigned_abs()),
            load(NUMBER_AT),
            jump(BPF_JGE, X32, to_the_end(numbers.len()), 0),
        ];
        for (index, number) in numbers.iter().enumerate() {
            filter.push(jump(BPF_JEQ, *number, to_the_end(numbers.len() - 1 - index), 0));
        }
        filter.push(give(SECCOMP_RET_ALLOW));
        filter.push(give(SECCOMP_RET_ERRNO | EPERM.unsigned_abs()));
        filter
    }

    /// How far it is to the last instruction, over so many comparisons and the one that allows.
    fn to_the_end(comparisons: usize) -> u8 {
        u8::try_from(comparisons + 1).expect("the list is shorter than a jump is long")
    }

    fn load(at: u32) -> sock_filter {
        instruction(BPF_LD | BPF_W | BPF_ABS, at, 0, 0)
    }

    fn jump(kind: u32, with: u32, if_so: u8, if_not: u8) -> sock_filter {
        instruction(BPF_JMP | kind | BPF_K, with, if_so, if_not)
    }

    fn give(verdict: u32) -> sock_filter {
        instruction(BPF_RET | BPF_K, verdict, 0, 0)
    }

    fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code: u16::try_from(code).expect("codes have sixteen bits"), jt, jf, k }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// The filter as the kernel reads it, for the few instructions that it is made of.
        fn verdict(filter: &[sock_filter], architecture: u32, number: u32) -> u32 {
            let (mut at, mut loaded) = (0, 0);
            loop {
                let sock_filter { code, jt, jf, k } = filter[at];
                let code = u32::from(code);
                at += 1;
                if code == BPF_LD | BPF_W | BPF_ABS {
                    loaded = if k == NUMBER_AT { number } else { architecture };
                } else if code == BPF_RET | BPF_K {
                    return k;
                } else {
                    let holds = if code & BPF_JGE == BPF_JGE { loaded >= k } else { loaded == k };
                    at += usize::from(if holds { jt } else { jf });
                }
            }
        }

        #[test]
        fn every_call_on_the_list_is_refused_and_no_other() {
            let filter = program();
            let listed: Vec<u32> = REFUSED
                .iter()
                .chain(REFUSED_HERE)
                .map(|number| u32::try_from(*number).expect("a number"))
                .collect();
            for number in 0..1000 {
                let refused = verdict(&filter, ARCHITECTURE, number) != SECCOMP_RET_ALLOW;
                assert_eq!(refused, listed.contains(&number), "{number}");
            }
            for (architecture, number) in
                [(ARCHITECTURE, X32), (ARCHITECTURE, u32::MAX), (0x4000_0003, 1), (0, 0)]
            {
                assert_ne!(verdict(&filter, architecture, number), SECCOMP_RET_ALLOW);
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod backend {
    use std::io;

    pub(super) fn refuse() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
