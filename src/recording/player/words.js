// The words of the page in English and Russian, and how numbers are written.

const WORDS = {
  en: {
    "page.kind": "a recording of an event loop", "tab.compare": "Compare", "skip": "To the controls",
    "strip": "Strip of turns", "strip.hint": "Click or drag in the upper picture to go to a time, in the lower one to go to a hook.",
    "overview": "The whole recording, true lengths: how full each moment is", "closeup": "Around this turn, not to scale: short is wide enough to see, long is cut short",
    "queue": "accept queue", "queue.most": "{0} at most, of {1}", "queue.long": "{0} at most", "loop": "loop", "waiting": "waiting", "work": "the loop itself",
    "ready": "ready, and waiting for its hook", "behind": "{0} behind it",
    "ring": "The loop", "turn": "turn", "channels": "Channels", "slab": "the slab", "source": "Source", "steps": "This turn, step by step",
    "findings": "Findings", "findings.none": "No findings come with this recording.", "connection": "Connection…", "jump": "Go to",
    "first": "First step", "last": "Last step", "prev": "Step back", "next": "Step", "prevTurn": "Turn back", "nextTurn": "Next turn",
    "play": "Play", "pause": "Pause", "speed": "Speed", "speed.unit": "{0} steps/s", "longest": "Longest turn", "finding": "Next finding", "ask": "Ask me",
    "keys": "Keys", "keys.step": "step", "keys.turn": "turn", "keys.play": "play", "keys.ends": "first, last",
    "keys.longest": "longest turn", "keys.finding": "finding", "keys.ask": "ask me",
    "col.key": "key", "col.type": "type", "col.client": "client", "col.fd": "fd", "col.peer": "peer", "col.state": "state", "col.in": "in", "col.out": "out", "col.watch": "watched",
    "more": "and {0} more", "toHook": "To its next hook", "none": "no channel is open", "closed": "closed", "watch.1": "read", "watch.2": "write", "watch.3": "read, write", "watch.0": "nothing",
    "st.wait": "wait", "st.late": "late", "st.events": "events", "st.wake": "wakes", "st.again": "again", "st.timers": "timers", "st.ready": "ready ones",
    "st.new": "new", "st.shutdown": "shutdown",
    "position": "step {0} of {1}", "facts": "{0} · {1} recorded · {2}",
    "n.turns": ["{0} turn", "{0} turns"], "n.events": ["{0} event", "{0} events"], "n.records": ["{0} record", "{0} records"],
    "n.descriptors": ["{0} descriptor", "{0} descriptors"], "n.channels": ["{0} channel", "{0} channels"],
    "ask.q": "Turn {0} is about to wait. Which keys will it return?", "ask.nobody": "none of them", "ask.time": "How long will it wait?",
    "ask.go": "Answer", "ask.on": "Next question", "ask.right": "Right.", "ask.wrong": "Not quite.", "ask.was": "It returned {0}, after {1} of {2}.",
    "ask.score": "{0} of {1} right", "ask.keys": "the keys", "ask.nothing": "no key",
    "ask.0": "not at all (under 50 µs)", "ask.1": "under 1 ms", "ask.2": "1 to 20 ms", "ask.3": "20 to 500 ms", "ask.4": "longer",
    "cmp": "Side by side", "cmp.strips": "On one time axis", "cmp.loop": "loop", "cmp.turns": "turns", "cmp.waits": "calls of wait", "cmp.asked": "descriptors asked about",
    "cmp.events": "events returned", "cmp.hooks": "hooks called", "cmp.reads": "reads", "cmp.writes": "writes", "cmp.blocked": "of these, nothing moved",
    "cmp.watches": "changes of the kernel's list", "cmp.wakes": "wakes", "cmp.responses": "responses", "cmp.bytesIn": "bytes read", "cmp.bytesOut": "bytes written",
    "cmp.waited": "time waited", "cmp.worked": "time worked", "cmp.longest": "longest turn", "cmp.untold": "not told", "cmp.open": "Open",
    "live": "Live", "live.step": "Step", "live.run": "Run", "live.pause": "Pause", "live.send": "Send in:",
    "live.lost": "The program has ended, or cannot be reached.", "live.sent": "{0} is over: every client got what it should.", "live.failed": "{0} is over: {1}",
    "live.empty": "Nothing is recorded yet. Press Step, or send something in.", "empty": "This recording has no records.",
    "bad": "{0} cannot be shown: {1}", "nosource": "The recording has no source text.", "severity.critical": "critical", "severity.warning": "warning", "severity.note": "note",
  },
  ru: {
    "page.kind": "запись цикла событий", "tab.compare": "Сравнение", "skip": "К управлению",
    "strip": "Лента оборотов", "strip.hint": "Щёлкните или потяните: на верхней ленте выбирается время, на нижней — обработчик.",
    "overview": "Вся запись в настоящем масштабе: насколько занято каждое мгновение", "closeup": "Вокруг этого оборота, не в масштабе: короткое видно, длинное укорочено",
    "queue": "очередь accept", "queue.most": "самое большее {0} из {1}", "queue.long": "самое большее {0}", "loop": "цикл", "waiting": "ожидание", "work": "сам цикл",
    "ready": "готов и ждёт обработчика", "behind": "за ним ждут: {0}",
    "ring": "Цикл", "turn": "оборот", "channels": "Каналы", "slab": "таблица каналов", "source": "Исходный текст", "steps": "Этот оборот по шагам",
    "findings": "Находки", "findings.none": "К этой записи находок нет.", "connection": "Соединение…", "jump": "Перейти",
    "first": "Первый шаг", "last": "Последний шаг", "prev": "Шаг назад", "next": "Шаг", "prevTurn": "Оборот назад", "nextTurn": "Следующий оборот",
    "play": "Пуск", "pause": "Пауза", "speed": "Скорость", "speed.unit": "{0} шаг./с", "longest": "Самый долгий оборот", "finding": "Следующая находка", "ask": "Спроси меня",
    "keys": "Клавиши", "keys.step": "шаг", "keys.turn": "оборот", "keys.play": "пуск", "keys.ends": "начало, конец",
    "keys.longest": "самый долгий оборот", "keys.finding": "находка", "keys.ask": "спроси меня",
    "col.key": "ключ", "col.type": "тип", "col.client": "клиент", "col.fd": "fd", "col.peer": "собеседник", "col.state": "состояние", "col.in": "принято", "col.out": "отдано", "col.watch": "ждём",
    "more": "и ещё {0}", "toHook": "К его следующему обработчику", "none": "открытых каналов нет", "closed": "закрыт", "watch.1": "чтения", "watch.2": "записи", "watch.3": "чтения, записи", "watch.0": "ничего",
    "st.wait": "ожидание", "st.late": "опоздавшие", "st.events": "события", "st.wake": "побудки", "st.again": "продолжение", "st.timers": "таймеры", "st.ready": "готовые",
    "st.new": "новые", "st.shutdown": "завершение",
    "position": "шаг {0} из {1}", "facts": "{0} · записано {1} · {2}",
    "n.turns": ["{0} оборот", "{0} оборота", "{0} оборотов"], "n.events": ["{0} событие", "{0} события", "{0} событий"],
    "n.records": ["{0} запись", "{0} записи", "{0} записей"], "n.descriptors": ["{0} дескриптор", "{0} дескриптора", "{0} дескрипторов"],
    "n.channels": ["{0} канал", "{0} канала", "{0} каналов"],
    "ask.q": "Оборот {0} сейчас начнёт ждать. Какие ключи вернёт ожидание?", "ask.nobody": "никакие", "ask.time": "Сколько продлится ожидание?",
    "ask.go": "Ответить", "ask.on": "Следующий вопрос", "ask.right": "Верно.", "ask.wrong": "Не совсем.", "ask.was": "Ожидание вернуло {0}; прошло {1} из {2}.",
    "ask.score": "верно {0} из {1}", "ask.keys": "ключи", "ask.nothing": "ни одного ключа",
    "ask.0": "нисколько (меньше 50 мкс)", "ask.1": "меньше 1 мс", "ask.2": "от 1 до 20 мс", "ask.3": "от 20 до 500 мс", "ask.4": "дольше",
    "cmp": "Рядом", "cmp.strips": "На одной оси времени", "cmp.loop": "цикл", "cmp.turns": "оборотов", "cmp.waits": "вызовов ожидания", "cmp.asked": "дескрипторов в запросах",
    "cmp.events": "событий получено", "cmp.hooks": "вызовов обработчиков", "cmp.reads": "чтений", "cmp.writes": "записей в сокет", "cmp.blocked": "из них впустую",
    "cmp.watches": "изменений списка ядра", "cmp.wakes": "побудок", "cmp.responses": "ответов", "cmp.bytesIn": "байтов принято", "cmp.bytesOut": "байтов отдано",
    "cmp.waited": "время ожидания", "cmp.worked": "время работы", "cmp.longest": "самый долгий оборот", "cmp.untold": "не сообщает", "cmp.open": "Открыть",
    "live": "Вживую", "live.step": "Шаг", "live.run": "Пуск", "live.pause": "Пауза", "live.send": "Впустить:",
    "live.lost": "Программа завершилась или недоступна.", "live.sent": "{0}: закончено, каждый клиент получил своё.", "live.failed": "{0}: закончено, {1}",
    "live.empty": "Пока ничего не записано. Нажмите «Шаг» или впустите клиентов.", "empty": "В этой записи нет ни одной записи цикла.",
    "bad": "{0} показать нельзя: {1}", "nosource": "Исходного текста в записи нет.", "severity.critical": "критично", "severity.warning": "предупреждение", "severity.note": "заметка",
  },
};

const UNITS = {
  en: { ns: "ns", us: "µs", ms: "ms", s: "s", min: "min", B: "B", KiB: "KiB", MiB: "MiB", point: ".", group: "," },
  ru: { ns: "нс", us: "мкс", ms: "мс", s: "с", min: "мин", B: "Б", KiB: "КиБ", MiB: "МиБ", point: ",", group: "\u202f" },
};

let language = "en";

function chooseLanguage(wanted) {
  language = wanted === "ru" ? "ru" : "en";
  document.documentElement.lang = language;
}

// The text of a word; `{0}` and so on are replaced. Of a list, the first value chooses the form.
function word(key, ...values) {
  let text = WORDS[language][key] ?? WORDS.en[key] ?? key;
  if (Array.isArray(text)) {
    const count = values[0];
    text = text[pluralForm(count)];
    values = [whole(count), ...values.slice(1)];
  }
  return text.replace(/\{(\d)\}/g, (_, at) => values[at]);
}

function pluralForm(count) {
  if (language === "en") return count === 1 ? 0 : 1;
  const tens = count % 100, ones = count % 10;
  if (ones === 1 && tens !== 11) return 0;
  return ones >= 2 && ones <= 4 && (tens < 12 || tens > 14) ? 1 : 2;
}

function whole(number) {
  const digits = String(Math.round(number));
  return digits.length < 5 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, UNITS[language].group);
}

// Two digits before the point are enough; one digit gets another one after it.
function rounded(value) {
  const text = value < 9.95 ? value.toFixed(1) : String(Math.round(value));
  return text.replace(/\.0$/, "").replace(".", UNITS[language].point);
}

function duration(ns) {
  const unit = UNITS[language];
  if (!isFinite(ns)) return "∞";
  if (ns < 1e3) return `${Math.round(ns)} ${unit.ns}`;
  if (ns < 999.5e3) return `${rounded(ns / 1e3)} ${unit.us}`;
  if (ns < 999.5e6) return `${rounded(ns / 1e6)} ${unit.ms}`;
  if (ns < 120e9) return `${rounded(ns / 1e9)} ${unit.s}`;
  return `${rounded(ns / 60e9)} ${unit.min}`;
}

function size(bytes) {
  const unit = UNITS[language];
  if (bytes < 10000) return `${whole(bytes)} ${unit.B}`;
  return bytes < 10240000 ? `${rounded(bytes / 1024)} ${unit.KiB}` : `${rounded(bytes / 1048576)} ${unit.MiB}`;
}

// Fills in the words of everything below `root` that names one.
function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = word(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", word(node.dataset.tLabel));
    node.title = word(node.dataset.tLabel);
  }
}

// Makes an element. `text` and functions of events are no attributes.
function make(tag, attributes = {}, ...children) {
  const isSvg = /^(svg|g|circle|path|text|line|title)$/.test(tag);
  const node = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
