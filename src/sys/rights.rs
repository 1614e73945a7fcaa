//! Giving up rights for good: user, groups, capabilities, and the way back through exec.
//!
//! Linux keeps all of them for each thread. The functions here change the calling thread; a worker has one.

use std::io;

use super::account::Identity;

/// Whether this process may change its user.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Changes user and group to `identity`, if there is one, without supplementary groups, and drops every capability:
/// effective, permitted, inheritable, ambient, and the bounding set as far as that is allowed. From here on no exec
/// gives more rights (`PR_SET_NO_NEW_PRIVS`).
///
/// The order is that of OpenBSD's daemons: groups, group, user; each step needs the rights that the next one takes
/// away. At the end the function tries to get the rights back, and fails if it can (RULES D24).
///
/// # Errors
/// As setgroups(2), setresgid(2), setresuid(2), capset(2), prctl(2); `Other` when rights are left.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn give_up(identity: Option<Identity>) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    // Not in kernels before 4.3, where there is nothing to clear.
    let _ = rustix::thread::clear_ambient_capability_set();
    for number in 0..u64::BITS {
        // EINVAL after the last one that the kernel knows; EPERM without CAP_SETPCAP: then no_new_privs, set below,
        // is what keeps exec from giving any.
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if rustix::thread::remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    if let Some(Identity { uid, gid }) = identity {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)?;
    check(identity)
}

/// Tries to get the rights back.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn check(identity: Option<Identity>) -> io::Result<()> {
    use rustix::process::{Gid, Uid, getegid, geteuid, getgid, getgroups, getuid};
    use rustix::thread::{capabilities, no_new_privs, set_thread_res_gid, set_thread_res_uid};

    let left = capabilities(None)?;
    let mut is_gone = left.effective.is_empty() && left.permitted.is_empty() && left.inheritable.is_empty();
    is_gone &= no_new_privs()?;
    if let Some(Identity { uid, gid }) = identity {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        is_gone &= getuid() == uid && geteuid() == uid && getgid() == gid && getegid() == gid;
        is_gone &= getgroups()?.iter().all(|group| *group == gid);
        is_gone &= uid.is_root() || set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_err();
        is_gone &= gid.is_root() || set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).is_err();
    }
    if is_gone { Ok(()) } else { Err(io::Error::other("rights that were given up are still there")) }
}

/// Outside Linux: changes user and group of the process to `identity`, if there is one, without supplementary groups, and
/// does nothing otherwise: there are no capabilities.
///
/// # Errors
/// As setgroups(2), setgid(2), setuid(2); `Other` when rights are left.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn give_up(identity: Option<Identity>) -> io::Result<()> {
    identity.map_or(Ok(()), change_user)
}

/// The portable twin: setuid(2) of root changes all three ids.
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
fn change_user(Identity { uid, gid }: Identity) -> io::Result<()> {
    use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};
    // An empty list would be group 0 on macOS. SAFETY: a list of one, which is read during the call, and numbers.
    if unsafe { libc::setgroups(1, &raw const gid) != 0 || libc::setgid(gid) != 0 || libc::setuid(uid) != 0 }
    {
        return Err(io::Error::last_os_error());
    }
    let mut is_gone = [getuid(), geteuid()].iter().all(|user| user.as_raw() == uid);
    is_gone &= [getgid(), getegid()].iter().chain(&getgroups()?).all(|group| group.as_raw() == gid);
    // SAFETY: a number.
    is_gone &= uid == 0 || unsafe { libc::setuid(0) } != 0;
    if is_gone { Ok(()) } else { Err(io::Error::other("rights that were given up are still there")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Forked, fork};
    use rustix::process::WaitOptions;

    /// In a child, because it is for good. Without root it fails, and changes nothing.
    #[test]
    fn the_portable_twin_changes_the_user() {
        let nobody = Identity { uid: 65534, gid: 65534 };
        let child = match fork().expect("a child") {
            Forked::Child => {
                let changed = change_user(nobody).is_ok();
                // Exit handlers of the parent must not run here. SAFETY: _exit(2) ends the process.
                unsafe { libc::_exit(i32::from(changed)) }
            }
            Forked::Parent(child) => child,
        };
        let child = rustix::process::Pid::from_raw(child.number());
        let (_, status) =
            rustix::process::waitpid(child, WaitOptions::empty()).expect("a child").expect("its end");
        assert_eq!(status.exit_status(), Some(i32::from(is_root())));
    }
}
