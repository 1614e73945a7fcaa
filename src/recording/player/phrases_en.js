// Parts of English sentences. `hook` is the name of a hook, `who` a channel.

const ENGLISH_PHRASES = {
  wait: (limit, asked) => (limit === 0 ? `The loop does not wait: it only asks the kernel what is ready${asked}.`
    : `The loop waits${isFinite(limit) ? `, ${duration(limit)} at most` : ", with no limit"}${asked}.`),
  asked: (count) => `, and asks about ${word("n.descriptors", count)}`,
  turn: (number, waited, most, events) => `Turn ${number}: waited ${waited} of ${most}${events && `; ${events}`}.`,
  start: "Before the first wait.",
  unfinished: (number) => `Turn ${number}: the wait is not over.`,
  event: (who, bits, known) => `The kernel reports ${who}: ${bits}${known ? ` (known by now: ${known})` : ""}.`,
  enter: (hook, who, cause) => `The loop calls ${hook} of ${who}: ${cause}.`,
  ready: (time, hook, who, length) => ` It was ready for ${time} before, behind ${hook} of ${who} (${length}).`,
  perhaps: (time, hook, who) => ` It may have waited since ${hook} of ${who} began, ${time} ago.`,
  exit: (hook, who, why, ending, time, facts) =>
    `${hook} of ${who} (${why}) ${ending} after ${time}${facts ? `: ${facts}` : ""}.`,
  clocks: (computed, late, slept) =>
    ` Meanwhile the thread computed for ${computed}, had no processor for ${late}, and slept or waited for ${slept}.`,
  behind: (names, count) => ` ${word("n.channels", count)} waited behind it: ${names}.`,
  fact: (who, fact) => `${who}: ${fact}.`,
  fresh: (who, origin, parent, fd, peer) => `${who} is new: ${origin}${parent ? ` by ${parent}` : ""}`
    + `${fd === null ? "" : `, descriptor ${fd}`}${peer ? `, peer ${peer}` : ""}.`,
  watch: (who, code, what) => (code === 3 ? `${who} is taken off the kernel's list.`
    : `The kernel ${code === 1 ? "begins to watch" : "now watches"} ${who} for ${what}.`),
  shutdown: (who, unsent) => `${who} shuts down its sending half${unsent ? `; ${size(unsent)} are unsent` : ""}.`,
  close: (who, lost, panicked) =>
    `${who} is closed${panicked ? " after a panic" : ""}${lost ? `; ${size(lost)} are lost` : ""}.`,
  queue: (count, most) => `${count} of at most ${most} connections wait to be accepted.`,
  wake: (who) => `A waker is called for ${who}.`,
  response: (who, status, bytes) => `${who}: response ${status} is complete, ${bytes} of body.`,
  someone: "the loop",
  why: {
    event: "event", new: "new", again: "again", late: "late", wake: "wake", deadline: "deadline", shutdown: "shutdown",
    ready: "ready", call: "call_later",
  },
  cause: {
    event: "the kernel reported it", new: "it is new", again: "it could have gone on before",
    late: "the turn before had no time for it", wake: "its waker was called", deadline: "its deadline has passed",
    shutdown: "the loop shuts down", ready: "the loop asked, and it is ready", call: "its time has come",
  },
  ending: ["returns", "fails", "panics", "is pending", "is pending and has left no waker,"],
  did: {
    readEnd: "read the end of input", read: "read", wrote: "wrote", nothing: "nothing to read yet",
    full: "no room in the socket", failed: "failed", spent: "its share of the turn is spent", all: "the socket is empty now",
    part: "the socket is full now", closed: "closed", made: "accepted",
  },
  bits: ["readable", "writable", "the peer has closed its half", "error"],
  interest: ["nothing", "reading", "writing", "reading and writing"],
  origin: ["added by the program", "accepted", "handed over"],
};
