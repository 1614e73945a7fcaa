// What a record says, as a sentence. The parts are in phrases_en.js and phrases_ru.js.

const PHRASES = { en: ENGLISH_PHRASES, ru: RUSSIAN_PHRASES };

function phrases() {
  return PHRASES[language];
}

function bitsText(bits) {
  return phrases().bits.filter((_, at) => bits & (1 << at)).join(", ") || "–";
}

// A channel as people read it, with the name of its client where the recording has it.
function who(model, life) {
  if (!life) return phrases().someone;
  return model.label(life) + (life.client ? ` (${life.client})` : "");
}

// What was moved: "read 52 B", "nothing to read yet".
function movedText(recording, i) {
  const did = phrases().did, bytes = recording.b[i], code = recording.code[i];
  const reads = recording.kind[i] === KIND.Read;
  const amount = `${reads ? did.read : did.wrote} ${size(bytes)}`;
  if (code & 8) return `${amount}, ${did.failed}`;
  if (reads && code & 2) return bytes ? `${amount}, ${did.readEnd}` : did.readEnd;
  if (code & 4) return `${amount}, ${did.spent}`;
  if (code & 1 && !bytes) return reads ? did.nothing : did.full;
  return code & 1 ? `${amount}, ${reads ? did.all : did.part}` : amount;
}

// What happened in a hook: bytes, states, new channels.
function factsOf(model, hook) {
  const { recording } = model, facts = [];
  let made = 0;
  for (let i = hook.enter + 1; i < hook.exit; i++) {
    const kind = recording.kind[i];
    if (kind === KIND.New) made++;
    // A hook that contains others leaves their facts to them.
    if (recording.life[i] !== (hook.life ? hook.life.id : -1)) continue;
    if (kind === KIND.Read || kind === KIND.Write) facts.push(movedText(recording, i));
    else if (kind === KIND.State) facts.push(stateText(model, i));
    else if (kind === KIND.Close) facts.push(phrases().did.closed);
  }
  if (made) facts.push(`${phrases().did.made} ${whole(made)}`);
  return facts.join(", ");
}

function stateText(model, i) {
  const from = model.name(model.recording.a[i]), to = model.name(model.recording.name[i]);
  return from ? `${from} → ${to}` : to;
}

function turnSentence(turn, model) {
  if (turn.waitAt < 0) return phrases().start;
  if (model.blocks) return clientSentence(model, turn);
  if (turn.turnAt < 0) return phrases().unfinished(whole(turn.number));
  return phrases().turn(whole(turn.number), duration(turn.turned - turn.began), duration(turn.planned),
    turn.events === null ? "" : word("n.events", turn.events));
}

function hookSentence(model, hook) {
  const say = phrases(), slow = hook.length >= 1e6;
  const behind = slow ? model.behind(hook) : [], clocks = slow ? model.clocks(hook) : null;
  let text = say.exit(hook.name, who(model, hook.life), say.why[hook.why] || hook.why, say.ending[hook.ending] || say.ending[0],
    duration(hook.length), factsOf(model, hook));
  text += behindText(model, behind);
  return clocks ? text + say.clocks(duration(clocks.computed), duration(clocks.late), duration(clocks.slept)) : text;
}

// Which channels waited behind a hook; empty for none.
function behindText(model, behind) {
  if (!behind.length) return "";
  const names = behind.slice(0, 4).map((life) => who(model, life)).join(", ");
  return phrases().behind(names + (behind.length > 4 ? ` ${word("more", behind.length - 4)}` : ""), behind.length);
}

// The same as a note of the pictures: how many wait behind a hook, or to be accepted meanwhile.
function behindNote(model, hook) {
  const behind = model.behind(hook).length, queued = model.queuedDuring(hook).length;
  return behind ? word("behind", behind) : queued ? word("inQueue", queued) : "";
}

// Behind which hook this one had to wait.
function delay(model, hook) {
  const waited = hook && model.waitedFor(hook), say = phrases();
  if (!waited) return "";
  const { blocker, sure, perhaps } = waited, name = who(model, blocker.life);
  return perhaps ? say.perhaps(duration(perhaps), blocker.name, name)
    : say.ready(duration(sure), blocker.name, name, duration(blocker.length));
}

// The sentence of record `i`.
function sentence(model, i) {
  const { recording } = model, { kind, code, a, b } = recording, say = phrases();
  const life = recording.lives[recording.life[i]], name = who(model, life), hook = model.hooks[model.hookOf[i]];
  const call = model.fromOutside ? callSentence(model, i) : null;
  if (call !== null) return call;
  switch (kind[i]) {
    case KIND.Wait: return say.wait(b[i], a[i] ? say.asked(a[i]) : "");
    case KIND.Turn: return turnSentence(model.turns[model.turnOf[i]], model);
    case KIND.Event: return say.event(name, bitsText(code[i]), newlyKnown(recording, i));
    case KIND.Enter: return say.enter(model.name(recording.name[i]), name, say.cause[WHY[code[i]]] || "?") + delay(model, hook);
    case KIND.Exit: return hook ? hookSentence(model, hook) : "";
    case KIND.Read: case KIND.Write: return say.fact(name, movedText(recording, i));
    case KIND.New: return say.fresh(name, say.origin[code[i]] || "", model.label(life.parent),
      model.fromOutside ? null : life.fd, life.peer);
    case KIND.State: return say.fact(name, stateText(model, i));
    case KIND.Watch: return say.watch(name, code[i], say.interest[a[i] & 3]);
    case KIND.Shutdown: return say.shutdown(name, b[i]);
    case KIND.Close: return say.close(name, b[i], code[i] === 1);
    case KIND.Queue: return say.queue(whole(a[i]), whole(b[i]));
    case KIND.Wake: return say.wake(name);
    case KIND.Response: return say.response(name, a[i], size(b[i]));
    default: return say.fact(life ? name : model.name(recording.name[i]), life ? markText(model, i) : whole(b[i]));
  }
}

function markText(model, i) {
  const number = model.recording.b[i];
  return model.name(model.recording.name[i]) + (number ? ` ${whole(number)}` : "");
}

// What is known of a channel beside this event; empty if it is the same.
function newlyKnown({ name, code }, i) {
  return name[i] && name[i] !== code[i] ? bitsText(name[i]) : "";
}
