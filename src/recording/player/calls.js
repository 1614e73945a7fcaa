// What a recording from outside says: its hooks are system calls, and a thread that blocks has a turn for each client.

const CALLS = {
  en: {
    wait: (call) => (call === "start" ? "The thread waits until another thread gives it a connection."
      : `The thread calls ${call}, and waits for a client.`),
    turn: (number, call, waited, none) => (call === "start" ? `Turn ${number}: another thread gives it a connection.`
      : `Turn ${number}: ${call} has waited ${waited}${none ? ", and returns no connection" : ""}.`),
    unfinished: (number, call) => `Turn ${number}: ${call} has not returned.`,
    of: (call, who) => (who ? `${call} of ${who}` : call),
    enter: (call, reported, blocks, pending) => `The thread calls ${call}${reported ? ", which the wait has reported" : ""}`
      + `${pending ? ", and it does not return" : blocks ? `, and blocks for ${blocks}` : ""}.`,
    exit: (call, failed, time, facts) => `${call} ${failed ? "fails" : "returns"} after ${time}${facts ? `: ${facts}` : ""}.`,
    many: (call, time, facts) => `${call}: many short calls in ${time}: ${facts}.`,
    pending: (call, time) => `${call} has not returned after ${time}: here the recording ends.`,
    queued: (names) => ` Meanwhile ${names} ${names.includes(",") ? "wait" : "waits"} in the accept queue.`,
    queue: (count, most, names) => `In the accept queue: ${count} of at most ${most}${names ? ` (${names})` : ""}.`,
    marks: { "the recording ends": "Here the recording ends.", "the rest is left out": "The recording is full: the rest is left out.",
      "time-out": "Its time-out has passed.", "nothing to accept": "No more connections wait." },
  },
  ru: {
    wait: (call) => (call === "start" ? "Поток ждёт, пока другой поток передаст ему соединение."
      : `Поток вызывает ${call} и ждёт клиента.`),
    turn: (number, call, waited, none) => (call === "start" ? `Оборот ${number}: другой поток передаёт ему соединение.`
      : `Оборот ${number}: ожидание в ${call} длилось ${waited}${none ? ", соединения нет" : ""}.`),
    unfinished: (number, call) => `Оборот ${number}: вызов ${call} ещё не вернулся.`,
    of: (call, who) => (who ? `${call} для ${who}` : call),
    enter: (call, reported, blocks, pending) => `Поток вызывает ${call}${reported ? ": об этом сообщило ожидание" : ""}`
      + `${pending ? "; вызов не возвращается" : blocks ? `; вызов блокирует поток на ${blocks}` : ""}.`,
    exit: (call, failed, time, facts) =>
      `${call}: ${failed ? "ошибка" : "возврат"} через ${time}${facts ? `; ${facts}` : ""}.`,
    many: (call, time, facts) => `${call}: много коротких вызовов за ${time}; ${facts}.`,
    pending: (call, time) => `${call}: за ${time} вызов не вернулся, на этом запись кончается.`,
    queued: (names) => ` Тем временем в очереди accept ${names.includes(",") ? "ждут" : "ждёт"}: ${names}.`,
    queue: (count, most, names) => `В очереди accept: ${count}, самое большее ${most}${names ? ` (${names})` : ""}.`,
    marks: { "the recording ends": "Здесь запись кончается.", "the rest is left out": "Запись заполнена, остальное опущено.",
      "time-out": "Истёк срок ожидания.", "nothing to accept": "Других соединений нет." },
  },
};
const MOST_NAMES = 4;

// Whether a hook is many short calls in a row.
function isMany(hook) {
  return hook.name.includes(",");
}

// The call that is a hook, with its connection.
function callOf(model, hook) {
  return CALLS[language].of(hook.name, hook.life ? who(model, hook.life) : "");
}

// Who is in the accept queue: some names, and how many more.
function queuedNames(clients) {
  const names = clients.slice(0, MOST_NAMES).map((one) => one.name).join(", ");
  return names + (clients.length > MOST_NAMES ? `, ${word("more", clients.length - MOST_NAMES)}` : "");
}

// The turn of a thread that blocks.
function clientSentence(model, turn) {
  const say = CALLS[language], call = model.name(model.recording.name[turn.waitAt]);
  if (turn.turnAt < 0) return say.unfinished(whole(turn.number), call);
  return say.turn(whole(turn.number), call, duration(turn.turned - turn.began), !turn.events);
}

// The sentence of record `i`; null where it says what that of any loop says.
function callSentence(model, i) {
  const { recording } = model, { kind } = recording, say = CALLS[language], hook = model.hooks[model.hookOf[i]];
  const slow = hook && hook.length >= 1e6, waiting = slow ? model.queuedDuring(hook) : [];
  const meanwhile = waiting.length ? say.queued(queuedNames(waiting)) : "";
  if (kind[i] === KIND.Wait && model.blocks) return say.wait(model.name(recording.name[i]));
  if (kind[i] === KIND.Turn && model.blocks) return clientSentence(model, model.turns[model.turnOf[i]]);
  if (kind[i] === KIND.Enter && hook)
    return say.enter(callOf(model, hook), hook.why === "event", slow && !isMany(hook) ? duration(hook.length) : "", hook.ending === 3) + meanwhile;
  if (kind[i] === KIND.Exit && hook) {
    const text = isMany(hook) ? say.many(callOf(model, hook), duration(hook.length), factsOf(model, hook)) : hook.ending === 3 ? say.pending(callOf(model, hook), duration(hook.length))
      : say.exit(callOf(model, hook), hook.ending === 1, duration(hook.length), factsOf(model, hook));
    const behind = slow ? model.behind(hook) : [];
    return text + behindText(model, behind) + meanwhile;
  }
  if (kind[i] === KIND.Queue)
    return say.queue(whole(recording.a[i]), whole(recording.b[i]), queuedNames(model.queuedAt(recording.time[i])));
  return kind[i] === KIND.Mark ? say.marks[model.name(recording.name[i])] ?? null : null;
}
