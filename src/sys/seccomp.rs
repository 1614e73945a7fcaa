//! System calls that a worker gives up for good: a filter in the kernel (seccomp(2)).
//!
//! Landlock covers opening files and TCP. This filter refuses what Landlock does not cover: sockets of any family, the
//! mode, owner and times of files, programs, other processes, mounts, and the calls that most attacks on a kernel use.
//! It is a deny list, not an allow list, so that a new C library with unexpected calls does not break a server.

use std::io;

/// Refuses the calls with `EPERM`, for good, to the calling thread and its children.
///
/// # Errors
/// As seccomp(2): `EACCES` unless [`super::rights::give_up`] was called before, `EINVAL` or `ENOSYS` where the
/// kernel was built without it; `Unsupported` on processors without a list here.
pub fn refuse() -> io::Result<()> {
    backend::refuse()
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod backend {
    use std::io;

    use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
    use libc::{EPERM, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_SET_MODE_FILTER};

    /// `AUDIT_ARCH_*` (linux/audit.h): calls have other numbers on other architectures.
    #[cfg(target_arch = "x86_64")]
    const ARCHITECTURE: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCHITECTURE: u32 = 0xC000_00B7;

    /// The first number of x32, which has second numbers for the calls of x86_64.
    const X32: u32 = 0x4000_0000;

    /// Offsets in `struct seccomp_data`.
    const NUMBER_AT: u32 = 0;
    const ARCHITECTURE_AT: u32 = 4;

    /// A list of calls by their names in the crate `libc`.
    macro_rules! calls {
        ($($name:ident)*) => { &[$(libc::$name),*] };
    }

    /// Calls that a file server does not need after its sockets are open.
    const REFUSED: &[libc::c_long] = calls! {
        // Programs.
        SYS_execve SYS_execveat SYS_memfd_create
        // Peers and ports.
        SYS_socket SYS_connect SYS_bind SYS_listen
        // Metadata of files, which Landlock leaves to the permissions of the user.
        SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_utimensat
        SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_removexattr SYS_lremovexattr SYS_fremovexattr
        // Other processes.
        SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_pidfd_getfd SYS_kcmp
        // Mounts and namespaces.
        SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_unshare SYS_setns
        SYS_open_tree SYS_move_mount SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick SYS_mount_setattr
        SYS_name_to_handle_at SYS_open_by_handle_at
        // The kernel itself.
        SYS_bpf SYS_io_uring_setup SYS_perf_event_open SYS_userfaultfd
        SYS_add_key SYS_request_key SYS_keyctl
        SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_reboot
        SYS_swapon SYS_swapoff SYS_acct SYS_quotactl SYS_personality
        SYS_settimeofday SYS_clock_settime SYS_clock_adjtime SYS_adjtimex
        SYS_sethostname SYS_setdomainname
    };

    /// Older names of some of them, which newer processors never had.
    #[cfg(target_arch = "x86_64")]
    const REFUSED_HERE: &[libc::c_long] = calls! {
        SYS_fork SYS_vfork SYS_chmod SYS_chown SYS_lchown SYS_utime SYS_utimes SYS_futimesat
        SYS_iopl SYS_ioperm SYS_modify_ldt
    };
    #[cfg(target_arch = "aarch64")]
    const REFUSED_HERE: &[libc::c_long] = &[];

    /// `fchmodat2`, `setxattrat`, `removexattrat` and `file_setattr`, which not every C library has yet. From 424 on a
    /// call has one number on all processors.
    const REFUSED_NEW: &[libc::c_long] = &[452, 463, 466, 469];

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
        let numbers = numbers();
        let mut filter = vec![
            load(ARCHITECTURE_AT),
            // Skips the next instruction on our architecture.
            jump(BPF_JEQ, ARCHITECTURE, 1, 0),
            ret(SECCOMP_RET_ERRNO | EPERM.unsigned_abs()),
            load(NUMBER_AT),
            jump(BPF_JGE, X32, to_refusal(numbers.len()), 0),
        ];
        for (index, number) in numbers.iter().enumerate() {
            filter.push(jump(BPF_JEQ, *number, to_refusal(numbers.len() - 1 - index), 0));
        }
        filter.push(ret(SECCOMP_RET_ALLOW));
        filter.push(ret(SECCOMP_RET_ERRNO | EPERM.unsigned_abs()));
        filter
    }

    fn numbers() -> Vec<u32> {
        let all = [REFUSED, REFUSED_HERE, REFUSED_NEW].into_iter().flatten();
        all.filter_map(|number| u32::try_from(*number).ok()).collect()
    }

    /// The length of the jump to the last instruction, over `comparisons` and the instruction that allows.
    fn to_refusal(comparisons: usize) -> u8 {
        u8::try_from(comparisons + 1).expect("the list is shorter than a jump is long")
    }

    fn load(at: u32) -> sock_filter {
        instruction(BPF_LD | BPF_W | BPF_ABS, at, 0, 0)
    }

    fn jump(kind: u32, with: u32, if_so: u8, if_not: u8) -> sock_filter {
        instruction(BPF_JMP | kind | BPF_K, with, if_so, if_not)
    }

    fn ret(action: u32) -> sock_filter {
        instruction(BPF_RET | BPF_K, action, 0, 0)
    }

    fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code: u16::try_from(code).expect("codes have sixteen bits"), jt, jf, k }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// The action of the filter, for the few instructions that it uses.
        fn action(filter: &[sock_filter], architecture: u32, number: u32) -> u32 {
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
            let (filter, listed) = (program(), numbers());
            assert_eq!(listed.len(), REFUSED.len() + REFUSED_HERE.len() + REFUSED_NEW.len());
            for number in 0..1000 {
                let refused = action(&filter, ARCHITECTURE, number) != SECCOMP_RET_ALLOW;
                assert_eq!(refused, listed.contains(&number), "{number}");
            }
            for (architecture, number) in
                [(ARCHITECTURE, X32), (ARCHITECTURE, u32::MAX), (0x4000_0003, 1), (0, 0)]
            {
                assert_ne!(action(&filter, architecture, number), SECCOMP_RET_ALLOW);
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
