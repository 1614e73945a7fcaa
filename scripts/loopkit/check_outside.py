"""The tests of recordings from outside: the reader of strace(1), the recordings of threads, programs in any language, and the
judge."""

import pathlib
import shutil
import subprocess
import tempfile

from lib import Trouble

from . import TARGET, judge, language, outside, page, reading, rungs, served, show, strace, thread
from .kinds import PAGE
from .promises import need

# A trace as strace writes it: two threads whose calls interrupt each other, a signal that stops a call, and a text with signs in
# it that end arguments elsewhere.
TRACE = r"""
7 100.000000000 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[11]> <0.000010000>
7 100.001000000 listen(3<TCP:[127.0.0.1:90]>, 5) = 0 <0.000010000>
7 100.002000000 accept4(3<TCP:[127.0.0.1:90]>,  <unfinished ...>
7 101.002000000 <... accept4 resumed>{sa_family=AF_INET, sin_port=htons(41), sin_addr=inet_addr("127.0.0.1")}, [16], 0) = 4<TCP:[127.0.0.1:90->127.0.0.1:41]> <1.000000000>
7 101.003000000 write(1</a,b>, "a \"(), b\n", 9) = 9 <0.000010000>
7 101.004000000 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[8]}, 88) = 8 <0.000100000>
8 101.005000000 prctl(PR_SET_NAME, "Thread-1") = 0 <0.000010000>
8 101.006000000 recvfrom(4<TCP:[127.0.0.1:90->127.0.0.1:41]>,  <unfinished ...>
7 101.007000000 futex(0x7f01, FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, 8, NULL, FUTEX_BITSET_MATCH_ANY <unfinished ...>
8 101.106000000 <... recvfrom resumed>0x7ffd, 1024, 0, NULL, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <0.100000000>
8 101.106100000 --- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=1, si_uid=0} ---
8 101.106200000 --- stopped by SIGSTOP ---
8 101.200000000 recvfrom(4<TCP:[127.0.0.1:90->127.0.0.1:41]>, "hey\n", 1024, 0, NULL, NULL) = 4 <0.300000000>
8 101.600000000 sendto(4<TCP:[127.0.0.1:90->127.0.0.1:41]>, "hey\n", 4, MSG_NOSIGNAL, NULL, 0) = -1 EPIPE (Broken pipe) <0.000020000>
8 101.700000000 close(4<TCP:[127.0.0.1:90->127.0.0.1:41]>) = 0 <0.000010000>
8 101.800000000 exit(0)      = ?
8 101.800100000 +++ exited with 0 +++
7 102.000000000 <... futex resumed> <unfinished ...>) = ?
7 102.000100000 +++ killed by SIGKILL +++
"""
# Programs that serve, as a student may write them: with one loop of poll, in C, and with one client at a time, in Python.
POLL = r"""
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int count, char **words) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(words[count - 1]))};
    struct pollfd all[64] = {{.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN}};
    inet_pton(AF_INET, words[count - 3], &at.sin_addr);
    bind(all[0].fd, (struct sockaddr *)&at, sizeof at);
    listen(all[0].fd, 9);
    for (int used = 1; poll(all, used, -1) > 0;)
        for (int i = used - 1; i >= 0; i--) {
            if (!all[i].revents) continue;
            char data[4096];
            if (i == 0) { all[used++] = (struct pollfd){.fd = accept(all[0].fd, NULL, NULL), .events = POLLIN}; continue; }
            ssize_t got = recv(all[i].fd, data, sizeof data, 0);
            if (got > 0) { send(all[i].fd, data, got, MSG_NOSIGNAL); continue; }
            close(all[i].fd);
            all[i] = all[--used];
        }
}
"""
ONE = """#!/usr/bin/env python3
import socket, sys
server = socket.create_server((sys.argv[2], int(sys.argv[4])))
while True:
    client, _ = server.accept()
    with client:
        while data := client.recv(100):
            client.sendall(data)
"""
SILENT = """# A is silent while B asks.
A connect, say there, pause 300 ms
A ask, answer, close
B wait for there, connect, ask, answer, close
"""


def promise(run):
    """Each client is in a recording, and the bytes of all recordings are those that the clients sent and got."""
    recordings = run.recordings
    peers = {address for recording in recordings for address in recording.peers()}
    for client in run.clients:
        need(set(client.addresses) <= peers, f"{client.name} is in no recording")
    asked = sum(len(run.rung.kind.request(client.name, 1, None)) for client in run.clients)
    read, written = (sum(recording.totals[word] for recording in recordings) for word in ("read", "written"))
    wanted = len(PAGE) * len(run.clients) if run.rung.kind.name == "web" else asked
    need((read, written) == (asked, wanted), f"{read} bytes were read of {asked}, and {written} written of {wanted}")
    need(all(recording.source for recording in recordings), "no source text")
    loops = {recording.loop for recording in recordings}
    has_loop = any(word in run.rung.name for word in ("select", "asyncio", "step"))
    need(("blocking" not in loops) == has_loop, f"the loops are {loops}")
    if run.rung.whole.endswith("singlethread"):
        need(len(recordings) == 1 and recordings[0].all("queued"), "nobody waited to be accepted")
    elif not has_loop:
        both = [recording for recording in recordings if len([*recording.of("Read")]) > 0]
        need(len(both) == 2, f"{len(both)} threads read from two clients")


def reader():
    """Calls that are interrupted are whole again, and each has its thread, its arguments and its length."""
    trace = strace.parse(TRACE)
    names = [(call.thread, call.name, call.length, call.result, call.restarts) for call in trace.calls]
    need((7, "accept4", 1_000_000_000, 4, 0) in names, f"an accept in two lines: {names}")
    need((8, "recvfrom", 494_000_000, 4, 1) in names, f"a recv that was stopped and continued: {names}")
    need((7, "futex", None, None, 0) in names, f"a wait in which the program ends: {names}")
    last = strace.parse(TRACE + "7 102.000050000 poll([{fd=3, events=POLLIN}], 1, 500 <unfinished ...>) = ?\n").calls[-1]
    need((last.args[2:], last.result) == (["500"], None), f"a wait in which the program ends, in one line: {last}")
    need(next(call for call in trace.calls if call.name == "write").args[1:] == [r'"a \"(), b\n"', "9"], "arguments of a write")
    need(next(call for call in trace.calls if call.name == "sendto").error == "EPIPE", "the error of a send")
    need((trace.tasks[8].process, trace.tasks[8].parent, trace.tasks[8].name) == (7, 7, "Thread-1"), f"{trace.tasks[8]}")
    need(trace.tasks[7].how == "killed by SIGKILL" and trace.tasks[8].ended, "how the threads end")


def traced():
    """The recordings of the trace, in which another client waits to be accepted from second 101.002 on, when the accept before has returned."""
    return outside.record(served.follow(strace.parse(TRACE)), "p", 101_900_000_000, [("127.0.0.1:42", 101_000_000_000)], "text")


def threads():
    """Both threads of the trace have a recording: one accepts, and the other one reads, fails to write, and closes."""
    parts, left_out = traced()
    main, other = (reading.Recording(part.content) for part in parts)
    need([part.name for part in parts] == ["main thread", "Thread-1"] and not left_out, f"{[part.name for part in parts]}")
    need(main.loop == other.loop == "blocking" and main.source == "text", "the head")
    need([record.time for record in main.of("Turn")] == [1_000_990_000], "the turn of the accept")
    hooks = [(main.names[record.name], record.code) for record in main.of("Exit")]
    need(hooks == [("wait for a thread", thread.PENDING)], f"a call that does not return: {hooks}")
    need(main.of("Close") and main.of("State"), "what the other thread does with a connection of this one")
    need([record.b for record in other.of("Read")] == [4] and other.of("Write")[0].code == reading.FAILED, "bytes")
    need(main.all("queued") == ["127.0.0.1:42 1000990000"], f"the queue: {main.all('queued')}")
    hooks = [(other.names[record.name], record.time) for record in other.of("Exit")]
    need(hooks[0] == ("recv", 1_498_990_000), f"{hooks}")


def lines_and_findings():
    """What is said of a thread that blocks while another client waits."""
    run = show.play(rungs.Rung("tcp_singlethread"), language.parse(SILENT, "silent"))
    text, found = show.recorder("lines", run.file), show.findings(run.file)
    need("recv: blocked for" in text and "meanwhile B waited in the accept queue" in text, text)
    need([one["kind"] for one in found] == ["slow_hook"] and "1 connection waited to be accepted" in found[0]["text"], f"{found}")
    verdict = judge.of(run)
    need([one.kind for one in verdict.blocked] == ["recv"] and not verdict.loops, f"{verdict}")
    run = show.play(rungs.Rung("tcp_multithread"), language.parse(SILENT, "silent"))
    need(len(run.parts) == 3 and not any(show.findings(part.file) for part in run.parts), "what is said of threads")
    verdict = judge.of(run)
    need(not verdict.blocked and verdict.threads >= 2 and verdict.waits["accept"] >= 2, f"{verdict}")


def programs():
    """Any executable can play, be recorded and be judged; one that does not serve is reported in one line."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        one = written(folder / "one.py", ONE)
        run = show.play(rungs.of(str(one)), language.parse(SILENT, "silent"), TARGET / "program.rec")
        need(run.recording.loop == "blocking" and "create_server" in run.recording.source, "a program in Python")
        need([blocked.kind for blocked in judge.of(run).blocked] == ["recv"], "what blocks in a program in Python")
        if not (compiler := shutil.which("cc")):
            print("no C compiler is here, and no program in C was played")
            return
        (folder / "poll.c").write_text(POLL, encoding="ascii")
        subprocess.run([compiler, "-o", str(folder / "poll"), str(folder / "poll.c")], check=True)
        run = show.play(rungs.of(str(folder / "poll")), language.parse(SILENT, "silent"), TARGET / "program.rec")
        verdict = judge.of(run)
        need(run.recording.loop == "poll" and len(run.parts) == 1, f"a program in C: {run.recording.loop}")
        need(not verdict.blocked and len(verdict.loops) == 1 and set(verdict.waits) == {"poll"}, f"{verdict}")
        for text, message in (("#!/bin/sh\necho no port >&2\nexit 3\n", "has ended at once: no port"),
                              ("#!/no/such/interpreter\n", "has ended at once")):
            try:
                show.play(rungs.of(str(written(folder / "bad", text))), language.load("one_line"), TARGET / "program.rec")
            except Trouble as trouble:
                need(message in str(trouble) and "\n" not in str(trouble), str(trouble))
            else:
                raise Trouble(f"{text!r} was played")


def page_of_threads(window, visit, folder):
    """What is wrong with a page of recordings from outside: `visit` opens it."""
    parts, _ = traced()
    page.make([(part.name, part.content, None, "") for part in parts], folder / "threads.html")
    for width in (390, 1400):
        window.resize(width)
        for language, words in WORDS.items():
            for rec in (0, 1, 2):
                yield from visit(window, folder / "threads.html", f"rec={rec}&lang={language}")[1]
                if (wide := window.run("document.documentElement.scrollWidth")) > width:
                    yield f"threads, {rec} in {language} at {width} px: the page is {wide} px wide"
                if (text := window.run("document.body.innerText")).find(words[rec]) < 0:
                    yield f"threads, {rec} in {language}: '{words[rec]}' is not in {text[:300]!r}"
            window.press("l")
            text = window.run("document.getElementById('sentence').textContent")
            if not all(word in text for word in words[3:]):
                yield f"threads in {language}: the longest turn says {text!r}"


# Language → what the pages of all threads, of the first and of the second say; and then the sentence of the call that blocks.
WORDS = {"en": ("recordings of threads", "by its system calls", "The thread calls recv",
                "recv of connection fd 4 returns after 494 ms", "Meanwhile 127.0.0.1:42 waits"),
         "ru": ("записи потоков", "по его системным вызовам", "Поток вызывает recv",
                "recv для connection fd 4: возврат через 494 мс", "в очереди accept ждёт: 127.0.0.1:42")}


def written(path, text):
    path.write_text(text, encoding="ascii")
    path.chmod(0o755)
    return path


PARTS = {function.__name__: function for function in [reader, threads, lines_and_findings, programs]}
