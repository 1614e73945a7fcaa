// What a record says, as a sentence in either language.

const PHRASES = {
  en: {
    wait: (limit, asked) => limit === 0 ? `The loop does not wait: it only asks the kernel what is ready${asked}.`
      : `The loop waits${isFinite(limit) ? `, ${duration(limit)} at most` : ", with no limit"}${asked}.`,
    asked: (count) => `, and asks about ${word("n.descriptors", count)}`,
    turn: (number, waited, most, events) => `Turn ${number}: waited ${waited} of ${most}; ${events}.`,
    start: "Before the first wait.", unfinished: (number) => `Turn ${number}: the wait is not over.`,
    event: (who, bits, known) => `The kernel reports ${who}: ${bits}${known ? ` (known by now: ${known})` : ""}.`,
    enter: (hook, who, why) => `The loop calls ${hook} of ${who}${why}.`,
    ready: (time, hook, who, length) => ` It was ready for ${time} before, behind ${hook} of ${who} (${length}).`,
    perhaps: (time, hook, who) => ` It may have waited since ${hook} of ${who} began, ${time} ago.`,
    exit: (hook, who, why, ending, facts) => `${hook} of ${who} (${why}) ${ending}${facts}.`,
    clocks: (all) => ` Meanwhile the thread computed for ${duration(all.computed)}, had no processor for ${duration(all.late)}, and slept or waited for ${duration(all.slept)}.`,
    behind: (names, count) => ` ${word("n.channels", count)} waited behind it: ${names}.`,
    read: (who, fact) => `${who}: ${fact}.`,
    fresh: (who, origin, parent, fd, peer) => `${who} is new: ${origin}${parent ? ` by ${parent}` : ""}${fd === null ? "" : `, descriptor ${fd}`}${peer ? `, peer ${peer}` : ""}.`,
    watch: (who, code, what) => code === 3 ? `${who} is taken off the kernel's list.` : `The kernel ${code === 1 ? "begins to watch" : "now watches"} ${who} for ${what}.`,
    shutdown: (who, unsent) => `${who} shuts down its sending half${unsent ? `; ${size(unsent)} are unsent` : ""}.`,
    close: (who, lost, panicked) => `${who} is closed${panicked ? " after a panic" : ""}${lost ? `; ${size(lost)} are lost` : ""}.`,
    queue: (count, most) => `${whole(count)} of at most ${whole(most)} connections wait to be accepted.`,
    wake: (who) => `A waker is called for ${who}.`, response: (who, status, bytes) => `${who}: response ${status} is complete, ${size(bytes)} of body.`,
    why: { event: "the kernel reported it", new: "it is new", again: "its share of an earlier turn was spent", late: "the turn before had no time for it",
      wake: "its waker was called", deadline: "its deadline has passed", shutdown: "the loop shuts down", ready: "the loop asked and it is ready", call: "its time has come" },
    because: (why) => `: ${why}`,
    ending: ["returns", "fails", "panics", "is pending", "is pending and has left no waker"], after: (time) => ` after ${time}`,
    did: { readEnd: "read the end of input", read: "read", wrote: "wrote", nothing: "nothing to read yet", full: "no room in the socket", failed: "failed", spent: "its share of the turn is spent", all: "the socket is empty now", part: "the socket is full now", closed: "closed", made: "accepted" },
    bits: ["readable", "writable", "the peer has closed its half", "error"], interest: ["nothing", "reading", "writing", "reading and writing"],
    origin: ["added by the program", "accepted", "handed over", "scheduled"], someone: "the loop",
  },
  ru: {
    wait: (limit, asked) => limit === 0 ? `Цикл не ждёт, а только спрашивает ядро, что готово${asked}.`
      : `Цикл ждёт${isFinite(limit) ? ` не дольше ${duration(limit)}` : " без ограничения"}${asked}.`,
    asked: (count) => ` и спрашивает о ${whole(count)} ${count % 10 === 1 && count % 100 !== 11 ? "дескрипторе" : "дескрипторах"}`,
    turn: (number, waited, most, events) => `Оборот ${number}: ожидание ${waited} из ${most}; ${events}.`,
    start: "До первого ожидания.", unfinished: (number) => `Оборот ${number}: ожидание ещё не кончилось.`,
    event: (who, bits, known) => `Ядро сообщает о ${who}: ${bits}${known ? ` (уже известно: ${known})` : ""}.`,
    enter: (hook, who, why) => `Цикл вызывает ${hook} канала ${who}${why}.`,
    ready: (time, hook, who, length) => ` Он был готов уже ${time}: впереди был ${hook} канала ${who} (${length}).`,
    perhaps: (time, hook, who) => ` Возможно, он ждал с тех пор, как начался ${hook} канала ${who}, то есть до ${time}.`,
    exit: (hook, who, why, ending, facts) => `${hook} канала ${who} (${why}) ${ending}${facts}.`,
    clocks: (all) => ` За это время поток считал ${duration(all.computed)}, ждал процессора ${duration(all.late)}, спал или ждал ядро ${duration(all.slept)}.`,
    behind: (names, count) => ` За ним ждали ${word("n.channels", count)}: ${names}.`,
    read: (who, fact) => `${who}: ${fact}.`,
    fresh: (who, origin, parent, fd, peer) => `Новый канал ${who}: ${origin}${parent ? ` каналом ${parent}` : ""}${fd === null ? "" : `, дескриптор ${fd}`}${peer ? `, собеседник ${peer}` : ""}.`,
    watch: (who, code, what) => code === 3 ? `Ядро больше не следит за ${who}.` : `Ядро ${code === 1 ? "начинает следить" : "теперь следит"} за ${who}: ${what}.`,
    shutdown: (who, unsent) => `${who} закрывает свою половину на передачу${unsent ? `; не отправлено ${size(unsent)}` : ""}.`,
    close: (who, lost, panicked) => `${who} закрыт${panicked ? " после паники" : ""}${lost ? `; потеряно ${size(lost)}` : ""}.`,
    queue: (count, most) => `Ждут accept: ${whole(count)}, не больше ${whole(most)}.`,
    wake: (who) => `Канал ${who} разбужен.`, response: (who, status, bytes) => `${who}: ответ ${status} готов, тело ${size(bytes)}.`,
    why: { event: "о нём сообщило ядро", new: "он новый", again: "его доля прошлого оборота кончилась", late: "на него не хватило времени прошлого оборота",
      wake: "его разбудили", deadline: "истёк его срок", shutdown: "цикл завершается", ready: "цикл спросил, и он готов", call: "подошло его время" },
    because: (why) => `: ${why}`,
    ending: ["закончен", "закончен с ошибкой", "прерван паникой", "не закончен и ждёт", "не закончен, и будить его некому"], after: (time) => ` за ${time}`,
    did: { readEnd: "прочитан конец ввода", read: "прочитано", wrote: "записано", nothing: "читать пока нечего", full: "в сокете нет места", failed: "ошибка", spent: "доля оборота кончилась", all: "сокет теперь пуст", part: "сокет теперь полон", closed: "закрыт", made: "принято соединений:" },
    bits: ["можно читать", "можно писать", "собеседник закрыл свою половину", "ошибка"], interest: ["ни за чем", "чтение", "запись", "чтение и запись"],
    origin: ["добавлен программой", "принят", "передан", "назначен"], someone: "цикл",
  },
};

const WHY_WORDS = {
  en: { event: "event", new: "new", again: "again", late: "late", wake: "wake", deadline: "deadline", shutdown: "shutdown", ready: "ready", call: "call_later" },
  ru: { event: "событие", new: "новый", again: "продолжение", late: "опоздал", wake: "побудка", deadline: "срок", shutdown: "завершение", ready: "готов", call: "call_later" },
};

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
    if (kind === KIND.Read || kind === KIND.Write) facts.push(movedText(recording, i));
    else if (kind === KIND.State) facts.push(stateText(model, i));
    else if (kind === KIND.Close) facts.push(phrases().did.closed);
    else if (kind === KIND.New) made++;
  }
  if (made) facts.push(`${phrases().did.made} ${whole(made)}`);
  return facts.join(", ");
}

function stateText(model, i) {
  const from = model.name(model.recording.a[i]), to = model.name(model.recording.name[i]);
  return from ? `${from} → ${to}` : to;
}

function turnSentence(turn) {
  if (turn.waitAt < 0) return phrases().start;
  if (turn.turnAt < 0) return phrases().unfinished(whole(turn.number));
  return phrases().turn(whole(turn.number), duration(turn.turned - turn.began), duration(turn.planned), word("n.events", turn.events));
}

function hookSentence(model, hook) {
  const facts = factsOf(model, hook), slow = hook.length >= 1e6;
  let text = phrases().exit(hook.name, who(model, hook.life), WHY_WORDS[language][hook.why] || hook.why,
    phrases().ending[hook.ending] || phrases().ending[0], phrases().after(duration(hook.length)) + (facts ? `: ${facts}` : ""));
  const behind = slow ? model.behind(hook) : [];
  if (behind.length) text += phrases().behind(behind.slice(0, 4).map((life) => who(model, life)).join(", ") + (behind.length > 4 ? ` ${word("more", behind.length - 4)}` : ""), behind.length);
  const clocks = slow ? model.clocks(hook) : null;
  return clocks ? text + phrases().clocks(clocks) : text;
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
  const life = recording.lives[recording.life[i]], name = who(model, life);
  const hook = model.hooks[model.hookOf[i]];
  switch (kind[i]) {
    case KIND.Wait: return say.wait(b[i], a[i] ? say.asked(a[i]) : "");
    case KIND.Turn: return turnSentence(model.turns[model.turnOf[i]]);
    case KIND.Event: {
      const known = recording.name[i];
      return say.event(name, bitsText(code[i]), known && known !== code[i] ? bitsText(known) : "");
    }
    case KIND.Enter: return say.enter(model.name(recording.name[i]), name, say.because(say.why[WHY[code[i]]] || "?")) + delay(model, hook);
    case KIND.Exit: return hook ? hookSentence(model, hook) : "";
    case KIND.Read: case KIND.Write: return say.read(name, movedText(recording, i));
    case KIND.New: return say.fresh(name, say.origin[code[i]] || "", life.parent ? model.label(life.parent) : "", life.fd, life.peer);
    case KIND.State: return say.read(name, stateText(model, i));
    case KIND.Watch: return say.watch(name, code[i], say.interest[a[i] & 3]);
    case KIND.Shutdown: return say.shutdown(name, b[i]);
    case KIND.Close: return say.close(name, b[i], code[i] === 1);
    case KIND.Queue: return say.queue(a[i], b[i]);
    case KIND.Wake: return say.wake(name);
    case KIND.Response: return say.response(name, a[i], b[i]);
    default: return `${life ? `${name}: ` : ""}${model.name(recording.name[i])}${b[i] ? ` ${whole(b[i])}` : ""}.`;
  }
}
