// Parts of Russian sentences. `hook` is the name of a hook, `who` a channel.

const RUSSIAN_PHRASES = {
  wait: (limit, asked) => (limit === 0 ? `Цикл не ждёт, а только спрашивает ядро, что готово${asked}.`
    : `Цикл ждёт${isFinite(limit) ? ` не дольше ${duration(limit)}` : " без ограничения"}${asked}.`),
  asked: (count) => `; спрашивает о ${whole(count)} ${pluralForm(count) ? "дескрипторах" : "дескрипторе"}`,
  turn: (number, waited, most, events) => `Оборот ${number}: ожидание ${waited} из ${most}${events && `; ${events}`}.`,
  start: "До первого ожидания.",
  unfinished: (number) => `Оборот ${number}: ожидание ещё не кончилось.`,
  event: (who, bits, known) => `Ядро сообщает о канале ${who}: ${bits}${known ? ` (уже известно: ${known})` : ""}.`,
  enter: (hook, who, cause) => `Цикл вызывает ${hook} канала ${who}: ${cause}.`,
  ready: (time, hook, who, length) => ` Он был готов уже ${time}: впереди был ${hook} канала ${who} (${length}).`,
  perhaps: (time, hook, who) => ` Возможно, он ждал с начала ${hook} канала ${who}, то есть ${time}.`,
  exit: (hook, who, why, ending, time, facts) =>
    `${hook} канала ${who} (${why}) ${ending} за ${time}${facts ? `: ${facts}` : ""}.`,
  clocks: (computed, late, slept) =>
    ` За это время поток считал ${computed}, ждал процессора ${late}, спал или ждал ядро ${slept}.`,
  behind: (names, count) => ` За ним ждали ${word("n.channels", count)}: ${names}.`,
  fact: (who, fact) => `${who}: ${fact}.`,
  fresh: (who, origin, parent, fd, peer) => `Новый канал ${who}: ${origin}${parent ? ` каналом ${parent}` : ""}`
    + `${fd === null ? "" : `, дескриптор ${fd}`}${peer ? `, адрес ${peer}` : ""}.`,
  watch: (who, code, what) => (code === 3 ? `Ядро больше не следит за каналом ${who}.`
    : `Ядро ${code === 1 ? "начинает следить" : "теперь следит"} за каналом ${who}: ${what}.`),
  shutdown: (who, unsent) =>
    `Канал ${who} закрывает свою половину на передачу${unsent ? `; не отправлено ${size(unsent)}` : ""}.`,
  close: (who, lost, panicked) =>
    `Канал ${who} закрыт${panicked ? " после паники" : ""}${lost ? `; потеряно ${size(lost)}` : ""}.`,
  queue: (count, most) => `Соединений, которые ждут accept: ${count}, самое большее ${most}.`,
  wake: (who) => `Канал ${who} разбужен.`,
  response: (who, status, bytes) => `${who}: ответ ${status} готов, тело ${bytes}.`,
  someone: "цикл",
  why: {
    event: "событие", new: "новый", again: "продолжение", late: "опоздал", wake: "пробуждение", deadline: "срок",
    shutdown: "завершение", ready: "готов", call: "call_later",
  },
  cause: {
    event: "о нём сообщило ядро", new: "он новый", again: "в прошлый раз он мог продолжать",
    late: "на него не хватило времени прошлого оборота", wake: "его разбудили", deadline: "истёк его срок",
    shutdown: "цикл завершается", ready: "цикл спросил, и он готов", call: "подошло его время",
  },
  ending: ["закончен", "закончен с ошибкой", "прерван паникой", "отложен: он ждёт пробуждения;",
    "отложен, и разбудить его некому;"],
  did: {
    readEnd: "прочитан конец ввода", read: "прочитано", wrote: "записано", nothing: "читать пока нечего",
    full: "в сокете нет места", failed: "ошибка", spent: "доля оборота кончилась", all: "сокет теперь пуст",
    part: "сокет теперь полон", closed: "закрыт", made: "принято соединений:",
  },
  bits: ["можно читать", "можно писать", "собеседник закрыл свою половину", "ошибка"],
  interest: ["ничего", "чтение", "запись", "чтение и запись"],
  origin: ["добавлен программой", "принят", "передан"],
};
