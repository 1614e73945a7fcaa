// Turns, hooks and steps of a recording, and the state of every channel at any record.

// A hook of this many nanoseconds is slow, as the doctor has it.
const SLOW = 10e6;
// A wait that ends this soon had something to return when it began.
const AT_ONCE = 200e3;
const WHY = ["event", "new", "again", "late", "wake", "deadline", "shutdown", "ready", "call", "program"];

// Of these records the player makes no step: they say more about the one before.
const SILENT = new Set([KIND.Peer, KIND.Clock]);

class Model {
  constructor(recording) {
    this.recording = recording;
    // Whether its hooks are system calls, and whether it is a thread that blocks in them.
    this.fromOutside = recording.tells.has("call");
    this.blocks = recording.facts.loop === "blocking";
    this.turns = buildTurns(recording);
    this.turnOf = new Int32Array(recording.count);
    this.turns.forEach((turn, number) => this.turnOf.fill(number, turn.first, turn.last));
    this.hooks = this.turns.flatMap((turn) => turn.hooks);
    this.hookOf = new Int32Array(recording.count).fill(-1);
    this.hooks.forEach((hook, number) => this.hookOf.fill(number, hook.enter, hook.exit + 1));
    this.steps = [];
    for (let i = 0; i < recording.count; i++)
      if (!SILENT.has(recording.kind[i]) && recording.kind[i] > 0 && recording.kind[i] <= KIND.Mark) this.steps.push(i);
    this.began = recording.count ? recording.time[0] : 0;
    this.ended = recording.count ? recording.time[recording.count - 1] : 0;
    this.queues = this.readQueues();
    this.markAccepting();
    // Columns that would be empty are left out.
    this.hasDescriptors = recording.keys !== "descriptor" && recording.lives.some((life) => life.fd !== null);
    this.hasStates = recording.lives.some((life) => life.states.length || life.first);
  }

  // The queue was this long when the loop looked; the turn accepts what it finds, so no more is known after its end. From
  // outside, each change is known.
  readQueues() {
    const { kind, time, a, b, count } = this.recording, queues = [];
    for (let i = 0; i < count; i++) {
      const last = queues[queues.length - 1];
      if (kind[i] === KIND.Queue) queues.push({ time: time[i], until: this.ended, length: a[i], most: b[i] });
      if (this.fromOutside) {
        if (kind[i] === KIND.Queue && last) last.until = time[i];
        continue;
      }
      if (last && kind[i] === KIND.Wait && last.until === this.ended) last.until = time[i];
    }
    return queues;
  }

  // A hook that makes channels of connections, and every other one of the same channel, accepts.
  markAccepting() {
    const accepted = this.recording.lives.filter((life) => life.origin === 1 && life.parent);
    const listeners = new Set(accepted.map((life) => life.parent));
    for (const hook of this.hooks) hook.accepts = listeners.has(hook.life);
  }

  // The connections that waited to be accepted while a system call ran: their names, and since when.
  queuedDuring(hook) {
    return this.fromOutside ? this.queued((one) => Math.min(one.until, hook.ended) - Math.max(one.since, hook.began) >= 1e6) : [];
  }

  queuedAt(time) {
    return this.queued((one) => one.since <= time && one.until > time);
  }

  queued(isMeant) {
    const { queued, clients } = this.recording;
    return queued.filter(isMeant).map((one) => ({ ...one, name: clients.get(one.address) || one.address }));
  }

  name(number) {
    return this.recording.names.get(number) || "";
  }

  label(life) {
    if (!life) return "";
    const type = this.name(life.type);
    return type && !life.isTask ? `${type} ${life.key}` : life.key;
  }

  // The last step that is not after record `i`.
  stepAt(i) {
    return Math.max(0, countUntil(this.steps, i, (step) => step) - 1);
  }

  turnAtTime(time) {
    return Math.max(0, countUntil(this.turns, time, (turn) => turn.began) - 1);
  }

  turnNumbered(number) {
    return this.turns.findIndex((turn) => turn.number === number && turn.turnAt >= 0);
  }

  openAt(i) {
    return this.recording.lives.filter((life) => life.born <= i && life.died > i);
  }

  // What is known of a channel after record `i`.
  stateAt(life, i) {
    return {
      state: this.name(valueAt(life.states, i, life.first || 0)),
      read: valueAt(life.read, i, 0), written: valueAt(life.written, i, 0),
      watch: valueAt(life.watch, i, null), known: valueAt(life.known, i, null), shut: valueAt(life.shut, i, null),
      closed: life.died <= i,
    };
  }

  // Channels that could not be served while this hook ran: the rest of its turn, and what the next wait returned at once.
  behind(hook) {
    if (hook.behind) return hook.behind;
    const { kind, life, code } = this.recording;
    const waiting = new Set();
    const take = (from, to) => {
      for (let i = from; i < to; i++) {
        const calls = kind[i] === KIND.Enter && WHY[code[i]] !== "new";
        if (life[i] >= 0 && (kind[i] === KIND.Event || calls)) waiting.add(this.recording.lives[life[i]]);
      }
    };
    take(hook.exit + 1, this.turns[hook.turn].last);
    const next = this.turns[hook.turn + 1];
    if (next && this.cameDuring(hook, next)) take(next.first, next.last);
    for (const one of waiting) if (one === hook.life || one.born > hook.enter) waiting.delete(one);
    return (hook.behind = [...waiting]);
  }

  // Whether what the wait of the next turn has returned was there before it began.
  cameDuring(hook, next) {
    return next.turnAt >= 0 && next.turned - next.began < Math.min(AT_ONCE, hook.length / 4);
  }

  // How long the channel of a hook was ready before it, and the longest hook that was in its way; null if that was short.
  waitedFor(hook) {
    if (!hook.life || !["event", "ready", "late"].includes(hook.why)) return null;
    const turn = this.turns[hook.turn], before = this.turns[hook.turn - 1];
    const longest = (hooks) => hooks.filter((one) => one.length >= 1e6).sort((one, other) => other.length - one.length)[0];
    const first = turn.hooks.find((one) => one.life === hook.life) === hook;
    const ours = first && longest(turn.hooks.filter((one) => one.exit < hook.enter));
    if (ours) return { blocker: ours, sure: hook.began - turn.turned, perhaps: 0 };
    const theirs = first && before
      && longest(before.hooks.filter((one) => this.cameDuring(one, turn) && this.behind(one).includes(hook.life)));
    return theirs ? { blocker: theirs, sure: 0, perhaps: hook.began - theirs.began } : null;
  }

  // What the thread did meanwhile, from the readings of its clocks before and after a hook; null where there are none.
  clocks(hook) {
    const { kind, key, b, time, count } = this.recording;
    let before = hook.enter, after = hook.exit + 1;
    while (before >= 0 && kind[before] !== KIND.Clock) before--;
    while (after < count && after <= hook.exit + 3 && kind[after] !== KIND.Clock) after++;
    if (before < 0 || kind[after] !== KIND.Clock || kind[before] !== KIND.Clock) return null;
    const all = time[after] - time[before];
    if (all > hook.length * 1.25 + 1e6) return null;
    const computed = b[after] - b[before];
    const late = isFinite(key[after]) && isFinite(key[before]) ? key[after] - key[before] : 0;
    return { computed, late, slept: Math.max(0, all - computed - late) };
  }

  longestTurn() {
    let longest = 0;
    this.turns.forEach((turn, number) => {
      const best = this.turns[longest];
      if (turn.turnAt >= 0 && (best.turnAt < 0 || turn.ended - turn.turned > best.ended - best.turned)) longest = number;
    });
    return longest;
  }

  // Sums over the records, for Compare.
  summary() {
    const { kind, count, a, b, code } = this.recording;
    const sum = { turns: 0, waits: 0, asked: 0, events: 0, hooks: this.hooks.length, reads: 0, writes: 0, watches: 0,
      bytesIn: 0, bytesOut: 0, wakes: 0, responses: 0, blocked: 0, waited: 0, worked: 0 };
    const counts = { [KIND.Wait]: "waits", [KIND.Read]: "reads", [KIND.Write]: "writes", [KIND.Watch]: "watches",
      [KIND.Wake]: "wakes", [KIND.Response]: "responses" };
    for (let i = 0; i < count; i++) {
      if (counts[kind[i]]) sum[counts[kind[i]]]++;
      if (kind[i] === KIND.Wait) sum.asked += a[i];
      if (kind[i] === KIND.Read) sum.bytesIn += b[i];
      if (kind[i] === KIND.Write) sum.bytesOut += b[i];
      if ((kind[i] === KIND.Read || kind[i] === KIND.Write) && code[i] & 1 && !b[i]) sum.blocked++;
    }
    for (const turn of this.turns) {
      if (turn.turnAt >= 0) sum.turns++;
      sum.events += turn.events || 0;
      sum.waited += turn.turned - turn.began;
      sum.worked += turn.ended - turn.turned;
    }
    return sum;
  }
}

// A program that is stepped stands still between its turns until a person goes on. That time is none of the loop's.
function withoutPauses({ kind, time, count }) {
  let paused = 0;
  for (let i = 0; i < count; i++) {
    if (kind[i] === KIND.Wait && i > 0) paused += Math.max(0, time[i] - paused - time[i - 1]);
    time[i] -= paused;
  }
}

function buildTurns(recording) {
  const { count, kind, time } = recording;
  const turns = [];
  for (let i = 0; i < count;) {
    let last = i + 1;
    while (last < count && kind[last] !== KIND.Wait) last++;
    turns.push(oneTurn(recording, i, last, turns.length));
    i = last;
  }
  turns.forEach((turn, number) => {
    turn.ended = number + 1 < turns.length ? turns[number + 1].began : time[count - 1];
    if (turn.turnAt < 0 && turn.waitAt >= 0) turn.turned = turn.ended;
    turn.parts[turn.parts.length - 1].ended = turn.ended;
  });
  // The last turn has the number of all turns, as the head has it.
  const whole = turns.filter((turn) => turn.turnAt >= 0).length;
  let number = Math.max(0, (recording.totals.turns ?? whole) - whole);
  for (const turn of turns) turn.number = turn.turnAt >= 0 ? ++number : turn.waitAt >= 0 ? number + 1 : number;
  return turns;
}

function oneTurn(recording, first, last, at) {
  const { kind, time, a, b, life, lives } = recording;
  const waitAt = kind[first] === KIND.Wait ? first : -1;
  const turn = { at, first, last, waitAt, turnAt: -1, began: time[first], turned: time[first], ended: time[first],
    planned: waitAt < 0 ? null : b[first], asked: waitAt < 0 ? 0 : a[first], events: 0, hooks: [], keys: [], parts: [] };
  const open = [], keys = new Set();
  for (let i = first; i < last; i++) {
    if (kind[i] === KIND.Turn && turn.turnAt < 0) Object.assign(turn, { turnAt: i, turned: time[i], events: a[i] });
    if (kind[i] === KIND.Event && life[i] >= 0) keys.add(lives[life[i]]);
    if (kind[i] === KIND.Enter) {
      open.push(oneHook(recording, i, at));
      turn.hooks.push(open[open.length - 1]);
    }
    if (kind[i] === KIND.Exit && open.length) closeHook(recording, open.pop(), i);
  }
  for (const hook of open) closeHook(recording, hook, last - 1);
  // A wait that is not over lasts as long as anything is recorded.
  if (waitAt >= 0 && turn.turnAt < 0) turn.turned = time[last - 1];
  // A loop that asks about every descriptor has no events: what was ready is what it serves. Tokio shows wakers only.
  const returned = recording.facts.loop === "tokio" ? ["wake", "ready"] : ["ready"];
  for (const hook of turn.hooks) if (hook.life && returned.includes(hook.why)) keys.add(hook.life);
  turn.keys = [...keys];
  if (recording.facts.loop === "tokio") turn.events = null;
  turn.parts = partsOf(recording, turn);
  return turn;
}

// What ran from record to record: a hook, the loop itself (null), or the rest of a hook after one that it contains.
function partsOf({ time }, turn) {
  const parts = [], open = [];
  let from = turn.turnAt >= 0 ? turn.turnAt : turn.waitAt >= 0 ? turn.last - 1 : turn.first;
  const cut = (to, last) => {
    parts.push({ hook: open[open.length - 1] || null, from, last, began: time[from], ended: time[to] });
    from = to;
  };
  for (const hook of turn.hooks) {
    while (open.length && open[open.length - 1].exit < hook.enter) {
      cut(open[open.length - 1].exit, open[open.length - 1].exit);
      open.pop();
    }
    cut(hook.enter, hook.enter - 1);
    open.push(hook);
  }
  while (open.length) {
    cut(open[open.length - 1].exit, open[open.length - 1].exit);
    open.pop();
  }
  parts.push({ hook: null, from, last: turn.last - 1, began: time[from], ended: null });
  return parts;
}

function oneHook({ time, life, lives, name, names, code }, i, turn) {
  return { enter: i, exit: i, turn, life: lives[life[i]] || null, name: names.get(name[i]) || "?", why: WHY[code[i]] || "?",
    began: time[i], ended: time[i], length: 0, ending: 0, accepts: false, behind: null };
}

function closeHook({ time, code, kind }, hook, i) {
  hook.exit = i;
  hook.ended = time[i];
  hook.length = hook.ended - hook.began;
  if (kind[i] === KIND.Exit) hook.ending = code[i];
}
