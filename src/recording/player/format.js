// The file of a recording, as docs/RECORDINGS.md describes it: a head in text, then records of 32 bytes.
//
// Records become columns of numbers, one entry each. Each channel becomes a life: from New to Close of one key, since a
// key may be used again. What changes in a life is kept as a history of (record, value), so that its value at any record
// is found by a binary search, forwards and backwards alike.

const KIND = {
  Wait: 1, Turn: 2, Event: 3, Enter: 4, Exit: 5, Read: 6, Write: 7, New: 8, Peer: 9, State: 10, Watch: 11,
  Shutdown: 12, Close: 13, Queue: 14, Clock: 15, Wake: 16, Response: 17, Mark: 18,
};
const RECORD_BYTES = 32;
const ALL_ONES = 0xffffffff;
// A key of this generation or a later one is a task.
const TASK = 0x80000000;

function parseRecording(bytes) {
  const end = headEnd(bytes);
  const head = readHead(new TextDecoder().decode(bytes.subarray(0, end)));
  const body = bytes.subarray(end + 2);
  const count = Math.min(head.records, Math.floor(body.length / RECORD_BYTES));
  const from = head.records * RECORD_BYTES;
  const source = new TextDecoder().decode(body.subarray(from, from + head.source));
  const recording = { ...head, ...columns(body, count), source };
  recording.lives = livesOf(recording, body);
  return recording;
}

function headEnd(bytes) {
  for (let i = 0; i + 1 < bytes.length; i++) if (bytes[i] === 10 && bytes[i + 1] === 10) return i;
  throw new Error("no recording: it has no head");
}

function readHead(text) {
  const [first, ...lines] = text.split("\n");
  if (!/^stheno recording 1(\s|$)/.test(first)) throw new Error(`no recording of version 1: ${first.slice(0, 60)}`);
  const head = { facts: {}, totals: {}, names: new Map([[0, ""]]), channels: [], clients: new Map(), queued: [], records: 0, source: 0 };
  for (const line of lines) {
    const gap = (line + " ").indexOf(" ");
    readFact(head, line.slice(0, gap), line.slice(gap + 1));
  }
  head.tells = new Set((head.facts.tells || "").split(" ").filter(Boolean));
  head.keys = head.facts.keys || "slab";
  return head;
}

function readFact(head, word, value) {
  const [one, ...more] = value.split(" ");
  const rest = more.join(" ");
  if (word === "name") head.names.set(Number(one), rest);
  else if (word === "total") head.totals[one] = Number(rest);
  else if (word === "client") head.clients.set(rest, one);
  else if (word === "queued") head.queued.push({ address: one, since: Number(more[0]), until: Number(more[1] ?? Infinity) });
  else if (word === "records" || word === "source") head[word] = Number(value) || 0;
  else if (word === "channel") {
    const channel = { key: one, type: Number(more[0]) || 0 };
    for (const fact of more.slice(1)) {
      const at = fact.indexOf("=");
      channel[fact.slice(0, at)] = fact.slice(at + 1);
    }
    head.channels.push(channel);
  } else head.facts[word] = value;
}

// Numbers of 64 bits are kept as doubles: nanoseconds are exact for a hundred days.
function columns(body, count) {
  const view = new DataView(body.buffer, body.byteOffset, count * RECORD_BYTES);
  const long = (at) => {
    const low = view.getUint32(at, true), high = view.getUint32(at + 4, true);
    return low === ALL_ONES && high === ALL_ONES ? Infinity : high * 4294967296 + low;
  };
  const table = {
    count,
    time: new Float64Array(count), kind: new Uint8Array(count), code: new Uint8Array(count),
    name: new Uint16Array(count), a: new Uint32Array(count), b: new Float64Array(count),
    key: new Float64Array(count), life: new Int32Array(count).fill(-1),
  };
  for (let i = 0, at = 0; i < count; i++, at += RECORD_BYTES) {
    table.time[i] = long(at);
    table.key[i] = long(at + 8);
    table.kind[i] = view.getUint8(at + 16);
    table.code[i] = view.getUint8(at + 17);
    table.name[i] = view.getUint16(at + 18, true);
    table.a[i] = view.getUint32(at + 20, true);
    table.b[i] = long(at + 24);
  }
  return table;
}

function livesOf(recording, body) {
  const { count, kind } = recording;
  const view = new DataView(body.buffer, body.byteOffset, count * RECORD_BYTES);
  const lives = [], current = new Map();
  const keyAt = (at) => {
    const low = view.getUint32(at, true), high = view.getUint32(at + 4, true);
    return low === ALL_ONES && high === ALL_ONES ? null : `${low}.${high}`;
  };
  const start = (key, born) => {
    const life = newLife(lives.length, key, born, recording.keys);
    lives.push(life);
    current.set(key, life);
    return life;
  };
  for (let i = 0; i < count; i++) {
    if (kind[i] === KIND.Clock) continue;
    const key = keyAt(i * RECORD_BYTES + 8);
    if (key === null) continue;
    const life = kind[i] === KIND.New ? start(key, i) : current.get(key) || start(key, -1);
    recording.life[i] = life.id;
    if (kind[i] === KIND.New) {
      const parent = keyAt(i * RECORD_BYTES + 24);
      life.parent = parent === null ? null : current.get(parent) || start(parent, -1);
    }
    note(life, recording, i, view);
  }
  for (const channel of recording.channels) stillOpen(current.get(channel.key) || start(channel.key, -1), channel, current);
  for (const life of lives) life.client = recording.clients.get(life.peer) || "";
  return lives;
}

function newLife(id, key, born, keys) {
  const [index, generation] = key.split(".");
  const isTask = generation >= TASK;
  return {
    id, born, died: Infinity, index: Number(index), type: 0, fd: null, peer: "", parent: null, origin: -1, client: "",
    isTask, key: isTask ? `task ${index}` : keys === "descriptor" ? `fd ${index}` : keys === "token" ? `token ${index}` : key,
    first: undefined, states: [], read: [], written: [], watch: [], known: [], shut: [], ipv6: "",
  };
}

function note(life, recording, i, view) {
  const { kind, code, name, a, b } = recording;
  const sum = (history) => history.push([i, b[i] + (history.length ? history[history.length - 1][1] : 0)]);
  switch (kind[i]) {
    case KIND.New:
      Object.assign(life, { type: name[i], origin: code[i], fd: a[i] === ALL_ONES ? null : a[i] });
      break;
    case KIND.Peer: notePeer(life, recording, i, view); break;
    case KIND.State:
      if (life.first === undefined) life.first = a[i];
      life.states.push([i, name[i]]);
      break;
    case KIND.Read: sum(life.read); break;
    case KIND.Write: sum(life.written); break;
    case KIND.Watch: life.watch.push([i, code[i] === 3 ? 0 : a[i]]); break;
    case KIND.Event: life.known.push([i, name[i] || code[i]]); break;
    case KIND.Shutdown: life.shut.push([i, b[i]]); break;
    case KIND.Close: life.died = i; break;
  }
}

function notePeer(life, { code, name, a }, i, view) {
  if (code[i] === 4) {
    life.peer = `${[24, 16, 8, 0].map((shift) => (a[i] >>> shift) & 255).join(".")}:${name[i]}`;
    return;
  }
  const groups = [6, 4, 2, 0].map((at) => view.getUint16(i * RECORD_BYTES + 24 + at, true).toString(16));
  if (code[i] === 6) life.ipv6 = groups.join(":");
  else life.peer = `[${shortIpv6(`${life.ipv6}:${groups.join(":")}`)}]:${name[i]}`;
}

// The longest run of zeros is `::` (RFC 5952).
function shortIpv6(text) {
  const groups = text.split(":");
  let best = [0, 1];
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === "0") to++;
    if (to - from > best[1] - best[0]) best = [from, to];
  }
  return best[1] - best[0] < 2 ? text : `${groups.slice(0, best[0]).join(":")}::${groups.slice(best[1]).join(":")}`;
}

// A line of the head tells what a channel is at the end of the recording.
function stillOpen(life, channel, current) {
  if (!life.type) life.type = channel.type;
  if (life.fd === null && channel.fd !== undefined) life.fd = Number(channel.fd);
  if (!life.peer && channel.peer) life.peer = channel.peer;
  if (life.first === undefined && channel.state !== undefined && life.born < 0) life.first = Number(channel.state);
  if (!life.parent && channel.parent) life.parent = current.get(channel.parent) || null;
}

// The value that a history has after record `i`.
function valueAt(history, i, before) {
  const count = countUntil(history, i, (entry) => entry[0]);
  return count ? history[count - 1][1] : before;
}

// How many items of a list in order are not after `place`.
function countUntil(items, place, of) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(items[middle]) <= place) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The order of a table of channels.
function bySlot(one, other) {
  return one.index - other.index || one.id - other.id;
}
