"""The system calls of a server (strace -f -c), the errors that they may return, and the worst outcome of each."""

import typing

# From the least to the worst.
OUTCOMES = {
    "retried": "no client and no operator notices",
    "request": "a request has an error status, or an order is refused with a line in the log",
    "connection": "a connection ends early, with a line in a log",
    "process": "a worker ends, with a line in the log, and is replaced",
    "start": "the start fails with a line and an exit code that is not 0",
}

# The calls of each process are counted on their own; `3+3` is every third.
TIMES = ["1", "2", "5", "3+3"]

# `master` is that process after the loader is done, `worker` are two workers that serve, `all` is every process from its
# first call on. Left out are calls that cannot fail with valid arguments (getpid, rt_sigaction, rt_sigprocmask), calls whose
# failure is an answer (access, readlink), and close: the kernel closes whatever it returns, and strace does not.
TABLE = """
# master  worker      all      errors                       calls
start     -           -        EMFILE,EACCES                open openat pipe2 socket socketpair
start     -           -        ENOBUFS,EADDRINUSE           bind getsockname getsockopt listen setsockopt
start     -           -        ENOMEM,EAGAIN                clone mmap poll
start     -           -        EIO,EPERM                    faccessat fstat ioctl landlock_create_ruleset linkat newfstatat
start     -           -        EIO,EPERM                    prctl pread64 prlimit64
start     -           -        EIO,ENOSPC,EINTR             fcntl read write
retried   -           -        ENOMEM,EINTR                 ppoll
retried   retried     retried  EINTR                        wait4 epoll_wait
retried   -           -        EIO,EACCES                   statx unlink
request   -           -        ENOBUFS,EPERM                kill sendmsg
-         retried     -        EMFILE,ENOBUFS,ECONNABORTED  accept4
-         request     -        EMFILE,EIO,ENOMEM            getdents64 newfstatat openat2
-         connection  -        EIO,EINTR,ENOMEM             epoll_ctl fstat pread64 read recvfrom sendfile
-         connection  -        ENOBUFS,EPIPE,EINTR          fcntl sendto setsockopt shutdown
-         process     -        ENOBUFS,EINTR,EIO            recvmsg
-         retried     start    EIO,ENOSPC,EINTR             write
-         -           retried  ENOSYS,EPERM                 getrandom
-         -           start    EPERM,ENOMEM                 capget capset epoll_create1 epoll_ctl eventfd2 faccessat fcntl getsockopt
-         -           start    EPERM,ENOMEM                 ioctl landlock_add_rule landlock_create_ruleset landlock_restrict_self
-         -           start    EPERM,ENOMEM                 pipe2 prctl seccomp
"""


class Fault(typing.NamedTuple):
    place: str
    call: str
    error: str
    when: str
    worst: str

    def __str__(self):
        return " ".join(self[:4])


def faults(only=None):
    """Every fault of the table, or those of the calls `only`."""
    header, *rows = [line.lstrip("# ").split() for line in TABLE.strip().splitlines()]
    return [Fault(place, call, error, when, worst) for *worsts, errors, call in (
                [*row[:4], call] for row in rows for call in row[4:] if not only or call in only)
            for place, worst in zip(header, worsts) if worst != "-" for error in errors.split(",") for when in TIMES]
